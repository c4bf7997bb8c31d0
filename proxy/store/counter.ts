import type { Quota } from '../api/index.ts'

/** How much somebody wants of a quota. */
export interface Ask {
  /** Less than this is of no use. */
  readonly min: number
  readonly need: number
  /** What else may be granted, to be used later. */
  readonly extra: number
}

/** What a quota answers. */
export interface Taken {
  readonly granted: number
  /** Negative where more was spent than there was. */
  readonly remaining: number
  /** Milliseconds until `min`, but at least 1, could be granted again; 0 = now. */
  readonly retryMs: number
  /** How long what was granted may be kept before it is used; `fixed` windows end. */
  readonly validMs: number
}

/** What has been used of one key's quota. Times are those of the clock that fits the window: see `timeFor`. */
export interface Counter {
  readonly kind: Quota['window']
  /** The one it was last asked by. */
  readonly quota: Quota
  /** From then on it is as good as a new one. */
  readonly expiresAt: number
  /** Fractions and negative numbers happen. */
  available(quota: Quota, now: number): number
  /** Counts `amount`; a negative one is taken back, but never below nothing. */
  add(amount: number, quota: Quota, now: number): void
  /** Milliseconds until `need` could be granted. */
  retryMs(need: number, quota: Quota, now: number): number
  validMs(quota: Quota, now: number): number
}

/** A sliding log tells times apart that differ by this part of its window: it errs by 1 % of the window at most. */
export const RESOLUTION = 100

/** Times and amounts stand in threes: when an entry's first use was, its last one, and how much. */
const ENTRY = 3

/**
 * A log of what was used when. Uses closer than a hundredth of the window share an entry, which counts until the window
 * is over for its last one: so never more than the limit is granted in any window, and an entry can count for 1 % too long.
 */
class SlidingLog implements Counter {
  readonly kind = 'sliding'
  quota: Quota
  expiresAt = 0
  readonly #log: number[] = []
  #used = 0

  constructor(quota: Quota) {
    this.quota = quota
  }

  available(quota: Quota, now: number): number {
    this.quota = quota
    const log = this.#log
    let gone = 0
    while (gone < log.length && (log[gone + 1] as number) + quota.windowMs <= now) {
      this.#used -= log[gone + 2] as number
      gone += ENTRY
    }
    if (gone > 0) log.splice(0, gone)
    return quota.limit - this.#used
  }

  add(amount: number, quota: Quota, now: number): void {
    if (amount < 0) {
      this.#takeBack(-amount)
      return
    }
    const log = this.#log
    const last = log.length - ENTRY
    this.#used += amount
    this.expiresAt = now + quota.windowMs
    if (last < 0 || now - (log[last] as number) >= quota.windowMs / RESOLUTION) {
      log.push(now, now, amount)
      return
    }
    log[last + 1] = now
    log[last + 2] = (log[last + 2] as number) + amount
  }

  retryMs(need: number, quota: Quota, now: number): number {
    if (need > quota.limit) return quota.windowMs
    const log = this.#log
    let free = quota.limit - this.#used
    for (let at = 0; at < log.length; at += ENTRY) {
      free += log[at + 2] as number
      if (free >= need) return Math.max(0, (log[at + 1] as number) + quota.windowMs - now)
    }
    return 0
  }

  validMs(): number {
    return Number.POSITIVE_INFINITY
  }

  /** The newest uses first: those that count longest. */
  #takeBack(amount: number): void {
    const log = this.#log
    for (let left = amount; left > 0 && log.length > 0; ) {
      const part = Math.min(left, log[log.length - 1] as number)
      left -= part
      this.#used -= part
      log[log.length - 1] = (log[log.length - 1] as number) - part
      if (log[log.length - 1] === 0) log.length -= ENTRY
    }
  }
}

/** One number a window. */
class FixedWindow implements Counter {
  readonly kind = 'fixed'
  quota: Quota
  expiresAt = 0
  #used = 0

  constructor(quota: Quota) {
    this.quota = quota
  }

  available(quota: Quota, now: number): number {
    this.quota = quota
    if (this.expiresAt <= now || this.expiresAt - now > quota.windowMs) {
      this.#used = 0
      this.expiresAt = now + this.validMs(quota, now)
    }
    return quota.limit - this.#used
  }

  add(amount: number, quota: Quota, now: number): void {
    this.available(quota, now)
    this.#used = Math.max(0, this.#used + amount)
  }

  retryMs(_need: number, quota: Quota, now: number): number {
    return this.validMs(quota, now)
  }

  validMs(quota: Quota, now: number): number {
    return quota.windowMs - (now % quota.windowMs)
  }
}

/** Rounding errors of times must not cost a whole one. */
const EPSILON = 1e-6

/** The generic cell rate algorithm (ITU-T I.371): one time says all, that at which everything will have been let through. */
class SmoothRate implements Counter {
  readonly kind = 'smooth'
  quota: Quota
  expiresAt = 0

  constructor(quota: Quota) {
    this.quota = quota
  }

  available(quota: Quota, now: number): number {
    this.quota = quota
    const owed = Math.max(0, this.expiresAt - now)
    return quota.burst - (owed * quota.limit) / quota.windowMs + EPSILON
  }

  add(amount: number, quota: Quota, now: number): void {
    this.expiresAt = Math.max(now, this.expiresAt) + (amount * quota.windowMs) / quota.limit
  }

  retryMs(need: number, quota: Quota, now: number): number {
    if (need > quota.burst) return quota.windowMs
    return Math.max(0, Math.ceil(((need - this.available(quota, now)) * quota.windowMs) / quota.limit))
  }

  validMs(): number {
    return Number.POSITIVE_INFINITY
  }
}

export function createCounter(quota: Quota): Counter {
  if (quota.window === 'fixed') return new FixedWindow(quota)
  return quota.window === 'smooth' ? new SmoothRate(quota) : new SlidingLog(quota)
}

/** How much of an ask is granted: all that is there up to need and extra, or nothing where that is less than `min`. */
export function portion(available: number, ask: Ask): number {
  if (available < ask.min) return 0
  return Math.max(0, Math.min(Math.floor(available), ask.need + ask.extra))
}

/** The most that can be had at once: what limits how much a process may take ahead. */
export function capacity(quota: Quota): number {
  return quota.window === 'smooth' ? quota.burst : quota.limit
}
