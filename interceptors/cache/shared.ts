import { hash, randomBytes } from 'node:crypto'
import type { Environment } from '#api'
import { Entry } from './entry.ts'
import type { Shelf } from './shelf.ts'
import type { Visit } from './visit.ts'

/** An unreachable store is told of once in this time. */
const COMPLAIN_EVERY_MS = 60_000

/**
 * Answers in the store, for all that share it. A store that fails is a cache without answers: requests go on to the server.
 *
 * Keys: `v/` and a digest of what was asked, by whom; `e/SERVER/GROUP`, the state of a group, anew with each change.
 */
export class Shared implements Shelf {
  readonly #environment: Environment
  /** How long an entry may be of use after it was stored. */
  readonly #maxAgeMs: number
  readonly #staleMs: number
  #complainedAt = Number.NEGATIVE_INFINITY

  /**
   * @param maxFreshMs the longest that an entry is fresh
   * @param staleMs how long after that it is still of use
   */
  constructor(environment: Environment, maxFreshMs: number, staleMs: number) {
    this.#environment = environment
    this.#maxAgeMs = maxFreshMs + staleMs
    this.#staleMs = staleMs
  }

  /** Instances have no other clock in common. */
  now(): number {
    return this.#environment.clock.now()
  }

  async find(visit: Visit): Promise<Entry | null> {
    const { store } = this.#environment
    try {
      const [epoch, own, common] = await Promise.all([
        store.get(epochKey(visit.server, visit.group)),
        store.get(valueKey(visit.key)),
        visit.publicKey === '' ? null : store.get(valueKey(visit.publicKey)),
      ])
      visit.epoch = epoch === null ? '' : Buffer.from(epoch).toString('latin1')
      return this.#read(common, visit) ?? this.#read(own, visit)
    } catch (error) {
      this.#complain(error)
      return null
    }
  }

  put(key: string, _visit: Visit, entry: Entry): void {
    const lifeMs = Math.max(1, Math.ceil(entry.label.freshMs + this.#staleMs))
    this.#try(this.#environment.store.set(valueKey(key), entry.encode(), lifeMs))
  }

  remove(visit: Visit): void {
    this.#try(this.#environment.store.delete(valueKey(visit.key)))
    if (visit.publicKey !== '') this.#try(this.#environment.store.delete(valueKey(visit.publicKey)))
  }

  /**
   * Nobody can list the keys of a store, so a change of one resource makes all that were read out of date. A state lives
   * longer than any entry of the state before it.
   */
  invalidate(server: string, group: Visit['group'], _uri: string): void {
    const state = Buffer.from(randomBytes(12).toString('base64url'))
    this.#try(this.#environment.store.set(epochKey(server, group), state, this.#maxAgeMs * 2 + 60_000))
  }

  #read(bytes: Uint8Array | null, visit: Visit): Entry | null {
    const entry = bytes === null ? null : Entry.decode(bytes)
    return entry !== null && entry.label.epoch === visit.epoch ? entry : null
  }

  #try(done: Promise<void>): void {
    done.catch((error: unknown) => this.#complain(error))
  }

  #complain(error: unknown): void {
    const now = this.#environment.clock.monotonic()
    if (now - this.#complainedAt < COMPLAIN_EVERY_MS) return
    this.#complainedAt = now
    this.#environment.logger.warn({ error: String(error) }, 'the store failed: nothing is cached until it is back')
  }
}

function valueKey(key: string): string {
  return `v/${hash('sha256', key, 'base64url')}`
}

function epochKey(server: string, group: string): string {
  return `e/${server}/${group}`
}
