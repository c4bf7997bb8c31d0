import type { Clock, Grant, Hold, Quota, Store } from '../api/index.ts'
import type { LimitBackend } from './backend.ts'
import { Leases } from './leases.ts'
import { MemoryStore } from './memory.ts'
import { Places } from './places.ts'

export interface WorkerStoreOptions {
  readonly clock: Clock
  /** Who counts for all workers. */
  readonly backend: LimitBackend
  /** How many workers there are. */
  readonly processes: number
}

/**
 * The store of one of several workers without Redis. Quotas and places hold for all workers together: the supervisor counts.
 * Values are each worker's own.
 */
export class WorkerStore implements Store {
  readonly #values: MemoryStore
  readonly #leases: Leases
  readonly #places: Places

  constructor(options: WorkerStoreOptions) {
    this.#values = new MemoryStore({ clock: options.clock })
    this.#leases = new Leases(options)
    this.#places = new Places(options.backend)
  }

  get(key: string): Promise<Uint8Array | null> {
    return this.#values.get(key)
  }

  set(key: string, value: Uint8Array, ttlMs: number): Promise<void> {
    return this.#values.set(key, value, ttlMs)
  }

  delete(key: string): Promise<void> {
    return this.#values.delete(key)
  }

  increment(key: string, by: number, ttlMs: number): Promise<number> {
    return this.#values.increment(key, by, ttlMs)
  }

  take(key: string, amount: number, quota: Quota): Grant | Promise<Grant> {
    return this.#leases.take(key, amount, quota)
  }

  spend(key: string, amount: number, quota: Quota): void {
    this.#leases.spend(key, amount, quota)
  }

  hold(key: string, limit: number, whenDown: Quota['whenDown']): Hold | null | Promise<Hold | null> {
    return this.#places.hold(key, limit, whenDown)
  }

  /** Gives back what was taken ahead. */
  close(): void {
    this.#places.close()
    this.#leases.close()
  }
}
