import type { JsonObject, Outcome } from '../../api/index.ts'
import { type SseSink, SseSplitter } from '../../message/sse.ts'
import type { Notice } from '../../observe/channels.ts'
import type { MemoryReply } from '../memory-upstream.ts'

export type Word = 'allowed' | 'denied' | 'replied' | 'dropped' | 'failed'

/** What became of one message of a test. */
export interface Happened {
  readonly word: Word
  readonly outcome: Outcome
  /** The chain entry that decided; `''` = none did. */
  readonly by: string
  /** The message as the server got it; `null` = it did not. */
  readonly sent: JsonObject | null
  /** The JSON-RPC answer the client got; `null` = none. */
  readonly answer: JsonObject | null
  /** What the client got before the answer. */
  readonly events: readonly JsonObject[]
  /** JSON lines that would have been written. */
  readonly written: readonly JsonObject[]
  /** What the proxy had to say meanwhile, such as why an interceptor failed. */
  readonly notices: readonly string[]
}

interface Traces {
  readonly outcome: Outcome
  readonly reply: MemoryReply
  readonly sent: JsonObject | null
  readonly records: readonly string[]
  readonly notices: readonly Notice[]
}

const DECISIONS = new Set(['deny', 'reply', 'drop', 'fail'])

export function readHappened({ outcome, reply, sent, records, notices }: Traces): Happened {
  const messages = messagesOf(reply)
  const answer = messages.findLast(isAnswer) ?? null
  const decided = outcome.verdicts.findLast(record => record.mode === 'enforce' && DECISIONS.has(record.action))
  return {
    word: wordOf(outcome),
    outcome,
    by: decided?.entry ?? '',
    sent,
    answer,
    events: messages.filter(message => message !== answer),
    written: records.flatMap(readLines),
    notices: notices.map(noticeText),
  }
}

function wordOf({ status }: Outcome): Word {
  if (status === 'replied' || status === 'denied' || status === 'dropped') return status
  return status === 'failed' || status === 'aborted' ? 'failed' : 'allowed'
}

function isAnswer(message: JsonObject): boolean {
  return message['result'] !== undefined || message['error'] !== undefined
}

function messagesOf(reply: MemoryReply): JsonObject[] {
  const type = reply.headers[reply.headers.indexOf('content-type') + 1] ?? ''
  if (reply.bytes === 0) return []
  return (type === 'text/event-stream' ? eventsOf(reply) : [reply.text]).flatMap(readLine)
}

function eventsOf(reply: MemoryReply): string[] {
  const found: string[] = []
  const splitter = new SseSplitter(Number.MAX_SAFE_INTEGER)
  const sink: SseSink = {
    onEvent: (_raw, data) => void (data === null || found.push(data.toString())),
    onOversize() {},
  }
  for (const chunk of reply.chunks) splitter.push(chunk, sink)
  splitter.finish(sink)
  return found
}

function readLines(text: string): JsonObject[] {
  return text.split('\n').flatMap(readLine)
}

/** What is no JSON object is nothing a test can look into. */
function readLine(text: string): JsonObject[] {
  try {
    const value: unknown = JSON.parse(text)
    return typeof value === 'object' && value !== null && !Array.isArray(value) ? [value as JsonObject] : []
  } catch {
    return []
  }
}

function noticeText({ text, fields }: Notice): string {
  const { entry, error } = fields
  const cause = typeof error === 'string' ? `: ${error.split('\n', 1)[0]}` : ''
  return `${text}${typeof entry === 'string' ? ` (${entry})` : ''}${cause}`
}
