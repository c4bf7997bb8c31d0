import type { Clock } from '../api/index.ts'

const INTERVAL_MS = 1000

/** A share of time: so much of each second. What one long piece of work takes too much is missing in the next ones. */
export class Budget {
  readonly #perIntervalMs: number
  readonly #clock: Clock
  #began: number
  #leftMs: number

  /** @param share 0 to 1 */
  constructor(share: number, clock: Clock) {
    this.#perIntervalMs = share * INTERVAL_MS
    this.#clock = clock
    this.#began = clock.monotonic()
    this.#leftMs = this.#perIntervalMs
  }

  /** Milliseconds; 0 or less = nothing more in this second. */
  get left(): number {
    const intervals = Math.floor((this.#clock.monotonic() - this.#began) / INTERVAL_MS)
    if (intervals > 0) {
      this.#began += intervals * INTERVAL_MS
      this.#leftMs = Math.min(this.#perIntervalMs, this.#leftMs + intervals * this.#perIntervalMs)
    }
    return this.#leftMs
  }

  spend(ms: number): void {
    this.#leftMs = this.left - ms
  }
}
