import { Envelope } from '../message/envelope.ts'
import { errorAnswer, sseEvent } from '../message/jsonrpc.ts'
import { WireMessage } from '../message/message.ts'
import { type BatchItem, scan } from '../message/scan.ts'
import { InnerInbound } from './inner-inbound.ts'
import type { Inbound, RelayServices, ReplyOwner, ReplyPort } from './ports.ts'
import { Relay } from './relay.ts'

/** Stands for a whole batch that nobody looks into. */
const BATCH_METHOD = 'transport/batch'

/**
 * A JSON-RPC batch (2025-03-26 only). Where nobody looks it goes on as the bytes it came as. Else each of its messages is
 * an exchange of its own, sent by itself, and the answers come back together: as an array, or as one event stream as soon
 * as one of them is a stream.
 */
export class BatchRelay implements ReplyOwner {
  /** The largest single answer that is held until all the others are there. */
  readonly maxAnswerBytes: number
  private readonly services: RelayServices
  private readonly inbound: Inbound
  private readonly reply: ReplyPort
  private readonly body: Buffer
  private readonly items: readonly BatchItem[]
  private readonly parts: Part[]
  private relays: (Relay | null)[]
  private open: number
  private streaming: boolean
  private over: boolean

  constructor(services: RelayServices, inbound: Inbound, reply: ReplyPort, body: Buffer, items: readonly BatchItem[]) {
    this.maxAnswerBytes = services.maxEventBytes
    this.services = services
    this.inbound = inbound
    this.reply = reply
    this.body = body
    this.items = items
    this.parts = []
    this.relays = []
    this.open = 0
    this.streaming = false
    this.over = false
  }

  start(): void {
    if (this.items.every(item => this.isUnseen(item))) this.passWhole()
    else this.split()
  }

  /** Whether no interceptor sees anything of this message or of its answer. */
  private isUnseen({ envelope }: BatchItem): boolean {
    if (!(envelope instanceof Envelope)) return false
    const table = this.services.plans.current
    const { server, principal } = this.inbound
    const plan = table.find(server, envelope.method, envelope.name, principal.id)
    if (plan.toServer[envelope.kind] !== null || plan.toClient.response !== null || plan.ends !== null) return false
    return !table.looksAtStreams(server, principal.id)
  }

  private passWhole(): void {
    const head = Buffer.from(`{"jsonrpc":"2.0","method":"${BATCH_METHOD}"}`)
    const message = new WireMessage('toServer', scan(head, 2) as Envelope, this.body, BATCH_METHOD, '')
    const relay = new Relay(this.services, this.inbound, this.reply, message)
    this.relays = [relay]
    relay.start()
  }

  private split(): void {
    this.open = this.items.length
    for (const item of this.items) this.parts.push(new Part(this, item.envelope))
    this.relays = this.items.map((item, i) => this.relayOf(item, this.parts[i] as Part))
    for (let i = 0; i < this.relays.length; i++) {
      const relay = this.relays[i]
      if (relay === null || relay === undefined) (this.parts[i] as Part).refuse()
      else relay.start()
    }
  }

  private relayOf(item: BatchItem, part: Part): Relay | null {
    const { envelope } = item
    if (!(envelope instanceof Envelope)) return null
    const body = this.body.subarray(item.start, item.end)
    const session = this.inbound.session?.fingerprint ?? ''
    const method = envelope.kind === 'response' ? this.services.pending.take(session, envelope.idText) : envelope.method
    const message = new WireMessage('toServer', envelope, body, method, envelope.name)
    return new Relay(this.services, new InnerInbound(this.inbound, [...this.inbound.upstreamHeaders]), part, message)
  }

  /** A part's answer is a stream: from now on all answers are its events. */
  beginStream(headers: readonly string[]): void {
    if (this.streaming) return
    this.streaming = true
    this.reply.head(200, [...headers])
    this.reply.flush()
    for (const part of this.parts) if (part.answer !== null) this.reply.write(sseEvent(part.answer))
  }

  writeEvents(events: Uint8Array): boolean {
    return this.over ? true : this.reply.write(events)
  }

  /** A part's answer is complete. */
  partDone(part: Part): void {
    if (this.over) return
    if (this.streaming && part.answer !== null) this.reply.write(sseEvent(part.answer))
    if (--this.open > 0) return
    this.over = true
    if (this.streaming) this.reply.end(null)
    else this.endTogether()
  }

  private endTogether(): void {
    const answers = this.parts.filter(part => part.answer !== null)
    if (answers.length === 0) {
      const refused = this.parts.find(part => part.status >= 400)
      this.reply.head(refused?.status ?? 202, ['content-length', '0'])
      this.reply.end(null)
      return
    }
    const pieces: Buffer[] = []
    for (const part of answers) pieces.push(pieces.length === 0 ? OPEN : COMMA, part.answer as Buffer)
    const body = Buffer.concat([...pieces, CLOSE])
    const status = (answers[0] as Part).status
    const same = answers.every(part => part.status === status)
    this.reply.head(same ? status : 200, ['content-type', 'application/json', 'content-length', String(body.length)])
    this.reply.end(body)
  }

  onDrain(): void {
    for (const relay of this.relays) relay?.onDrain()
  }

  onClose(): void {
    this.over = true
    for (const relay of this.relays) relay?.onClose()
  }
}

/** A stream of events may begin with a byte order mark; further in, where this one is put, it would spoil its line. */
function withoutMark(events: Uint8Array): Uint8Array {
  return events[0] === 0xef && events[1] === 0xbb && events[2] === 0xbf ? events.subarray(3) : events
}

const OPEN = Buffer.from('[')
const COMMA = Buffer.from(',')
const CLOSE = Buffer.from(']')

/** The client's side of one message of a batch. */
class Part implements ReplyPort {
  started: boolean
  status: number
  bytes: number
  /** The JSON-RPC answer, `null` when there is none (yet), or when it went out as events. */
  answer: Buffer | null
  private readonly batch: BatchRelay
  private readonly envelope: BatchItem['envelope']
  private headers: readonly string[]
  private isStream: boolean
  private isOver: boolean
  private chunks: Buffer[]

  constructor(batch: BatchRelay, envelope: BatchItem['envelope']) {
    this.started = false
    this.status = 0
    this.bytes = 0
    this.answer = null
    this.batch = batch
    this.envelope = envelope
    this.headers = []
    this.isStream = false
    this.isOver = false
    this.chunks = []
  }

  /** A message that is none gets its own error. */
  refuse(): void {
    this.status = 400
    if (!(this.envelope instanceof Envelope)) {
      const { idText, code, text } = this.envelope
      this.answer = errorAnswer(idText, code, text, null)
    }
    this.done()
  }

  head(status: number, headers: string[]): void {
    this.status = status
    this.headers = headers
  }

  /** Only a stream sends its head before its body. */
  flush(): void {
    this.started = true
    this.isStream = true
    this.batch.beginStream(this.headers)
  }

  write(chunk: Uint8Array): boolean {
    const first = this.bytes === 0
    this.started = true
    this.bytes += chunk.byteLength
    if (this.isStream) return this.batch.writeEvents(first ? withoutMark(chunk) : chunk)
    if (this.bytes <= this.batch.maxAnswerBytes) this.chunks.push(Buffer.from(chunk))
    else this.chunks = []
    return true
  }

  end(chunk: Uint8Array | null): void {
    if (chunk !== null) this.write(chunk)
    this.started = true
    if (!this.isStream && this.bytes > 0) this.answer = this.readAnswer()
    this.done()
  }

  /** Only a message can stand in a batch's answer. */
  private readAnswer(): Buffer | null {
    const body = Buffer.concat(this.chunks)
    const { envelope } = this
    if (this.bytes > this.batch.maxAnswerBytes) return this.tooLarge()
    if (scan(body, 1_000) instanceof Envelope) return body
    if (!(envelope instanceof Envelope) || envelope.kind !== 'request') return null
    return errorAnswer(
      envelope.idText,
      'upstream_broken',
      `the server answered HTTP ${this.status} without a message`,
      null,
    )
  }

  private tooLarge(): Buffer | null {
    const { envelope } = this
    if (!(envelope instanceof Envelope) || envelope.kind !== 'request') return null
    const text = `an answer in a batch is larger than max_event_bytes (${this.batch.maxAnswerBytes})`
    return errorAnswer(envelope.idText, 'message_too_large', text, null)
  }

  destroy(): void {
    const { envelope } = this
    if (envelope instanceof Envelope && envelope.kind === 'request') {
      this.answer = errorAnswer(envelope.idText, 'upstream_broken', 'the server broke off its answer', null)
    }
    this.done()
  }

  private done(): void {
    if (this.isOver) return
    this.isOver = true
    this.chunks = []
    this.batch.partDone(this)
  }
}
