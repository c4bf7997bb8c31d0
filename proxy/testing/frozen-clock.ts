import type { Clock } from '../api/index.ts'

/** A clock that stands still until a test moves it. */
export class FrozenClock implements Clock {
  private nowMs: number
  private monotonicMs: number

  /** @param start a date, ISO text or milliseconds since the epoch */
  constructor(start: Date | string | number) {
    this.nowMs = toMs(start)
    this.monotonicMs = 0
  }

  now(): number {
    return this.nowMs
  }

  monotonic(): number {
    return this.monotonicMs
  }

  /** Lets time pass; both kinds of it. */
  advance(ms: number): void {
    if (!(ms >= 0)) throw new RangeError(`advance(${ms}): expected milliseconds, 0 or more; to go back, use set()`)
    this.nowMs += ms
    this.monotonicMs += ms
  }

  /** Sets the wall clock, also backwards; the monotonic one stays. */
  set(time: Date | string | number): void {
    this.nowMs = toMs(time)
  }
}

function toMs(time: Date | string | number): number {
  const ms = new Date(time).getTime()
  if (Number.isNaN(ms)) throw new RangeError(`"${time}": expected a date, like "2026-01-03T12:00:00Z"`)
  return ms
}
