import { once } from 'node:events'
import type http from 'node:http'
import { deferred } from './scope.ts'

/** Header names and values: an object, or the raw list (`[name, value, name, value]`) for duplicates and odd cases. */
export type HeaderInput = Record<string, string | string[]> | string[]

/** A body: bytes or text go out exactly as given, an object as `JSON.stringify` writes it. */
export type BodyInput = Uint8Array | string | object

/** Turns a body into the bytes that go out. */
export function toBytes(body: BodyInput): Buffer {
  if (typeof body === 'string') return Buffer.from(body)
  if (body instanceof Uint8Array) return Buffer.from(body.buffer, body.byteOffset, body.byteLength)
  return Buffer.from(JSON.stringify(body))
}

/** How a stream to the proxy ended: by `end()`, or because the other side (or we) closed the connection before. */
export type StreamEnd = 'ended' | 'cut'

/** What a script does with one request: exactly one of the methods below. */
export class ScriptedAnswer {
  readonly outgoing: http.ServerResponse
  /** Settles when the answer is sent, or when the connection broke before. See `StreamEnd`. */
  readonly closed: Promise<StreamEnd>
  /** Whether `closed` has settled. */
  isClosed = false

  constructor(outgoing: http.ServerResponse) {
    this.outgoing = outgoing
    const closed = deferred<StreamEnd>()
    this.closed = closed.promise
    outgoing.on('error', () => {})
    outgoing.once('close', () => {
      this.isClosed = true
      closed.resolve(outgoing.writableFinished ? 'ended' : 'cut')
    })
  }

  /** One JSON body with `content-length`; status 200 and `application/json` unless told otherwise. */
  json(body: BodyInput, options: { status?: number; headers?: HeaderInput } = {}): void {
    this.#whole(options.status ?? 200, body, { 'content-type': 'application/json' }, options.headers)
  }

  /** A status with an optional body (`text/plain` unless the headers say otherwise). */
  status(status: number, body: BodyInput = '', headers?: HeaderInput): void {
    this.#whole(status, body, toBytes(body).length > 0 ? { 'content-type': 'text/plain' } : {}, headers)
  }

  /** Begins an SSE answer: the head is sent at once, the events when the script writes them. */
  sse(headers?: HeaderInput, status = 200): ScriptedStream {
    return this.stream(
      status,
      withDefaults({ 'content-type': 'text/event-stream', 'cache-control': 'no-cache' }, headers),
    )
  }

  /** An SSE answer from these pieces, each flushed by itself; then the stream ends. */
  async events(pieces: readonly BodyInput[], headers?: HeaderInput): Promise<void> {
    const stream = this.sse(headers)
    for (const piece of pieces) await stream.write(piece)
    stream.end()
  }

  /** Begins an answer of any kind; the head is sent at once. Without `content-length` the body is chunked. */
  stream(status: number, headers: HeaderInput): ScriptedStream {
    this.outgoing.writeHead(status, headers as http.OutgoingHttpHeaders)
    this.outgoing.flushHeaders()
    return new ScriptedStream(this)
  }

  /** Never answers. Await `closed` to see the proxy give up. */
  hang(): void {
    // Nothing is sent: the name tells readers of a script that this is on purpose.
  }

  /** Cuts the connection without an answer, as a crashing server does. */
  destroy(): void {
    this.outgoing.socket?.destroy()
  }

  /** Cuts the connection with a TCP reset. */
  reset(): void {
    this.outgoing.socket?.resetAndDestroy()
  }

  /** Writes bytes past node:http onto the socket: broken heads, two answers, bad chunk sizes. */
  raw(bytes: Uint8Array | string): void {
    this.outgoing.socket?.write(bytes)
  }

  #whole(status: number, body: BodyInput, defaults: Record<string, string>, headers?: HeaderInput): void {
    const bytes = toBytes(body)
    if (bytes.length > 0 || status !== 202) defaults['content-length'] = String(bytes.length)
    this.outgoing.writeHead(status, withDefaults(defaults, headers) as http.OutgoingHttpHeaders)
    this.outgoing.end(bytes)
  }
}

/** The body of an answer in progress. */
export class ScriptedStream {
  readonly answer: ScriptedAnswer
  /** Bytes given to `write` so far. */
  written = 0

  constructor(answer: ScriptedAnswer) {
    this.answer = answer
  }

  /** Settles when the stream has ended or was cut: how a script sees that the proxy left. */
  get closed(): Promise<StreamEnd> {
    return this.answer.closed
  }

  get isClosed(): boolean {
    return this.answer.isClosed
  }

  /** Bytes of this answer that the system has not taken from us yet: it grows while the other side does not read. */
  get queuedBytes(): number {
    return this.answer.outgoing.writableLength
  }

  /**
   * Writes these bytes as one piece of their own. Resolves when the system took them (so a piece is flushed before the next one),
   * or when the connection closed.
   */
  async write(piece: BodyInput): Promise<void> {
    if (this.isClosed) return
    const bytes = toBytes(piece)
    this.written += bytes.length
    const flushed = new Promise<void>(resolve => this.answer.outgoing.write(bytes, () => resolve()))
    await Promise.race([flushed, this.closed])
  }

  /**
   * Writes `chunk` again and again until `total` bytes are out, the connection closed, or the other side stopped taking bytes for
   * `quietMs`. Gives the bytes the other side took: with a client that does not read, this is what all buffers between hold.
   */
  async pump(chunk: Uint8Array, total: number, quietMs = 250): Promise<number> {
    const { outgoing } = this.answer
    let taken = 0
    while (taken < total && !this.isClosed) {
      this.written += chunk.length
      if (outgoing.write(chunk)) {
        taken += chunk.length
        continue
      }
      if (!(await drained(outgoing, this.closed, quietMs))) break
      taken += chunk.length
    }
    return taken
  }

  end(piece?: BodyInput): void {
    if (piece === undefined) this.answer.outgoing.end()
    else this.answer.outgoing.end(toBytes(piece))
  }

  /** Cuts the connection in the middle of the answer, as a dying server does. */
  destroy(): void {
    this.answer.destroy()
  }
}

async function drained(outgoing: http.ServerResponse, closed: Promise<unknown>, quietMs: number): Promise<boolean> {
  const quiet = AbortSignal.timeout(quietMs)
  try {
    await Promise.race([once(outgoing, 'drain', { signal: quiet }), closed])
    return true
  } catch {
    return false
  }
}

function withDefaults(defaults: Record<string, string>, headers: HeaderInput | undefined): HeaderInput {
  if (headers === undefined) return defaults
  const given = Array.isArray(headers) ? headers.filter((_, i) => i % 2 === 0) : Object.keys(headers)
  const taken = new Set(given.map(name => name.toLowerCase()))
  const rest = Object.entries(defaults).filter(([name]) => !taken.has(name))
  return Array.isArray(headers) ? [...rest.flat(), ...headers] : { ...Object.fromEntries(rest), ...headers }
}
