/** What a watchdog watches: links of its list, and when it last heard something. */
export interface Watched {
  previous: Watched | null
  next: Watched | null
  /** The watchdog's tick when something was last heard. */
  heardAt: number
  /** Silence it may keep, in ticks; 0 = as long as it likes. */
  patienceTicks: number
  /** Told when it has been silent for longer. It may leave the list or stay. */
  onSilence(): void
}

/** How exact time limits are, in milliseconds. */
export const TICK_MS = 250

/**
 * One timer for the time limits of all running calls. A timer of its own for each costs 3 µs a call and more (undici's
 * makes two, and a native one); here a call is two links of a list, and hearing something is one assignment.
 */
export class Watchdog {
  /** Rises by one each `TICK_MS`, while anything is watched. */
  tick: number
  private first: Watched | null
  private timer: NodeJS.Timeout | null

  constructor() {
    this.tick = 0
    this.first = null
    this.timer = null
  }

  watch(item: Watched, timeoutMs: number): void {
    this.setPatience(item, timeoutMs)
    item.previous = null
    item.next = this.first
    if (this.first !== null) this.first.previous = item
    this.first = item
    this.timer ??= setInterval(sweep, TICK_MS, this).unref()
  }

  /** Begins another limit, from now. @param timeoutMs 0 = none */
  setPatience(item: Watched, timeoutMs: number): void {
    item.heardAt = this.tick
    // One more, because the tick that is running has begun before now.
    item.patienceTicks = timeoutMs === 0 ? 0 : Math.ceil(timeoutMs / TICK_MS) + 1
  }

  leave(item: Watched): void {
    if (item.previous !== null) item.previous.next = item.next
    else if (this.first === item) this.first = item.next
    if (item.next !== null) item.next.previous = item.previous
    item.previous = null
    item.next = null
  }

  /** Looks at all of them once. */
  sweep(): void {
    this.tick++
    let item = this.first
    while (item !== null) {
      const { next } = item
      if (item.patienceTicks > 0 && this.tick - item.heardAt >= item.patienceTicks) item.onSilence()
      item = next
    }
    if (this.first === null) this.stop()
  }

  private stop(): void {
    if (this.timer !== null) clearInterval(this.timer)
    this.timer = null
  }
}

function sweep(watchdog: Watchdog): void {
  watchdog.sweep()
}

/** The calls of this process. */
export const watchdog = new Watchdog()
