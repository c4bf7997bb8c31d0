/** Retries in reserve, for the moment when a replica dies with many calls on it. */
export const RESERVE = 100

/**
 * Bounds the retries of a server to a part of its requests, so that trying again never becomes the load that keeps it
 * down: a bucket that each request fills by `ratio` and each retry empties by one.
 */
export class RetryBudget {
  private tokens: number
  private readonly ratio: number

  /** @param ratio retries for each request, 0 to 1 */
  constructor(ratio: number) {
    this.tokens = ratio === 0 ? 0 : RESERVE
    this.ratio = ratio
  }

  /** A request came. */
  earn(): void {
    if (this.tokens < RESERVE) this.tokens += this.ratio
  }

  /** @returns whether a retry is allowed; it is then counted */
  spend(): boolean {
    if (this.tokens < 1) return false
    this.tokens--
    return true
  }
}
