import type { JsonObject } from '../api/index.ts'
import type { Change } from './compare.ts'
import type { Recording } from './recording.ts'

/** Kinds of differences that are told apart; further ones are counted together. */
const MAX_KINDS = 500
const WITHHELD = '***WITHHELD***'

/** What a shadow policy has done differently so far. */
export class Totals {
  readonly #results = new Map<string, number>()
  readonly #kinds = new Map<string, { readonly told: JsonObject; count: number }>()
  #others = 0

  count(result: string): void {
    this.#results.set(result, (this.#results.get(result) ?? 0) + 1)
  }

  add({ what, entries, code }: Change, { server, method, name, outcome }: Recording): void {
    const shown = outcome.withheldName ? WITHHELD : name
    const told = { change: what, entry: entries.join(', '), code, server, method, name: shown }
    const key = JSON.stringify(told)
    const known = this.#kinds.get(key)
    if (known !== undefined) known.count++
    else if (this.#kinds.size < MAX_KINDS) this.#kinds.set(key, { told, count: 1 })
    else this.#others++
  }

  about(): JsonObject {
    const kinds = [...this.#kinds.values()].toSorted((a, b) => b.count - a.count)
    return {
      exchanges: Object.fromEntries(this.#results),
      changes: kinds.map(({ told, count }) => ({ ...told, count })),
      ...(this.#others > 0 && { others: this.#others }),
    }
  }
}
