import { ERRORS, type ErrorCode, type JsonObject } from '../../api/index.ts'
import type { Envelope } from '../../message/envelope.ts'
import { errorAnswer } from '../../message/jsonrpc.ts'
import { SLOT } from '../../message/keys.ts'
import type { Exchange, ExchangeOwner } from './http/exchange.ts'
import { member } from './member.ts'
import { patched } from './patch.ts'
import type { Pipe } from './pipe.ts'
import { endOf, findProgressToken, findResultSubscription, startOf, wantsLog } from './wire.ts'

/** Who keeps account of calls beside the process they run on. */
export interface CallHolder {
  /** It has its answer, or never will. `line` = the server's answer, `null` = it failed. */
  settled(call: Call, line: Buffer | null): void
  /** Its client has gone. */
  abandoned(call: Call): void
}

/** One request of a client, from its body to its answer. Knows its own id and token as the client wrote them. */
export class Call implements ExchangeOwner {
  readonly exchange: Exchange
  readonly holder: CallHolder
  readonly body: Buffer
  readonly method: string
  /** What it names: a tool, a prompt, a URI. */
  readonly name: string
  readonly idText: string
  /** Source text of the progress token; `''` = it has none. */
  readonly tokenText: string
  readonly modern: boolean
  /** Why it must not be sent on; `''` = it may be. */
  readonly fault: string
  /** Whether a modern request's own envelope was complete. */
  readonly isComplete: boolean
  /** A modern request that asked for log messages. */
  readonly wantsLog: boolean
  readonly idStart: number
  readonly idEnd: number
  readonly tokenStart: number
  readonly tokenEnd: number
  /** Its id, and progress token, towards the server; 0 = not sent yet. */
  serverId: number
  pipe: Pipe | null
  /** Whether it was answered by a result. */
  succeeded: boolean

  /** Must be made right after `body` was scanned. */
  constructor(exchange: Exchange, holder: CallHolder, envelope: Envelope, body: Buffer, modern: boolean) {
    const hasToken = findProgressToken(body)
    // A token that two parsers read in two ways could be the number of somebody else's call.
    this.fault = member.isTwin ? 'the key "progressToken" is repeated, or written in another case' : ''
    this.exchange = exchange
    this.holder = holder
    this.body = body
    this.method = envelope.method
    this.name = envelope.name
    this.idText = envelope.idText
    this.tokenStart = hasToken ? member.start : -1
    this.tokenEnd = hasToken ? member.end : -1
    this.tokenText = hasToken ? body.toString('utf8', member.start, member.end) : ''
    this.modern = modern
    this.isComplete = envelope.hasMetaCapabilities
    this.wantsLog = modern && wantsLog(body)
    this.idStart = startOf(SLOT.id)
    this.idEnd = endOf(SLOT.id)
    this.serverId = 0
    this.pipe = null
    this.succeeded = false
  }

  /** The server's answer, just scanned. */
  settle(envelope: Envelope, line: Buffer): void {
    const subscribed = this.method === LISTEN && findResultSubscription(line)
    const start = subscribed ? member.start : -1
    const message = patched(line, startOf(SLOT.id), endOf(SLOT.id), this.idText, start, member.end, this.idText, 0)
    this.succeeded = !envelope.isError
    if (envelope.isError) this.exchange.sessionId = ''
    this.exchange.answer(
      this.modern && envelope.isError ? modernStatus(envelope.errorCode, this.isComplete) : 200,
      message,
    )
    this.holder.settled(this, line)
  }

  fail(code: ErrorCode, text: string, data: JsonObject | null): void {
    // An initialize that failed has no session.
    this.exchange.sessionId = ''
    this.exchange.answer(200, errorAnswer(this.idText, code, text, data, this.modern))
    this.holder.settled(this, null)
  }

  /** Answers it without ever having begun it. */
  refuse(code: ErrorCode, text: string): void {
    this.exchange.answer(400, errorAnswer(this.idText, code, text, null, this.modern))
  }

  onGone(): void {
    this.pipe?.forgetFull(this.exchange)
    this.holder.abandoned(this)
  }

  onDrain(): void {
    this.pipe?.forgetFull(this.exchange)
  }
}

export const LISTEN = 'subscriptions/listen'

/**
 * HTTP status of a JSON-RPC error that is the whole answer (MCP 2026-07-28, Streamable HTTP).
 * @param isEnveloped whether the request's own envelope was complete
 */
export function modernStatus(rpc: number, isEnveloped: boolean): number {
  if (rpc === -32601) return 404
  if (rpc === ERRORS.parse_error.rpc || rpc === ERRORS.invalid_request.rpc) return 400
  if (rpc === -32602) return isEnveloped ? 200 : 400
  return rpc <= -32020 && rpc >= -32022 ? 400 : 200
}
