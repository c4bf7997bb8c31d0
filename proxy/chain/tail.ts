import type { SluiceError } from '../api/index.ts'
import { errorAnswer, sseEvent } from '../message/jsonrpc.ts'
import { hasToolError, peekKind } from '../message/peek.ts'
import type { StreamTail } from '../message/sse.ts'
import type { Relay } from './relay.ts'

/** How much of a JSON answer is looked at to tell a result from an error, for the outcome. */
const SNIFF_BYTES = 512

/** Largest first chunk that is searched for `isError`. */
const TOOL_ERROR_BYTES = 65_536

/**
 * Tells from the first chunk of a JSON answer that nobody looks at whether it is an error: for the outcome only, nothing
 * else depends on it.
 */
export function sniff(relay: Relay, chunk: Buffer): void {
  if (relay.head?.body !== 'json' || relay.head.encoded || !relay.expectsAnswer) return
  const kind = peekKind(chunk, 0, Math.min(chunk.length, SNIFF_BYTES))
  if (kind === 'error') relay.tally.status = 'error'
  else sniffToolError(relay, chunk)
}

/** Follows a stream that nobody looks at; tells from its response whether that is an error. */
export function follow(relay: Relay, tail: StreamTail, chunk: Buffer): void {
  const before = tail.sawFinal
  tail.push(chunk)
  if (before || !tail.sawFinal) return
  if (tail.sawError) relay.tally.status = 'error'
  else sniffToolError(relay, chunk)
}

function sniffToolError(relay: Relay, chunk: Buffer): void {
  if (relay.message.method !== 'tools/call' || chunk.length > TOOL_ERROR_BYTES) return
  if (hasToolError(chunk)) relay.tally.status = 'tool_error'
}

/**
 * Ends a half-written event so that no client takes it for a message: an event of a type that nobody knows is ignored
 * (HTML, 9.2.6; the SDKs read only `message`). A line cut in two ends with NUL, because half an `id` or `retry` is one
 * too, and with NUL it is none.
 */
const CUT_EVENT = 'event: sluice-incomplete\n\n'
const CUT_BETWEEN_LINES = Buffer.from(CUT_EVENT)
const CUT_IN_LINE = Buffer.from(`\0\n${CUT_EVENT}`)

/**
 * Ends a stream that was passed on unseen. When the response was in it, all is well. When the server broke off, or closed
 * it without a response, the client gets a JSON-RPC error on that stream. A legacy server may close before its response
 * if it gave an event id to resume from (2025-11-25, Streamable HTTP, "polling"): that is mirrored.
 */
export function endBroken(relay: Relay, tail: StreamTail, error: SluiceError | null): void {
  const polling = relay.inbound.era === 'legacy' && tail.sawEventId
  // An event whose first bytes do not tell what it is may well have been the response.
  if (tail.sawFinal || (error === null && (polling || tail.sawUnknown))) {
    relay.finishWith(null)
    return
  }
  if (!tail.atBoundary) relay.reply.write(tail.inLine ? CUT_IN_LINE : CUT_BETWEEN_LINES)
  endWithError(relay, error)
}

/** Writes the error that takes the place of the response a stream lacks, and ends it. */
export function endWithError(relay: Relay, error: SluiceError | null): void {
  relay.tally.status = 'failed'
  relay.tally.code = error === null ? 'upstream_broken' : error.code
  relay.tally.reason = error === null ? `${relay.inbound.server} closed its stream without an answer` : error.message
  const { idText } = relay.message.envelope
  relay.finishWith(sseEvent(errorAnswer(idText, relay.tally.code, relay.tally.reason, null)))
}
