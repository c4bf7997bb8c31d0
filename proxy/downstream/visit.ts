import type { ServerResponse } from 'node:http'
import { ERRORS, type ErrorCode, type Principal } from '../api/index.ts'
import { errorReply } from '../chain/answer.ts'
import { BatchRelay } from '../chain/batch.ts'
import { CLOSE_METHOD, type Era, type Inbound, type SessionPin, STREAM_METHOD } from '../chain/ports.ts'
import { Relay } from '../chain/relay.ts'
import { Envelope } from '../message/envelope.ts'
import { WireMessage } from '../message/message.ts'
import { scan, scanBatch, startsWithArray } from '../message/scan.ts'
import { channels } from '../observe/channels.ts'
import type { Upstream } from '../upstream/upstream.ts'
import { type BodyOwner, BodyReader } from './body.ts'
import { classify, isBatchAllowed, isModern } from './classify.ts'
import type { LeanRequest } from './lean-request.ts'
import { type Guest, HttpReply } from './reply.ts'
import { isJson, type RequestHead } from './request-head.ts'
import type { ServerRoute, VisitHost } from './services.ts'
import type { Standing } from './standing-streams.ts'

/** One admitted HTTP request, from its body to the relay. It is also the relay's `Inbound`. */
export class Visit implements BodyOwner, Guest, Inbound, Standing {
  readonly httpMethod: 'POST' | 'GET' | 'DELETE'
  readonly server: string
  readonly upstream: Upstream
  readonly principal: Principal
  readonly rawHeaders: readonly string[]
  readonly upstreamHeaders: string[]
  readonly acceptEncoding: string
  readonly query: string
  readonly startedMs: number
  readonly forwardAuthorization: boolean
  readonly wholeEvents: boolean
  era: Era
  session: SessionPin | null
  private readonly downstream: VisitHost
  private readonly request: LeanRequest
  private readonly head: RequestHead
  private readonly reply: HttpReply
  private reader: BodyReader | null
  private isGone: boolean

  constructor(
    downstream: VisitHost,
    request: LeanRequest,
    response: ServerResponse,
    head: RequestHead,
    route: ServerRoute,
    principal: Principal,
    method: 'POST' | 'GET' | 'DELETE',
    query: string,
    cors: readonly string[] | null,
    startedMs: number,
  ) {
    this.httpMethod = method
    this.server = route.name
    this.upstream = route.upstream
    this.principal = principal
    this.rawHeaders = request.rawHeaders
    this.upstreamHeaders = head.upstream
    this.acceptEncoding = head.acceptEncoding
    this.query = query
    this.startedMs = startedMs
    this.forwardAuthorization = route.forwardAuthorization && route.upstream.authorizes?.(principal.id) !== true
    this.wholeEvents = false
    this.era = 'legacy'
    this.session = null
    this.downstream = downstream
    this.request = request
    this.head = head
    this.reply = new HttpReply(response, this, cors, downstream.services.stallMs)
    this.reader = null
    this.isGone = false
    // A key that is ours to check is none of the server's business.
    const isTheirs = this.forwardAuthorization && principal.via !== 'api-key'
    if (isTheirs && head.authorization !== '') head.upstream.push('authorization', head.authorization)
    if (route.headers.length > 0) addFixed(head.upstream, route.headers)
  }

  begin(): void {
    if (this.httpMethod !== 'POST') {
      this.attempt(null)
      return
    }
    const { limits } = this.downstream.services
    if (!isJson(this.head.contentType)) {
      this.refuseUnread('unsupported_media_type', 'Content-Type must be application/json, in UTF-8')
    } else if (this.head.contentEncoding !== '' && this.head.contentEncoding !== 'identity') {
      this.refuseUnread(
        'unsupported_media_type',
        'a compressed body is not understood: send it without Content-Encoding',
      )
    } else if (this.head.contentLength > limits.maxBodyBytes) {
      this.onTooLarge('body')
    } else {
      this.reader = new BodyReader(this, this.downstream.budget, limits.maxBodyBytes)
      this.request.readInto(this.reader)
    }
  }

  /** The stream (GET) and the end (DELETE) of a session are legacy; a modern-only server says so itself. */
  private withoutBody(): void {
    this.request.resume()
    if (!this.openSession('')) return
    const method = this.httpMethod === 'GET' ? STREAM_METHOD : CLOSE_METHOD
    const body = Buffer.from(`{"jsonrpc":"2.0","id":0,"method":"${method}"}`)
    this.relay(scan(body, 2) as Envelope, body)
  }

  onBody(body: Buffer): void {
    if (!this.isGone) this.attempt(body)
  }

  private attempt(body: Buffer | null): void {
    try {
      if (body === null) this.withoutBody()
      else this.accept(body)
    } catch (error) {
      this.failed(error)
    }
  }

  /** A fault of the proxy's own ends this request, not the process. */
  private failed(error: unknown): void {
    const detail = error instanceof Error ? error.stack : String(error)
    channels.notice.publish({
      level: 'error',
      text: 'the proxy failed',
      fields: { server: this.server, error: detail },
    })
    if (this.reply.started) this.reply.destroy()
    else this.refuse('internal', 'the proxy failed; its log says why', '')
  }

  private accept(body: Buffer): void {
    if (startsWithArray(body)) {
      this.batch(body)
      return
    }
    const envelope = scan(body, this.downstream.services.relay.maxDepth)
    if (!(envelope instanceof Envelope)) {
      this.refuse(envelope.code, envelope.text, envelope.idText)
      return
    }
    const era = classify(envelope, this.head)
    if (typeof era === 'object') {
      this.refuse(era.code, era.text, envelope.kind === 'request' ? envelope.idText : '')
      return
    }
    this.era = era
    if (this.openSessionFor(envelope)) this.relay(envelope, body)
  }

  private openSessionFor(envelope: Envelope): boolean {
    if (this.era === 'modern' || envelope.method === 'initialize') return true
    return this.openSession(envelope.kind === 'request' ? envelope.idText : '')
  }

  /** A token that is not ours, or another client's, or for another server, is a session that does not exist. */
  private openSession(idText: string): boolean {
    const token = this.head.sessionToken
    if (token === '') return true
    const session = this.downstream.services.sessions.open(token)
    if (session === null || session.server !== this.server || session.principal !== this.principal.id) {
      this.refuse('session_not_found', 'no such session: initialize again', idText)
      return false
    }
    this.session = session
    return true
  }

  private relay(envelope: Envelope, body: Buffer): void {
    let method = envelope.method
    if (envelope.kind === 'response') {
      method = this.downstream.services.relay.pending.take(this.session?.fingerprint ?? '', envelope.idText)
    }
    const message = new WireMessage('toServer', envelope, body, method, envelope.name)
    if (method === 'subscriptions/listen' || method === STREAM_METHOD) this.stand()
    const relay = new Relay(this.downstream.services.relay, this, this.reply, message)
    this.reply.attach(relay)
    relay.start()
  }

  /** A stream that resumes an answer is an answer: it has an end. */
  private stand(): void {
    if (!this.upstreamHeaders.includes('last-event-id')) this.downstream.standing.add(this)
  }

  cut(): void {
    this.reply.destroy()
  }

  /** JSON-RPC batches exist in 2025-03-26 only (2025-06-18, changelog). */
  private batch(body: Buffer): void {
    const { relay, limits } = this.downstream.services
    const items = scanBatch(body, relay.maxDepth, limits.maxBatch)
    if (!Array.isArray(items)) {
      this.refuse(items.code, items.text, '')
    } else if (isModern(this.head.version) || items.some(isEnveloped) || !isBatchAllowed(this.head.version)) {
      this.refuse('invalid_request', 'a batch is only understood in protocol version 2025-03-26: send one message', '')
    } else if (this.head.mcpMethod !== null || this.head.mcpName !== null) {
      this.refuse('header_mismatch', 'Mcp-Method and Mcp-Name name one message, the body is a batch', '')
    } else if (items.some(item => item.envelope instanceof Envelope && item.envelope.method === 'initialize')) {
      this.refuse('invalid_request', 'initialize must not be part of a batch', '')
    } else if (this.openSession('')) {
      const batch = new BatchRelay(relay, this, this.reply, body, items)
      this.reply.attach(batch)
      batch.start()
    }
  }

  onTooLarge(limit: 'body' | 'total'): void {
    const { maxBodyBytes } = this.downstream.services.limits
    if (limit === 'body')
      this.refuseUnread('message_too_large', `the body is larger than max_body_bytes (${maxBodyBytes})`)
    else this.refuseUnread('overloaded', 'too many bytes are being held (max_buffered_bytes): try again')
  }

  /** Refuses before the body was read: what follows on the connection cannot be trusted to be a new request. */
  private refuseUnread(code: ErrorCode, text: string): void {
    this.reply.closeAfter()
    this.request.skip()
    this.refuse(code, text, '')
  }

  private refuse(code: ErrorCode, text: string, idText: string): void {
    const retry = ERRORS[code].http === 503 ? { retry_after_ms: 1_000 } : null
    const answer = errorReply(code, text, idText, retry)
    if (channels.refusal.hasSubscribers) channels.refusal.publish({ code, status: answer.status, reason: text })
    this.reply.head(answer.status, answer.headers)
    this.reply.end(answer.body)
  }

  /** The answer is over, however it ended. */
  gone(): void {
    if (this.isGone) return
    this.isGone = true
    this.downstream.inFlight--
    this.downstream.standing.delete(this)
    this.reader?.release()
  }
}

function isEnveloped(item: { envelope: unknown }): boolean {
  return item.envelope instanceof Envelope && item.envelope.metaVersion !== null
}

/** The operator's own fields win over the client's of the same name. */
function addFixed(headers: string[], fixed: ServerRoute['headers']): void {
  for (const [name, value] of fixed) {
    for (let i = headers.length - 2; i >= 0; i -= 2) if (headers[i] === name) headers.splice(i, 2)
    headers.push(name, value)
  }
}
