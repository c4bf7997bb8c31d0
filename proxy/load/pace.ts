/** When requests are due, in an open loop. */
export class Pace {
  readonly #gapMs: number
  readonly #random: boolean
  #next: number

  /** @param rate requests per second */
  constructor(rate: number, arrivals: 'even' | 'random', startAt: number) {
    this.#gapMs = 1000 / rate
    this.#random = arrivals === 'random'
    this.#next = startAt
  }

  /** When the next one is due. */
  get next(): number {
    return this.#next
  }

  /** Takes one that is due; the time it was due at. */
  take(): number {
    const dueAt = this.#next
    // Poisson arrivals have exponential distances.
    this.#next += this.#random ? -Math.log(1 - Math.random()) * this.#gapMs : this.#gapMs
    return dueAt
  }
}

/** Chooses steps by weight, evenly spread: two runs of one scenario ask for the same. */
export class Mix {
  readonly #bounds: readonly number[]
  #at = 0

  constructor(weights: readonly number[]) {
    const total = weights.reduce((sum, weight) => sum + weight, 0)
    this.#bounds = weights.map((_, index) => weights.slice(0, index + 1).reduce((sum, one) => sum + one, 0) / total)
  }

  next(): number {
    // Multiples of the golden ratio fill the range more evenly than chance.
    this.#at = (this.#at + 0.618_033_988_749_895) % 1
    const found = this.#bounds.findIndex(bound => this.#at < bound)
    return found === -1 ? this.#bounds.length - 1 : found
  }
}
