import type { Clock, Grant, Quota } from '../api/index.ts'
import type { LimitBackend } from './backend.ts'
import { capacity, type Taken } from './counter.ts'
import { MemoryLimits } from './memory-limits.ts'
import { unreachable } from './unreachable.ts'

export interface LeaseOptions {
  readonly clock: Clock
  readonly backend: LimitBackend
  /** How many processes share the quotas: together they hold at most 1 % of one ahead. */
  readonly processes: number
}

/** The longest that something taken ahead is kept; and at most a tenth of the window. */
const LEASE_MS = 1000
/** How long a refusal is believed: something may have been given back. */
const REFUSAL_MS = 250
/** How long a backend that failed is left alone. */
const PAUSE_MS = 250
/** Most keys that something is known of; what is forgotten costs one more question. */
const MAX_KEYS = 50_000
/** Keys looked at to make room for a new one. */
const CANDIDATES = 16

/**
 * Answers from what this process has taken ahead, so that the common case waits for nobody.
 *
 * What is held ahead of a key is at most 1 % of its quota divided by the number of processes, is taken only for a key
 * that is in demand, is kept for a second at most, and is given back where nobody used it. Calls that come while the
 * backend is asked wait together and are asked for at once. A refusal is remembered for a moment.
 */
export class Leases {
  readonly #clock: Clock
  readonly #backend: LimitBackend
  readonly #processes: number
  /** What this process alone used: counts where the backend is silent. */
  readonly #own: MemoryLimits
  readonly #leases = new Map<string, Lease>()
  #pausedUntil = Number.NEGATIVE_INFINITY
  #timer: NodeJS.Timeout | null = null

  constructor({ clock, backend, processes }: LeaseOptions) {
    this.#clock = clock
    this.#backend = backend
    this.#processes = processes
    this.#own = new MemoryLimits(clock)
  }

  take(key: string, amount: number, quota: Quota): Grant | Promise<Grant> {
    const now = this.#clock.monotonic()
    const lease = this.#lease(key, quota)
    if (lease.waiters.length === 0) {
      if (amount === 0 && now < lease.knownUntil) return lease.state(now)
      if (amount > 0 && amount <= lease.tokens && now < lease.expiresAt) {
        lease.use(amount)
        if (lease.ahead > 0 && lease.tokens * 2 <= lease.ahead) this.#ask(lease)
        return lease.granted()
      }
      if (amount >= lease.refusedAmount && now < lease.refusedUntil) return lease.refused(now)
    }
    if (now < this.#pausedUntil) return this.#alone(lease, amount)
    const { promise, resolve, reject } = Promise.withResolvers<Grant>()
    lease.waiters.push({ amount, resolve, reject })
    this.#ask(lease)
    return promise
  }

  spend(key: string, amount: number, quota: Quota): void {
    const lease = this.#lease(key, quota)
    if (amount < 0) {
      this.#takeBack(lease, -amount)
      return
    }
    this.#own.spend(key, amount, quota)
    lease.owed += amount
    this.#pay(lease)
  }

  /** It was taken from what is ours: it is ours again, until it is too old. */
  #takeBack(lease: Lease, amount: number): void {
    const now = this.#clock.monotonic()
    if (now < this.#pausedUntil) {
      this.#own.spend(lease.key, -amount, lease.quota)
      return
    }
    lease.tokens += amount
    lease.expiresAt = Math.min(lease.validUntil, Math.max(lease.expiresAt, now + leaseMs(lease.quota)))
    this.#wake()
  }

  /** The backend cannot be reached: what it refused is judged anew. */
  suspend(): void {
    this.#pausedUntil = this.#clock.monotonic() + PAUSE_MS
    for (const lease of this.#leases.values()) lease.doubt()
  }

  /** The backend can be reached again. */
  resume(): void {
    this.#pausedUntil = Number.NEGATIVE_INFINITY
    for (const lease of this.#leases.values()) {
      lease.doubt()
      this.#pay(lease)
    }
  }

  /** Gives back what was held too long. @param all or everything */
  sweep(all = false): void {
    const now = this.#clock.monotonic()
    let held = false
    for (const lease of this.#leases.values()) {
      if (lease.tokens === 0) continue
      if (all || now >= lease.expiresAt) this.#giveBack(lease, now)
      else held = true
    }
    if (held) this.#wake()
  }

  close(): void {
    if (this.#timer !== null) clearTimeout(this.#timer)
    this.#timer = null
    this.sweep(true)
    if (this.#timer !== null) clearTimeout(this.#timer)
  }

  #ask(lease: Lease): void {
    if (lease.asking) return
    const now = this.#clock.monotonic()
    if (now >= lease.expiresAt && lease.tokens > 0) this.#giveBack(lease, now)
    const served = lease.waiters
    lease.waiters = []
    let need = 0
    let min = Number.POSITIVE_INFINITY
    for (const { amount } of served) {
      need += amount
      if (amount > 0) min = Math.min(min, amount)
    }
    const extra = lease.appetite(now, this.#processes, need)
    // What is there already serves the first in the row.
    need = Math.max(0, need - lease.tokens)
    if (served.length === 0 && extra === 0) return
    lease.asking = true
    const ask = { min: Math.min(min === Number.POSITIVE_INFINITY ? 0 : min, need), need, extra }
    this.#backend.take(lease.key, ask, lease.quota).then(
      taken => this.#answered(lease, served, taken),
      error => this.#failed(lease, served, error),
    )
  }

  #answered(lease: Lease, served: readonly Waiter[], taken: Taken): void {
    const now = this.#clock.monotonic()
    lease.asking = false
    lease.learn(taken, now)
    if (taken.granted > 0) this.#own.spend(lease.key, taken.granted, lease.quota)
    for (const { amount, resolve } of served) {
      if (amount === 0) {
        resolve(lease.state(now))
      } else if (amount <= lease.tokens) {
        lease.use(amount)
        resolve(lease.granted())
      } else {
        lease.refuse(amount, taken.retryMs, now)
        resolve(lease.refused(now))
      }
    }
    if (lease.tokens > 0) this.#wake()
    if (lease.waiters.length > 0) this.#ask(lease)
  }

  #failed(lease: Lease, served: readonly Waiter[], error: unknown): void {
    lease.asking = false
    this.#pausedUntil = this.#clock.monotonic() + PAUSE_MS
    const waiting = [...served, ...lease.waiters]
    lease.waiters = []
    for (const { amount, resolve, reject } of waiting) {
      if (lease.quota.whenDown === 'refuse') reject(unreachable(error))
      else resolve(this.#locally(lease, amount))
    }
  }

  /** What the backend would be asked, while it is left alone. */
  #alone(lease: Lease, amount: number): Grant | Promise<Grant> {
    if (lease.quota.whenDown === 'refuse') return Promise.reject(unreachable(null))
    return this.#locally(lease, amount)
  }

  #locally({ key, quota }: Lease, amount: number): Grant {
    const taken = this.#own.take(key, { min: amount, need: amount, extra: 0 }, quota)
    const granted = amount === 0 ? taken.remaining > 0 : taken.granted > 0
    return { granted, remaining: Math.max(0, taken.remaining), retryMs: granted ? 0 : taken.retryMs, local: true }
  }

  /** Tells what was used; what cannot be told now is told with the next. */
  #pay(lease: Lease): void {
    const amount = lease.owed
    if (amount === 0 || lease.paying || this.#clock.monotonic() < this.#pausedUntil) return
    lease.paying = true
    this.#backend.spend(lease.key, amount, lease.quota).then(
      taken => {
        lease.paying = false
        lease.owed -= amount
        lease.learn({ ...taken, granted: 0 }, this.#clock.monotonic())
        this.#pay(lease)
      },
      () => {
        lease.paying = false
        this.#pausedUntil = this.#clock.monotonic() + PAUSE_MS
      },
    )
  }

  /** What was taken from a window that is over is worth nothing any more. */
  #giveBack(lease: Lease, now: number): void {
    const { key, quota, tokens } = lease
    lease.tokens = 0
    lease.ahead = 0
    if (now >= lease.validUntil) return
    this.#own.spend(key, -tokens, quota)
    this.#backend.spend(key, -tokens, quota).catch(ignore)
  }

  #lease(key: string, quota: Quota): Lease {
    const known = this.#leases.get(key)
    if (known !== undefined) {
      known.quota = quota
      return known
    }
    if (this.#leases.size >= MAX_KEYS) this.#makeRoom()
    const made = new Lease(key, quota)
    this.#leases.set(key, made)
    return made
  }

  /** The backend has the truth: whatever is forgotten here, no limit is given back by it. */
  #makeRoom(): void {
    const now = this.#clock.monotonic()
    let looked = 0
    for (const [key, lease] of this.#leases) {
      if (++looked > CANDIDATES) return
      if (lease.asking || lease.paying || lease.owed > 0) continue
      if (lease.tokens > 0) this.#giveBack(lease, now)
      this.#leases.delete(key)
    }
  }

  #wake(): void {
    this.#timer ??= setTimeout(() => {
      this.#timer = null
      this.sweep()
    }, LEASE_MS).unref()
  }
}

interface Waiter {
  readonly amount: number
  readonly resolve: (grant: Grant) => void
  readonly reject: (error: Error) => void
}

/** What this process knows of one key. One hidden class: it is looked at in every exchange. */
class Lease {
  readonly key: string
  quota: Quota
  /** Taken and not used. */
  tokens = 0
  expiresAt = Number.NEGATIVE_INFINITY
  /** When its window is over. */
  validUntil = Number.POSITIVE_INFINITY
  /** How much was last taken ahead. */
  ahead = 0
  /** Used since the backend was asked. */
  used = 0
  askedAt = Number.NEGATIVE_INFINITY
  remaining = 0
  retryAt = 0
  /** Until when `remaining` is good enough for an answer. */
  knownUntil = Number.NEGATIVE_INFINITY
  refusedUntil = Number.NEGATIVE_INFINITY
  refusedAmount = Number.POSITIVE_INFINITY
  /** Used already, and not told yet. */
  owed = 0
  asking = false
  paying = false
  waiters: Waiter[] = []

  constructor(key: string, quota: Quota) {
    this.key = key
    this.quota = quota
  }

  use(amount: number): void {
    this.tokens -= amount
    this.used += amount
  }

  /** How much to take ahead now: twice what was used since the last time, within its bound; nothing for an idle key. */
  appetite(now: number, processes: number, need: number): number {
    const recent = now - this.askedAt < leaseMs(this.quota) ? this.used : 0
    const most = Math.floor(capacity(this.quota) / (100 * processes))
    this.askedAt = now
    this.used = 0
    this.ahead = Math.min(most, 2 * recent)
    return Math.max(0, this.ahead - (need === 0 ? this.tokens : 0))
  }

  learn(taken: Taken, now: number): void {
    const kept = leaseMs(this.quota)
    this.tokens += taken.granted
    this.remaining = taken.remaining
    this.retryAt = now + taken.retryMs
    this.validUntil = now + taken.validMs
    if (taken.granted > 0) this.expiresAt = now + Math.min(kept, taken.validMs)
    this.knownUntil = now + Math.min(kept, taken.validMs, taken.remaining > 0 ? kept : taken.retryMs)
    this.refusedAmount = Number.POSITIVE_INFINITY
  }

  refuse(amount: number, retryMs: number, now: number): void {
    this.refusedAmount = Math.min(this.refusedAmount, amount)
    this.refusedUntil = now + Math.min(retryMs, REFUSAL_MS)
  }

  /** What was said no longer counts. */
  doubt(): void {
    this.refusedUntil = Number.NEGATIVE_INFINITY
    this.knownUntil = Number.NEGATIVE_INFINITY
  }

  granted(): Grant {
    return { granted: true, remaining: Math.max(0, this.remaining + this.tokens), retryMs: 0, local: false }
  }

  refused(now: number): Grant {
    return { granted: false, remaining: 0, retryMs: Math.max(0, this.retryAt - now), local: false }
  }

  /** What an ask for nothing learns. */
  state(now: number): Grant {
    return this.remaining + this.tokens - this.owed > 0 ? this.granted() : this.refused(now)
  }
}

function leaseMs(quota: Quota): number {
  return Math.min(LEASE_MS, quota.windowMs / 10)
}

/** What was not given back counts as used until its window is over. */
function ignore(): void {}
