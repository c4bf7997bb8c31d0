import { LRUCache } from 'lru-cache'
import type { Clock } from '#api'
import type { Entry } from './entry.ts'
import type { Shelf } from './shelf.ts'
import type { Visit } from './visit.ts'

/** Rough cost of an entry besides its key and its result. */
const ENTRY_BYTES = 256

interface Slot {
  readonly entry: Entry
  readonly server: string
  readonly uri: string
}

/** Answers in this process, by size and by last use. */
export class Memory implements Shelf {
  readonly #clock: Clock
  readonly #slots: LRUCache<string, Slot>
  /** By server and group: counts what made all of it out of date. */
  readonly #epochs = new Map<string, number>()
  /** By server: counts changes of single resources. */
  readonly #touches = new Map<string, number>()
  /** Keys by server and resource. */
  readonly #uris = new Map<string, Map<string, Set<string>>>()

  constructor(clock: Clock, maxEntries: number, maxBytes: number) {
    this.#clock = clock
    this.#slots = new LRUCache({
      max: maxEntries,
      maxSize: maxBytes,
      // Keys have one byte a character.
      sizeCalculation: ({ entry }, key) => ENTRY_BYTES + key.length + entry.result.length,
      dispose: (slot, key) => this.#unlink(key, slot),
    })
  }

  now(): number {
    return this.#clock.monotonic()
  }

  find(visit: Visit): Entry | null {
    visit.epoch = this.#epochOf(visit.server, visit.group)
    visit.touches = this.#touches.get(visit.server) ?? 0
    const common = visit.publicKey === '' ? null : this.#live(visit.publicKey, visit)
    return common ?? this.#live(visit.key, visit)
  }

  put(key: string, visit: Visit, entry: Entry): void {
    // A resource may have changed while it was read; which one is not worth remembering.
    if (visit.group === 'reads' && visit.touches !== (this.#touches.get(visit.server) ?? 0)) return
    if (entry.label.epoch !== this.#epochOf(visit.server, visit.group)) return
    this.#slots.set(key, { entry, server: visit.server, uri: visit.uri })
    if (visit.uri !== '' && this.#slots.has(key)) this.#link(key, visit)
  }

  remove(visit: Visit): void {
    this.#slots.delete(visit.key)
    if (visit.publicKey !== '') this.#slots.delete(visit.publicKey)
  }

  invalidate(server: string, group: Visit['group'], uri: string): void {
    if (uri === '') {
      const at = `${server} ${group}`
      this.#epochs.set(at, (this.#epochs.get(at) ?? 0) + 1)
      return
    }
    this.#touches.set(server, (this.#touches.get(server) ?? 0) + 1)
    const uris = this.#uris.get(server)
    if (uris === undefined) return
    for (const [known, keys] of uris) {
      if (isRelated(known, uri)) for (const key of [...keys]) this.#slots.delete(key)
    }
  }

  #live(key: string, visit: Visit): Entry | null {
    const slot = this.#slots.get(key)
    if (slot === undefined) return null
    if (slot.entry.label.epoch === visit.epoch) return slot.entry
    this.#slots.delete(key)
    return null
  }

  #epochOf(server: string, group: string): string {
    return String(this.#epochs.get(`${server} ${group}`) ?? 0)
  }

  #link(key: string, { server, uri }: Visit): void {
    let uris = this.#uris.get(server)
    if (uris === undefined) {
      uris = new Map()
      this.#uris.set(server, uris)
    }
    const keys = uris.get(uri)
    if (keys === undefined) uris.set(uri, new Set([key]))
    else keys.add(key)
  }

  #unlink(key: string, { server, uri }: Slot): void {
    const uris = this.#uris.get(server)
    const keys = uris?.get(uri)
    if (keys === undefined) return
    keys.delete(key)
    if (keys.size === 0) uris?.delete(uri)
  }
}

/** A change may be told of a part of a resource (2026-07-28, "Subscriptions"), and may be of all that is below it. */
export function isRelated(known: string, changed: string): boolean {
  return known.startsWith(changed) || changed.startsWith(known)
}
