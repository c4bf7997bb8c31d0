/** How many replicas may run, and what calls for one more or one less. */
export interface Bounds {
  readonly min: number
  readonly max: number
  readonly targetInFlight: number
  /** 0 = never fewer. */
  readonly idleTimeoutMs: number
}

/**
 * How many replicas a server needs: at once more when there is more to do, fewer only when it was less for `idle_timeout`,
 * and then as many as the busiest moment of that time needed.
 */
export class Demand {
  #bounds: Bounds
  #level: number
  /** What load asks for now, not bounded. */
  #need = 0
  /** Since when less was needed than there is; `null` = it is not less. */
  #lowSince: number | null = null
  /** The most that was needed since then. */
  #peak = 0

  constructor(bounds: Bounds) {
    this.#bounds = bounds
    this.#level = bounds.min
  }

  /** How many replicas there should be. */
  get level(): number {
    return this.#level
  }

  /** When `tick` may lower the level; Infinity = never without a change of load. */
  get dueAt(): number {
    const { min, idleTimeoutMs } = this.#bounds
    if (this.#lowSince === null || idleTimeoutMs === 0 || this.#level <= min) return Number.POSITIVE_INFINITY
    return this.#lowSince + idleTimeoutMs
  }

  setBounds(bounds: Bounds, now: number): void {
    this.#bounds = bounds
    this.#level = Math.min(bounds.max, Math.max(bounds.min, this.#level))
    this.#lowSince = null
    this.#weigh(now)
  }

  /** @param busy requests that run or wait now */
  load(busy: number, now: number): void {
    this.#need = Math.ceil(busy / this.#bounds.targetInFlight)
    this.#weigh(now)
  }

  /** A request waits: that is one at least, whatever the last load said. */
  want(now: number): void {
    if (this.#level < 1) this.#level = 1
    if (this.#level === 1) this.#lowSince = null
    this.#peak = Math.max(this.#peak, 1)
    this.#weigh(now)
  }

  /** Back to what holds without any load. */
  rest(): void {
    this.#level = this.#bounds.min
    this.#lowSince = null
  }

  tick(now: number): void {
    if (now < this.dueAt) return
    const { min, max } = this.#bounds
    this.#level = Math.min(max, Math.max(min, this.#peak))
    this.#lowSince = null
    this.#weigh(now)
  }

  #weigh(now: number): void {
    const need = Math.min(this.#need, this.#bounds.max)
    if (need >= this.#level) {
      this.#level = Math.max(need, this.#bounds.min)
      this.#lowSince = null
    } else if (this.#lowSince === null) {
      this.#lowSince = now
      this.#peak = need
    } else {
      this.#peak = Math.max(this.#peak, need)
    }
  }
}
