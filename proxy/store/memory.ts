import type { Clock, Grant, Hold, Quota, Store } from '../api/index.ts'
import { MemoryLimits } from './memory-limits.ts'
import { Places } from './places.ts'

/** Bounds of a memory store. */
export interface MemoryStoreOptions {
  readonly clock: Clock
  /** Default 100,000. */
  readonly maxEntries?: number
  /** Keys and values together. Default 64 MiB. */
  readonly maxBytes?: number
  /** Keys with a quota; see `MemoryLimits` for what happens beyond. Default 100,000. */
  readonly maxQuotas?: number
}

/** Rough cost of an entry besides its key and value, so that many tiny ones count for what they take. */
const ENTRY_BYTES = 96
/** Expired entries are looked for at most this often. */
const SWEEP_INTERVAL_MS = 1000

interface Entry {
  value: Uint8Array
  /** The number behind `value` for a counter; `NaN` for any other value. */
  count: number
  expiresAt: number
}

/**
 * The embedded store: everything lives in this process and is gone with it. Beyond its bounds expired entries go
 * first, then the oldest ones. A value larger than a quarter of `maxBytes` is not stored, so that no single one can
 * push all the others out. Quotas have a table of their own, so that no value can push one out. Methods never reject.
 */
export class MemoryStore implements Store {
  readonly #clock: Clock
  readonly #maxEntries: number
  readonly #maxBytes: number
  readonly #entries = new Map<string, Entry>()
  readonly #limits: MemoryLimits
  readonly #places: Places
  #bytes = 0
  #sweptAt = Number.NEGATIVE_INFINITY

  constructor(options: MemoryStoreOptions) {
    this.#clock = options.clock
    this.#maxEntries = options.maxEntries ?? 100_000
    this.#maxBytes = options.maxBytes ?? 64 * 1024 * 1024
    this.#limits = new MemoryLimits(options.clock, options.maxQuotas)
    this.#places = new Places(null)
  }

  get(key: string): Promise<Uint8Array | null> {
    return Promise.resolve(this.#live(key)?.value ?? null)
  }

  set(key: string, value: Uint8Array, ttlMs: number): Promise<void> {
    this.#drop(key)
    if (costOf(key, value) <= this.#maxBytes / 4)
      this.#put(key, { value, count: Number.NaN, expiresAt: this.#after(ttlMs) })
    return Promise.resolve()
  }

  delete(key: string): Promise<void> {
    this.#drop(key)
    return Promise.resolve()
  }

  increment(key: string, by: number, ttlMs: number): Promise<number> {
    const entry = this.#live(key)
    const count = (entry === undefined ? 0 : numberOf(entry)) + by
    const value = Buffer.from(String(count))
    const expiresAt = entry?.expiresAt ?? this.#after(ttlMs)
    this.#drop(key)
    this.#put(key, { value, count, expiresAt })
    return Promise.resolve(count)
  }

  take(key: string, amount: number, quota: Quota): Grant {
    const taken = this.#limits.take(key, { min: amount, need: amount, extra: 0 }, quota)
    const granted = amount === 0 ? taken.remaining > 0 : taken.granted > 0
    return { granted, remaining: Math.max(0, taken.remaining), retryMs: granted ? 0 : taken.retryMs, local: false }
  }

  spend(key: string, amount: number, quota: Quota): void {
    this.#limits.spend(key, amount, quota)
  }

  hold(key: string, limit: number, whenDown: Quota['whenDown']): Hold | null | Promise<Hold | null> {
    return this.#places.hold(key, limit, whenDown)
  }

  /** There is nothing to leave. */
  close(): void {}

  /** Entries held, expired ones that nobody asked for since included. */
  get size(): number {
    return this.#entries.size
  }

  #after(ttlMs: number): number {
    return this.#clock.monotonic() + ttlMs
  }

  #live(key: string): Entry | undefined {
    const entry = this.#entries.get(key)
    if (entry === undefined || entry.expiresAt > this.#clock.monotonic()) return entry
    this.#drop(key)
    return undefined
  }

  #put(key: string, entry: Entry): void {
    this.#bytes += costOf(key, entry.value)
    this.#entries.set(key, entry)
    if (this.#isFull()) this.#sweep()
    for (const oldest of this.#entries.keys()) {
      if (!this.#isFull()) break
      this.#drop(oldest)
    }
  }

  #isFull(): boolean {
    return this.#entries.size > this.#maxEntries || this.#bytes > this.#maxBytes
  }

  #sweep(): void {
    const now = this.#clock.monotonic()
    if (now - this.#sweptAt < SWEEP_INTERVAL_MS) return
    this.#sweptAt = now
    for (const [key, entry] of this.#entries) {
      if (entry.expiresAt <= now) this.#drop(key)
    }
  }

  #drop(key: string): void {
    const entry = this.#entries.get(key)
    if (entry === undefined) return
    this.#bytes -= costOf(key, entry.value)
    this.#entries.delete(key)
  }
}

function costOf(key: string, value: Uint8Array): number {
  return ENTRY_BYTES + key.length * 2 + value.byteLength
}

/** A value that somebody `set` counts on from the number it spells, or from 0. */
function numberOf(entry: Entry): number {
  if (!Number.isNaN(entry.count)) return entry.count
  const number = Number(Buffer.from(entry.value).toString())
  return Number.isFinite(number) ? number : 0
}
