import type { SluiceError } from '../api/index.ts'
import { errorAnswer, sseEvent } from '../message/jsonrpc.ts'
import type { StreamTail } from '../message/sse.ts'
import type { Relay } from './relay.ts'

/** How much of a JSON answer is looked at to tell a result from an error, for the outcome. */
const SNIFF_BYTES = 512

export function sniffLimit(chunk: Buffer): number {
  return chunk.length < SNIFF_BYTES ? chunk.length : SNIFF_BYTES
}

/**
 * Ends a half-written event so that no client takes it for a message: an event of a type that nobody knows is ignored
 * (WHATWG HTML, 9.2.6; the SDKs read only `message`).
 */
const CUT_EVENT = Buffer.from('\nevent: sluice-incomplete\n\n')

/**
 * Ends a stream that was passed on unseen. When the response was in it, all is well. When the server broke off, or closed
 * it without a response, the client gets a JSON-RPC error on that stream. A legacy server may close before its response
 * if it gave an event id to resume from (2025-11-25, Streamable HTTP, "polling"): that is mirrored.
 */
export function endBroken(relay: Relay, tail: StreamTail, error: SluiceError | null): void {
  const polling = error === null && relay.inbound.era === 'legacy' && tail.sawEventId
  if (tail.sawFinal || polling) {
    relay.finishWith(null)
    return
  }
  if (!tail.atBoundary) relay.reply.write(CUT_EVENT)
  endWithError(relay, error)
}

/** Writes the error that takes the place of the response a stream lacks, and ends it. */
export function endWithError(relay: Relay, error: SluiceError | null): void {
  relay.status = 'failed'
  relay.code = error === null ? 'upstream_broken' : error.code
  relay.reason = error === null ? `${relay.inbound.server} closed its stream without an answer` : error.message
  const { idText } = relay.message.envelope
  relay.finishWith(sseEvent(errorAnswer(idText, relay.code, relay.reason, null)))
}
