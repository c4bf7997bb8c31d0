import { type ByteLink, connectLocally } from '../../base/local-link.ts'
import type { AnswerHead } from './answer-head.ts'
import { AnswerReader, type AnswerSink } from './answer-reader.ts'
import { connect, type OnRead } from './connect.ts'
import { ConnectionError } from './connection-error.ts'
import { type Outgoing, requestBytes } from './request-bytes.ts'

/** Holds the request that runs on a connection; good until its end or error. */
export interface RequestControl {
  abort(reason: Error): void
  pause(): void
  resume(): void
}

/** Who gets an answer. */
export interface AnswerHandler {
  /** The connection is there; the request leaves when this returns, unless it was aborted. */
  onRequestStart(control: RequestControl): void
  /** @param fields end-to-end header fields: name (lower-case), value, in the order they came */
  onAnswerHead(control: RequestControl, status: number, fields: string[]): void
  onResponseData(control: RequestControl, chunk: Buffer): void
  /** Whether nobody holds any chunk of the answer any more: their bytes may be overwritten. */
  isFlushed(): boolean
  /** The connection is free for the next request. */
  onResponseEnd(): void
  /** The same, after a failure. */
  onResponseError(control: RequestControl, error: Error): void
}

export interface PlainOptions {
  /** An `http:` origin. */
  readonly origin: string
  /** Path of a unix socket, in place of the origin's address; `''` = none. */
  readonly socketPath: string
  /** How long connecting may take, in milliseconds; 0 = as long as the system lets it. */
  readonly connectMs: number
  readonly maxHeadBytes: number
  /** How long it may stand idle where the server does not say, in milliseconds. */
  readonly keepAliveMs: number
}

/** What all connections read into: a read is over, and its bytes copied, before the next one begins. */
const READ_BUFFER = Buffer.allocUnsafeSlow(65_536)

/** Reads of so many bytes and more are copied into memory that is used again, where nobody holds it. */
const MIN_SLAB_READ = 16_384

/** How much earlier than the server says an idle connection is given up, so that no request meets its end. */
const KEEP_ALIVE_MARGIN_MS = 2_000
const MAX_KEEP_ALIVE_MS = 600_000

const HTTP_PORT = 80

/**
 * One HTTP/1.1 connection without TLS, for one request at a time; it connects when there is a request and none is open. It does
 * what undici's `Client` does for the same, which is more general, and dearer (decision 17).
 */
export class PlainConnection implements AnswerSink, RequestControl {
  private readonly options: PlainOptions
  private readonly url: URL
  private readonly onread: OnRead
  /** Told when it is not connected any more. */
  private readonly onGone: (connection: PlainConnection) => void
  private readonly reader: AnswerReader
  private socket: ByteLink | null
  private connecting: boolean
  private closed: boolean
  private handler: AnswerHandler | null
  /** The request, until it is written. */
  private outgoing: Outgoing | null
  private head: AnswerHead | null
  private paused: boolean
  /** Whether the reader is at work further up the stack. */
  private reading: boolean
  /** What was read and not looked at, because the handler has paused. */
  private held: Buffer | null
  /** Memory for large reads; `null` = none needed yet. */
  private slab: Buffer | null
  /** Until when it may stand idle, by `performance.now()`; 0 = it is not idle. */
  private idleUntil: number
  private idleTimer: NodeJS.Timeout | null

  constructor(options: PlainOptions, onGone: (connection: PlainConnection) => void) {
    this.options = options
    this.url = new URL(options.origin)
    this.onread = { buffer: READ_BUFFER, callback: (count: number): boolean => this.onRead(count) }
    this.onGone = onGone
    this.reader = new AnswerReader(this, options.maxHeadBytes)
    this.socket = null
    this.connecting = false
    this.closed = false
    this.handler = null
    this.outgoing = null
    this.head = null
    this.paused = false
    this.reading = false
    this.held = null
    this.slab = null
    this.idleUntil = 0
    this.idleTimer = null
  }

  /** Sends a request; the connection must be free. */
  dispatch(outgoing: Outgoing, handler: AnswerHandler): void {
    // Its timer may be late, or may have been set for a longer time.
    if (this.socket !== null && this.idleUntil <= performance.now()) this.drop()
    this.handler = handler
    this.outgoing = outgoing
    this.head = null
    this.paused = false
    this.held = null
    this.idleUntil = 0
    if (this.closed) this.fail(destroyed())
    else if (this.socket !== null) this.begin(this.socket)
    else if (!this.connecting) this.connect()
  }

  /** Ends it as soon as it is free. */
  close(): Promise<void> {
    this.closed = true
    if (this.handler === null) this.drop()
    return Promise.resolve()
  }

  /** Ends it now, and its request. */
  destroy(): Promise<void> {
    this.closed = true
    this.drop()
    this.fail(destroyed())
    return Promise.resolve()
  }

  pause(): void {
    this.paused = true
    this.reader.halted = true
    this.socket?.pause()
  }

  resume(): void {
    if (!this.paused) return
    this.paused = false
    this.reader.halted = false
    if (!this.reading) this.readHeld()
    if (!this.paused) this.socket?.resume()
  }

  private readHeld(): void {
    const held = this.held
    this.held = null
    if (held !== null) this.read(held)
    else if (this.reader.ended) this.finish(false)
  }

  abort(reason: Error): void {
    if (this.handler === null) return
    // What was sent cannot be taken back: its answer would come over this connection.
    if (this.outgoing === null) this.drop()
    else if (this.socket !== null) this.rest(-1)
    this.fail(reason)
  }

  onAnswerHead(head: AnswerHead): void {
    this.head = head
    this.handler?.onAnswerHead(this, head.status, head.fields)
  }

  onAnswerData(chunk: Buffer): void {
    this.handler?.onResponseData(this, chunk)
  }

  private connect(): void {
    const { socketPath, connectMs: timeoutMs } = this.options
    const local = socketPath === '' ? null : connectLocally(socketPath)
    if (local !== null) {
      local.on('data', chunk => this.onChunk(chunk))
      this.connected(local)
      return
    }
    const { hostname: host, port } = this.url
    const hostname = host.startsWith('[') ? host.slice(1, -1) : host
    const destination = { hostname, port: port === '' ? HTTP_PORT : Number(port), socketPath, timeoutMs }
    this.connecting = true
    connect(destination, this.onread, (error, socket) => {
      this.connecting = false
      if (socket === null) this.connectFailed(error as Error)
      else if (this.closed && this.handler === null) socket.destroy()
      else this.connected(socket)
    })
  }

  private connectFailed(error: Error): void {
    this.fail(error)
    if (this.handler === null) this.onGone(this)
  }

  private connected(socket: ByteLink): void {
    this.socket = socket
    socket.on('error', error => this.lost(socket, error))
    socket.on('end', () => this.lost(socket, new ConnectionError('UND_ERR_SOCKET', 'other side closed')))
    socket.on('close', () => this.gone(socket))
    if (this.handler !== null) this.begin(socket)
    else this.rest(-1)
  }

  private begin(socket: ByteLink): void {
    const handler = this.handler as AnswerHandler
    handler.onRequestStart(this)
    // It was given up meanwhile; the connection may even run the next one.
    if (this.handler !== handler || this.outgoing === null) return
    const { outgoing } = this
    try {
      const { bytes, complete } = requestBytes(outgoing, this.url.host)
      this.outgoing = null
      if (complete) {
        socket.write(bytes)
      } else {
        socket.cork()
        socket.write(bytes)
        socket.write(outgoing.body as Uint8Array)
        socket.uncork()
      }
    } catch (error) {
      this.abort(error as Error)
    }
  }

  /** @returns whether to read on */
  private onRead(count: number): boolean {
    if (!this.isAwaited()) return false
    this.read(this.copied(count))
    return !this.paused
  }

  /** From a server in this process: bytes that stay as they are. */
  private onChunk(chunk: Buffer): void {
    if (this.isAwaited()) this.read(chunk)
  }

  private isAwaited(): boolean {
    if (this.handler !== null && this.outgoing === null) return true
    // Nobody asked for this.
    this.drop()
    return false
  }

  /** What was read, in memory that stays as it is for as long as somebody holds it. */
  private copied(count: number): Buffer {
    const own = count < MIN_SLAB_READ ? Buffer.allocUnsafe(count) : this.roomFor(count)
    READ_BUFFER.copy(own, 0, 0, count)
    return own
  }

  /**
   * Memory for a large read: that of the last one where nobody holds that any more. What is outside of the heap is collected late,
   * so a fresh piece for each read of large answers would be tens of megabytes of garbage.
   */
  private roomFor(count: number): Buffer {
    if (this.handler?.isFlushed() !== true) return Buffer.allocUnsafeSlow(count)
    this.slab ??= Buffer.allocUnsafeSlow(READ_BUFFER.length)
    return this.slab.subarray(0, count)
  }

  private read(bytes: Buffer): void {
    this.reading = true
    const { handler } = this
    let used = 0
    try {
      used = this.reader.read(bytes)
    } catch (error) {
      this.reading = false
      if (this.handler !== handler) return
      this.drop()
      this.fail(error as Error)
      return
    }
    this.reading = false
    // Given up meanwhile, and with it what is left.
    if (this.handler !== handler) return
    if (this.paused) {
      if (used < bytes.length) this.held = bytes.subarray(used)
      return
    }
    if (this.reader.ended) this.finish(used < bytes.length)
  }

  /** The answer is complete. @param extra whether something came behind it, which cannot be an answer to anything */
  private finish(extra: boolean): void {
    const { handler, socket } = this
    const head = this.head
    this.handler = null
    this.head = null
    this.slab = null
    this.reader.reset()
    const isWritten = socket !== null && socket.writableLength === 0
    if (extra || !isWritten || this.closed || head === null || !head.reusable) this.drop()
    else this.rest(head.keepAliveMs)
    handler?.onResponseEnd()
  }

  /** Stands idle from now on. @param hintMs how long the server keeps it, as it says; -1 = it does not say */
  private rest(hintMs: number): void {
    const ms = hintMs === -1 ? this.options.keepAliveMs : Math.min(hintMs - KEEP_ALIVE_MARGIN_MS, MAX_KEEP_ALIVE_MS)
    if (ms <= 0) {
      this.drop()
      return
    }
    this.idleUntil = performance.now() + ms
    if (this.idleTimer === null) this.idleTimer = setTimeout(onIdle, ms, this).unref()
  }

  /** One timer for many idle times: it looks whether there is one, and whether it is over. */
  onIdleTimer(): void {
    this.idleTimer = null
    if (this.socket === null || this.handler !== null) return
    const left = this.idleUntil - performance.now()
    if (left <= 0) this.drop()
    else this.idleTimer = setTimeout(onIdle, left, this).unref()
  }

  private fail(error: Error): void {
    const { handler } = this
    if (handler === null) return
    this.handler = null
    this.outgoing = null
    this.head = null
    this.held = null
    this.slab = null
    this.reader.halted = true
    this.reader.reset()
    handler.onResponseError(this, error)
  }

  /** The server, or the network, has ended the connection. */
  private lost(socket: ByteLink, error: Error): void {
    if (this.socket !== socket) return
    const endsAnswer = this.reader.endsWithConnection && isEnd(error)
    this.drop()
    if (this.handler === null) return
    if (endsAnswer) this.finish(false)
    else this.fail(error)
  }

  private drop(): void {
    const { socket } = this
    this.socket = null
    socket?.destroy()
  }

  /** A socket is closed. */
  private gone(socket: ByteLink): void {
    this.lost(socket, new ConnectionError('UND_ERR_SOCKET', 'closed'))
    if (this.socket === null && this.handler === null) this.onGone(this)
  }
}

function destroyed(): ConnectionError {
  return new ConnectionError('UND_ERR_DESTROYED', 'the connection is destroyed')
}

/** Whether the server has ended the connection as it may, rather than the network. */
function isEnd(error: Error): boolean {
  return error instanceof ConnectionError && error.code === 'UND_ERR_SOCKET'
}

function onIdle(connection: PlainConnection): void {
  connection.onIdleTimer()
}
