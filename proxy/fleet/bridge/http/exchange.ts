import { flatten } from '../patch.ts'
import type { Connection } from './connection.ts'

/** Answers up to this size are put behind their head and written as one piece. */
const JOIN_BYTES = 65_536
const EVENT_START = 'event: message\ndata: '
const EVENT_END = '\n\n\r\n'
const LAST_CHUNK = Buffer.from('0\r\n\r\n')
const COMMENT = ': keep-alive\n\n'
const KEEP_ALIVE = Buffer.from(`${COMMENT.length.toString(16)}\r\n${COMMENT}\r\n`)

const STATUS: Readonly<Record<number, string>> = {
  200: 'OK',
  202: 'Accepted',
  400: 'Bad Request',
  404: 'Not Found',
  405: 'Method Not Allowed',
  409: 'Conflict',
  503: 'Service Unavailable',
}

/** Who hears what becomes of the connection an exchange runs on. */
export interface ExchangeOwner {
  /** The peer has gone before the answer was complete. */
  onGone(exchange: Exchange): void
  /** The peer takes data again after it did not. */
  onDrain(exchange: Exchange): void
}

/**
 * One HTTP request and its answer: one JSON message, or a stream of events once something comes before the answer. Every
 * method may be called after the peer has gone; then nothing happens.
 */
export class Exchange {
  owner: ExchangeOwner | null
  /** Put on the head of the answer; `''` = none. */
  sessionId: string
  /** Answers that are still to come, where the request was a batch more than one. */
  open: number
  /** When it began, by `performance.now()`. */
  readonly startedMs: number
  private connection: Connection | null
  private readonly close: boolean
  private streaming: boolean

  constructor(connection: Connection, close: boolean, startedMs: number) {
    this.owner = null
    this.sessionId = ''
    this.open = 1
    this.startedMs = startedMs
    this.connection = connection
    this.close = close
    this.streaming = false
    connection.exchange = this
  }

  /** Whether the peer still waits for something. */
  get isOpen(): boolean {
    return this.connection !== null
  }

  get isStreaming(): boolean {
    return this.streaming
  }

  get isFull(): boolean {
    return this.connection?.full === true
  }

  /** Bytes that the peer has not taken yet. */
  get waitingBytes(): number {
    return this.connection === null ? 0 : this.connection.waitingBytes
  }

  /** One of the answers it waits for: the last one ends it. */
  answer(status: number, message: Buffer): void {
    this.open--
    if (this.connection === null) return
    if (this.open > 0) this.event(message)
    else if (this.streaming) this.endWith(message)
    else this.whole(status, message)
  }

  /** The whole answer, instead of all others. */
  whole(status: number, message: Buffer): void {
    const { connection } = this
    if (connection === null) return
    const text = `${this.headText(status)}content-type: application/json\r\ncontent-length: ${message.length}\r\n\r\n`
    if (message.length <= JOIN_BYTES) {
      const bytes = Buffer.allocUnsafe(text.length + message.length)
      message.copy(bytes, bytes.write(text, 0, 'latin1'))
      connection.write(bytes)
    } else {
      connection.writeBoth(Buffer.from(text, 'latin1'), message)
    }
    this.release()
  }

  /** An answer without body. */
  empty(status: number, more = ''): void {
    const { connection } = this
    if (connection === null) return
    connection.write(Buffer.from(`${this.headText(status)}${more}content-length: 0\r\n\r\n`, 'latin1'))
    this.release()
  }

  /** Begins a stream of events, unless it has begun. */
  stream(): void {
    if (this.streaming || this.connection === null) return
    this.streaming = true
    const fields =
      'content-type: text/event-stream\r\ncache-control: no-cache, no-transform\r\nx-accel-buffering: no\r\ntransfer-encoding: chunked\r\n\r\n'
    this.connection.write(Buffer.from(this.headText(200) + fields, 'latin1'))
  }

  /** One message as an event. The message is one line, as servers write it. */
  event(message: Buffer): void {
    if (this.connection === null) return
    this.stream()
    this.connection.write(eventChunk(message))
  }

  /** Ends a stream. */
  end(): void {
    const { connection } = this
    if (connection === null) return
    this.stream()
    connection.write(LAST_CHUNK)
    this.release()
  }

  private endWith(message: Buffer): void {
    const connection = this.connection as Connection
    connection.writeBoth(eventChunk(message), LAST_CHUNK)
    this.release()
  }

  /** Tells those in between, and the peer, that there is still somebody: a comment, which begins the stream if need be. */
  keepAlive(): void {
    if (this.connection === null || this.connection.full) return
    this.stream()
    this.connection.write(KEEP_ALIVE)
  }

  /** Ends the connection without a word. */
  cut(): void {
    this.connection?.destroy()
  }

  /** @returns the connection, when it was not corked before */
  cork(): Connection | null {
    const { connection } = this
    return connection?.cork() === true ? connection : null
  }

  onDrain(): void {
    this.owner?.onDrain(this)
  }

  onGone(): void {
    this.connection = null
    this.owner?.onGone(this)
  }

  private headText(status: number): string {
    const session = this.sessionId === '' ? '' : `mcp-session-id: ${this.sessionId}\r\n`
    const close = this.close ? 'connection: close\r\n' : ''
    return `HTTP/1.1 ${status} ${STATUS[status] ?? 'Error'}\r\n${session}${close}`
  }

  private release(): void {
    const connection = this.connection as Connection
    this.connection = null
    connection.release(this.close)
  }
}

/** A message as an event in a chunk of its own. A CR between tokens would end the line of the event. */
function eventChunk(message: Buffer): Buffer {
  const length = EVENT_START.length + message.length + 2
  const size = `${length.toString(16)}\r\n`
  const bytes = Buffer.allocUnsafe(size.length + length + 2)
  let at = bytes.write(size + EVENT_START, 0, 'latin1')
  message.copy(bytes, at)
  flatten(bytes.subarray(at, at + message.length))
  at += message.length
  bytes.write(EVENT_END, at, 'latin1')
  return bytes
}
