import type { RestartSpec } from './spec.ts'

/** The longest wait between two starts, in milliseconds. */
const MAX_DELAY_MS = 60_000

/**
 * Counts starts that came to nothing, and says when the next one may be tried. What was started before the last failure
 * and fails too is no further attempt: replicas that are started together fail together.
 */
export class Attempts {
  #spec: RestartSpec
  /** When each counted failure was, oldest first; at most `maxAttempts` + 1. */
  #failures: number[] = []
  #isHopeless = false
  /** Whether the first of the row is replaced without a wait. */
  #isFirstFree = false

  constructor(spec: RestartSpec) {
    this.#spec = spec
  }

  setSpec(spec: RestartSpec): void {
    this.#spec = spec
  }

  /** Failures in a row. */
  get count(): number {
    return this.#failures.length
  }

  /** When the next start may be; 0 = now. Says nothing once it is exhausted. */
  get nextAt(): number {
    const last = this.#failures.at(-1)
    if (last === undefined) return 0
    const waits = this.#failures.length - (this.#isFirstFree ? 1 : 0)
    return waits === 0 ? 0 : last + Math.min(MAX_DELAY_MS, this.#spec.delayMs * 2 ** (waits - 1))
  }

  /** Whether no further start is allowed before `forgottenAt`. */
  get isExhausted(): boolean {
    return this.#isHopeless || this.#failures.length > this.#spec.maxAttempts
  }

  /** When the first failure of the row leaves the window. */
  get forgottenAt(): number {
    const from = this.#isHopeless ? this.#failures.at(-1) : this.#failures[0]
    return from === undefined ? 0 : from + this.#spec.windowMs
  }

  /**
   * @param wasReady whether it has served: the first one that did is replaced at once
   * @param isPermanent whether another try cannot do better
   */
  failed(startedAt: number, now: number, wasReady: boolean, isPermanent: boolean): void {
    this.#isHopeless ||= isPermanent
    const last = this.#failures.at(-1)
    if (last !== undefined && startedAt < last && !isPermanent) return
    if (!this.#isHopeless) this.#failures = this.#failures.filter(at => now - at < this.#spec.windowMs)
    if (this.#failures.length === 0) this.#isFirstFree = wasReady
    this.#failures.push(now)
  }

  /** A replica has shown that the server can run, or somebody wants it tried afresh. */
  reset(): void {
    this.#failures = []
    this.#isHopeless = false
  }
}
