import { once } from 'node:events'
import http from 'node:http'
import type { AddressInfo, Socket } from 'node:net'
import { deferred, type Scope, within } from './scope.ts'
import { ScriptedAnswer } from './scripted-answer.ts'

/** One request as the upstream got it: nothing normalised, nothing joined, nothing lower-cased. */
export class RecordedRequest {
  /** 0 for the first request this upstream got. */
  readonly index: number
  readonly method: string
  /** The request target, for example `/mcp?x=1`. */
  readonly target: string
  readonly httpVersion: string
  /** Names and values in turn, with the case and the order of the wire. */
  readonly rawHeaders: readonly string[]
  /** The TCP connection it came on: counts from 0, so equal numbers mean a reused connection. */
  readonly connection: number
  readonly socket: Socket
  /** The body so far; the whole of it once `complete`. */
  chunks: Buffer[] = []
  /** Whether the body came to its proper end. */
  complete = false
  /** Settles when the body is complete (`true`) or was cut off (`false`). */
  readonly ended: Promise<boolean>
  /** The node:http request, for tests that read by hand (`onHead`). */
  readonly incoming: http.IncomingMessage

  constructor(index: number, connection: number, incoming: http.IncomingMessage) {
    this.index = index
    this.connection = connection
    this.incoming = incoming
    this.method = incoming.method ?? ''
    this.target = incoming.url ?? ''
    this.httpVersion = incoming.httpVersion
    this.rawHeaders = incoming.rawHeaders
    this.socket = incoming.socket
    const ended = deferred<boolean>()
    this.ended = ended.promise
    incoming.once('end', () => {
      this.complete = true
      ended.resolve(true)
    })
    incoming.once('close', () => ended.resolve(this.complete))
    incoming.once('error', () => ended.resolve(false))
  }

  /** The body's bytes, exactly as they came (transfer coding removed). */
  get body(): Buffer {
    return Buffer.concat(this.chunks)
  }

  get text(): string {
    return this.body.toString('utf8')
  }

  /** The body as `JSON.parse` reads it; throws where it is none. */
  // biome-ignore lint/suspicious/noExplicitAny: a test knows what it sent
  json(): any {
    return JSON.parse(this.text)
  }

  /** All values of one header in the order of the wire, not joined. */
  headerValues(name: string): string[] {
    const values: string[] = []
    for (let i = 0; i + 1 < this.rawHeaders.length; i += 2) {
      if (this.rawHeaders[i]?.toLowerCase() === name.toLowerCase()) values.push(this.rawHeaders[i + 1] ?? '')
    }
    return values
  }

  /** The first value of one header, or `undefined`. */
  header(name: string): string | undefined {
    return this.headerValues(name)[0]
  }
}

/** Answers one request. A rejected or thrown error fails the test through `ScriptedUpstream.errors`. */
export type Script = (request: RecordedRequest, answer: ScriptedAnswer) => void | Promise<void>

export interface ScriptedUpstreamOptions {
  /** Answers a request whose body has arrived. Default: 200 with `{"jsonrpc":"2.0","id":<same id>,"result":{}}`. */
  script?: Script
  /**
   * Called when the head of a request is there and nothing of the body is read. Return `true` to take the request over:
   * then the body is read only if the hook does so (`request.incoming.resume()`, `.on('data')`), and `script` is not called.
   */
  onHead?: (request: RecordedRequest, answer: ScriptedAnswer) => boolean
  /** Default 127.0.0.1, and a free port. */
  host?: string
  port?: number
  /** How long an idle keep-alive connection stays open, in ms. Default 60,000. */
  keepAliveMs?: number
}

/**
 * A scripted MCP server: it knows HTTP and nothing of MCP, so that it can be as right, as wrong, as slow or as dead as a test
 * needs. `upstream.requests` holds all it got; change `upstream.script` at any time.
 */
export class ScriptedUpstream {
  readonly requests: RecordedRequest[] = []
  /** What scripts threw. */
  readonly errors: Error[] = []
  readonly server: http.Server
  readonly sockets = new Set<Socket>()
  /** Connections accepted so far. */
  connections = 0
  script: Script
  readonly #onHead: ScriptedUpstreamOptions['onHead']
  readonly #connectionIds = new WeakMap<Socket, number>()
  #taken = 0
  #waiting: (() => void)[] = []

  constructor(options: ScriptedUpstreamOptions = {}) {
    this.script = options.script ?? answerEmptyResult
    this.#onHead = options.onHead
    this.server = http.createServer({
      keepAliveTimeout: options.keepAliveMs ?? 60_000,
      requestTimeout: 0,
      headersTimeout: 0,
    })
    this.server.on('connection', socket => this.#accept(socket))
    this.server.on('request', (incoming, outgoing) => this.#take(incoming, outgoing))
    this.server.on('checkContinue', (incoming, outgoing) => {
      outgoing.writeContinue()
      this.#take(incoming, outgoing)
    })
  }

  get port(): number {
    return (this.server.address() as AddressInfo).port
  }

  /** The MCP endpoint, for example `http://127.0.0.1:40123/mcp`. */
  get url(): string {
    const { address, family, port } = this.server.address() as AddressInfo
    return `http://${family === 'IPv6' ? `[${address}]` : address}:${port}/mcp`
  }

  /** The next request nobody has taken with `next()` yet; it may still be sending its body (`await request.ended`). */
  async next(what = 'a request at the scripted upstream'): Promise<RecordedRequest> {
    const index = this.#taken++
    await this.received(index + 1, what)
    return this.requests[index] as RecordedRequest
  }

  /** Waits until `count` requests have come in all. */
  async received(count: number, what = `${count} requests at the scripted upstream`): Promise<void> {
    while (this.requests.length < count) {
      await within(new Promise<void>(resolve => this.#waiting.push(resolve)), what)
    }
  }

  /** Cuts all connections, as a server that is killed would (RST where the system allows it). */
  killConnections(): void {
    for (const socket of this.sockets) socket.resetAndDestroy()
  }

  /** Stops listening and cuts all connections. The port then refuses. */
  async close(): Promise<void> {
    const closed = this.server.listening ? once(this.server, 'close') : undefined
    this.server.close()
    for (const socket of this.sockets) socket.destroy()
    await closed
  }

  #accept(socket: Socket): void {
    this.#connectionIds.set(socket, this.connections++)
    this.sockets.add(socket)
    socket.on('error', () => {})
    socket.once('close', () => this.sockets.delete(socket))
  }

  #take(incoming: http.IncomingMessage, outgoing: http.ServerResponse): void {
    const request = new RecordedRequest(this.requests.length, this.#connectionIds.get(incoming.socket) ?? -1, incoming)
    const answer = new ScriptedAnswer(outgoing)
    incoming.on('error', () => {})
    this.requests.push(request)
    for (const wake of this.#waiting.splice(0)) wake()
    if (this.#onHead?.(request, answer)) return
    incoming.on('data', (chunk: Buffer) => request.chunks.push(chunk))
    incoming.once('end', () => this.#run(request, answer))
  }

  async #run(request: RecordedRequest, answer: ScriptedAnswer): Promise<void> {
    try {
      await this.script(request, answer)
    } catch (error) {
      this.errors.push(error as Error)
      answer.destroy()
    }
  }
}

/** Starts a scripted upstream on a free port of 127.0.0.1; it is closed with `scope`. A script that threw fails the test there. */
export async function startScriptedUpstream(
  scope: Scope,
  options: ScriptedUpstreamOptions | Script = {},
): Promise<ScriptedUpstream> {
  const settings = typeof options === 'function' ? { script: options } : options
  const upstream = new ScriptedUpstream(settings)
  upstream.server.listen(settings.port ?? 0, settings.host ?? '127.0.0.1')
  await once(upstream.server, 'listening')
  scope.after(async () => {
    await upstream.close()
    if (upstream.errors.length > 0) throw new AggregateError(upstream.errors, 'a script of the upstream threw')
  })
  return upstream
}

/** A port of 127.0.0.1 on which nobody listens (any more): connecting to it is refused. */
export async function refusedPort(): Promise<number> {
  const server = http.createServer()
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  const { port } = server.address() as AddressInfo
  server.close()
  await once(server, 'close')
  return port
}

function answerEmptyResult(request: RecordedRequest, answer: ScriptedAnswer): void {
  const id = request.method === 'POST' ? (request.json() as { id?: unknown }).id : undefined
  if (request.method !== 'POST') answer.status(405)
  else if (id === undefined) answer.status(202)
  else answer.json({ jsonrpc: '2.0', id, result: {} })
}
