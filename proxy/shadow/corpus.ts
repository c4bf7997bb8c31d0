import type { ErrorCode, Json, JsonObject, Principal } from '../api/index.ts'
import { type Verdicted, verdictOf } from './compare.ts'
import { bodyMessages } from './messages.ts'
import { plainBody, type Recording } from './recording.ts'

/** The version of the format; a reader refuses others. */
export const CORPUS_VERSION = 1

export type Values = 'redacted' | 'hashed' | 'encrypted'

/** The first line of a corpus. */
export interface CorpusHead {
  readonly sluice_corpus: number
  /** ISO 8601. */
  readonly created_at: string
  readonly values: Values
  /** What was asked for. */
  readonly filters: JsonObject
  /** For `encrypted`: which key opens it; the first 16 hex digits of its SHA-256. */
  readonly key?: string
}

/** An edit of a message by a chain entry. */
export type CorpusEdit = readonly [entry: string, direction: 'toServer' | 'toClient']

/** One exchange: everything that is needed to run it again, and what became of it. */
export interface CorpusExchange {
  readonly id: string
  /** Milliseconds since the epoch. */
  readonly at: number
  readonly server: string
  readonly client: string
  readonly via: Principal['via']
  readonly era: Recording['era']
  readonly http: Recording['httpMethod']
  readonly session: string | null
  /** Flat. */
  readonly headers: readonly string[]
  readonly method: string
  /** The client's message as it sent it; `null` for the GET stream and DELETE. */
  readonly request: Json
  /** `null` = the server was not asked. */
  readonly answer: CorpusAnswer | null
  readonly verdict: Verdicted
  readonly edits: readonly CorpusEdit[]
  /** Where nothing was redacted: what the server and the client got in the end, if it was not what was sent. */
  readonly sent?: Json
  readonly replied?: readonly Json[]
  /** How many values were replaced. */
  readonly redacted: number
}

export interface CorpusAnswer {
  readonly status: number
  readonly type: string
  readonly messages: readonly Json[]
  /** Where it broke off. */
  readonly error: { readonly code: ErrorCode; readonly text: string } | null
  readonly whole: boolean
}

/** Changes a message before it is kept. */
export type Clean = (message: Json) => Json

/**
 * A recording as it is kept.
 * @param clean takes values out; `null` = keeps all
 * @param text takes the value out of a header field, or a text about an error
 * @throws Error when a body cannot be unpacked or is no JSON
 */
export function corpusExchange(
  recording: Recording,
  clean: Clean | null,
  text: (value: string) => string,
): CorpusExchange {
  const { id, server, principal, era, httpMethod, session, method, startedAt, outcome, sent, request } = recording
  const keep = clean ?? ((message: Json) => message)
  const original = JSON.parse(request.toString()) as Json
  if (Array.isArray(original)) throw new TypeError('a batch that nobody took apart is no message')
  return {
    id,
    at: startedAt,
    server,
    client: principal.id,
    via: principal.via,
    era,
    http: httpMethod,
    session,
    headers: cleanHeaders(recording.headers, text),
    method,
    request: keep(original),
    answer: answerOf(recording, keep, text),
    verdict: verdictOf(outcome),
    edits: editsOf(recording),
    ...(clean === null && sent !== null && !sent.equals(request) && { sent: JSON.parse(sent.toString()) as Json }),
    ...(clean === null && { replied: bodyMessages(recording.reply.headers, recording.reply.body) }),
    redacted: 0,
  }
}

function answerOf({ answer }: Recording, keep: Clean, text: (value: string) => string): CorpusAnswer | null {
  if (answer === null) return null
  const { status, headers, body, error, whole } = answer
  const type = headers[headers.indexOf('content-type') + 1] ?? ''
  return {
    status,
    type: headers.includes('content-type') ? type : '',
    messages: bodyMessages(headers, plainBody(headers, body), true).map(keep),
    error: error === null ? null : { code: error.code, text: text(error.message) },
    whole,
  }
}

function editsOf({ outcome }: Recording): CorpusEdit[] {
  const edits = outcome.verdicts.filter(({ action, mode }) => action === 'edit' && mode === 'enforce')
  const found = new Map(edits.map(({ entry, direction }) => [`${entry} ${direction}`, [entry, direction] as const]))
  return [...found.values()]
}

/** Fields whose values are words of HTTP and MCP. */
const PLAIN_FIELDS = new Set(['accept', 'content-type', 'mcp-protocol-version', 'mcp-method'])

function cleanHeaders(headers: readonly string[], text: (value: string) => string): string[] {
  return headers.map((value, i) => {
    return i % 2 === 0 || PLAIN_FIELDS.has((headers[i - 1] as string).toLowerCase()) ? value : text(value)
  })
}
