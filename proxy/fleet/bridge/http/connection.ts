import type { ByteLink } from '../../../base/local-link.ts'
import type { Exchange } from './exchange.ts'
import { type RequestHead, readHead } from './request-head.ts'

/** Longest head of a request. */
const MAX_HEAD_BYTES = 65_536
const HEAD_END = Buffer.from('\r\n\r\n')
const NOTHING = Buffer.alloc(0)

/** What takes the requests of all connections. */
export interface RequestHandler {
  /** Largest body; a request with a larger one is refused with 413. */
  readonly maxBodyBytes: number
  /** The JSON that goes with the 413. */
  readonly tooLarge: string
  /** One whole request; `body` is a view, valid for the rest of this turn of the event loop. */
  onExchange(connection: Connection, head: RequestHead, body: Buffer): void
  onClosed(connection: Connection): void
}

/**
 * One connection of the data plane: one request at a time, no pipelining, bodies with a declared length. Whatever is not
 * exactly that ends it.
 */
export class Connection {
  readonly socket: ByteLink
  /** The exchange that runs on it. */
  exchange: Exchange | null
  /** Whether what was written last was more than the peer takes now. */
  full: boolean
  private readonly handler: RequestHandler
  private held: Buffer
  private head: RequestHead | null
  private body: Buffer
  private bodyLength: number
  private corked: boolean

  constructor(socket: ByteLink, handler: RequestHandler) {
    this.socket = socket
    this.exchange = null
    this.full = false
    this.handler = handler
    this.held = NOTHING
    this.head = null
    this.body = NOTHING
    this.bodyLength = 0
    this.corked = false
    socket.on('data', chunk => this.onData(chunk))
    socket.on('drain', () => this.onDrain())
    socket.on('end', () => socket.destroy())
    socket.on('error', () => socket.destroy())
    socket.on('close', () => this.onClose())
  }

  private onData(chunk: Buffer): void {
    if (this.exchange !== null) {
      this.socket.destroy()
    } else if (this.head !== null) {
      this.takeBody(this.head, chunk)
    } else {
      this.takeHead(this.held.length === 0 ? chunk : Buffer.concat([this.held, chunk]))
    }
  }

  private takeHead(bytes: Buffer): void {
    const end = bytes.indexOf(HEAD_END)
    if (end < 0 && bytes.length <= MAX_HEAD_BYTES) {
      this.held = bytes
      return
    }
    this.held = NOTHING
    if (end < 0 || end > MAX_HEAD_BYTES) return this.refuse(431, '')
    const head = readHead(bytes, 0, end)
    if (typeof head === 'number') return this.refuse(head, '')
    const { maxBodyBytes, tooLarge } = this.handler
    if (head.contentLength > maxBodyBytes) return this.refuse(413, tooLarge)
    const rest = bytes.subarray(end + HEAD_END.length)
    if (rest.length >= head.contentLength) {
      this.run(head, rest)
      return
    }
    this.head = head
    this.body = Buffer.allocUnsafe(head.contentLength)
    this.bodyLength = 0
    this.takeBody(head, rest)
  }

  private takeBody(head: RequestHead, chunk: Buffer): void {
    const length = this.bodyLength + chunk.length
    if (length > head.contentLength) return void this.socket.destroy()
    chunk.copy(this.body, this.bodyLength)
    this.bodyLength = length
    if (length < head.contentLength) return
    const body = this.body
    this.head = null
    this.body = NOTHING
    this.run(head, body)
  }

  private run(head: RequestHead, body: Buffer): void {
    if (body.length > Math.max(0, head.contentLength)) return void this.socket.destroy()
    this.handler.onExchange(this, head, body)
  }

  private refuse(status: number, body: string): void {
    const type = body === '' ? '' : 'content-type: application/json\r\n'
    const length = `content-length: ${Buffer.byteLength(body)}\r\n`
    this.socket.end(`HTTP/1.1 ${status} Refused\r\nconnection: close\r\n${type}${length}\r\n${body}`)
    this.socket.removeAllListeners('data')
    this.socket.resume()
  }

  /** Bytes that the peer has not taken yet. */
  get waitingBytes(): number {
    return this.socket.writableLength
  }

  write(bytes: Buffer): void {
    if (!this.socket.write(bytes)) this.full = true
  }

  /** Two pieces as one write. */
  writeBoth(first: Buffer, second: Buffer): void {
    const own = !this.corked
    if (own) this.socket.cork()
    this.socket.write(first)
    this.write(second)
    if (own) this.socket.uncork()
  }

  /** Collects writes until `uncork`. @returns whether it did not before */
  cork(): boolean {
    if (this.corked) return false
    this.corked = true
    this.socket.cork()
    return true
  }

  uncork(): void {
    this.corked = false
    this.socket.uncork()
  }

  /** The answer has been written: the connection may carry the next request. */
  release(close: boolean): void {
    this.exchange = null
    if (close) this.socket.end()
  }

  destroy(): void {
    this.socket.destroy()
  }

  /** Ends it once everything is written. */
  finish(): void {
    this.socket.destroySoon()
  }

  private onDrain(): void {
    this.full = false
    this.exchange?.onDrain()
  }

  private onClose(): void {
    const exchange = this.exchange
    this.exchange = null
    this.full = false
    this.handler.onClosed(this)
    exchange?.onGone()
  }
}
