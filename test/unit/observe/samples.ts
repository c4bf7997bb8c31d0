import type { Outcome } from '#api'
import type { ExchangeEnd } from '../../../proxy/observe/channels.ts'

/** An outcome in which all went well, with what a test wants otherwise. */
export function sampleOutcome(changes: Partial<Outcome> = {}): Outcome {
  return {
    status: 'ok',
    code: null,
    reason: '',
    httpStatus: 200,
    durationMs: 12.5,
    upstreamMs: 10,
    firstByteMs: 8,
    bytesToServer: 300,
    bytesToClient: 400,
    messagesToClient: 1,
    replica: 'http://127.0.0.1:3001/mcp',
    verdicts: [],
    interceptorMicros: {},
    notes: {},
    withheld: '',
    withheldName: false,
    ...changes,
  }
}

/** The end of a `tools/call` of `echo` on `demo`, begun at 2026-11-21T10:22:31.004Z. */
export function sampleEnd(changes: Partial<ExchangeEnd> = {}, outcome: Partial<Outcome> = {}): ExchangeEnd {
  return {
    id: 'x1',
    server: 'demo',
    method: 'tools/call',
    name: 'echo',
    client: 'alice',
    session: 's-4f2a',
    startedAt: Date.UTC(2026, 10, 21, 10, 22, 31, 4),
    era: 'modern',
    httpMethod: 'POST',
    outcome: sampleOutcome(outcome),
    ...changes,
  }
}
