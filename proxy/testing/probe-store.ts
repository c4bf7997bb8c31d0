import type { Clock, Grant, Hold, Quota, Store } from '../api/index.ts'
import { MemoryStore } from '../store/memory.ts'

interface Item {
  readonly value: Uint8Array | number
  readonly expiresAt: number
}

/** A store of one test: in memory, by the test's own clock, without a size limit. */
export class ProbeStore implements Store {
  private readonly items = new Map<string, Item>()
  private readonly clock: Clock
  /** Quotas are counted as in service. */
  private readonly limits: MemoryStore

  constructor(clock: Clock) {
    this.clock = clock
    this.limits = new MemoryStore({ clock })
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

  take(key: string, amount: number, quota: Quota): Grant {
    return this.limits.take(key, amount, quota)
  }

  spend(key: string, amount: number, quota: Quota): void {
    this.limits.spend(key, amount, quota)
  }

  hold(key: string, limit: number, whenDown: Quota['whenDown']): Hold | null | Promise<Hold | null> {
    return this.limits.hold(key, limit, whenDown)
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
