import type { Clock } from '#api'

/** How many tries of a pattern pass between two looks at the clock. */
const STRIDE = 64

/** What one message may cost. Beyond it the scan stops and says so. */
export class Budget {
  /** Why the scan stopped early; `''` = it did not. */
  exhausted: string
  verifications: number
  readonly #maxVerifications: number
  readonly #maxMs: number
  readonly #clock: Clock
  readonly #startedMs: number

  constructor(maxVerifications: number, maxMs: number, clock: Clock) {
    this.exhausted = ''
    this.verifications = 0
    this.#maxVerifications = maxVerifications
    this.#maxMs = maxMs
    this.#clock = clock
    this.#startedMs = clock.monotonic()
  }

  /** Counts one try of a pattern. @param weight of a slow engine: more than one. @returns whether it may be made */
  spend(weight = 1): boolean {
    if (this.exhausted !== '') return false
    const before = this.verifications
    this.verifications += weight
    if (this.verifications > this.#maxVerifications)
      this.exhausted = `more than ${this.#maxVerifications} verifications`
    else if (Math.trunc(before / STRIDE) !== Math.trunc(this.verifications / STRIDE)) this.#lookAtClock()
    return this.exhausted === ''
  }

  /** Looks at the clock. @returns whether there is time left */
  goesOn(): boolean {
    if (this.exhausted === '') this.#lookAtClock()
    return this.exhausted === ''
  }

  stop(reason: string): void {
    if (this.exhausted === '') this.exhausted = reason
  }

  #lookAtClock(): void {
    if (this.#clock.monotonic() - this.#startedMs > this.#maxMs) this.exhausted = `more than ${this.#maxMs} ms`
  }
}
