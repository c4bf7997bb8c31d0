import type { Hold, Quota } from '../api/index.ts'
import type { LimitBackend } from './backend.ts'
import { unreachable } from './unreachable.ts'

/** How often a process says again what it holds; a third of the time after which nobody believes it any more. */
const RENEW_MS = 10_000

/**
 * The places that this process holds. It alone knows how many: whoever counts for all is told the number, never a
 * difference, so that an answer that got lost is put right by the next word.
 */
export class Places {
  readonly #backend: LimitBackend | null
  readonly #held = new Map<string, number>()
  #timer: NodeJS.Timeout | null = null

  /** @param backend who counts for all processes; `null` = there is only this one */
  constructor(backend: LimitBackend | null) {
    this.#backend = backend
  }

  hold(key: string, limit: number, whenDown: Quota['whenDown']): Hold | null | Promise<Hold | null> {
    const count = (this.#held.get(key) ?? 0) + 1
    if (count > limit) return null
    // Taken before it is asked for, so that a second one in the meantime asks for two.
    this.#held.set(key, count)
    const place = new Place(this, key)
    return this.#backend === null ? place : this.#ask(this.#backend, place, limit, whenDown)
  }

  /** Says everything again: after a connection came back, and from time to time. */
  renew(): void {
    for (const [key, count] of this.#held) this.#backend?.hold(key, count, Number.POSITIVE_INFINITY).catch(ignore)
  }

  free(key: string): void {
    const count = (this.#held.get(key) ?? 0) - 1
    if (count > 0) this.#held.set(key, count)
    else this.#held.delete(key)
    this.#backend?.hold(key, Math.max(0, count), Number.POSITIVE_INFINITY).catch(ignore)
    if (this.#held.size === 0) this.close()
  }

  close(): void {
    if (this.#timer !== null) clearInterval(this.#timer)
    this.#timer = null
  }

  async #ask(backend: LimitBackend, place: Place, limit: number, whenDown: Quota['whenDown']): Promise<Hold | null> {
    this.#timer ??= setInterval(() => this.renew(), RENEW_MS).unref()
    try {
      if (await backend.hold(place.key, this.#held.get(place.key) ?? 1, limit)) return place
    } catch (error) {
      // How many this process holds is known in any case.
      if (whenDown === 'local') return place
      place.release()
      throw unreachable(error)
    }
    place.release()
    return null
  }
}

class Place implements Hold {
  readonly key: string
  #places: Places | null

  constructor(places: Places, key: string) {
    this.key = key
    this.#places = places
  }

  release(): void {
    this.#places?.free(this.key)
    this.#places = null
  }
}

/** What was not heard is said again with the next word. */
function ignore(): void {}
