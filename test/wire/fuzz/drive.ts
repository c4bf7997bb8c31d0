import net, { type Socket } from 'node:net'

/** A whole HTTP answer, or how the connection ended instead. */
export interface Answer {
  /** 0 = the connection ended without a whole answer. */
  readonly status: number
  readonly contentType: string
  readonly body: Buffer
  /** All bytes of this answer. */
  readonly raw: Buffer
}

const END = Buffer.from('\r\n\r\n')

/** Reads whole answers off a byte stream. Informational ones are passed over. */
export class AnswerReader {
  #bytes: Buffer = Buffer.alloc(0)

  /** The bytes that are not part of an answer yet. */
  get pending(): Buffer {
    return this.#bytes
  }

  push(chunk: Buffer): void {
    this.#bytes = this.#bytes.length === 0 ? chunk : Buffer.concat([this.#bytes, chunk])
  }

  /** The next whole answer; `null` = not yet. @throws Error for what is no HTTP */
  take(isClosed: boolean): Answer | null {
    const end = this.#bytes.indexOf(END)
    if (end === -1) return null
    const head = this.#bytes.toString('latin1', 0, end)
    const status = Number(/^HTTP\/1\.1 (\d{3}) /.exec(head)?.[1] ?? Number.NaN)
    if (Number.isNaN(status)) throw new Error(`no HTTP answer: ${JSON.stringify(head)}`)
    const from = end + END.length
    if (status < 200) {
      this.#bytes = this.#bytes.subarray(from)
      return this.take(isClosed)
    }
    const body = this.#bodyOf(head, status, from, isClosed)
    if (body === null) return null
    const raw = this.#bytes.subarray(0, body.end)
    this.#bytes = this.#bytes.subarray(body.end)
    return { status, contentType: /^content-type: *([^;\r]*)/im.exec(head)?.[1] ?? '', body: body.bytes, raw }
  }

  #bodyOf(head: string, status: number, from: number, isClosed: boolean): { bytes: Buffer; end: number } | null {
    const length = /^content-length: *(\d+)/im.exec(head)?.[1]
    if (status === 204 || status === 304) return { bytes: Buffer.alloc(0), end: from }
    if (/^transfer-encoding: *chunked/im.test(head)) return this.#chunkedOf(from)
    const end =
      length === undefined ? (isClosed ? this.#bytes.length : Number.POSITIVE_INFINITY) : from + Number(length)
    return end > this.#bytes.length ? null : { bytes: this.#bytes.subarray(from, end), end }
  }

  #chunkedOf(from: number): { bytes: Buffer; end: number } | null {
    const parts: Buffer[] = []
    for (let at = from; ; ) {
      const line = this.#bytes.indexOf('\r\n', at)
      if (line === -1) return null
      const size = Number.parseInt(this.#bytes.toString('latin1', at, line), 16)
      const next = line + 2 + size + 2
      if (next > this.#bytes.length) return null
      if (size === 0) return { bytes: Buffer.concat(parts), end: next }
      parts.push(this.#bytes.subarray(line + 2, line + 2 + size))
      at = next
    }
  }
}

/** Writes pieces with a turn of the event loop between them, so that the other side reads them one by one. */
export async function writeInTurns(socket: Socket, pieces: readonly Buffer[]): Promise<void> {
  for (const [at, piece] of pieces.entries()) {
    if (at > 0) await new Promise(resolve => setImmediate(resolve))
    if (socket.destroyed) return
    socket.write(piece)
  }
}

/** How long a case may take: far more than it needs. Beyond, something hangs. */
const DEADLINE_MS = 20_000

/** One connection that sends cases one after the other, and makes a new one where the old one was closed. */
export class Wire {
  readonly #port: number
  #socket: Socket | null = null
  #reader = new AnswerReader()
  #isClosed = true
  #wake: () => void = () => {}

  constructor(port: number) {
    this.#port = port
  }

  /**
   * Sends bytes and waits for one whole answer, or for the end of the connection.
   * @param quietMs half-closes when nothing has come for so long, for bytes that may be half a request; 0 = never
   * @throws Error when neither comes
   */
  exchange(bytes: Buffer, quietMs = 0): Promise<Answer> {
    if (this.#isClosed) this.#connect()
    const socket = this.#socket as Socket
    socket.write(bytes)
    return this.#answer(socket, quietMs)
  }

  /** The same for bytes that the other side is to read piece by piece. */
  exchangePieces(pieces: readonly Buffer[]): Promise<Answer> {
    if (this.#isClosed) this.#connect()
    const socket = this.#socket as Socket
    void writeInTurns(socket, pieces)
    return this.#answer(socket, 0)
  }

  async #answer(socket: Socket, quietMs: number): Promise<Answer> {
    const limit = performance.now() + DEADLINE_MS
    for (;;) {
      const answer = this.#reader.take(this.#isClosed)
      if (answer !== null) {
        if (quietMs === 0 && /^connection: *close/im.test(answer.raw.toString('latin1'))) this.close()
        return answer
      }
      if (this.#isClosed) return { status: 0, contentType: '', body: Buffer.alloc(0), raw: this.#reader.pending }
      if (!(await this.#woken(quietMs > 0 && !socket.writableEnded ? quietMs : limit - performance.now()))) {
        if (performance.now() >= limit) throw new Error('neither an answer nor an end of the connection')
        socket.end()
      }
    }
  }

  /** All answers until the other side closes; for cases that may hold several requests. */
  async exchangeAll(bytes: Buffer, quietMs: number): Promise<Answer[]> {
    const answers: Answer[] = []
    let next = await this.exchange(bytes, quietMs)
    while (next.status !== 0) {
      answers.push(next)
      if (this.#isClosed && this.#reader.pending.length === 0) break
      next = await this.exchange(Buffer.alloc(0), quietMs)
    }
    if (answers.length === 0) answers.push(next)
    this.close()
    return answers
  }

  close(): void {
    this.#isClosed = true
    this.#socket?.destroy()
  }

  #connect(): void {
    this.#isClosed = false
    this.#reader = new AnswerReader()
    const socket = net.connect({ port: this.#port, host: '127.0.0.1', noDelay: true })
    this.#socket = socket
    const isOwn = (): boolean => this.#socket === socket
    socket.on('data', (chunk: Buffer) => {
      if (!isOwn()) return
      this.#reader.push(chunk)
      this.#wake()
    })
    socket.on('error', () => {})
    const onEnd = (): void => {
      if (!isOwn()) return
      this.#isClosed = true
      this.#wake()
    }
    socket.on('end', onEnd)
    socket.on('close', onEnd)
  }

  /** Whether something happened within this time. */
  #woken(limitMs: number): Promise<boolean> {
    return new Promise(resolve => {
      const timer = setTimeout(() => resolve(false), Math.max(limitMs, 0))
      this.#wake = () => {
        clearTimeout(timer)
        resolve(true)
      }
    })
  }
}
