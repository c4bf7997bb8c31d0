/** Takes a share of what comes, evenly: of 25 %, every fourth. */
export class Sampler {
  readonly #share: number
  #due = 0

  /** @param share 0 to 1 */
  constructor(share: number) {
    this.#share = share
  }

  next(): boolean {
    this.#due += this.#share
    // What sums of fractions lack must not cost one of them.
    if (this.#due < 1 - 1e-9) return false
    this.#due -= 1
    return true
  }
}
