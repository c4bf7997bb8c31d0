import type { JsonObject, Outcome } from '#api'
import type { Recording } from '../../../proxy/shadow/recording.ts'

export const OUTCOME: Outcome = {
  status: 'ok',
  code: null,
  reason: '',
  httpStatus: 200,
  durationMs: 1,
  upstreamMs: 1,
  firstByteMs: 1,
  bytesToServer: 1,
  bytesToClient: 1,
  messagesToClient: 1,
  replica: '',
  verdicts: [],
  interceptorMicros: {},
  notes: {},
  withheld: '',
  withheldName: false,
}

/** A call of a tool, answered. */
export function sampleRecording(params: JsonObject, bytes = 100): Recording {
  const request = Buffer.from(JSON.stringify({ jsonrpc: '2.0', id: 1, method: 'tools/call', params }))
  const body = Buffer.from('{"jsonrpc":"2.0","id":1,"result":{"content":[]}}')
  const headers = ['content-type', 'application/json']
  return {
    id: 'x',
    server: 's',
    principal: { id: 'anonymous', via: 'anonymous' },
    era: 'legacy',
    httpMethod: 'POST',
    session: null,
    headers: [],
    upstreamHeaders: [],
    query: '',
    startedAt: 0,
    kind: 'request',
    method: 'tools/call',
    name: String(params.name),
    request,
    sent: request,
    answer: { status: 200, headers, body, error: null, whole: true },
    reply: { status: 200, headers, body },
    outcome: OUTCOME,
    bytes,
  }
}
