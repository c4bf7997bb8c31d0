import { LRUCache } from 'lru-cache'
import {
  type Clock,
  type Exchange,
  type Message,
  type ResultFacts,
  readResult,
  SingleFlight,
  type SluiceError,
  Verdict,
} from '#api'
import { type Entry, Entry as KeptEntry, ownCopy } from './entry.ts'
import type { Options } from './options.ts'
import type { Refresher } from './refresher.ts'
import type { Shelf } from './shelf.ts'
import type { Visit } from './visit.ts'

/** What a server said that is not to be kept is not waited for by others in this time. */
const PASS_MS = 5_000
const MAX_PASSES = 10_000

/** Errors that say nothing but that the server failed. */
const FAILURES: ReadonlySet<string> = new Set([
  'upstream_unreachable',
  'upstream_timeout',
  'upstream_broken',
  'upstream_empty',
  'circuit_open',
  'acquire_timeout',
])
const INTERNAL_ERROR = -32603

/** Tells what came of a request: for notes and counters. */
export type Tell = (exchange: Exchange, what: 'hit' | 'stale' | 'joined' | 'miss') => void

/** Decides, for each request that may be cached, between the answer that is kept, one that is on its way, and the server. */
export class Keeper {
  readonly flights: SingleFlight<Entry>
  readonly #options: Options
  readonly #shelf: Shelf
  readonly #refresher: Refresher
  readonly #tell: Tell
  readonly #clock: Clock
  /** Until when nobody waits for others who ask the same. */
  readonly #passes = new LRUCache<string, number>({ max: MAX_PASSES })

  constructor(options: Options, shelf: Shelf, refresher: Refresher, clock: Clock, tell: Tell) {
    this.flights = new SingleFlight({ waitMs: options.max_wait })
    this.#options = options
    this.#shelf = shelf
    this.#refresher = refresher
    this.#clock = clock
    this.#tell = tell
  }

  /** @param found what is kept, fresh or not */
  decide(
    found: Entry | null,
    visit: Visit,
    message: Message,
    exchange: Exchange,
  ): Verdict | undefined | Promise<Verdict | undefined> {
    if (found === null) return this.#fetch(visit, message, exchange)
    const late = found.staleness(this.#shelf.now())
    if (late < 0) return this.#reply(found, exchange, 'hit')
    const { stale_while_revalidate, stale_on_error } = this.#options
    if (late < stale_while_revalidate) {
      this.#refresher.refresh(visit.key, message, exchange, answer => this.#absorb(visit, answer))
      return this.#reply(found, exchange, 'stale')
    }
    if (late < stale_on_error) visit.old = found
    return this.#fetch(visit, message, exchange)
  }

  /** The server's answer to a visit is there. */
  answered(visit: Visit, answer: Message): void {
    const facts = readResult(answer.bytes())
    const entry = this.#keep(visit, facts, answer)
    if (entry !== null) visit.ticket?.done(entry)
    else this.#notKept(visit, facts)
  }

  #notKept(visit: Visit, facts: ResultFacts | null): void {
    const forAll = facts?.isComplete === true
    if (forAll) this.#passes.set(visit.key, this.#clock.monotonic() + PASS_MS)
    visit.ticket?.failed(forAll)
  }

  #fetch(visit: Visit, message: Message, exchange: Exchange): Verdict | undefined | Promise<Verdict | undefined> {
    if (!this.#options.single_flight || this.#isPassed(visit.key)) {
      this.#tell(exchange, 'miss')
      return this.#ask(visit, message, exchange)
    }
    const tag = exchange.session === null ? '' : tagOf(exchange.session, message.id)
    const ticket = this.flights.join(visit.key, tag)
    visit.ticket = ticket
    const { value } = ticket
    if (value === null) {
      this.#tell(exchange, 'miss')
      return this.#ask(visit, message, exchange)
    }
    return value.then(entry => {
      if (entry !== null) return this.#reply(entry, exchange, 'joined')
      this.#tell(exchange, 'miss')
      return this.#ask(visit, message, exchange)
    })
  }

  #isPassed(key: string): boolean {
    const until = this.#passes.get(key)
    return until !== undefined && until > this.#clock.monotonic()
  }

  /** The usual way is the client's own request; one that has an old answer to fall back on is asked from here. */
  #ask(visit: Visit, message: Message, exchange: Exchange): Promise<Verdict | undefined> | undefined {
    const { old } = visit
    if (old === null) return undefined
    return this.#refresher.ask(message, exchange).then(
      answer => this.#orOld(visit, answer, old, exchange),
      (error: SluiceError) => (FAILURES.has(error.code) ? this.#giveOld(visit, old, exchange) : undefined),
    )
  }

  #orOld(visit: Visit, answer: Message, old: Entry, exchange: Exchange): Verdict | undefined {
    const bytes = answer.bytes()
    const facts = readResult(bytes)
    if (facts === null) {
      if (isInternalError(answer)) return this.#giveOld(visit, old, exchange)
      // The server has its reasons: it tells them to the client itself.
      this.#shelf.remove(visit)
      visit.ticket?.failed()
      return undefined
    }
    const entry = this.#keep(visit, facts, answer)
    if (entry !== null) visit.ticket?.done(entry)
    else this.#notKept(visit, facts)
    visit.key = ''
    return Verdict.reply(entry?.result ?? ownCopy(bytes, facts.start, facts.end), 'asked again')
  }

  #giveOld(visit: Visit, old: Entry, exchange: Exchange): Verdict {
    visit.ticket?.done(old)
    visit.key = ''
    return this.#reply(old, exchange, 'stale')
  }

  #absorb(visit: Visit, answer: Message): void {
    const facts = readResult(answer.bytes())
    if (facts === null ? isInternalError(answer) : this.#keep(visit, facts, answer) !== null) return
    this.#shelf.remove(visit)
  }

  #reply(entry: Entry, exchange: Exchange, what: 'hit' | 'stale' | 'joined'): Verdict {
    this.#tell(exchange, what)
    return Verdict.reply(entry.textAt(this.#shelf.now()), REASONS[what])
  }

  /** Keeps a result that may be kept. @returns `null` when it may not */
  #keep(visit: Visit, facts: ResultFacts | null, answer: Message): Entry | null {
    if (facts === null || !facts.isComplete || visit.hasQuestions) return null
    const { start, end, ttlMs, ttlStart, ttlEnd } = facts
    const freshMs = this.#lifetime(visit, facts)
    if (freshMs <= 0 || end - start > this.#options.max_result_bytes) return null
    const entry = new KeptEntry(ownCopy(answer.bytes(), start, end), {
      storedAt: this.#shelf.now(),
      freshMs,
      ttlMs,
      ttlStart: ttlStart - start,
      ttlEnd: ttlEnd - start,
      epoch: visit.epoch,
    })
    const forAll = facts.isPublic && visit.publicKey !== ''
    this.#shelf.put(forAll ? visit.publicKey : visit.key, visit, entry)
    return entry
  }

  /** How long a result is fresh; 0 = it is not to be kept. */
  #lifetime(visit: Visit, facts: ResultFacts): number {
    const { ttl, list_ttl = 0, max_ttl } = this.#options
    if (visit.group === 'calls') return ttl
    if (facts.ttlMs >= 0) return Math.min(facts.ttlMs, max_ttl)
    // A modern server that says nothing says 0.
    return facts.hasType ? 0 : list_ttl
  }
}

const REASONS = {
  hit: 'answered from the cache',
  stale: 'answered from the cache, out of date',
  joined: 'answered with what an equal request got',
} as const

/** Names a request in its session. */
export function tagOf(session: string, id: unknown): string {
  return `${session} ${typeof id} ${id}`
}

function isInternalError(answer: Message): boolean {
  const error = answer.json().error
  return typeof error === 'object' && error !== null && 'code' in error && error.code === INTERNAL_ERROR
}
