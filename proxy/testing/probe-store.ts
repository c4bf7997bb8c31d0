import type { Clock, Store } from '../api/index.ts'

interface Item {
  readonly value: Uint8Array | number
  readonly expiresAt: number
}

/** A store of one test: in memory, by the test's own clock, without a size limit. */
export class ProbeStore implements Store {
  private readonly items = new Map<string, Item>()
  private readonly clock: Clock

  constructor(clock: Clock) {
    this.clock = clock
  }

  async get(key: string): Promise<Uint8Array | null> {
    const value = this.live(key)?.value ?? null
    return typeof value === 'number' ? Buffer.from(String(value)) : value
  }

  async set(key: string, value: Uint8Array, ttlMs: number): Promise<void> {
    this.items.set(key, { value: Uint8Array.from(value), expiresAt: this.expiry(ttlMs) })
  }

  async delete(key: string): Promise<void> {
    this.items.delete(key)
  }

  async increment(key: string, by: number, ttlMs: number): Promise<number> {
    const old = this.live(key)
    if (old !== null && typeof old.value !== 'number')
      throw new TypeError(`increment("${key}"): holds bytes, not a counter`)
    const value = (old === null ? 0 : (old.value as number)) + by
    this.items.set(key, { value, expiresAt: old?.expiresAt ?? this.expiry(ttlMs) })
    return value
  }

  private live(key: string): Item | null {
    const item = this.items.get(key)
    if (item === undefined) return null
    if (item.expiresAt > this.clock.monotonic()) return item
    this.items.delete(key)
    return null
  }

  private expiry(ttlMs: number): number {
    if (!(ttlMs > 0)) throw new RangeError(`ttlMs ${ttlMs}: a store always needs a lifetime in milliseconds`)
    return this.clock.monotonic() + ttlMs
  }
}
