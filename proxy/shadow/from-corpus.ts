import { type Json, type Outcome, SluiceError, type VerdictRecord } from '../api/index.ts'
import { Envelope } from '../message/envelope.ts'
import { sseEvent } from '../message/jsonrpc.ts'
import { scan } from '../message/scan.ts'
import { type Change, type Comparison, compare, type Verdicted, verdictChange, verdictOf } from './compare.ts'
import type { CorpusEdit, CorpusExchange } from './corpus.ts'
import { differingPaths } from './json-paths.ts'
import { parsed } from './messages.ts'
import type { RecordedAnswer, Recording } from './recording.ts'
import type { SecondRun } from './run-again.ts'

const MAX_DEPTH = 10_000

/** An exchange of a corpus, ready to be run again. @throws TypeError when its message is none */
export function recordingOf(exchange: CorpusExchange): Recording {
  const request = Buffer.from(JSON.stringify(exchange.request))
  const envelope = scan(request, MAX_DEPTH)
  if (!(envelope instanceof Envelope)) throw new TypeError(`not a JSON-RPC message: ${envelope.text}`)
  const answer = answerOf(exchange)
  const sent = exchange.sent === undefined ? request : Buffer.from(JSON.stringify(exchange.sent))
  const type = answer?.headers[1] ?? 'application/json'
  const replied = exchange.replied ?? exchange.answer?.messages ?? []
  return {
    id: exchange.id,
    server: exchange.server,
    principal: { id: exchange.client, via: exchange.via },
    era: exchange.era,
    httpMethod: exchange.http,
    session: exchange.session,
    headers: exchange.headers,
    upstreamHeaders: exchange.headers.map((field, i) => (i % 2 === 0 ? field.toLowerCase() : field)),
    query: '',
    startedAt: exchange.at,
    kind: envelope.kind,
    method: exchange.method,
    name: envelope.name,
    request,
    sent: answer === null ? null : sent,
    answer,
    reply: { status: answer?.status ?? 200, headers: ['content-type', type], body: bodyOf(type, replied) },
    outcome: outcomeOf(exchange),
    bytes: request.length,
  }
}

/**
 * How a run of an exchange differs from what happened then. Where values were taken out, what it sent then is not known:
 * only who edited is compared.
 */
export function compareWithCorpus(exchange: CorpusExchange, recording: Recording, run: SecondRun): Comparison {
  if (exchange.replied !== undefined) return compare(recording, run)
  const after: Verdicted = run.lacksAnswer ? { word: 'allowed', code: '', by: '' } : verdictOf(run.recording.outcome)
  const before = exchange.verdict
  if (before.word !== 'allowed' || after.word !== 'allowed') return compare(recording, run)
  if (run.asked || run.lacksAnswer) return compare(recording, run)
  if (before.code !== after.code) return { outcome: 'different', why: '', changes: [verdictChange(before, after)] }
  const changes = editChanges(exchange.edits, recording, run.recording)
  return { outcome: changes.length > 0 ? 'different' : 'same', why: '', changes }
}

function editChanges(before: readonly CorpusEdit[], recording: Recording, after: Recording): Change[] {
  const changes: Change[] = []
  for (const direction of ['toServer', 'toClient'] as const) {
    const first = new Set(before.filter(([, way]) => way === direction).map(([entry]) => entry))
    const edits = after.outcome.verdicts.filter(({ action, mode }) => action === 'edit' && mode === 'enforce')
    const second = new Set(edits.filter(record => record.direction === direction).map(({ entry }) => entry))
    const what = direction === 'toServer' ? 'request' : 'answer'
    const added = [...second.difference(first)]
    const gone = [...first.difference(second)]
    if (added.length > 0) changes.push({ what, entries: added, code: '', paths: pathsOf(what, recording, after) })
    if (gone.length > 0) changes.push({ what: `${what} no longer edited`, entries: gone, code: '', paths: [] })
  }
  return changes
}

function pathsOf(what: string, before: Recording, after: Recording): string[] {
  if (what === 'answer') return differingPaths(parsed(before.reply.body), parsed(after.reply.body))
  return after.sent === null ? [] : differingPaths(parsed(before.request), parsed(after.sent))
}

function answerOf({ answer }: CorpusExchange): RecordedAnswer | null {
  if (answer === null) return null
  const { status, type, messages, error, whole } = answer
  const headers = type === '' ? [] : ['content-type', type]
  const failure = error === null ? null : new SluiceError(error.code, error.text)
  return { status, headers, body: bodyOf(type, messages), error: failure, whole }
}

function bodyOf(type: string, messages: readonly Json[]): Buffer {
  const bodies = messages.map(message => Buffer.from(typeof message === 'string' ? message : JSON.stringify(message)))
  return Buffer.concat(type.startsWith('text/event-stream') ? bodies.map(sseEvent) : bodies)
}

/** As much of an outcome as comparing needs. */
function outcomeOf({ verdict, edits, answer }: CorpusExchange): Outcome {
  const { word, code, by } = verdict
  const record = (
    entry: string,
    direction: VerdictRecord['direction'],
    action: VerdictRecord['action'],
  ): VerdictRecord => {
    return { entry, mode: 'enforce', kind: 'request', direction, action, code: null, reason: '' }
  }
  const verdicts = edits.map(([entry, direction]) => record(entry, direction, 'edit'))
  if (by !== '') verdicts.push(record(by, 'toServer', 'deny'))
  return {
    status: word === 'allowed' ? 'ok' : word,
    code: code === '' ? null : (code as Outcome['code']),
    reason: '',
    httpStatus: answer?.status ?? 0,
    durationMs: 0,
    upstreamMs: 0,
    firstByteMs: 0,
    bytesToServer: 0,
    bytesToClient: 0,
    messagesToClient: 0,
    replica: '',
    verdicts,
    interceptorMicros: {},
    notes: {},
    withheld: '',
    withheldName: false,
  }
}
