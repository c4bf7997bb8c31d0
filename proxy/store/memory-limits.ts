import type { Clock, Quota } from '../api/index.ts'
import { type Ask, type Counter, capacity, createCounter, portion, type Taken } from './counter.ts'

/** Most keys with a counter; beyond, see `MemoryLimits`. */
const MAX_KEYS = 100_000
/** Keys looked at to make room for a new one. */
const CANDIDATES = 16
/** A counter of which more than this part is used is never given up. */
const MAX_LOSS = 0.5

/**
 * Quotas and places of one process, without a promise.
 *
 * Keys are bounded, and often made of what clients say, so forgetting one must not give a limit back. To make room, the
 * longest unseen keys are looked at: one that has run out goes, else the one of which the least is used, if that is
 * less than half. So whoever floods the table gains less than each flood costs him. Where nothing can go, new keys of one
 * kind share one counter until something has run out: too strict for newcomers rather than open for everybody.
 */
export class MemoryLimits {
  readonly #clock: Clock
  readonly #maxKeys: number
  readonly #counters = new Map<string, Counter>()
  /** What new keys share where no room can be made: one for each quota that a policy has. */
  readonly #shared = new Map<string, Counter>()
  /** By key, then by who holds. */
  readonly #places = new Map<string, Map<string, number>>()

  constructor(clock: Clock, maxKeys: number = MAX_KEYS) {
    this.#clock = clock
    this.#maxKeys = maxKeys
  }

  get size(): number {
    return this.#counters.size
  }

  take(key: string, ask: Ask, quota: Quota): Taken {
    const now = this.#timeFor(quota.window)
    const counter = this.#counter(key, quota)
    const available = counter.available(quota, now)
    const granted = portion(available, ask)
    if (granted > 0) counter.add(granted, quota, now)
    const least = Math.max(1, ask.min)
    return {
      granted,
      remaining: Math.floor(available - granted),
      retryMs: available - granted >= least ? 0 : counter.retryMs(least, quota, now),
      validMs: counter.validMs(quota, now),
    }
  }

  spend(key: string, amount: number, quota: Quota): Taken {
    const now = this.#timeFor(quota.window)
    const counter = this.#counter(key, quota)
    counter.add(amount, quota, now)
    const available = counter.available(quota, now)
    return {
      granted: amount,
      remaining: Math.floor(available),
      retryMs: available >= 1 ? 0 : counter.retryMs(1, quota, now),
      validMs: counter.validMs(quota, now),
    }
  }

  /**
   * Says how many places `holder` has from now on. @param limit refused where all holders together would have more
   * @returns whether it is so now
   */
  hold(key: string, holder: string, count: number, limit: number): boolean {
    const holders = this.#places.get(key) ?? new Map<string, number>()
    let all = count
    for (const [name, held] of holders) if (name !== holder) all += held
    if (all > limit) return false
    if (count > 0) holders.set(holder, count)
    else holders.delete(holder)
    if (holders.size === 0) this.#places.delete(key)
    else this.#places.set(key, holders)
    return true
  }

  /** Frees every place of a holder that is gone. */
  drop(holder: string): void {
    for (const [key, holders] of this.#places) {
      holders.delete(holder)
      if (holders.size === 0) this.#places.delete(key)
    }
  }

  /** Days begin by the wall clock; everything else must not notice when somebody sets that. */
  #timeFor(kind: Quota['window']): number {
    return kind === 'fixed' ? this.#clock.now() : this.#clock.monotonic()
  }

  #counter(key: string, quota: Quota): Counter {
    const known = this.#counters.get(key)
    if (known !== undefined && known.kind === quota.window) return known
    if (known === undefined && this.#counters.size >= this.#maxKeys && !this.#makeRoom()) {
      return this.#overflow(quota)
    }
    const made = createCounter(quota)
    this.#counters.set(key, made)
    return made
  }

  #overflow(quota: Quota): Counter {
    const key = `${quota.window} ${quota.limit} ${quota.windowMs}`
    const shared = this.#shared.get(key) ?? createCounter(quota)
    this.#shared.set(key, shared)
    return shared
  }

  /** Looks at a few of the oldest keys; those that stay move to the end, so that others are looked at next time. */
  #makeRoom(): boolean {
    let least = MAX_LOSS
    let victim: string | null = null
    let looked = 0
    for (const [key, counter] of this.#counters) {
      if (++looked > CANDIDATES) break
      const now = this.#timeFor(counter.kind)
      if (counter.expiresAt <= now) return this.#counters.delete(key)
      const used = 1 - counter.available(counter.quota, now) / capacity(counter.quota)
      if (used < least) {
        least = used
        victim = key
      }
      this.#counters.delete(key)
      this.#counters.set(key, counter)
    }
    return victim !== null && this.#counters.delete(victim)
  }
}
