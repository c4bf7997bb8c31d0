import {
  defineInterceptor,
  type Environment,
  type Exchange,
  type Hooks,
  type Message,
  type Outcome,
  readResult,
  requestKey,
  SingleFlight,
  type Ticket,
  Verdict,
} from '#api'
import { Merger, type Place } from './merger.ts'
import { type Options, options } from './options.ts'
import { Rules } from './rules.ts'

/** A larger request is not looked at. */
const MAX_REQUEST_BYTES = 64 * 1024

/** What a server asks a client while it works: its answer then depends on the client's. */
const QUESTIONS = ['sampling/createMessage', 'elicitation/create', 'roots/list']
const CANCELLED = 'notifications/cancelled'

/** What is known of one exchange. */
interface State {
  id: string | number | null
  /** Its place among equal requests. */
  ticket: Ticket<Buffer> | null
  /** Its place among calls that become one. */
  place: Place | null
  /** Whether the server asked the client something on the way: then the answer is this client's alone. */
  hasQuestions: boolean
}

/**
 * Puts requests together (R063): equal reads that are under way at the same time, and calls for one thing each that a
 * tool for many can answer.
 *
 * It fails open: without it, every request goes to the server. Merged calls pass the entries behind it; each answer goes
 * on up through those before it.
 */
export default defineInterceptor<Options, State>({
  name: 'batch',
  summary: 'Puts requests together: equal reads at the same time, and calls of a tool for one thing into one for many.',
  options,
  looks: {
    request: { need: 'bytes', always: QUESTIONS, maxBytes: MAX_REQUEST_BYTES, tooBig: 'skip' },
    response: { need: 'bytes', directions: ['toClient'], tooBig: 'skip' },
    notification: {
      need: 'json',
      directions: ['toServer'],
      methods: [CANCELLED],
      always: [CANCELLED],
      maxBytes: MAX_REQUEST_BYTES,
      tooBig: 'skip',
    },
  },
  onFailure: 'open',
  answers: true,
  timeoutMs: 90_000,
  create: (checked, environment) => createHooks(checked, environment),
})

function createHooks(checked: Options, environment: Environment): Hooks<State> {
  const rules = new Rules(checked, environment)
  const flights = new SingleFlight<Buffer>({ waitMs: checked.max_wait })
  const told = counters(environment)
  const merger = new Merger(checked, environment, told.merged)
  return {
    methods: { request: [...rules.methods.request, ...QUESTIONS], response: rules.methods.response },
    state: () => ({ id: null, ticket: null, place: null, hasQuestions: false }),
    request(message, exchange, state) {
      if (message.direction === 'toClient') {
        state.hasQuestions = true
        return undefined
      }
      return (
        merge(rules, merger, message, exchange, state) ?? join(rules, flights, message, exchange, state, told.joined)
      )
    },
    response: (message, _exchange, state) => answered(message, state),
    notification(message, exchange) {
      if (exchange.session !== null) flights.leaveAs(tagOf(exchange.session, cancelledId(message)))
    },
    end: (_exchange, outcome, state) => ended(outcome, state),
  }
}

function merge(
  rules: Rules,
  merger: Merger,
  message: Message,
  exchange: Exchange,
  state: State,
): Promise<Verdict | undefined> | undefined {
  const rule = rules.mergeOf(exchange.server, message.method, message.name)
  if (rule === null) return undefined
  state.place = merger.join(rule, rules.placeOf(exchange), message, exchange)
  return state.place?.verdict
}

/** Waits for an equal request that is under way; the first of them goes on. */
function join(
  rules: Rules,
  flights: SingleFlight<Buffer>,
  message: Message,
  exchange: Exchange,
  state: State,
  tell: (exchange: Exchange) => void,
): Promise<Verdict | undefined> | undefined {
  if (!rules.isRead(exchange.server, message.method, message.name)) return undefined
  const what = requestKey(message.bytes())
  if (what === null) return undefined
  const tag = exchange.session === null ? '' : tagOf(exchange.session, message.id)
  const ticket = flights.join(rules.placeOf(exchange) + what, tag)
  state.ticket = ticket
  state.id = message.id
  return ticket.value?.then(result => {
    if (result === null) return undefined
    tell(exchange)
    return Verdict.reply(result, 'answered with what an equal request got')
  })
}

function answered(message: Message, { ticket, id, hasQuestions }: State): undefined {
  if (ticket === null || !ticket.leads || message.id !== id) return
  const bytes = message.bytes()
  const facts = readResult(bytes)
  if (facts === null || !facts.isComplete || hasQuestions) ticket.failed()
  else if (ticket.awaitedBy === 0) ticket.leave()
  else ticket.done(Buffer.from(bytes.subarray(facts.start, facts.end)))
}

function ended(outcome: Outcome, state: State | undefined): void {
  state?.place?.leave()
  if (outcome.status !== 'aborted') state?.ticket?.failed()
  state?.ticket?.leave()
}

/** Names a request in its session. */
function tagOf(session: string, id: unknown): string {
  return `${session} ${typeof id} ${id}`
}

function cancelledId(message: Message): unknown {
  const { params } = message.json()
  return typeof params === 'object' && params !== null && !Array.isArray(params) ? params.requestId : undefined
}

function counters(environment: Environment) {
  const labels = ['server']
  const joined = environment.counter('batch_joined_total', 'Requests answered with what an equal one got', labels)
  const merged = environment.counter(
    'batch_merged_total',
    'Requests answered by a call that was made for several',
    labels,
  )
  const calls = environment.counter('batch_calls_total', 'Calls that were made for several requests', labels)
  return {
    joined(exchange: Exchange): void {
      exchange.note('batch', 'joined')
      joined(1, exchange.server)
    },
    merged(server: string, _requests: number, answered: number): void {
      calls(1, server)
      merged(answered, server)
    },
  }
}
