import type { Outcome, OutcomeStatus, VerdictAction } from '../api/index.ts'
import type { LiveExchange } from '../chain/exchange.ts'
import type { FrozenClock } from './frozen-clock.ts'

const STATUS: Readonly<Record<VerdictAction, OutcomeStatus>> = { reply: 'replied', deny: 'denied', drop: 'dropped' }

/** The outcome that follows from what one interceptor did, as if nothing else had happened. */
export function outcomeOf(live: LiveExchange, clock: FrozenClock): Outcome {
  const last = live.verdicts?.findLast(record => record.action in STATUS)
  return {
    status: last === undefined ? 'ok' : STATUS[last.action as VerdictAction],
    code: last?.code ?? null,
    reason: last?.reason ?? '',
    httpStatus: 200,
    durationMs: clock.now() - live.startedAt,
    upstreamMs: 0,
    firstByteMs: 0,
    bytesToServer: 0,
    bytesToClient: 0,
    messagesToClient: 0,
    replica: last === undefined ? 'probe' : '',
    verdicts: live.verdicts ?? [],
    interceptorMicros: Object.fromEntries(live.table.entries.map((entry, slot) => [entry, live.micros?.[slot] ?? 0])),
    notes: live.notes ?? {},
    withheld: live.withheld,
    withheldName: live.withheldName,
  }
}
