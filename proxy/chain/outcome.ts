import type { ErrorCode, Outcome, OutcomeStatus, Verdict, VerdictRecord } from '../api/index.ts'
import { channels, type ExchangeEnd } from '../observe/channels.ts'
import { endsHere } from './guard.ts'
import type { Relay } from './relay.ts'

/** What an exchange has come to so far. */
export class Tally {
  status: OutcomeStatus
  code: ErrorCode | null
  reason: string
  replica: string
  messagesToClient: number
  bytesToServer: number
  /** Moments by `performance.now()`; 0 = not yet. */
  sentMs: number
  headMs: number
  endMs: number

  constructor() {
    this.status = 'ok'
    this.code = null
    this.reason = ''
    this.replica = ''
    this.messagesToClient = 0
    this.bytesToServer = 0
    this.sentMs = 0
    this.headMs = 0
    this.endMs = 0
  }

  /** Notes an interceptor's verdict; one that broke or took too long has failed, it has not refused. */
  settle({ action, code, reason }: Verdict): void {
    const broken = code === 'interceptor_failed' || code === 'interceptor_timeout'
    this.status = broken ? 'failed' : STATUS_OF[action]
    this.code = code
    this.reason = reason
  }
}

const STATUS_OF = { reply: 'replied', deny: 'denied', drop: 'dropped' } as const

const NO_RECORDS: readonly never[] = Object.freeze([])
const NOTHING = Object.freeze({})

/** Ends an exchange: its `end` hooks, then those who watch, then its hold on the policy it began with. */
export function conclude(relay: Relay): void {
  const { exchange } = relay
  const { ends } = exchange.plan
  const watched = channels.exchangeEnd.hasSubscribers && !relay.services.quiet
  if (ends !== null || watched || relay.tap !== null) {
    const outcome = exchange.withheldName ? withoutName(outcomeOf(relay), exchange.name) : outcomeOf(relay)
    if (ends !== null) runEnds(relay, outcome)
    if (watched) channels.exchangeEnd.publish(endOf(relay, outcome))
    relay.tap?.ended(relay.message, outcome)
  }
  exchange.markEnded()
  exchange.table.release()
}

function runEnds(relay: Relay, outcome: Outcome): void {
  const { exchange } = relay
  for (const step of exchange.plan.ends ?? []) {
    if (!endsHere(step, exchange)) continue
    try {
      step.hooks.end?.(exchange, outcome, exchange.stateAtEnd(step))
    } catch (error) {
      const fields = { entry: step.entry, exchange: exchange.id, error: String(error) }
      channels.notice.publish({ level: 'error', text: 'end hook failed', fields })
    }
  }
}

function outcomeOf(relay: Relay): Outcome {
  const { exchange, tally } = relay
  const { sentMs, headMs } = tally
  const now = performance.now()
  const ended = tally.endMs === 0 ? now : tally.endMs
  return {
    status: tally.status,
    code: tally.code,
    reason: tally.reason,
    httpStatus: relay.reply.status,
    durationMs: now - exchange.startedMs,
    upstreamMs: sentMs === 0 ? 0 : ended - sentMs,
    firstByteMs: headMs === 0 ? 0 : headMs - sentMs,
    bytesToServer: tally.bytesToServer,
    bytesToClient: relay.reply.bytes,
    messagesToClient: tally.messagesToClient,
    replica: tally.replica,
    verdicts: exchange.verdicts ?? NO_RECORDS,
    interceptorMicros: microsOf(relay),
    notes: exchange.notes ?? NOTHING,
    withheld: exchange.withheld,
    withheldName: exchange.withheldName,
  }
}

/** In place of a name that must not be recorded. */
const WITHHELD = '***WITHHELD***'

/** Methods have no digits; what has may be what must not be recorded. */
function shownMethod(method: string): string {
  return /^[a-zA-Z_/]*$/.test(method) ? method : WITHHELD
}

/** Reasons tell what a message names. */
function withoutName(outcome: Outcome, name: string): Outcome {
  if (name === '') return outcome
  const clean = (text: string): string => text.replaceAll(name, WITHHELD)
  const verdicts = outcome.verdicts.map((record): VerdictRecord => ({ ...record, reason: clean(record.reason) }))
  return { ...outcome, reason: clean(outcome.reason), verdicts }
}

function microsOf(relay: Relay): Readonly<Record<string, number>> {
  const { micros, table } = relay.exchange
  if (micros === null) return NOTHING
  const byEntry: Record<string, number> = {}
  for (let slot = 0; slot < micros.length; slot++) {
    const spent = micros[slot] as number
    if (spent > 0) byEntry[table.entries[slot] as string] = Math.round(spent * 10) / 10
  }
  return byEntry
}

function endOf(relay: Relay, outcome: Outcome): ExchangeEnd {
  const { exchange, inbound } = relay
  return {
    id: exchange.id,
    server: exchange.server,
    method: exchange.withheldName ? shownMethod(exchange.method) : exchange.method,
    name: exchange.withheldName ? WITHHELD : exchange.name,
    client: exchange.principal.id,
    session: exchange.session,
    startedAt: exchange.startedAt,
    era: inbound.era,
    httpMethod: inbound.httpMethod,
    outcome,
  }
}
