import type { CallOptions, ErrorCode, JsonObject, SluiceError } from '../api/index.ts'
import { Envelope } from '../message/envelope.ts'
import { errorAnswer, resultAnswer } from '../message/jsonrpc.ts'
import { WireMessage } from '../message/message.ts'
import { scan } from '../message/scan.ts'
import { StreamTail } from '../message/sse.ts'
import { channels } from '../observe/channels.ts'
import type { Phase, Step } from '../policy/plan.ts'
import type { Flow, UpstreamSink } from '../upstream/upstream.ts'
import { answerOf, errorReply, type LocalAnswer } from './answer.ts'
import { callFrom } from './call-below.ts'
import { Collector, mostHeld } from './collector.ts'
import { DEAD_SESSION_BYTES, isDeadSession } from './dead-session.ts'
import { type ExchangeHost, LiveExchange } from './exchange.ts'
import { tooBig, wouldLook } from './guard.ts'
import { AnswerHead, withLength } from './head.ts'
import { passHead } from './head-rules.ts'
import { learnTools } from './learn-tools.ts'
import { Outbound } from './outbound.ts'
import { conclude, Tally } from './outcome.ts'
import type { Inbound, RelayServices, ReplyOwner, ReplyPort, Tap, Witness } from './ports.ts'
import { fixHeaders, needsTools } from './rename.ts'
import { type Decision, PENDING, type PhaseOwner, runPhase } from './run.ts'
import { EventStream } from './stream.ts'
import { endBroken, follow, sniff } from './tail.ts'

type Mode = 'waiting' | 'pass' | 'collect' | 'events' | 'discard'

/**
 * Runs one exchange from the chain's first step to its one end: the client's message down the chain, on to a replica,
 * and whatever comes back up the chain to the client. It is what the upstream calls back, what a waiting phase calls
 * back, and what the client's side calls back, so one object holds the whole state and none of it is in closures.
 */
export class Relay implements UpstreamSink, PhaseOwner, ReplyOwner, ExchangeHost {
  readonly services: RelayServices
  readonly inbound: Inbound
  reply: ReplyPort
  readonly exchange: LiveExchange
  /** What the client sent. GET and DELETE stand for a request of a method of ours (`transport/…`) without a body. */
  message: WireMessage
  head: AnswerHead | null
  readonly tally: Tally
  finished: boolean
  /** Whoever looks on at this exchange; `null` = nobody. */
  tap: Tap | null
  private flow: Flow | null
  private mode: Mode
  private paused: boolean
  private sniffed: boolean
  private tail: StreamTail | null
  private events: EventStream | null
  private collector: Collector | null
  private answerStatus: number
  private answerHeaders: string[]

  constructor(services: RelayServices, inbound: Inbound, reply: ReplyPort, message: WireMessage) {
    this.services = services
    this.inbound = inbound
    this.reply = reply
    this.exchange = new LiveExchange(this, services.plans.current, inbound, message)
    this.message = message
    this.head = null
    this.tally = new Tally()
    this.finished = false
    this.tap = null
    this.flow = null
    this.mode = 'waiting'
    this.paused = false
    this.sniffed = false
    this.tail = null
    this.events = null
    this.collector = null
    this.answerStatus = 0
    this.answerHeaders = NO_HEADERS
  }

  /** Whether the client waits for a JSON-RPC response. */
  get expectsAnswer(): boolean {
    return this.message.kind === 'request' && this.inbound.httpMethod === 'POST'
  }

  start(): void {
    this.exchange.table.retain()
    if (this.services.witness != null) this.watch(this.services.witness)
    if (channels.exchangeStart.hasSubscribers && !this.services.quiet)
      channels.exchangeStart.publish(this.inbound.server)
    this.down(0)
  }

  private watch(witness: Witness): void {
    this.tap = witness.begin(this.exchange, this.inbound, this.message, this.reply, this)
    if (this.tap !== null) this.reply = this.tap
  }

  call(_exchange: LiveExchange, message: JsonObject, options: CallOptions): Promise<WireMessage> {
    return callFrom(this, Relay, message, options)
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
    const idText = this.expectsAnswer ? envelope.idText : ''
    const answer = answerOf(decision, idText, method, this.inbound.era === 'modern')
    this.answerStatus = answer.status
    this.answerHeaders = answer.headers
    const phase = this.inbound.httpMethod === 'POST' ? this.exchange.plan.toClient.response : null
    const from = phase === null ? -1 : phase.steps.findIndex(step => step.slot < decision.step.slot)
    if (phase === null || from === -1) this.sendAnswer(answer)
    else this.up(this.clientMessage(answer.body), phase, from)
  }

  private refuseNotification(decision: Decision): void {
    this.settle(decision)
    if (decision.verdict.action === 'drop') this.sendAnswer(ACCEPTED)
    else
      this.sendAnswer(errorReply(decision.verdict.code ?? 'denied', decision.verdict.reason, '', decision.verdict.data))
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
    if (this.message.edited && needsTools(this.services, this.message, this.inbound)) {
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
    this.tally.bytesToServer = outbound.body === null ? 0 : outbound.body.byteLength
    this.tally.sentMs = performance.now()
    inbound.upstream.send(outbound, this.tap ?? this)
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

  onSecret(name: string, usedFor: string): void {
    const { outer = this.exchange } = this.services
    outer.used(name, usedFor)
  }

  onHead(status: number, headers: string[], replica: string): void {
    if (this.finished) return
    this.tally.headMs = performance.now()
    this.tally.replica = replica
    const head = new AnswerHead(status, headers)
    this.head = head
    this.answerStatus = status
    this.answerHeaders = headers
    if (!passHead(this, head)) return
    if (head.body === 'sse') this.beginStream(head)
    else this.beginBody(head)
  }

  private beginStream(head: AnswerHead): void {
    if (!this.looksUp()) {
      this.mode = 'pass'
      if (this.expectsAnswer && !head.encoded) this.tail = new StreamTail()
      // An error may have to follow what the server sends: no length can be promised.
      this.reply.head(head.status, head.contentLength === -1 ? head.headers : withLength(head.headers, -1))
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

  /** One JSON message, or something else: an error page, nothing at all. */
  private beginBody(head: AnswerHead): void {
    const isJson = head.body === 'json'
    const looked = isJson || (this.expectsAnswer && head.contentLength !== 0)
    const phase = looked ? this.exchange.plan.toClient.response : null
    const empty = head.contentLength === 0 || head.status === 202 || head.status === 204
    if (!isJson && empty && this.expectsAnswer && head.status < 300) this.mode = 'discard'
    else if (phase !== null && head.encoded) this.uninspectable('compressed although nobody asked for that')
    else if (phase !== null) this.collect(phase, mostHeld(phase, this.services.maxEventBytes))
    else if (this.mayBeDead() && !head.encoded) this.collect(null, DEAD_SESSION_BYTES)
    else this.pass(head)
  }

  /** Whether the answer may mean that the server has forgotten the session. */
  private mayBeDead(): boolean {
    return this.answerStatus === 400 && this.inbound.session !== null
  }

  private pass(head: AnswerHead): void {
    this.mode = 'pass'
    if (head.status >= 400) this.tally.status = 'error'
    this.reply.head(head.status, head.headers)
  }

  private collect(phase: Phase | null, limit: number): void {
    this.mode = 'collect'
    this.collector = new Collector(phase, limit)
  }

  onData(chunk: Buffer): void {
    if (this.finished) return
    if (this.mode === 'pass') {
      if (!this.sniffed) {
        this.sniffed = true
        sniff(this, chunk)
      }
      if (this.tail !== null) follow(this, this.tail, chunk)
      if (!this.reply.write(chunk)) this.hold()
    } else if (this.mode === 'events') {
      this.events?.push(chunk)
    } else if (this.mode === 'collect') {
      const collector = this.collector as Collector
      if (!collector.add(chunk)) this.overflow(collector)
    }
  }

  /** Bytes that just pass are nobody's once they are with the system; whoever looks on may keep them. */
  isFlushed(): boolean {
    return this.mode === 'pass' && this.tail === null && this.tap === null && this.reply.isFlushed?.() === true
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
    if (this.events?.waiting !== true) this.release()
  }

  /** A JSON answer is larger than anyone looks at: refused where an entry says `deny`, else it passes unseen. */
  private overflow(collector: Collector): void {
    const { phase } = collector
    const unread = this.unreadAnswer()
    const refuses = (step: Step): boolean => step.tooBig === 'deny' && wouldLook(step, unread, this.exchange)
    const index = phase === null ? -1 : phase.steps.findIndex(refuses)
    const step = phase?.steps[index]
    if (phase === null || step === undefined) {
      this.pass(this.head as AnswerHead)
      for (const chunk of collector.chunks) this.onData(chunk)
      return
    }
    this.flow?.abort()
    this.upDone(unread, phase, { verdict: tooBig(step.entry, collector.reach(step)), step, index })
  }

  /** Stands for an answer that is not there to be read: for refusing it, and for asking whether anyone would look at it. */
  private unreadAnswer(): WireMessage {
    return this.clientMessage(errorAnswer(this.message.envelope.idText, 'message_too_large', '', null))
  }

  onEnd(): void {
    if (this.finished) return
    this.tally.endMs = performance.now()
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
    const { phase, body } = this.collector as Collector
    if (this.mayBeDead() && isDeadSession(body)) this.answerStatus = 404
    if (phase === null) {
      this.tally.status = 'error'
      this.sendRaw(body)
      return
    }
    const envelope = scan(body, this.services.maxDepth)
    if (!(envelope instanceof Envelope)) this.unreadable(phase, body, envelope.text)
    else if (envelope.kind !== 'response') this.unreadable(phase, body, `a ${envelope.kind} where a response was due`)
    else this.readAnswer(new WireMessage('toClient', envelope, body, this.message.method, this.message.name), phase)
  }

  private readAnswer(answer: WireMessage, phase: Phase): void {
    const { envelope } = answer
    if (envelope.isError) this.tally.status = 'error'
    else if (envelope.toolError) this.tally.status = 'tool_error'
    learnTools(this, answer)
    this.up(answer, phase, 0)
  }

  private unreadable(phase: Phase, body: Buffer, why: string): void {
    const unread = this.unreadAnswer()
    const closed = phase.steps.some(step => step.onFailure === 'closed' && wouldLook(step, unread, this.exchange))
    if (body.length === 0 && this.expectsAnswer && this.answerStatus < 300) this.failEmpty()
    else if (closed && body.length > 0) this.uninspectable(why)
    else this.sendRaw(body)
  }

  /** An answer that interceptors should see and cannot: nothing of it passes. */
  private uninspectable(why: string): void {
    this.flow?.abort()
    const text = `the answer of ${this.inbound.server} cannot be looked at: ${why}`
    const status = this.answerStatus
    // An HTTP error stays the error it is: clients act on the status.
    this.failLocally('uninspectable', text, { http_status: status }, status >= 400 ? status : 0)
  }

  // Up the chain, to the client.

  private up(answer: WireMessage, phase: Phase, index: number): void {
    const decision = runPhase(this, this.exchange, phase, answer, index)
    if (decision !== PENDING) this.upDone(answer, phase, decision)
  }

  private upDone(answer: WireMessage, phase: Phase, decision: Decision | null): void {
    if (decision === null) {
      this.tally.messagesToClient++
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
    this.tally.settle(verdict)
  }

  private sendRaw(body: Buffer): void {
    this.reply.head(this.answerStatus, this.answerHeaders)
    this.finishWith(body)
  }

  private sendAnswer(answer: LocalAnswer): void {
    this.reply.head(answer.status, answer.headers)
    this.finishWith(answer.body.length === 0 ? null : answer.body)
  }

  onFail(error: SluiceError): void {
    if (this.finished) return
    this.tally.endMs = performance.now()
    if (this.mode === 'events') this.events?.fail(error)
    else if (this.tail !== null) endBroken(this, this.tail, error)
    else
      this.failLocally(
        error.code,
        error.message,
        error.retryAfterMs < 0 ? null : { retry_after_ms: error.retryAfterMs },
      )
  }

  /**
   * Ends the exchange with an error of our own: in the answer where none has begun, else by breaking it off.
   * @param status HTTP status to answer with; 0 = that of the error table
   */
  failLocally(code: ErrorCode, reason: string, data: JsonObject | null, status = 0): void {
    this.tally.status = 'failed'
    this.tally.code = code
    this.tally.reason = reason
    if (this.reply.started) {
      this.reply.destroy()
      this.finish()
      return
    }
    const answer = errorReply(code, reason, this.expectsAnswer ? this.message.envelope.idText : '', data)
    this.sendAnswer(status === 0 ? answer : { ...answer, status })
  }

  fault(error: unknown): void {
    this.flow?.abort()
    const detail = error instanceof Error ? error.stack : String(error)
    const fields = {
      exchange: this.exchange.id,
      server: this.inbound.server,
      method: this.message.method,
      error: detail,
    }
    channels.notice.publish({ level: 'error', text: 'the proxy failed', fields })
    if (!this.finished) this.failLocally('internal', 'the proxy failed; its log says why', null)
  }

  onClose(): void {
    if (this.finished) return
    this.flow?.abort()
    this.tally.status = 'aborted'
    this.tally.reason = 'the client left before the answer had ended'
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
    this.collector = null
    conclude(this)
  }
}

const NO_HEADERS: string[] = []
const ACCEPTED: LocalAnswer = { status: 202, headers: ['content-length', '0'], body: Buffer.alloc(0) }
