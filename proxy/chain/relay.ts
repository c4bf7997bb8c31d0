import { type ErrorCode, type JsonObject, type OutcomeStatus, type SluiceError } from '../api/index.ts'
import { Envelope } from '../message/envelope.ts'
import { errorAnswer, resultAnswer } from '../message/jsonrpc.ts'
import { WireMessage } from '../message/message.ts'
import { hasToolError, peekKind } from '../message/peek.ts'
import { scan } from '../message/scan.ts'
import { StreamTail } from '../message/sse.ts'
import { channels } from '../observe/channels.ts'
import type { Phase } from '../policy/plan.ts'
import type { Flow, UpstreamSink } from '../upstream/upstream.ts'
import { answerOf, errorReply, type LocalAnswer } from './answer.ts'
import { callServer } from './call.ts'
import { type ExchangeHost, LiveExchange } from './exchange.ts'
import { tooBig } from './guard.ts'
import { AnswerHead, withLength } from './head.ts'
import { conclude } from './outcome.ts'
import { Outbound } from './outbound.ts'
import type { Inbound, RelayServices, ReplyOwner, ReplyPort } from './ports.ts'
import { fixHeaders, needsTools } from './rename.ts'
import { type Decision, PENDING, type PhaseOwner, runPhase } from './run.ts'
import { EventStream } from './stream.ts'
import { endBroken, sniffLimit } from './tail.ts'

/** Largest 400 answer that is read to find out whether it means "no such session". */
const DEAD_SESSION_BYTES = 16_384

type Mode = 'waiting' | 'pass' | 'collect' | 'events' | 'discard'

/**
 * Runs one exchange from the chain's first step to its one end: the client's message down the chain, on to a replica,
 * and whatever comes back up the chain to the client. It is what the upstream calls back, what a waiting phase calls
 * back, and what the client's side calls back, so one object holds the whole state and none of it is in closures.
 */
export class Relay implements UpstreamSink, PhaseOwner, ReplyOwner, ExchangeHost {
  readonly services: RelayServices
  readonly inbound: Inbound
  readonly reply: ReplyPort
  readonly exchange: LiveExchange
  /** What the client sent. GET and DELETE stand for a request of a method of ours (`transport/…`) without a body. */
  message: WireMessage
  head: AnswerHead | null
  status: OutcomeStatus
  code: ErrorCode | null
  reason: string
  replica: string
  messagesToClient: number
  bytesToServer: number
  sentMs: number
  headMs: number
  endMs: number
  finished: boolean
  private flow: Flow | null
  private mode: Mode
  private paused: boolean
  private sniffed: boolean
  private tail: StreamTail | null
  private events: EventStream | null
  private chunks: Buffer[] | null
  private collected: number
  private collectLimit: number
  private phase: Phase | null
  private answerStatus: number
  private answerHeaders: string[]

  constructor(services: RelayServices, inbound: Inbound, reply: ReplyPort, message: WireMessage) {
    const table = services.plans.current
    const { server, principal, session, rawHeaders, startedMs } = inbound
    const plan = table.find(server, message.method, message.name, principal.id)
    const fingerprint = session === null ? null : session.fingerprint
    this.services = services
    this.inbound = inbound
    this.reply = reply
    const { method, name } = message
    this.exchange = new LiveExchange(
      this,
      table,
      plan,
      server,
      method,
      name,
      fingerprint,
      principal,
      rawHeaders,
      startedMs,
    )
    this.message = message
    this.head = null
    this.status = 'ok'
    this.code = null
    this.reason = ''
    this.replica = ''
    this.messagesToClient = 0
    this.bytesToServer = 0
    this.sentMs = 0
    this.headMs = 0
    this.endMs = 0
    this.finished = false
    this.flow = null
    this.mode = 'waiting'
    this.paused = false
    this.sniffed = false
    this.tail = null
    this.events = null
    this.chunks = null
    this.collected = 0
    this.collectLimit = 0
    this.phase = null
    this.answerStatus = 0
    this.answerHeaders = NO_HEADERS
  }

  /** Whether the client asked something and waits for a JSON-RPC response. */
  get expectsAnswer(): boolean {
    return this.message.kind === 'request' && this.inbound.httpMethod === 'POST'
  }

  start(): void {
    this.exchange.table.retain()
    if (channels.exchangeStart.hasSubscribers) channels.exchangeStart.publish(this.inbound.server)
    this.down(0)
  }

  call(exchange: LiveExchange, message: JsonObject): Promise<WireMessage> {
    return callServer(this.services, this.inbound, exchange, this.message, message)
  }

  // Towards the server.

  private down(index: number): void {
    const phase = this.exchange.plan.toServer[this.message.kind]
    if (phase === null) {
      this.send()
      return
    }
    const decision = runPhase(this, this.exchange, phase, this.message, index)
    if (decision !== PENDING) this.downDone(decision)
  }

  phaseDone(message: WireMessage, phase: Phase, decision: Decision | null): void {
    if (this.finished) return
    if (message.direction === 'toServer') this.downDone(decision)
    else this.upDone(message, phase, decision)
  }

  private downDone(decision: Decision | null): void {
    if (decision === null) this.send()
    else if (this.message.kind === 'request') this.answerLocally(decision)
    else if (this.message.kind === 'notification') this.refuseNotification(decision)
    else this.replaceClientAnswer(decision)
  }

  /** A request that an interceptor answered or refused: the answer goes up through those before it. */
  private answerLocally(decision: Decision): void {
    this.settle(decision)
    const { method, envelope } = this.message
    const answer = answerOf(decision, envelope.idText, method, this.inbound.era === 'modern')
    this.answerStatus = answer.status
    this.answerHeaders = answer.headers
    const phase = this.inbound.httpMethod === 'POST' ? this.exchange.plan.toClient.response : null
    const from = phase === null ? -1 : phase.steps.findIndex((step) => step.slot < decision.step.slot)
    if (phase === null || from === -1) this.sendAnswer(answer)
    else this.up(this.clientMessage(answer.body), phase, from)
  }

  private refuseNotification(decision: Decision): void {
    this.settle(decision)
    if (decision.verdict.action === 'drop') this.sendAnswer(ACCEPTED)
    else this.sendAnswer(errorReply(decision.verdict.code ?? 'denied', decision.verdict.reason, '', decision.verdict.data))
  }

  /** The server waits for an answer to a request of its own: it gets another one in place of the client's. */
  private replaceClientAnswer(decision: Decision): void {
    this.settle(decision)
    const { verdict, index } = decision
    const idText = this.message.envelope.idText
    const body =
      verdict.action === 'reply'
        ? resultAnswer(idText, verdict.result ?? {}, false)
        : errorAnswer(idText, verdict.code ?? 'denied', verdict.reason, verdict.data)
    const { method, name } = this.message
    this.message = new WireMessage('toServer', scan(body, this.services.maxDepth) as Envelope, body, method, name)
    this.message.edits = 1
    this.down(index + 1)
  }

  private send(): void {
    if (this.message.edited && needsTools(this.message, this.inbound)) {
      fixHeaders(this.services, this.inbound, this.exchange, this.message).then(
        () => this.sendNow(),
        (error: SluiceError) => this.onFail(error),
      )
      return
    }
    this.sendNow()
  }

  private sendNow(): void {
    if (this.finished) return
    const { inbound, message } = this
    const outbound = new Outbound(inbound, message, this.services, this.looksUp())
    this.bytesToServer = outbound.body === null ? 0 : outbound.body.byteLength
    this.sentMs = performance.now()
    inbound.upstream.send(outbound, this)
  }

  /** Whether anything that comes back could be looked at: then it must not be compressed. */
  private looksUp(): boolean {
    const { plan, table } = this.exchange
    if (this.inbound.wholeEvents) return true
    return plan.toClient.response !== null || table.looksAtStreams(this.inbound.server, this.inbound.principal.id)
  }

  // Back from the server.

  onFlow(flow: Flow): void {
    this.flow = flow
  }

  onHead(status: number, headers: string[], replica: string): void {
    if (this.finished) return
    this.headMs = performance.now()
    this.replica = replica
    const head = new AnswerHead(status, headers)
    this.head = head
    this.answerStatus = status
    this.answerHeaders = headers
    this.sealSession(head)
    if (head.challenge && !this.inbound.forwardAuthorization) this.refuseChallenge(head)
    else if (head.body === 'sse') this.beginStream(head)
    else if (head.body === 'json') this.beginJson(head)
    else this.beginOther(head)
  }

  /** The client gets a token of ours for the server's session id; a modern exchange has no session at all. */
  private sealSession(head: AnswerHead): void {
    if (head.sessionAt === -1) return
    const { era, server, principal } = this.inbound
    if (era === 'modern') {
      head.headers.splice(head.sessionAt - 1, 2)
      return
    }
    const upstreamId = head.headers[head.sessionAt] as string
    head.headers[head.sessionAt] = this.services.sealSession(server, this.replica, upstreamId, principal.id)
  }

  /** A challenge names the server as the resource: a client that followed it would send its tokens there. */
  private refuseChallenge(head: AnswerHead): void {
    const text = `${this.inbound.server} refused the credentials of the proxy (HTTP ${head.status})`
    this.flow?.abort()
    this.failLocally('upstream_unauthorized', text, null)
  }

  private beginStream(head: AnswerHead): void {
    if (!this.looksUp()) {
      this.mode = 'pass'
      if (this.expectsAnswer && !head.encoded) this.tail = new StreamTail()
      this.reply.head(head.status, head.headers)
      this.reply.flush()
      return
    }
    if (head.encoded) {
      this.uninspectable('compressed although nobody asked for that')
      return
    }
    this.mode = 'events'
    this.events = new EventStream(this)
    this.reply.head(head.status, withLength(head.headers, -1))
    this.reply.flush()
  }

  private beginJson(head: AnswerHead): void {
    const phase = this.exchange.plan.toClient.response
    if (phase !== null) {
      if (head.encoded) this.uninspectable('compressed although nobody asked for that')
      else this.collect(phase, phase.maxBytes)
    } else if (head.status === 400 && this.inbound.session !== null && !head.encoded) {
      this.collect(null, DEAD_SESSION_BYTES)
    } else {
      this.pass(head)
    }
  }

  private beginOther(head: AnswerHead): void {
    const empty = head.contentLength === 0 || head.status === 202 || head.status === 204
    if (this.expectsAnswer && head.status < 300 && empty) {
      this.mode = 'discard'
      return
    }
    const looked = this.exchange.plan.toClient.response !== null
    if (looked && this.expectsAnswer) this.uninspectable(`neither JSON nor an event stream (HTTP ${head.status})`)
    else this.pass(head)
  }

  private pass(head: AnswerHead): void {
    this.mode = 'pass'
    if (head.status >= 400) this.status = 'error'
    this.reply.head(head.status, head.headers)
  }

  private collect(phase: Phase | null, limit: number): void {
    this.mode = 'collect'
    this.phase = phase
    this.collectLimit = limit
    this.chunks = []
  }

  onData(chunk: Buffer): void {
    if (this.finished) return
    if (this.mode === 'pass') {
      if (!this.sniffed) this.sniff(chunk)
      if (this.tail !== null) this.tail.push(chunk)
      if (!this.reply.write(chunk)) this.hold()
    } else if (this.mode === 'events') {
      this.events?.push(chunk)
    } else if (this.mode === 'collect') {
      this.chunks?.push(chunk)
      this.collected += chunk.length
      if (this.collected > this.collectLimit) this.overflow()
    }
  }

  /** Stops the server until the client has read on. */
  hold(): void {
    this.paused = true
    this.flow?.pause()
  }

  /** Lets the server go on. */
  release(): void {
    if (!this.paused) return
    this.paused = false
    this.flow?.resume()
  }

  /** Stops the server for good: nothing more of its answer is wanted. */
  stopServer(): void {
    this.flow?.abort()
  }

  onDrain(): void {
    if (this.events !== null && this.events.waiting) return
    this.release()
  }

  /** What kind of answer this is, from its first chunk: for the outcome only, nothing depends on it. */
  private sniff(chunk: Buffer): void {
    this.sniffed = true
    if (this.head?.body !== 'json' || this.head.encoded || !this.expectsAnswer) return
    const kind = peekKind(chunk, 0, sniffLimit(chunk))
    if (kind === 'error') this.status = 'error'
    else if (this.message.method === 'tools/call' && chunk.length <= 65_536 && hasToolError(chunk)) {
      this.status = 'tool_error'
    }
  }

  /** A JSON answer is larger than anyone looks at: refused where an entry says `deny`, else it passes unseen. */
  private overflow(): void {
    const index = this.phase === null ? -1 : this.phase.steps.findIndex((step) => step.tooBig === 'deny')
    const step = this.phase?.steps[index]
    if (this.phase !== null && step !== undefined) {
      this.flow?.abort()
      const phase = this.phase
      const answer = this.clientMessage(errorAnswer(this.message.envelope.idText, 'message_too_large', '', null))
      this.upDone(answer, phase, { verdict: tooBig(step.entry, step.maxBytes), step, index })
      return
    }
    const head = this.head as AnswerHead
    const chunks = this.chunks ?? []
    this.chunks = null
    this.pass(head)
    for (const chunk of chunks) this.onData(chunk)
  }

  onEnd(): void {
    if (this.finished) return
    this.endMs = performance.now()
    if (this.mode === 'events') this.events?.finish()
    else if (this.mode === 'collect') this.collectedAll()
    else if (this.mode === 'discard') this.failEmpty()
    else this.passedAll()
  }

  private passedAll(): void {
    if (this.tail !== null) endBroken(this, this.tail, null)
    else if (this.expectsAnswer && this.reply.bytes === 0 && this.answerStatus < 300) this.failEmpty()
    else this.finishWith(null)
  }

  private failEmpty(): void {
    const text = `${this.inbound.server} answered HTTP ${this.answerStatus} without a message`
    this.failLocally('upstream_empty', text, null)
  }

  private collectedAll(): void {
    const chunks = this.chunks ?? []
    const body = chunks.length === 1 ? (chunks[0] as Buffer) : Buffer.concat(chunks)
    this.chunks = null
    if (this.phase === null) {
      if (isDeadSession(body)) this.answerStatus = 404
      this.status = 'error'
      this.sendRaw(body)
      return
    }
    const envelope = scan(body, this.services.maxDepth)
    if (!(envelope instanceof Envelope)) this.unreadable(body, envelope.text)
    else if (envelope.kind !== 'response') this.unreadable(body, `a ${envelope.kind} where a response was due`)
    else this.readAnswer(new WireMessage('toClient', envelope, body, this.message.method, this.message.name))
  }

  private readAnswer(answer: WireMessage): void {
    const { envelope } = answer
    if (envelope.isError) this.status = 'error'
    else if (envelope.toolError) this.status = 'tool_error'
    this.learnTools(answer)
    this.up(answer, this.phase as Phase, 0)
  }

  /** Remembers the tools of a list that is parsed anyway, as the server told them. */
  learnTools(answer: WireMessage): void {
    if (answer.method !== 'tools/list' || answer.envelope.isError) return
    if (this.exchange.plan.toClient.response?.need !== 'json') return
    const params = this.message.json()['params'] as JsonObject | undefined
    this.services.tools.learn(this.inbound.server, answer.json()['result'], params?.['cursor'] === undefined)
  }

  private unreadable(body: Buffer, why: string): void {
    const closed = (this.phase as Phase).steps.some((step) => step.onFailure === 'closed')
    if (body.length === 0 && this.expectsAnswer && this.answerStatus < 300) this.failEmpty()
    else if (closed && body.length > 0) this.uninspectable(why)
    else this.sendRaw(body)
  }

  /** An answer that interceptors should see and cannot: nothing of it passes. */
  private uninspectable(why: string): void {
    this.flow?.abort()
    const text = `the answer of ${this.inbound.server} cannot be looked at: ${why}`
    this.failLocally('uninspectable', text, { http_status: this.answerStatus })
  }

  // Up the chain, to the client.

  private up(answer: WireMessage, phase: Phase, index: number): void {
    const decision = runPhase(this, this.exchange, phase, answer, index)
    if (decision !== PENDING) this.upDone(answer, phase, decision)
  }

  private upDone(answer: WireMessage, phase: Phase, decision: Decision | null): void {
    if (decision === null) {
      this.messagesToClient++
      this.answerHeaders = answer.edited ? withLength(this.answerHeaders, answer.byteLength) : this.answerHeaders
      this.sendRaw(answer.body)
      return
    }
    this.settle(decision)
    const idText = answer.envelope.idText
    const local = answerOf(decision, idText, this.message.method, this.inbound.era === 'modern')
    this.answerStatus = local.status
    this.answerHeaders = local.headers
    this.up(this.clientMessage(local.body), phase, decision.index + 1)
  }

  private clientMessage(body: Buffer): WireMessage {
    const envelope = scan(body, this.services.maxDepth) as Envelope
    return new WireMessage('toClient', envelope, body, this.message.method, this.message.name)
  }

  /** Notes what a decision makes of the exchange; the last one counts. */
  settle({ verdict }: Decision): void {
    this.status = STATUS_OF[verdict.action]
    this.code = verdict.code
    this.reason = verdict.reason
  }

  private sendRaw(body: Buffer): void {
    this.reply.head(this.answerStatus, this.answerHeaders)
    this.finishWith(body)
  }

  private sendAnswer(answer: LocalAnswer): void {
    this.reply.head(answer.status, answer.headers)
    this.finishWith(answer.body.length === 0 ? null : answer.body)
  }

  // Ends.

  onFail(error: SluiceError): void {
    if (this.finished) return
    this.endMs = performance.now()
    if (this.mode === 'events') this.events?.fail(error)
    else if (this.tail !== null) endBroken(this, this.tail, error)
    else this.failLocally(error.code, error.message, error.retryAfterMs < 0 ? null : { retry_after_ms: error.retryAfterMs })
  }

  /** Ends the exchange with an error of our own: in the answer where none has begun, else by breaking it off. */
  failLocally(code: ErrorCode, reason: string, data: JsonObject | null): void {
    this.status = 'failed'
    this.code = code
    this.reason = reason
    if (this.reply.started) {
      this.reply.destroy()
      this.finish()
      return
    }
    this.sendAnswer(errorReply(code, reason, this.expectsAnswer ? this.message.envelope.idText : '', data))
  }

  onClose(): void {
    if (this.finished) return
    this.flow?.abort()
    this.status = 'aborted'
    this.reason = 'the client left before the answer had ended'
    this.finish()
  }

  /** Ends the answer and the exchange. */
  finishWith(chunk: Buffer | null): void {
    this.reply.end(chunk)
    this.finish()
  }

  /** Exactly once an exchange, whatever happened. */
  finish(): void {
    if (this.finished) return
    this.finished = true
    this.chunks = null
    conclude(this)
  }
}

const NO_HEADERS: string[] = []
const ACCEPTED: LocalAnswer = { status: 202, headers: ['content-length', '0'], body: Buffer.alloc(0) }
const STATUS_OF = { reply: 'replied', deny: 'denied', drop: 'dropped' } as const

/**
 * Whether a 400 to a request of a known session means that the server has forgotten it: many servers answer so where
 * the specification wants 404 (2025-11-25, Streamable HTTP, "Session Management"), and only 404 makes a client start over.
 */
function isDeadSession(body: Buffer): boolean {
  if (body.length === 0 || body.length > DEAD_SESSION_BYTES) return false
  const envelope = scan(body, 16)
  const text = body.toString('latin1')
  const isError = envelope instanceof Envelope ? envelope.isError : text.includes('"error"')
  return isError && /-32000/.test(text) && /session|not initialized/i.test(text)
}
