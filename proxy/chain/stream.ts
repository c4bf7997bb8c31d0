import { type ErrorCode, SluiceError } from '../api/index.ts'
import { Envelope } from '../message/envelope.ts'
import { errorAnswer, resultAnswer } from '../message/jsonrpc.ts'
import { WireMessage } from '../message/message.ts'
import { scan } from '../message/scan.ts'
import { rebuildEvent, type SseSink, SseSplitter } from '../message/sse.ts'
import type { Phase } from '../policy/plan.ts'
import { answerOf } from './answer.ts'
import { answerServer } from './call.ts'
import { learnTools } from './learn-tools.ts'
import type { Relay } from './relay.ts'
import { type Decision, PENDING, type PhaseOwner, runPhase } from './run.ts'
import { endWithError } from './tail.ts'

/** An event that waits for the one before it. */
interface Waiting {
  readonly raw: Buffer
  readonly data: Buffer | null
  readonly type: string
}

/**
 * An event stream that interceptors look at, message by message. Events keep their order; one whose hook waits stops the
 * server's stream, so what is held back is no more than the events of one chunk. What nobody edited is written as it
 * came, all events of a chunk in one write.
 */
export class EventStream implements SseSink, PhaseOwner {
  /** Whether a hook has to be waited for. */
  waiting: boolean
  private readonly relay: Relay
  private readonly splitter: SseSplitter
  private readonly queue: Waiting[]
  private out: Buffer[]
  private raw: Buffer
  private sawFinal: boolean
  private sawEventId: boolean
  private end: 'open' | 'ended' | SluiceError

  constructor(relay: Relay) {
    this.relay = relay
    this.waiting = false
    this.splitter = new SseSplitter(relay.services.maxEventBytes)
    this.queue = []
    this.out = []
    this.raw = EMPTY
    this.sawFinal = false
    this.sawEventId = false
    this.end = 'open'
  }

  push(chunk: Buffer): void {
    this.splitter.push(chunk, this)
    this.flush()
  }

  finish(): void {
    this.splitter.finish(this)
    // The second half of a last CR LF still belongs to the last event; anything more is an event that never ended.
    const rest = this.splitter.leftover()
    if (rest.length === 1 && rest[0] === 0x0a) this.onEvent(rest, null, '', null)
    this.close('ended')
  }

  fail(error: SluiceError): void {
    this.close(error)
  }

  onEvent(raw: Buffer, data: Buffer | null, type: string, id: string | null): void {
    if (id !== null && id !== '') this.sawEventId = true
    if (this.waiting) this.queue.push({ raw, data, type })
    else if (!this.relay.finished) this.take(raw, data, type)
  }

  onOversize(): void {
    this.breakOff('message_too_large', `an event is larger than max_event_bytes (${this.splitter.maxEventBytes})`)
  }

  private take(raw: Buffer, data: Buffer | null, type: string): void {
    if (data === null) {
      this.out.push(raw)
      return
    }
    const envelope = scan(data, this.relay.services.maxDepth)
    if (!(envelope instanceof Envelope)) {
      this.takeOther(raw, type, envelope.text)
      return
    }
    this.raw = raw
    const response = envelope.kind === 'response'
    const method = response ? this.relay.message.method : envelope.method
    const name = response ? this.relay.message.name : envelope.name
    const message = new WireMessage('toClient', envelope, data, method, name)
    if (response) this.noteResponse(message)
    this.up(message, this.phaseOf(message), 0)
  }

  /** What is no message may pass only as an event of a type that no MCP client reads (a server's own `ping`, say). */
  private takeOther(raw: Buffer, type: string, why: string): void {
    if (type !== 'message') this.out.push(raw)
    else this.breakOff('uninspectable', `an event of ${this.relay.inbound.server} is not a JSON-RPC message: ${why}`)
  }

  private noteResponse(message: WireMessage): void {
    this.sawFinal = true
    if (message.envelope.isError) this.relay.tally.status = 'error'
    else if (message.envelope.toolError) this.relay.tally.status = 'tool_error'
    learnTools(this.relay, message)
  }

  /** A message of the server's own has a plan of its own. */
  private phaseOf(message: WireMessage): Phase | null {
    const { exchange, inbound } = this.relay
    if (message.kind === 'response') return exchange.plan.toClient.response
    const plan = exchange.table.find(inbound.server, message.method, message.name, inbound.principal.id)
    return plan.toClient[message.kind]
  }

  private up(message: WireMessage, phase: Phase | null, index: number): void {
    const decision = phase === null ? null : runPhase(this, this.relay.exchange, phase, message, index)
    if (decision === PENDING) {
      this.waiting = true
      this.relay.hold()
    } else {
      this.decided(message, phase as Phase, decision)
    }
  }

  phaseDone(message: WireMessage, phase: Phase, decision: Decision | null): void {
    if (this.relay.finished) return
    this.waiting = false
    this.decided(message, phase, decision)
    this.goOn()
  }

  fault(error: unknown): void {
    this.relay.fault(error)
  }

  /** Takes the events that had to wait, then lets the server send on. */
  private goOn(): void {
    while (!this.waiting && this.queue.length > 0 && !this.relay.finished) {
      const next = this.queue.shift() as Waiting
      this.take(next.raw, next.data, next.type)
    }
    if (this.waiting || this.relay.finished) return
    this.flush()
    if (this.end === 'open') this.relay.release()
    else this.close(this.end)
  }

  private decided(message: WireMessage, phase: Phase, decision: Decision | null): void {
    if (decision === null) this.deliver(message)
    else if (message.kind === 'response') this.replaceResponse(message, phase, decision)
    else this.withhold(message, decision)
  }

  private deliver(message: WireMessage): void {
    const { relay } = this
    relay.tally.messagesToClient++
    if (message.kind === 'request') {
      relay.services.pending.add(relay.exchange.session ?? '', message.envelope.idText, message.method)
    }
    this.out.push(message.edited ? rebuildEvent(this.raw, message.body) : this.raw)
  }

  private replaceResponse(message: WireMessage, phase: Phase, decision: Decision): void {
    const { relay } = this
    relay.settle(decision)
    const modern = relay.inbound.era === 'modern'
    const { body } = answerOf(decision, message.envelope.idText, message.method, modern)
    const envelope = scan(body, relay.services.maxDepth) as Envelope
    const replaced = new WireMessage('toClient', envelope, body, message.method, message.name)
    replaced.edits = 1
    this.up(replaced, phase, decision.index + 1)
  }

  /** A notification vanishes; a server's request is answered from here. Neither ends the exchange. */
  private withhold(message: WireMessage, { verdict }: Decision): void {
    if (message.kind !== 'request') return
    const { idText } = message.envelope
    const body =
      verdict.action === 'reply'
        ? resultAnswer(idText, verdict.result ?? {}, false)
        : errorAnswer(idText, verdict.code ?? 'denied', verdict.reason, verdict.data)
    answerServer(this.relay.inbound, body)
  }

  /** Writes what is ready, in one piece. */
  private flush(): void {
    const out = this.out
    if (out.length === 0 || this.relay.finished) return
    this.out = []
    if (!this.relay.reply.write(out.length === 1 ? (out[0] as Buffer) : Buffer.concat(out))) this.relay.hold()
  }

  private close(end: 'ended' | SluiceError): void {
    if (this.waiting) {
      this.end = end
      return
    }
    if (this.relay.finished) return
    this.flush()
    const error = end === 'ended' ? null : end
    const polling = error === null && this.relay.inbound.era === 'legacy' && this.sawEventId
    if (this.sawFinal || polling) this.relay.finishWith(null)
    else if (this.relay.expectsAnswer) endWithError(this.relay, error)
    else if (error === null) this.relay.finishWith(null)
    else this.relay.failLocally(error.code, error.message, null)
  }

  /** Nothing that interceptors could not see passes: the stream ends here, with an error where one is due. */
  private breakOff(code: ErrorCode, reason: string): void {
    const { relay } = this
    if (relay.finished) return
    this.flush()
    relay.stopServer()
    const error = new SluiceError(code, reason)
    if (relay.expectsAnswer && !this.sawFinal) endWithError(relay, error)
    else relay.failLocally(code, reason, null)
  }
}

const EMPTY = Buffer.alloc(0)
