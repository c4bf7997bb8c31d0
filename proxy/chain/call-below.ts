import { type CallOptions, type ErrorCode, type JsonObject, SluiceError } from '../api/index.ts'
import { Envelope } from '../message/envelope.ts'
import { errorAnswer, resultAnswer } from '../message/jsonrpc.ts'
import { encodeHeaderValue, paramFields } from '../message/mcp-headers.ts'
import { WireMessage } from '../message/message.ts'
import { scan } from '../message/scan.ts'
import { SseSplitter } from '../message/sse.ts'
import { tableBelow } from './below-table.ts'
import { answerServer, callServer, fieldsFor, MAX_ANSWER_BYTES, ownMessage, TIMEOUT_MS } from './call.ts'
import type { LiveExchange } from './exchange.ts'
import { AnswerHead } from './head.ts'
import { InnerInbound } from './inner-inbound.ts'
import type { Inbound, RelayServices, ReplyPort } from './ports.ts'
import type { Relay } from './relay.ts'

/** The class of relays: given from outside, because a relay calls this. */
type Relays = new (services: RelayServices, inbound: Inbound, reply: ReplyPort, message: WireMessage) => Relay

/** Sends a message of an interceptor's own, as `Exchange.call` promises. */
export function callFrom(
  relay: Relay,
  relays: Relays,
  message: JsonObject,
  options: CallOptions,
): Promise<WireMessage> {
  const { below } = options
  if (below !== undefined) return callBelow(relay, relays, message, { ...options, below })
  return callServer(relay.services, relay.inbound, relay.exchange, relay.message, message, options)
}

/**
 * Sends a message of an interceptor's own through the part of the chain behind a chain entry, as an exchange of its own,
 * and gives what comes back up to there. Nobody but those interceptors learns of it: neither metrics nor access log.
 * @throws SluiceError when the server did not answer, or an interceptor refused
 */
function callBelow(
  relay: Relay,
  relays: Relays,
  message: JsonObject,
  options: CallOptions & { readonly below: string },
): Promise<WireMessage> {
  const { services, inbound, exchange } = relay
  const { signal = exchange.signal, timeoutMs = TIMEOUT_MS } = options
  const current = tableBelow(exchange.table, options.below)
  const { body, envelope } = ownMessage(services, inbound, relay.message, message)
  if (signal.aborted) return Promise.reject(new SluiceError('upstream_broken', 'the exchange has ended'))
  const wire = new WireMessage('toServer', envelope, body, envelope.method, envelope.name)
  const inner = new InnerInbound(inbound, fieldsOf(relay, wire))
  const reply = new CalledReply(inbound, envelope, services.maxDepth, signal)
  reply.begin(
    new relays(
      { ...services, plans: { current }, quiet: true, witness: null, outer: services.outer ?? exchange },
      inner,
      reply,
      wire,
    ),
    exchange,
    timeoutMs,
  )
  return reply.answer
}

/** Header fields for the message, and those that mirror its arguments (SEP-2243) where its tool's schema is known. */
function fieldsOf({ services, inbound, message }: Relay, wire: WireMessage): string[] {
  const headers = fieldsFor(inbound, wire.method, wire.name)
  if (inbound.era !== 'modern' || wire.method !== 'tools/call') return headers
  const tool = services.tools.get(inbound.server)?.get(wire.name)
  if (tool !== undefined) {
    const args = (wire.json()['params'] as JsonObject)['arguments']
    for (const [name, value] of paramFields(tool['inputSchema'], args)) {
      headers.push(`mcp-param-${name}`, encodeHeaderValue(String(value)))
    }
  } else if (message.name === wire.name) {
    const theirs = inbound.upstreamHeaders
    for (let i = 0; i < theirs.length; i += 2) {
      if ((theirs[i] as string).startsWith('mcp-param-')) headers.push(theirs[i] as string, theirs[i + 1] as string)
    }
  }
  return headers
}

/** The client's side of a call that has no client: keeps the one answer it is about. */
class CalledReply implements ReplyPort {
  started: boolean
  status: number
  bytes: number
  readonly answer: Promise<WireMessage>
  private readonly inbound: Inbound
  private readonly asked: Envelope
  private readonly maxDepth: number
  private readonly signal: AbortSignal
  private readonly resolve: (answer: WireMessage) => void
  private readonly reject: (error: Error) => void
  private relay: Relay | null
  /** The exchange that this is called from. */
  private outer: LiveExchange | null
  private timer: NodeJS.Timeout | null
  private splitter: SseSplitter | null
  private chunks: Buffer[]
  private found: WireMessage | null
  /** What the server wanted of the client; `''` = nothing. */
  private question: string

  constructor(inbound: Inbound, asked: Envelope, maxDepth: number, signal: AbortSignal) {
    const { promise, resolve, reject } = Promise.withResolvers<WireMessage>()
    this.started = false
    this.status = 0
    this.bytes = 0
    this.answer = promise
    this.inbound = inbound
    this.asked = asked
    this.maxDepth = maxDepth
    this.signal = signal
    this.resolve = resolve
    this.reject = reject
    this.relay = null
    this.outer = null
    this.timer = null
    this.splitter = null
    this.chunks = []
    this.found = null
    this.question = ''
  }

  begin(relay: Relay, outer: LiveExchange, timeoutMs: number): void {
    this.relay = relay
    this.outer = outer
    this.timer = setTimeout(() => this.stop('upstream_timeout', `no answer to ${this.asked.method} in time`), timeoutMs)
    this.signal.addEventListener('abort', this, { once: true })
    relay.start()
  }

  /** The signal: whoever wanted the answer does not want it any more. */
  handleEvent(): void {
    this.stop('upstream_broken', 'the exchange has ended')
  }

  head(status: number, headers: string[]): void {
    this.status = status
    this.splitter = new AnswerHead(status, headers).body === 'sse' ? new SseSplitter(MAX_ANSWER_BYTES) : null
  }

  flush(): void {
    this.started = true
  }

  write(chunk: Uint8Array): boolean {
    this.started = true
    this.bytes += chunk.byteLength
    if (this.bytes > MAX_ANSWER_BYTES) this.onOversize()
    else if (this.splitter === null) this.chunks.push(Buffer.from(chunk))
    else this.splitter.push(Buffer.from(chunk), this)
    return true
  }

  end(chunk: Uint8Array | null): void {
    if (chunk !== null) this.write(chunk)
    if (this.splitter === null) this.take(Buffer.concat(this.chunks))
    this.settle()
  }

  destroy(): void {
    this.settle()
  }

  onEvent(_raw: Buffer, data: Buffer | null): void {
    if (data !== null) this.take(data)
  }

  onOversize(): void {
    // Called from within the relay: it must come to its own end first.
    queueMicrotask(() => this.stop('message_too_large', `the answer to ${this.asked.method} is too large`))
  }

  private take(body: Buffer): void {
    const envelope = scan(body, this.maxDepth)
    if (!(envelope instanceof Envelope)) return
    if (envelope.kind === 'request') {
      this.refuse(envelope)
    } else if (envelope.kind === 'response' && envelope.idText === this.asked.idText) {
      this.found ??= new WireMessage('toClient', envelope, body, this.asked.method, this.asked.name)
    }
  }

  /** The server asks a client that is not there: what it makes of that is not what the client would have got. */
  private refuse({ idText, method }: Envelope): void {
    const isPing = method === 'ping'
    const text = 'no client is there to answer'
    answerServer(this.inbound, isPing ? resultAnswer(idText, {}, false) : errorAnswer(idText, 'denied', text, null))
    if (!isPing) this.question = method
  }

  private settle(): void {
    this.clear()
    const { withheld, withheldName } = (this.relay as Relay).exchange
    if (withheld !== '') this.outer?.withhold(withheld, withheldName ? 'all' : 'values')
    const error = this.failure()
    if (error === null) this.resolve(this.found as WireMessage)
    else this.reject(error)
  }

  private failure(): SluiceError | null {
    const { status, code, reason } = (this.relay as Relay).tally
    // An error page that nobody can read is first of all a server that failed.
    const page = code === 'uninspectable' && this.status >= 500
    if (status === 'failed' && page) return new SluiceError('upstream_broken', reason)
    if (status === 'failed' || status === 'denied') return new SluiceError(code ?? 'internal', reason)
    if (this.question !== '') return new SluiceError('denied', `the server asked the client: ${this.question}`)
    if (this.found !== null) return null
    const text = `no answer to ${this.asked.method} (HTTP ${this.status})`
    const refused = this.status === 401 || this.status === 403
    return new SluiceError(refused ? 'upstream_unauthorized' : 'upstream_broken', text)
  }

  private stop(code: ErrorCode, text: string): void {
    this.clear()
    this.reject(new SluiceError(code, text))
    this.relay?.onClose()
  }

  private clear(): void {
    if (this.timer !== null) clearTimeout(this.timer)
    this.timer = null
    this.signal.removeEventListener('abort', this)
    this.chunks = []
  }
}
