import { once } from 'node:events'
import net, { type Socket } from 'node:net'
import { type Scope, within } from './scope.ts'

/** The head of a raw response: everything before the empty line. */
export interface RawHead {
  readonly statusLine: string
  readonly status: number
  /** Names and values in turn, as on the wire. */
  readonly rawHeaders: readonly string[]
  /** The first value of a header, or `undefined`. */
  header(name: string): string | undefined
  /** Bytes of the head, the empty line included. */
  readonly byteLength: number
}

/** Bytes as they arrived, with the time of arrival (`performance.now()`). */
export interface TimedChunk {
  readonly at: number
  readonly bytes: Buffer
}

/** A TCP connection that says exactly what a test tells it to say: request smuggling, fuzzing, slow clients. */
export class RawClient {
  readonly socket: Socket
  readonly chunks: TimedChunk[] = []
  /** Whether the other side (or an error) closed the connection. */
  isClosed = false
  /** The error that closed it, if there was one, for example `ECONNRESET`. */
  error: NodeJS.ErrnoException | undefined
  #consumed = 0
  #wake: (() => void)[] = []

  constructor(socket: Socket) {
    this.socket = socket
    socket.on('data', (bytes: Buffer) => {
      this.chunks.push({ at: performance.now(), bytes })
      this.#wakeAll()
    })
    socket.on('error', error => {
      this.error = error
    })
    socket.once('end', () => this.#close())
    socket.once('close', () => this.#close())
  }

  /** All bytes since the connection was made. */
  get received(): Buffer {
    return Buffer.concat(this.chunks.map(chunk => chunk.bytes))
  }

  /** The bytes that no `read…` call has taken yet. */
  get rest(): Buffer {
    return this.received.subarray(this.#consumed)
  }

  /** Sends these bytes; resolves when the system took them or the connection broke. */
  async send(bytes: Uint8Array | string): Promise<void> {
    if (this.socket.destroyed) return
    await new Promise<void>(resolve => this.socket.write(bytes, () => resolve()))
  }

  /** Sends them one byte a packet (best effort: a turn of the event loop apart). */
  async sendByByte(bytes: Uint8Array): Promise<void> {
    for (const byte of bytes) {
      await this.send(Uint8Array.of(byte))
      await new Promise(resolve => setImmediate(resolve))
    }
  }

  /** Takes the next response head. @throws Error if the connection ends before there is one */
  async readHead(): Promise<RawHead> {
    await this.#until(() => this.rest.includes('\r\n\r\n'), 'a response head')
    const end = this.rest.indexOf('\r\n\r\n')
    if (end < 0) throw new Error(`the connection ended before a head: ${JSON.stringify(this.rest.toString('latin1'))}`)
    const head = parseHead(this.rest.subarray(0, end + 4))
    this.#consumed += head.byteLength
    return head
  }

  /** Takes a whole response: its head and its body, by `content-length`, by chunks or by the end of the connection. */
  async readResponse(): Promise<{ head: RawHead; body: Buffer }> {
    const head = await this.readHead()
    const length = head.header('content-length')
    if (length !== undefined) return { head, body: await this.readBytes(Number(length)) }
    if (head.header('transfer-encoding')?.toLowerCase() === 'chunked') return { head, body: await this.#readChunked() }
    if (head.status === 204 || head.status === 304 || head.status < 200) return { head, body: Buffer.alloc(0) }
    await this.closed()
    return { head, body: this.#take(this.rest.length) }
  }

  /** Takes exactly `count` bytes, or fewer if the connection ends. */
  async readBytes(count: number): Promise<Buffer> {
    await this.#until(() => this.rest.length >= count, `${count} bytes of a response`)
    return this.#take(Math.min(count, this.rest.length))
  }

  /** Waits until the bytes not taken yet contain `text` (latin1), and takes all up to its end. */
  async readTo(text: string): Promise<Buffer> {
    await this.#until(() => this.rest.includes(text, 0, 'latin1'), JSON.stringify(text))
    const at = this.rest.indexOf(text, 0, 'latin1')
    return this.#take(at < 0 ? this.rest.length : at + text.length)
  }

  /** Stops reading: what the proxy sends now backs up in its buffers. */
  pause(): void {
    this.socket.pause()
  }

  resume(): void {
    this.socket.resume()
  }

  /** Half-closes: no more bytes from us, the answer can still come. */
  end(): void {
    this.socket.end()
  }

  /** Leaves at once. */
  destroy(): void {
    this.socket.destroy()
  }

  /** Leaves with a TCP reset. */
  reset(): void {
    this.socket.resetAndDestroy()
  }

  /** Waits until the other side closed the connection. */
  async closed(): Promise<void> {
    await this.#until(() => this.isClosed, 'the other side to close the connection')
  }

  async #readChunked(): Promise<Buffer> {
    const parts: Buffer[] = []
    for (;;) {
      const size = Number.parseInt((await this.readTo('\r\n')).toString('latin1'), 16)
      if (Number.isNaN(size)) throw new Error('the connection ended inside a chunked body')
      const part = (await this.readBytes(size + 2)).subarray(0, size)
      if (size === 0) return Buffer.concat(parts)
      parts.push(part)
    }
  }

  #take(count: number): Buffer {
    const taken = this.rest.subarray(0, count)
    this.#consumed += taken.length
    return taken
  }

  async #until(check: () => boolean, what: string): Promise<void> {
    while (!check() && !this.isClosed) {
      await within(new Promise<void>(resolve => this.#wake.push(resolve)), what)
    }
  }

  #close(): void {
    this.isClosed = true
    this.#wakeAll()
  }

  #wakeAll(): void {
    for (const wake of this.#wake.splice(0)) wake()
  }
}

/** Connects to `http://host:port…` (or a port of 127.0.0.1) without sending anything; destroyed with `scope`. */
export async function connectRaw(scope: Scope, target: string | number): Promise<RawClient> {
  const url = typeof target === 'number' ? undefined : new URL(target)
  const socket = net.connect({ host: url?.hostname ?? '127.0.0.1', port: url ? Number(url.port) : Number(target) })
  const client = new RawClient(socket)
  scope.after(() => client.destroy())
  await once(socket, 'connect')
  socket.setNoDelay(true)
  return client
}

/**
 * Builds a POST head and body as bytes. `headers` come after `Host` and before `Content-Length`; give a `content-length` or a
 * `transfer-encoding` yourself and none is added.
 */
export function rawPost(target: string, host: string, headers: readonly string[], body: Uint8Array | string): Buffer {
  const bytes = Buffer.from(body as string)
  const framed = headers.some(line => /^(content-length|transfer-encoding)\s*:/i.test(line))
  const lines = [`POST ${target} HTTP/1.1`, `Host: ${host}`, ...headers]
  if (!framed) lines.push(`Content-Length: ${bytes.length}`)
  return Buffer.concat([Buffer.from(`${lines.join('\r\n')}\r\n\r\n`, 'latin1'), bytes])
}

function parseHead(bytes: Buffer): RawHead {
  const [statusLine = '', ...lines] = bytes.toString('latin1').trimEnd().split('\r\n')
  const rawHeaders = lines.flatMap(line => {
    const colon = line.indexOf(':')
    return [line.slice(0, colon), line.slice(colon + 1).trim()]
  })
  return {
    statusLine,
    status: Number(statusLine.split(' ')[1]),
    rawHeaders,
    byteLength: bytes.length,
    header: name => {
      const at = rawHeaders.findIndex((entry, i) => i % 2 === 0 && entry.toLowerCase() === name.toLowerCase())
      return at < 0 ? undefined : rawHeaders[at + 1]
    },
  }
}
