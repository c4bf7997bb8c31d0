import { randomBytes } from 'node:crypto'
import type { Clock, Grant, Hold, Quota, Store } from '../api/index.ts'
import { channels } from '../observe/channels.ts'
import type { LimitBackend } from './backend.ts'
import type { Ask, Taken } from './counter.ts'
import { Leases } from './leases.ts'
import { Places } from './places.ts'
import { createRedisClient, type RedisClient, type RedisPlace } from './redis-client.ts'
import { unreachable } from './unreachable.ts'

export interface RedisStoreOptions {
  readonly place: RedisPlace
  readonly prefix: string
  /** How many processes share it, roughly. */
  readonly processes: number
  readonly clock: Clock
  /** The clock that windows go by. Default: that of the Redis server. */
  readonly windowClock?: Clock
}

/** After this nobody believes any more that a process which is silent still holds its places. */
const HOLDER_TTL_MS = 30_000
/** It is said at most this often that Redis is down. */
const NOTICE_INTERVAL_MS = 10_000

/**
 * What instances share, in Redis: one server, a Cluster, or a master that Sentinels name. The state keys are in
 * docs/redis.md. Commands wait neither for a connection nor longer than their time limit; the connection is tried again
 * for ever. Quotas are answered from what was taken ahead where that is possible (`Leases`).
 */
export class RedisStore implements Store {
  readonly #client: RedisClient
  readonly #prefix: string
  readonly #windowClock: Clock | null
  /** Whose places these are. */
  readonly #holder = randomBytes(9).toString('base64url')
  readonly #leases: Leases
  readonly #places: Places
  #isUp: boolean | null = null
  /** Whether the log says that it is down, and since when. */
  #isTold = false
  #toldAt = Number.NEGATIVE_INFINITY
  #isClosed = false

  constructor({ place, prefix, processes, clock, windowClock }: RedisStoreOptions) {
    this.#client = createRedisClient(place)
    this.#prefix = prefix
    this.#windowClock = windowClock ?? null
    const backend: LimitBackend = {
      take: (key, ask, quota) => this.#quota(key, quota, ask, false),
      spend: (key, amount, quota) => this.#quota(key, quota, { min: 0, need: amount, extra: 0 }, true),
      hold: (key, count, limit) => this.#hold(key, count, limit),
    }
    this.#leases = new Leases({ clock, backend, processes })
    this.#places = new Places(backend)
    this.#client.on('ready', () => this.#up())
    this.#client.on('error', error => this.#down(error))
    this.#client.on('close', () => this.#down(null))
  }

  /** Tries to connect. Resolves when that worked or failed: a store that is down at start comes back like any other. */
  async open(): Promise<void> {
    try {
      await this.#client.connect()
    } catch (error) {
      this.#down(error as Error)
    }
  }

  async get(key: string): Promise<Uint8Array | null> {
    return this.#try(this.#client.getBuffer(this.#valueKey(key)))
  }

  async set(key: string, value: Uint8Array, ttlMs: number): Promise<void> {
    await this.#try(this.#client.set(this.#valueKey(key), asBuffer(value), 'PX', Math.ceil(ttlMs)))
  }

  async delete(key: string): Promise<void> {
    await this.#try(this.#client.del(this.#valueKey(key)))
  }

  async increment(key: string, by: number, ttlMs: number): Promise<number> {
    return Number(await this.#try(this.#client.sluiceIncrement(this.#valueKey(key), by, Math.ceil(ttlMs))))
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

  /** Gives back what was taken ahead and is too old; otherwise a timer does. */
  sweep(): void {
    this.#leases.sweep()
  }

  /** Gives back what was taken ahead, and leaves. */
  async close(): Promise<void> {
    this.#isClosed = true
    this.#places.close()
    this.#leases.close()
    try {
      await this.#client.quit()
    } catch {
      this.#client.disconnect()
    }
  }

  async #quota(key: string, quota: Quota, ask: Ask, spend: boolean): Promise<Taken> {
    const { window, limit, windowMs, burst } = quota
    const name = `${this.#prefix}q:${window}:${key}`
    const now = this.#now()
    const numbers = [limit, windowMs, burst, ask.min, ask.need, ask.extra, spend ? 1 : 0]
    const answer = await this.#heard(this.#client.sluiceQuota(name, window, ...numbers, now))
    const [granted, remaining, retryMs, validMs] = answer
    return { granted, remaining, retryMs, validMs: validMs < 0 ? Number.POSITIVE_INFINITY : validMs }
  }

  async #hold(key: string, count: number, limit: number): Promise<boolean> {
    const most = Number.isFinite(limit) ? limit : -1
    const args = [this.#holder, count, most, HOLDER_TTL_MS, this.#now()]
    return (await this.#heard(this.#client.sluicePlaces(`${this.#prefix}p:${key}`, ...args))) === 1
  }

  #now(): string {
    return this.#windowClock === null ? '' : String(this.#windowClock.now())
  }

  #valueKey(key: string): string {
    return `${this.#prefix}v:${key}`
  }

  async #try<T>(answer: Promise<T>): Promise<T> {
    try {
      return await answer
    } catch (error) {
      throw unreachable(error)
    }
  }

  /** A server may be there and yet do nothing for us: no memory, no rights, no answer. */
  async #heard<T>(answer: Promise<T>): Promise<T> {
    try {
      const heard = await answer
      if (this.#isUp === false) this.#up()
      return heard
    } catch (error) {
      this.#down(error as Error)
      throw error
    }
  }

  #up(): void {
    if (this.#isTold) channels.notice.publish({ level: 'info', text: 'redis can be reached again', fields: {} })
    this.#isTold = false
    this.#isUp = true
    this.#leases.resume()
    this.#places.renew()
  }

  /** Says it once, and not over and over where it comes and goes; reasons hold addresses, never credentials. */
  #down(error: Error | null): void {
    if (this.#isUp === false || this.#isClosed) return
    if (error === null && this.#isUp === null) return
    this.#isUp = false
    this.#leases.suspend()
    const now = performance.now()
    if (now - this.#toldAt < NOTICE_INTERVAL_MS) return
    this.#toldAt = now
    this.#isTold = true
    const fields = { error: reasonOf(error) }
    channels.notice.publish({ level: 'warn', text: 'redis cannot be reached; trying again', fields })
  }
}

function reasonOf(error: Error | null): string {
  if (error === null) return 'the connection was closed'
  const { code } = error as NodeJS.ErrnoException
  return error.message === '' ? (code ?? error.name) : error.message
}

function asBuffer(value: Uint8Array): Buffer {
  return Buffer.from(value.buffer, value.byteOffset, value.byteLength)
}
