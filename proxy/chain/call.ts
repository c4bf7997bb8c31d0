import { type CallOptions, type JsonObject, SluiceError } from '../api/index.ts'
import { Envelope } from '../message/envelope.ts'
import { encodeHeaderValue, needsMcpName } from '../message/mcp-headers.ts'
import { WireMessage } from '../message/message.ts'
import { scan } from '../message/scan.ts'
import { SseSplitter } from '../message/sse.ts'
import type { Flow, UpstreamRequest, UpstreamSink } from '../upstream/upstream.ts'
import type { LiveExchange } from './exchange.ts'
import { AnswerHead } from './head.ts'
import type { Inbound, RelayServices } from './ports.ts'
import { hashKeyOf } from './request-facts.ts'

/** Largest answer to a message of the proxy's own, in bytes. */
export const MAX_ANSWER_BYTES = 16 * 1024 * 1024
/** Longest wait for it, in milliseconds. */
export const TIMEOUT_MS = 30_000

const ENVELOPE_PREFIX = 'io.modelcontextprotocol/'
let sequence = 0

/** A message of the proxy's own, ready to be sent. */
export interface OwnMessage {
  readonly body: Buffer
  readonly envelope: Envelope
}

/**
 * Makes a request of the proxy's own out of what an interceptor gave.
 * @param original the client's message: a modern call carries its envelope
 * @throws TypeError when it is no request
 */
export function ownMessage(
  services: RelayServices,
  inbound: Inbound,
  original: WireMessage,
  message: JsonObject,
): OwnMessage {
  if (typeof message['method'] !== 'string') throw new TypeError('Exchange.call: expected a JSON-RPC request')
  const id = `sluice-${++sequence}`
  const params = withEnvelope(message['params'], inbound, original)
  const body = Buffer.from(JSON.stringify({ ...message, jsonrpc: '2.0', id, ...(params === null ? {} : { params }) }))
  const envelope = scan(body, services.maxDepth)
  if (!(envelope instanceof Envelope)) throw new TypeError(`Exchange.call: ${envelope.text}`)
  return { body, envelope }
}

/**
 * Sends a message of the proxy's own to the server of an exchange, in the same session and era, outside the chain.
 * @param original the client's message: a modern call carries its envelope
 * @throws SluiceError when the server cannot be asked or does not answer
 */
export function callServer(
  services: RelayServices,
  inbound: Inbound,
  exchange: LiveExchange,
  original: WireMessage,
  message: JsonObject,
  options: CallOptions = {},
): Promise<WireMessage> {
  const { body, envelope } = ownMessage(services, inbound, original, message)
  const headers = ownHeaders(inbound, envelope.method, envelope.name)
  const { signal = exchange.signal, timeoutMs = TIMEOUT_MS } = options
  if (signal.aborted) return Promise.reject(new SluiceError('upstream_broken', 'the exchange has ended'))
  return new Promise((resolve, reject) => {
    const sink = new CallSink(services, exchange, envelope, signal, timeoutMs, resolve, reject)
    signal.addEventListener('abort', sink, { once: true })
    inbound.upstream.send(ownRequest(inbound, headers, body, timeoutMs), sink)
  })
}

/** Sends an answer to a server's own request, in place of the client's; nobody waits for what becomes of it. */
export function answerServer(inbound: Inbound, body: Buffer): void {
  inbound.upstream.send(ownRequest(inbound, ownHeaders(inbound, '', ''), body, TIMEOUT_MS), new IgnoringSink())
}

function ownRequest(inbound: Inbound, headers: string[], body: Buffer, timeoutMs: number): UpstreamRequest {
  return {
    method: 'POST',
    headers,
    body,
    query: inbound.query,
    lane: 'stream',
    replica: inbound.session === null ? '' : inbound.session.replica,
    client: inbound.principal.id,
    idleTimeoutMs: timeoutMs,
    firstByteTimeoutMs: timeoutMs,
    repeatable: false,
    reads: false,
    rpc: '',
    tool: '',
    hashKey: by => hashKeyOf(inbound, null, by),
  }
}

/** A modern request carries version and capabilities in its body; ours speaks with those of the client. */
function withEnvelope(params: unknown, inbound: Inbound, original: WireMessage): JsonObject | null {
  const own = typeof params === 'object' && params !== null ? (params as JsonObject) : null
  if (inbound.era === 'legacy') return own
  const meta = (original.json()['params'] as JsonObject | undefined)?.['_meta'] as JsonObject | undefined
  const merged: JsonObject = {}
  for (const key of Object.keys(meta ?? {})) if (key.startsWith(ENVELOPE_PREFIX)) merged[key] = meta?.[key] ?? null
  return { ...own, _meta: { ...merged, ...(own?.['_meta'] as JsonObject | undefined) } }
}

/** What goes to the server with a message of ours. */
function ownHeaders(inbound: Inbound, method: string, name: string): string[] {
  const headers = fieldsFor(inbound, method, name)
  headers.push('accept-encoding', 'identity')
  if (inbound.session !== null) headers.push('mcp-session-id', inbound.session.upstreamId)
  return headers
}

/** The client's header fields that are not about its own message, and those about ours. */
export function fieldsFor(inbound: Inbound, method: string, name: string): string[] {
  const headers: string[] = []
  const theirs = inbound.upstreamHeaders
  for (let i = 0; i < theirs.length; i += 2) {
    const field = theirs[i] as string
    if (ABOUT_MESSAGE.has(field) || field.startsWith('mcp-param-')) continue
    headers.push(field, theirs[i + 1] as string)
  }
  headers.push('content-type', 'application/json', 'accept', 'application/json, text/event-stream')
  if (inbound.era === 'modern' && method !== '') {
    headers.push('mcp-method', method)
    if (needsMcpName(method)) headers.push('mcp-name', encodeHeaderValue(name))
  }
  return headers
}

const ABOUT_MESSAGE = new Set([
  'accept',
  'accept-encoding',
  'content-type',
  'last-event-id',
  'mcp-method',
  'mcp-name',
  'mcp-session-id',
])

/** Collects the one answer of a call, from JSON or from an event stream. */
class CallSink implements UpstreamSink {
  private readonly services: RelayServices
  private readonly exchange: LiveExchange
  private readonly asked: Envelope
  private readonly method: string
  private readonly signal: AbortSignal
  private readonly resolve: (answer: WireMessage) => void
  private readonly reject: (error: Error) => void
  private flow: Flow | null
  private splitter: SseSplitter | null
  private chunks: Buffer[]
  private bytes: number
  private status: number
  private readonly timer: NodeJS.Timeout
  private over: boolean

  constructor(
    services: RelayServices,
    exchange: LiveExchange,
    asked: Envelope,
    signal: AbortSignal,
    timeoutMs: number,
    resolve: (answer: WireMessage) => void,
    reject: (error: Error) => void,
  ) {
    this.services = services
    this.exchange = exchange
    this.asked = asked
    this.method = asked.method
    this.signal = signal
    this.resolve = resolve
    this.reject = reject
    this.flow = null
    this.splitter = null
    this.chunks = []
    this.bytes = 0
    this.status = 0
    this.timer = setTimeout(() => this.fail('upstream_timeout', `no answer to ${this.method} in time`), timeoutMs)
    this.over = false
  }

  /** The exchange has ended: so has this call. */
  handleEvent(): void {
    this.fail('upstream_broken', 'the exchange has ended')
  }

  onFlow(flow: Flow): void {
    this.flow = flow
  }

  onSecret(name: string, usedFor: string): void {
    this.exchange.used(name, usedFor)
  }

  onHead(status: number, headers: string[]): void {
    this.status = status
    if (new AnswerHead(status, headers).body === 'sse') this.splitter = new SseSplitter(MAX_ANSWER_BYTES)
  }

  onData(chunk: Buffer): void {
    if (this.over) return
    this.bytes += chunk.length
    if (this.bytes > MAX_ANSWER_BYTES) this.fail('message_too_large', `the answer to ${this.method} is too large`)
    else if (this.splitter !== null) this.splitter.push(chunk, this)
    else this.chunks.push(chunk)
  }

  onEvent(_raw: Buffer, data: Buffer | null): void {
    if (data !== null) this.take(data)
  }

  onOversize(): void {
    this.fail('message_too_large', `the answer to ${this.method} is too large`)
  }

  onEnd(): void {
    if (this.splitter === null) this.take(Buffer.concat(this.chunks))
    this.fail('upstream_broken', `no answer to ${this.method} (HTTP ${this.status})`)
  }

  onFail(error: SluiceError): void {
    this.settle()
    this.reject(error)
  }

  private take(body: Buffer): void {
    const envelope = scan(body, this.services.maxDepth)
    if (this.over || !(envelope instanceof Envelope) || envelope.kind !== 'response') return
    if (envelope.idText !== this.asked.idText) return
    this.settle()
    this.resolve(new WireMessage('toClient', envelope, body, this.method, this.asked.name))
  }

  private fail(code: 'upstream_timeout' | 'upstream_broken' | 'message_too_large', text: string): void {
    if (this.over) return
    this.settle()
    this.reject(new SluiceError(code, text))
  }

  private settle(): void {
    this.over = true
    clearTimeout(this.timer)
    this.signal.removeEventListener('abort', this)
    this.flow?.abort()
  }
}

class IgnoringSink implements UpstreamSink {
  onFlow(): void {}
  onHead(): void {}
  onData(): void {}
  onEnd(): void {}
  onFail(): void {}
}
