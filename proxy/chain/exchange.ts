import type { CallOptions, Exchange, JsonObject, Message, Principal, VerdictRecord } from '../api/index.ts'
import type { WireMessage } from '../message/message.ts'
import type { Plan, PlanTable, Step } from '../policy/plan.ts'
import { callerKey } from './caller-key.ts'
import type { Inbound } from './ports.ts'

/** What an exchange can ask of the one who runs it. */
export interface ExchangeHost {
  call(exchange: LiveExchange, message: JsonObject, options: CallOptions): Promise<Message>
}

/** Most fields `note` keeps in one exchange; further ones are ignored. */
const MAX_NOTES = 32

/** Credentials: no interceptor sees them. */
const HIDDEN_HEADERS = new Set(['authorization', 'cookie', 'proxy-authorization', 'mcp-session-id', 'x-api-key'])

let sequence = 0
/** Tells exchanges of different processes apart. */
const processTag = `${process.pid.toString(36)}${(Date.now() % 46_656).toString(36)}`

/** One client request and everything that belongs to it. One hidden class; every field is set here. */
export class LiveExchange implements Exchange {
  readonly server: string
  method: string
  name: string
  readonly session: string | null
  readonly principal: Principal
  /** The client's message, as it is now. */
  readonly request: WireMessage
  readonly startedAt: number
  /** `performance.now()` at the same moment. */
  readonly startedMs: number
  readonly table: PlanTable
  plan: Plan
  verdicts: VerdictRecord[] | null
  notes: Record<string, string | number | boolean> | null
  /** Why contents must not be recorded; `''` = they may be. */
  withheld: string
  withheldName: boolean
  /** Microseconds by slot; `null` until an interceptor ran. */
  micros: number[] | null
  /** When the step that runs now began. */
  clockMs: number
  /** Each entry's own state, by slot; `null` until one was made. */
  states: unknown[] | null
  /** Whether the `when` of an entry held for a message, by slot; `null` until one was asked. */
  held: (boolean | undefined)[] | null
  private readonly host: ExchangeHost
  private readonly inbound: Inbound
  private caller: string
  private fields: Map<string, string> | null
  private readonly number: number
  private abortController: AbortController | null
  private ended: boolean

  constructor(host: ExchangeHost, table: PlanTable, inbound: Inbound, message: WireMessage) {
    const { server, principal, session, startedMs } = inbound
    this.server = server
    this.method = message.method
    this.name = message.name
    this.session = session === null ? null : session.fingerprint
    this.principal = principal
    this.request = message
    this.startedAt = Date.now()
    this.startedMs = startedMs
    this.table = table
    this.plan = table.find(server, message.method, message.name, principal.id)
    this.verdicts = null
    this.notes = null
    this.withheld = ''
    this.withheldName = false
    this.micros = null
    this.clockMs = 0
    this.states = null
    this.held = null
    this.fields = null
    this.host = host
    this.inbound = inbound
    this.caller = ''
    this.number = ++sequence
    this.abortController = null
    this.ended = false
  }

  get id(): string {
    return `${processTag}-${this.number.toString(36)}`
  }

  get signal(): AbortSignal {
    if (this.abortController === null) {
      this.abortController = new AbortController()
      if (this.ended) this.abortController.abort()
    }
    return this.abortController.signal
  }

  get callerKey(): string {
    if (this.caller === '') this.caller = callerKey(this.inbound)
    return this.caller
  }

  header(name: string): string | null {
    const wanted = name.toLowerCase()
    if (HIDDEN_HEADERS.has(wanted)) return null
    const { rawHeaders } = this.inbound
    let found: string | null = null
    for (let i = 0; i < rawHeaders.length; i += 2) {
      if ((rawHeaders[i] as string).toLowerCase() !== wanted) continue
      const value = rawHeaders[i + 1] as string
      found = found === null ? value : `${found}, ${value}`
    }
    return found
  }

  headers(): ReadonlyMap<string, string> {
    if (this.fields === null) this.fields = visibleHeaders(this.inbound.rawHeaders)
    return this.fields
  }

  call(message: JsonObject, options: CallOptions = {}): Promise<Message> {
    // What is wrong with the message itself is told in the same way as what goes wrong with the call.
    return Promise.try(() => this.host.call(this, message, options))
  }

  note(key: string, value: string | number | boolean): void {
    this.notes ??= {}
    if (key in this.notes || Object.keys(this.notes).length < MAX_NOTES) this.notes[key] = value
  }

  /** Notes, for the audit trail, that a secret was used. As many as there are: their number is the configuration's. */
  used(secret: string, usedFor: string): void {
    this.notes ??= {}
    this.notes[`secret:${secret}`] = usedFor
  }

  withhold(why: string, what: 'values' | 'all' = 'values'): void {
    if (this.withheld === '') this.withheld = why === '' ? 'sensitive' : why
    if (what === 'all') this.withheldName = true
  }

  /** The entry's own state; made on its first hook. */
  stateOf(step: Step): unknown {
    if (step.hooks.state === undefined) return undefined
    this.states ??= new Array(this.table.slots).fill(UNMADE)
    const known = this.states[step.slot]
    if (known !== UNMADE) return known
    const made = step.hooks.state(this)
    this.states[step.slot] = made
    return made
  }

  /** The state an `end` hook gets: never made for it alone. */
  stateAtEnd(step: Step): unknown {
    const known = this.states?.[step.slot]
    return known === UNMADE ? undefined : known
  }

  record(record: VerdictRecord): void {
    this.verdicts ??= []
    // A stream of a million edited events is still one exchange.
    if (this.verdicts.length < MAX_RECORDS) this.verdicts.push(record)
  }

  /** Books the time since the last lap, or since `clockMs` was set, on a slot: one look at the clock a step. */
  lap(slot: number): void {
    const now = performance.now()
    this.spend(slot, now - this.clockMs)
    this.clockMs = now
  }

  spend(slot: number, milliseconds: number): void {
    this.micros ??= new Array(this.table.slots).fill(0)
    this.micros[slot] = (this.micros[slot] as number) + milliseconds * 1000
  }

  get isEnded(): boolean {
    return this.ended
  }

  /** Called once at the very end: tells those who wait on `signal`. */
  markEnded(): void {
    this.ended = true
    this.abortController?.abort()
  }
}

function visibleHeaders(rawHeaders: readonly string[]): Map<string, string> {
  const fields = new Map<string, string>()
  for (let i = 0; i < rawHeaders.length; i += 2) {
    const name = (rawHeaders[i] as string).toLowerCase()
    if (HIDDEN_HEADERS.has(name)) continue
    const value = rawHeaders[i + 1] as string
    const before = fields.get(name)
    fields.set(name, before === undefined ? value : `${before}, ${value}`)
  }
  return fields
}

const UNMADE = Symbol('unmade')
/** Most verdict records kept of one exchange. */
const MAX_RECORDS = 100
