import http from 'node:http'
import type { TimedChunk } from './raw-client.ts'
import { type Scope, within } from './scope.ts'
import { type BodyInput, type HeaderInput, toBytes } from './scripted-answer.ts'

export interface SendOptions {
  /** Default POST with a body, else GET. */
  method?: string
  /** An object, or the raw list of names and values (then `Host` is yours to add). */
  headers?: HeaderInput
  body?: BodyInput
  /** A keep-alive agent of the test; default: a connection of its own for each request. */
  agent?: http.Agent
  /** Do not start to read the body: `answer.resume()` does. */
  paused?: boolean
}

/** An answer in progress: its head is there, its body arrives. */
export class HttpAnswer {
  readonly status: number
  readonly headers: http.IncomingHttpHeaders
  readonly rawHeaders: readonly string[]
  /** The body's pieces as they arrived (transfer coding removed), with their times. */
  readonly chunks: TimedChunk[] = []
  /** Whether the body came to its proper end. */
  complete = false
  /** Whether the body is over, in whatever way. */
  isClosed = false
  readonly #request: http.ClientRequest
  readonly #incoming: http.IncomingMessage
  #next = 0
  #wake: (() => void)[] = []

  constructor(request: http.ClientRequest, incoming: http.IncomingMessage, paused: boolean) {
    this.#request = request
    this.#incoming = incoming
    this.status = incoming.statusCode ?? 0
    this.headers = incoming.headers
    this.rawHeaders = incoming.rawHeaders
    incoming.on('error', () => {})
    incoming.once('close', () => {
      this.complete = incoming.complete
      this.isClosed = true
      this.#wakeAll()
    })
    if (!paused) this.resume()
  }

  /** The next piece of the body in order of arrival, or `null` when the body is over. */
  async next(): Promise<Buffer | null> {
    await this.#until(() => this.#next < this.chunks.length, 'the next piece of a body')
    const chunk = this.chunks[this.#next]
    if (chunk === undefined) return null
    this.#next += 1
    return chunk.bytes
  }

  /** All bytes of the body so far. */
  get received(): Buffer {
    return Buffer.concat(this.chunks.map(chunk => chunk.bytes))
  }

  /** Waits until the body so far contains `text`. @throws Error if the body ends without it */
  async sees(text: string): Promise<void> {
    await this.#until(() => this.received.includes(text), JSON.stringify(text))
    if (!this.received.includes(text))
      throw new Error(`the body ended without ${JSON.stringify(text)}: ${this.received}`)
  }

  /** The whole body's bytes. */
  async body(): Promise<Buffer> {
    await this.#until(() => this.isClosed, 'the end of a body')
    return this.received
  }

  async text(): Promise<string> {
    return (await this.body()).toString('utf8')
  }

  /** The whole body as `JSON.parse` reads it. */
  // biome-ignore lint/suspicious/noExplicitAny: a test knows what it asked for
  async json(): Promise<any> {
    return JSON.parse(await this.text())
  }

  /** Stops reading the socket: a slow client. */
  pause(): void {
    this.#incoming.pause()
  }

  /** Reads (again). */
  resume(): void {
    if (this.#incoming.listenerCount('data') === 0) this.#incoming.on('data', (bytes: Buffer) => this.#add(bytes))
    this.#incoming.resume()
  }

  /** Leaves in the middle, as a client that goes away does. */
  destroy(): void {
    this.#request.destroy()
  }

  #add(bytes: Buffer): void {
    this.chunks.push({ at: performance.now(), bytes })
    this.#wakeAll()
  }

  async #until(check: () => boolean, what: string): Promise<void> {
    while (!check() && !this.isClosed) {
      await within(new Promise<void>(resolve => this.#wake.push(resolve)), what)
    }
  }

  #wakeAll(): void {
    for (const wake of this.#wake.splice(0)) wake()
  }
}

/** A request in progress. */
export interface HttpCall {
  readonly request: http.ClientRequest
  /** The answer's head; rejects when the connection fails before. */
  readonly answer: Promise<HttpAnswer>
  /** Leaves before the answer. */
  abort(): void
}

/** Starts a request and gives it back before its answer is there, for clients that leave early. Closed with `scope`. */
export function begin(scope: Scope, url: string, options: SendOptions = {}): HttpCall {
  const bytes = options.body === undefined ? undefined : toBytes(options.body)
  const request = http.request(url, {
    method: options.method ?? (bytes ? 'POST' : 'GET'),
    headers: framed(options.headers, bytes) as http.OutgoingHttpHeaders,
    agent: options.agent ?? false,
  })
  scope.after(() => void request.destroy())
  const answer = new Promise<HttpAnswer>((resolve, reject) => {
    request.once('response', incoming => resolve(new HttpAnswer(request, incoming, options.paused ?? false)))
    request.on('error', reject)
  })
  answer.catch(() => {})
  request.end(bytes)
  return { request, answer, abort: () => void request.destroy() }
}

/** Sends a request and waits for the head of its answer. Every header and byte is the caller's; see `mcp-messages.ts` for MCP's. */
export async function send(scope: Scope, url: string, options: SendOptions = {}): Promise<HttpAnswer> {
  return within(begin(scope, url, options).answer, `an answer from ${url}`)
}

function framed(headers: HeaderInput | undefined, bytes: Buffer | undefined): HeaderInput | undefined {
  if (bytes === undefined) return headers
  const length = ['content-length', String(bytes.length)] as const
  if (Array.isArray(headers)) {
    return headers.some((name, i) => i % 2 === 0 && /^(content-length|transfer-encoding)$/i.test(name))
      ? headers
      : [...headers, ...length]
  }
  return { [length[0]]: length[1], ...headers }
}
