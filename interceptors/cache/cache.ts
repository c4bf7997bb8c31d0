import {
  defineInterceptor,
  type Environment,
  type Exchange,
  type Hooks,
  type Message,
  type Outcome,
  requestKey,
  type Verdict,
} from '#api'
import { Keeper, type Tell, tagOf } from './keeper.ts'
import { Memory } from './memory.ts'
import { type Options, options } from './options.ts'
import { Refresher } from './refresher.ts'
import { type Group, Rules } from './rules.ts'
import { Shared } from './shared.ts'
import type { Shelf } from './shelf.ts'
import { Visit } from './visit.ts'

/** A larger request is not looked at: a key that long is not worth keeping. */
const MAX_REQUEST_BYTES = 64 * 1024

/** What a server asks a client while it works: its answer then depends on the client's. */
const QUESTIONS = ['sampling/createMessage', 'elicitation/create', 'roots/list']

/** What becomes out of date by a notification. */
const CHANGES: ReadonlyMap<string, readonly Group[]> = new Map([
  ['notifications/tools/list_changed', ['tools']],
  ['notifications/prompts/list_changed', ['prompts']],
  ['notifications/resources/list_changed', ['resources', 'reads']],
])
const UPDATED = 'notifications/resources/updated'
const CANCELLED = 'notifications/cancelled'

/**
 * Answers from memory, or from the store, what was asked before (R060, R061; 2026-07-28, "Caching").
 *
 * It fails open: without it, requests go to the server. What it gives out is what came up to it through the entries behind
 * it, and it goes on up through those before it.
 */
export default defineInterceptor<Options, Visit>({
  name: 'cache',
  summary:
    'Answers reads from memory or the store: tools that the policy names, and lists and resources by their ttlMs.',
  options,
  looks: {
    request: { need: 'bytes', always: QUESTIONS, maxBytes: MAX_REQUEST_BYTES, tooBig: 'skip' },
    response: { need: 'bytes', directions: ['toClient'], tooBig: 'skip' },
    notification: {
      need: 'json',
      methods: [...CHANGES.keys(), UPDATED, CANCELLED],
      always: ['notifications/*'],
      maxBytes: MAX_REQUEST_BYTES,
      tooBig: 'skip',
    },
  },
  onFailure: 'open',
  answers: true,
  timeoutMs: 90_000,
  create: (checked, environment) => createHooks(checked, environment),
})

function createHooks(checked: Options, environment: Environment): Hooks<Visit> {
  const rules = new Rules(checked, environment)
  const shelf = shelfOf(checked, environment)
  const refresher = new Refresher(environment)
  const keeper = new Keeper(checked, shelf, refresher, environment.clock, teller(environment))
  return {
    methods: { request: [...rules.methods, ...QUESTIONS], response: rules.methods },
    state: () => new Visit(),
    request: (message, exchange, visit) => asked(rules, shelf, keeper, message, exchange, visit),
    response(message, _exchange, visit) {
      if (visit.key !== '' && message.id === visit.id) keeper.answered(visit, message)
    },
    notification: (message, exchange) => noticed(shelf, keeper, message, exchange),
    end: (_exchange, outcome, visit) => ended(visit, outcome),
    close: () => refresher.close(),
  }
}

function shelfOf(checked: Options, environment: Environment): Shelf {
  const { store, ttl, list_ttl = 0, max_ttl, stale_while_revalidate, stale_on_error } = checked
  if (!store) return new Memory(environment.clock, checked.max_entries, checked.max_bytes)
  return new Shared(environment, Math.max(ttl, list_ttl, max_ttl), Math.max(stale_while_revalidate, stale_on_error))
}

function asked(
  rules: Rules,
  shelf: Shelf,
  keeper: Keeper,
  message: Message,
  exchange: Exchange,
  visit: Visit,
): Verdict | undefined | Promise<Verdict | undefined> {
  if (message.direction === 'toClient') {
    visit.hasQuestions = true
    return undefined
  }
  const { server } = exchange
  const group = rules.groupOf(server, message.method, message.name)
  const what = group === null ? null : requestKey(message.bytes())
  if (group === null || what === null) return undefined
  const place = `${server}\n${sessionOf(rules, exchange, what)}\n`
  visit.key = `${place}${exchange.callerKey}\n${what}`
  visit.publicKey = rules.sharesClients(server, group) ? `${place}\n${what}` : ''
  visit.server = server
  visit.group = group
  visit.uri = group === 'reads' ? message.name : ''
  visit.id = message.id
  const found = shelf.find(visit)
  if (!(found instanceof Promise)) return keeper.decide(found, visit, message, exchange)
  return found.then(entry => keeper.decide(entry, visit, message, exchange))
}

/**
 * What a legacy server answers may depend on the session: on what was done in it, and on what client and server agreed on
 * when it began. Where it does not, and where there is none, only the revision counts. A modern request says all of that
 * itself, in what is compared anyway.
 */
function sessionOf(rules: Rules, exchange: Exchange, what: string): string {
  if (exchange.session !== null && !rules.sharesSessions(exchange.server)) return exchange.session
  return what.includes(MODERN) ? '' : (exchange.header('mcp-protocol-version') ?? '')
}

const MODERN = '"io.modelcontextprotocol/protocolVersion"'

function noticed(shelf: Shelf, keeper: Keeper, message: Message, exchange: Exchange): undefined {
  const { server } = exchange
  if (message.direction === 'toServer') {
    // The client may still read the answer; but nobody should wait for it any more.
    if (message.method === CANCELLED && exchange.session !== null) {
      keeper.flights.leaveAs(tagOf(exchange.session, paramOf(message, 'requestId')))
    }
    return
  }
  if (message.method === UPDATED) outdate(shelf, keeper, server, 'reads', String(paramOf(message, 'uri') ?? ''))
  for (const group of CHANGES.get(message.method) ?? []) outdate(shelf, keeper, server, group, '')
}

/** From now on nobody gets what was asked for before: neither what is kept nor what is on its way. */
function outdate(shelf: Shelf, keeper: Keeper, server: string, group: Group, uri: string): void {
  shelf.invalidate(server, group, uri)
  keeper.flights.forget(key => key.startsWith(`${server}\n`))
}

function paramOf(message: Message, name: string): unknown {
  const { params } = message.json()
  return typeof params === 'object' && params !== null && !Array.isArray(params) ? params[name] : undefined
}

function ended(visit: Visit | undefined, outcome: Outcome): void {
  const ticket = visit?.ticket
  if (ticket === undefined || ticket === null) return
  // A leader that leaves is no reason for the next one to expect a failure.
  if (outcome.status !== 'aborted') ticket.failed()
  ticket.leave()
}

function teller(environment: Environment): Tell {
  const labels = ['server']
  const hits = environment.counter('cache_hits_total', 'Requests answered from the cache', labels)
  const stale = environment.counter(
    'cache_stale_total',
    'Requests answered from the cache with what was out of date',
    labels,
  )
  const joined = environment.counter(
    'cache_joined_total',
    'Requests answered with what an equal one got meanwhile',
    labels,
  )
  const misses = environment.counter(
    'cache_misses_total',
    'Requests that could have been answered from the cache',
    labels,
  )
  const counters = { hit: hits, stale, joined, miss: misses }
  return (exchange, what) => {
    exchange.note('cache', what)
    counters[what](1, exchange.server)
  }
}
