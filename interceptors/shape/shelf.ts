import type { Clock } from '#api'

/** Something that is kept. */
export interface Item {
  readonly id: string
  readonly owner: string
  readonly pages: number
  readonly bytes: number
  /** By the monotonic clock. */
  readonly expiresAt: number
}

/** What an item costs besides its text: keys and heads of its pages. */
const PAGE_OVERHEAD_BYTES = 256

/** Bounds of what is kept, in bytes. */
export interface ShelfBounds {
  readonly perOwner: number
  readonly total: number
}

/**
 * Accounts for what this process has put into the store: beyond a bound the oldest item goes, of its owner or of all.
 * All items live equally long, so that the oldest is always the first to expire.
 */
export class Shelf {
  readonly #clock: Clock
  readonly #bounds: ShelfBounds
  readonly #items = new Map<string, Item>()
  readonly #byOwner = new Map<string, Set<Item>>()
  readonly #bytesOf = new Map<string, number>()
  #bytes = 0

  constructor(clock: Clock, bounds: ShelfBounds) {
    this.#clock = clock
    this.#bounds = bounds
  }

  get bytes(): number {
    return this.#bytes
  }

  /** Whether something of this size can be kept at all. */
  takes(bytes: number, pages: number): boolean {
    return bytes + pages * PAGE_OVERHEAD_BYTES <= Math.min(this.#bounds.perOwner, this.#bounds.total)
  }

  /** Books an item. @returns those that have to go for it, and are no longer booked */
  add(id: string, owner: string, bytes: number, pages: number, keepMs: number): Item[] {
    const now = this.#clock.monotonic()
    this.#expire(now)
    const item = { id, owner, pages, bytes: bytes + pages * PAGE_OVERHEAD_BYTES, expiresAt: now + keepMs }
    const gone: Item[] = []
    while ((this.#bytesOf.get(owner) ?? 0) + item.bytes > this.#bounds.perOwner) gone.push(this.#oldest(owner))
    while (this.#bytes + item.bytes > this.#bounds.total) gone.push(this.#oldest(null))
    this.#put(item)
    return gone
  }

  /** Forgets an item that could not be stored. */
  remove(id: string): void {
    const item = this.#items.get(id)
    if (item !== undefined) this.#take(item)
  }

  #expire(now: number): void {
    for (const item of this.#items.values()) {
      if (item.expiresAt > now) break
      this.#take(item)
    }
  }

  #oldest(owner: string | null): Item {
    const items = owner === null ? this.#items.values() : (this.#byOwner.get(owner) ?? new Set<Item>()).values()
    const { value } = items.next()
    if (value === undefined) throw new RangeError('nothing is kept: the item is larger than the bounds')
    this.#take(value)
    return value
  }

  #put(item: Item): void {
    this.#items.set(item.id, item)
    const own = this.#byOwner.get(item.owner) ?? new Set<Item>()
    this.#byOwner.set(item.owner, own.add(item))
    this.#bytesOf.set(item.owner, (this.#bytesOf.get(item.owner) ?? 0) + item.bytes)
    this.#bytes += item.bytes
  }

  #take(item: Item): void {
    this.#items.delete(item.id)
    this.#bytes -= item.bytes
    const own = this.#byOwner.get(item.owner)
    own?.delete(item)
    if (own === undefined || own.size === 0) {
      this.#byOwner.delete(item.owner)
      this.#bytesOf.delete(item.owner)
    } else {
      this.#bytesOf.set(item.owner, (this.#bytesOf.get(item.owner) ?? 0) - item.bytes)
    }
  }
}
