import type { Hold } from '#api'
import type { Rule } from './rule.ts'

/** What one exchange has taken, and what it will have to pay when it ends. */
export class Usage {
  isOver = false
  /** Taken by the request, to be given back where a later rule refuses it; by twos: rule, key. */
  readonly taken: (Rule | string)[] = []
  /** To be paid by the size of the answer; by twos: rule, key. */
  readonly debts: (Rule | string)[] = []
  #holds: Hold[] | null = null

  /** Keeps a place until the end, which may have come while it was waited for. */
  keep(hold: Hold): void {
    if (this.isOver) {
      hold.release()
      return
    }
    this.#holds ??= []
    this.#holds.push(hold)
  }

  /** Everything that is held is free again. */
  end(): void {
    this.isOver = true
    const holds = this.#holds
    this.#holds = null
    if (holds !== null) for (const hold of holds) hold.release()
  }
}
