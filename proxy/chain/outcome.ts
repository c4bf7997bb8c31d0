import type { Outcome } from '../api/index.ts'
import { type ExchangeEnd, channels } from '../observe/channels.ts'
import type { Relay } from './relay.ts'

const NO_RECORDS: readonly never[] = Object.freeze([])
const NOTHING = Object.freeze({})

/** Ends an exchange: its `end` hooks, then those who watch, then its hold on the policy it began with. */
export function conclude(relay: Relay): void {
  const { exchange } = relay
  const { ends } = exchange.plan
  const watched = channels.exchangeEnd.hasSubscribers
  if (ends !== null || watched) {
    const outcome = outcomeOf(relay)
    if (ends !== null) runEnds(relay, outcome)
    if (watched) channels.exchangeEnd.publish(endOf(relay, outcome))
  }
  exchange.markEnded()
  exchange.table.release()
}

function runEnds(relay: Relay, outcome: Outcome): void {
  const { exchange } = relay
  for (const step of exchange.plan.ends ?? []) {
    try {
      step.hooks.end?.(exchange, outcome, exchange.stateAtEnd(step))
    } catch (error) {
      const fields = { entry: step.entry, exchange: exchange.id, error: String(error) }
      channels.notice.publish({ level: 'error', text: 'end hook failed', fields })
    }
  }
}

function outcomeOf(relay: Relay): Outcome {
  const { exchange, sentMs, headMs } = relay
  const now = performance.now()
  const ended = relay.endMs === 0 ? now : relay.endMs
  return {
    status: relay.status,
    code: relay.code,
    reason: relay.reason,
    httpStatus: relay.reply.status,
    durationMs: now - exchange.startedMs,
    upstreamMs: sentMs === 0 ? 0 : ended - sentMs,
    firstByteMs: headMs === 0 ? 0 : headMs - sentMs,
    bytesToServer: relay.bytesToServer,
    bytesToClient: relay.reply.bytes,
    messagesToClient: relay.messagesToClient,
    replica: relay.replica,
    verdicts: exchange.verdicts ?? NO_RECORDS,
    interceptorMicros: microsOf(relay),
    notes: exchange.notes ?? NOTHING,
  }
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
    method: exchange.method,
    name: exchange.name,
    client: exchange.principal.id,
    session: exchange.session,
    startedAt: exchange.startedAt,
    era: inbound.era,
    httpMethod: inbound.httpMethod,
    outcome,
  }
}
