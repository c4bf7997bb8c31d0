import type { Exchange, Message, Outcome, SluiceError } from '../api/index.ts'
import type { Inbound, ReplyPort, Tap } from '../chain/ports.ts'
import type { WireMessage } from '../message/message.ts'
import type { Flow, UpstreamSink } from '../upstream/upstream.ts'
import type { RecordedAnswer, Recording } from './recording.ts'

/** Who gets what a tap has kept. */
export interface TapOwner {
  /** Asks for room for so many bytes more; false = there is none. */
  reserve(bytes: number): boolean
  release(bytes: number): void
  /** @param recording `null` = it was too large, or there was no room. Must not throw. */
  done(recording: Recording | null): void
}

/** Smaller chunks are copied: a view of a few bytes would hold the whole buffer they came in. */
const COPY_BELOW_BYTES = 4096

const HIDDEN_HEADERS = new Set(['authorization', 'cookie', 'proxy-authorization', 'mcp-session-id', 'x-api-key'])

/** Keeps what passes in one exchange. Everything goes on at once and unchanged, whatever becomes of the copy. */
export class RecordingTap implements Tap {
  private readonly owner: TapOwner
  private readonly exchange: Exchange
  private readonly inbound: Inbound
  private readonly original: Buffer
  private readonly kind: Recording['kind']
  private readonly upstreamHeaders: readonly string[]
  private readonly target: ReplyPort
  private readonly sink: UpstreamSink
  private readonly received: Buffer[]
  private readonly replied: Buffer[]
  private replyHeaders: readonly string[]
  private answerStatus: number
  private answerHeaders: readonly string[]
  private wasSent: boolean
  private error: SluiceError | null
  private sawEnd: boolean
  private held: number
  private lost: boolean

  constructor(
    owner: TapOwner,
    exchange: Exchange,
    inbound: Inbound,
    message: Message,
    target: ReplyPort,
    sink: UpstreamSink,
  ) {
    this.owner = owner
    this.exchange = exchange
    this.inbound = inbound
    this.original = (message as WireMessage).original
    this.kind = message.kind
    // The relay adds to them: whoever runs this again starts from the same ones.
    this.upstreamHeaders = [...inbound.upstreamHeaders]
    this.target = target
    this.sink = sink
    this.received = []
    this.replied = []
    this.replyHeaders = []
    this.answerStatus = 0
    this.answerHeaders = []
    this.wasSent = false
    this.error = null
    this.sawEnd = false
    this.held = 0
    this.lost = false
    this.keep(null, this.original)
  }

  get started(): boolean {
    return this.target.started
  }

  get status(): number {
    return this.target.status
  }

  get bytes(): number {
    return this.target.bytes
  }

  head(status: number, headers: string[]): void {
    this.replyHeaders = headers
    this.target.head(status, headers)
  }

  flush(): void {
    this.target.flush()
  }

  write(chunk: Uint8Array): boolean {
    this.keep(this.replied, chunk)
    return this.target.write(chunk)
  }

  end(chunk: Uint8Array | null): void {
    if (chunk !== null) this.keep(this.replied, chunk)
    this.target.end(chunk)
  }

  destroy(): void {
    this.target.destroy()
  }

  onFlow(flow: Flow): void {
    this.wasSent = true
    this.sink.onFlow(flow)
  }

  onHead(status: number, headers: string[], replica: string): void {
    this.answerStatus = status
    // The relay may write to them.
    this.answerHeaders = [...headers]
    this.sink.onHead(status, headers, replica)
  }

  onData(chunk: Buffer): void {
    this.keep(this.received, chunk)
    this.sink.onData(chunk)
  }

  onEnd(): void {
    this.sawEnd = true
    this.sink.onEnd()
  }

  onFail(error: SluiceError): void {
    this.error = error
    this.sink.onFail(error)
  }

  ended(message: Message, outcome: Outcome): void {
    const recording = this.lost ? null : this.recording(message as WireMessage, outcome)
    this.owner.release(this.held)
    this.held = 0
    this.owner.done(recording)
  }

  private keep(into: Buffer[] | null, chunk: Uint8Array): void {
    if (this.lost) return
    if (!this.owner.reserve(chunk.byteLength)) {
      this.lost = true
      this.owner.release(this.held)
      this.held = 0
      this.received.length = 0
      this.replied.length = 0
      return
    }
    this.held += chunk.byteLength
    if (into === null) return
    const small = chunk.byteLength < COPY_BELOW_BYTES
    into.push(small ? Buffer.from(chunk) : Buffer.from(chunk.buffer, chunk.byteOffset, chunk.byteLength))
  }

  private recording(message: WireMessage, outcome: Outcome): Recording {
    return {
      id: this.exchange.id,
      server: this.exchange.server,
      principal: this.exchange.principal,
      era: this.inbound.era,
      httpMethod: this.inbound.httpMethod,
      session: this.exchange.session,
      headers: visible(this.inbound.rawHeaders),
      upstreamHeaders: this.upstreamHeaders,
      query: this.inbound.query,
      startedAt: this.exchange.startedAt,
      kind: this.kind,
      method: this.exchange.method,
      name: this.exchange.name,
      request: this.original,
      sent: this.wasSent ? message.body : null,
      answer: this.wasSent ? this.answer() : null,
      reply: { status: this.target.status, headers: this.replyHeaders, body: Buffer.concat(this.replied) },
      outcome,
      bytes: this.held,
    }
  }

  private answer(): RecordedAnswer {
    return {
      status: this.answerStatus,
      headers: this.answerHeaders,
      body: Buffer.concat(this.received),
      error: this.error,
      whole: this.sawEnd || this.error !== null,
    }
  }
}

function visible(rawHeaders: readonly string[]): string[] {
  const kept: string[] = []
  for (let i = 0; i < rawHeaders.length; i += 2) {
    const name = rawHeaders[i] as string
    if (!HIDDEN_HEADERS.has(name.toLowerCase())) kept.push(name, rawHeaders[i + 1] as string)
  }
  return kept
}
