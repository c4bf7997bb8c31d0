/** What a watchdog watches: links of its list, and when it last heard something. */
export interface Watched {
  previous: Watched | null
  next: Watched | null
  /** The list it is in: 0 = the one of short limits; -1 = none. */
  list: number
  /** The watchdog's tick when something was last heard. */
  heardAt: number
  /** Silence it may keep, in ticks; 0 = as long as it likes. */
  patienceTicks: number
  /** Told when it has been silent for longer. It may leave the list or stay. */
  onSilence(): void
}

/** How exact short time limits are, in milliseconds. */
export const TICK_MS = 250

/** Limits of more ticks (20 s) are long: those are looked at every `LONG_LISTS` ticks (4 s) only. */
const LONG_TICKS = 80
const LONG_LISTS = 16

/**
 * One timer for the time limits of all running calls. A timer of its own for each costs 3 µs a call and more (undici's
 * makes two, and a native one); here a call is two links of a list, and hearing something is one assignment.
 *
 * Ten thousand idle streams must not hold up the calls beside them every quarter of a second: what has a long limit, or none,
 * is spread over lists of which one is gone through at each tick.
 */
export class Watchdog {
  /** Rises by one each `TICK_MS`, while anything is watched. */
  tick: number
  private readonly lists: (Watched | null)[]
  private watched: number
  private nextLong: number
  private timer: NodeJS.Timeout | null

  constructor() {
    this.tick = 0
    this.lists = new Array<Watched | null>(1 + LONG_LISTS).fill(null)
    this.watched = 0
    this.nextLong = 0
    this.timer = null
  }

  watch(item: Watched, timeoutMs: number): void {
    if (item.list !== -1) this.leave(item)
    item.heardAt = this.tick
    item.patienceTicks = ticksOf(timeoutMs)
    this.watched++
    this.link(item)
    this.timer ??= setInterval(sweep, TICK_MS, this).unref()
  }

  /** Begins another limit, from now. @param timeoutMs 0 = none */
  setPatience(item: Watched, timeoutMs: number): void {
    item.heardAt = this.tick
    item.patienceTicks = ticksOf(timeoutMs)
    if (item.list === -1 || isLong(item) === item.list > 0) return
    this.unlink(item)
    this.link(item)
  }

  leave(item: Watched): void {
    if (item.list === -1) return
    this.watched--
    this.unlink(item)
  }

  /** Looks at those whose turn it is. */
  sweep(): void {
    this.tick++
    this.look(0)
    this.look(1 + (this.tick % LONG_LISTS))
    if (this.watched === 0) this.stop()
  }

  private look(list: number): void {
    let item = this.lists[list] ?? null
    while (item !== null) {
      const { next } = item
      if (item.patienceTicks > 0 && this.tick - item.heardAt >= item.patienceTicks) item.onSilence()
      item = next
    }
  }

  private link(item: Watched): void {
    const list = isLong(item) ? 1 + (this.nextLong++ % LONG_LISTS) : 0
    const first = this.lists[list] ?? null
    item.list = list
    item.previous = null
    item.next = first
    if (first !== null) first.previous = item
    this.lists[list] = item
  }

  private unlink(item: Watched): void {
    if (item.previous !== null) item.previous.next = item.next
    else this.lists[item.list] = item.next
    if (item.next !== null) item.next.previous = item.previous
    item.list = -1
    item.previous = null
    item.next = null
  }

  private stop(): void {
    if (this.timer !== null) clearInterval(this.timer)
    this.timer = null
  }
}

/** One more, because the tick that is running has begun before now. */
function ticksOf(timeoutMs: number): number {
  return timeoutMs === 0 ? 0 : Math.ceil(timeoutMs / TICK_MS) + 1
}

function isLong({ patienceTicks }: Watched): boolean {
  return patienceTicks === 0 || patienceTicks > LONG_TICKS
}

function sweep(watchdog: Watchdog): void {
  watchdog.sweep()
}

/** The calls of this process. */
export const watchdog = new Watchdog()
