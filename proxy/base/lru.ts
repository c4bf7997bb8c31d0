/**
 * A bounded map that forgets what was not used for long: two generations of at most `limit / 2` entries each. A full
 * young generation becomes the old one, and the old one is dropped whole; a hit in the old one moves the entry up.
 * So the usual `get` is one Map look-up with no bookkeeping, unlike a list-based LRU, and between `limit / 2` and
 * `limit` of the entries used last are there.
 */
export class Lru<K, V> {
  readonly #half: number
  #young = new Map<K, V>()
  #old = new Map<K, V>()

  /** @param limit the most entries ever held; at least 2 */
  constructor(limit: number) {
    this.#half = Math.max(1, limit >> 1)
  }

  get(key: K): V | undefined {
    const value = this.#young.get(key)
    return value === undefined ? this.#promote(key) : value
  }

  set(key: K, value: V): void {
    if (this.#young.size >= this.#half && !this.#young.has(key)) {
      this.#old = this.#young
      this.#young = new Map()
    }
    this.#young.set(key, value)
  }

  delete(key: K): void {
    this.#young.delete(key)
    this.#old.delete(key)
  }

  /** An upper bound of the number of entries: one that lives in both generations counts twice. */
  get size(): number {
    return this.#young.size + this.#old.size
  }

  #promote(key: K): V | undefined {
    const value = this.#old.get(key)
    if (value !== undefined) this.set(key, value)
    return value
  }
}
