import type { JsonObject } from '../../api/index.ts'
import { sseEvent } from '../../message/jsonrpc.ts'
import type { WireMessage } from '../../message/message.ts'
import type { RawGiven } from '../../policy/test-schema.ts'
import type { UpstreamRequest, UpstreamSink } from '../../upstream/upstream.ts'
import { answerWith } from '../memory-upstream.ts'
import { defaultResult, encodeEvent } from './given.ts'
import { expandRepeats } from './repeat.ts'

/** A server that answers the client's message as a test says, and whatever else it is asked in a harmless way. */
export class ScriptedServer {
  /** The client's message as the server got it; `null` = it did not get there. */
  sent: JsonObject | null
  private readonly given: RawGiven
  private readonly message: WireMessage

  constructor(given: RawGiven, message: WireMessage) {
    this.sent = null
    this.given = given
    this.message = message
  }

  answer(sink: UpstreamSink, request: UpstreamRequest): void {
    const asked = JSON.parse(Buffer.from(request.body ?? []).toString()) as JsonObject
    const isTheOne = this.sent === null && (asked['id'] ?? null) === this.message.id
    if (isTheOne) this.sent = asked
    if (asked['method'] === undefined || asked['id'] === undefined) answerWith(sink, 202, '', Buffer.alloc(0))
    else if (isTheOne) this.answerTheOne(sink, asked)
    else answerWith(sink, 200, 'application/json', encode(asked, { result: this.harmless(asked) }))
  }

  private answerTheOne(sink: UpstreamSink, asked: JsonObject): void {
    const { result, error, events } = this.given
    const outcome = error === undefined ? { result: expandRepeats(result) ?? this.harmless(asked) } : { error }
    const answer = encode(asked, outcome)
    if (events === undefined) {
      answerWith(sink, 200, 'application/json', answer)
      return
    }
    const parts = [...events.map(event => Buffer.from(encodeEvent(event))), answer]
    answerWith(sink, 200, 'text/event-stream', Buffer.concat(parts.map(sseEvent)))
  }

  private harmless(asked: JsonObject): JsonObject {
    return defaultResult(String(asked['method']), this.given.tools ?? [])
  }
}

function encode(asked: JsonObject, outcome: object): Buffer {
  return Buffer.from(JSON.stringify({ jsonrpc: '2.0', id: asked['id'], ...outcome }))
}
