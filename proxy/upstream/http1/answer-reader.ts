import { type AnswerHead, malformed, parseAnswerHead } from './answer-head.ts'
import { ConnectionError } from './connection-error.ts'

/** Told what an answer holds, piece by piece. Either may set the reader's `halted`. */
export interface AnswerSink {
  /** Interim answers (1xx) are not told. */
  onAnswerHead(head: AnswerHead): void
  /** @param chunk a view of what was read */
  onAnswerData(chunk: Buffer): void
}

const HEAD = 0
const COUNTED = 1
const UNTIL_CLOSE = 2
const CHUNK_SIZE = 3
const CHUNK = 4
const CHUNK_END = 5
const TRAILER = 6

const CR = 0x0d
const LF = 0x0a
const EMPTY = Buffer.alloc(0)
const HEAD_END = Buffer.from('\r\n\r\n')
const LINE_END_BYTES = 2

/** Of a chunk's size: beyond, numbers are not exact. */
const MAX_SIZE_DIGITS = 12
/** Longest line that gives a chunk's size: nobody needs extensions (RFC 9112, 7.1.1), some send short ones. */
const MAX_SIZE_LINE_BYTES = 1_024
/** Extensions without blanks and escapes: there readers differ. */
const SIZE_LINE = /^([0-9a-f]{1,12})(?:;[!#$%&'*+\-.^_`|~\w]+(?:=(?:[!#$%&'*+\-.^_`|~\w]+|"[\t !#-[\]-~]*"))?)*$/i
// biome-ignore lint/suspicious/noControlCharactersInRegex: they are what is refused
const TRAILER_LINE = /^[!#$%&'*+\-.^_`|~0-9A-Za-z]+:[^\0-\x08\x0a-\x1f\x7f]*$/

/** Interim answers before an answer; a server that sends more is not well. */
const MAX_INTERIM = 32

/**
 * Takes answers out of the bytes of a connection (RFC 9112), one at a time: at the end of an answer it stops, and what is
 * behind it stays where it is. It copies only a head or line that comes in pieces.
 */
export class AnswerReader {
  /** Set by a sink that wants nothing more for now. */
  halted: boolean
  /** Whether an answer is complete. The owner sets it back before the next one. */
  ended: boolean
  private readonly sink: AnswerSink
  private readonly maxHeadBytes: number
  private state: number
  /** What is left of a counted body or a chunk, in bytes. */
  private left: number
  /** The beginning of a head or line whose end has not come. */
  private partial: Buffer
  private trailerBytes: number
  private interim: number

  /** @param maxHeadBytes largest head, and largest trailer */
  constructor(sink: AnswerSink, maxHeadBytes: number) {
    this.halted = false
    this.ended = false
    this.sink = sink
    this.maxHeadBytes = maxHeadBytes
    this.state = HEAD
    this.left = 0
    this.partial = EMPTY
    this.trailerBytes = 0
    this.interim = 0
  }

  /** Whether the end of the connection would be the end of the answer. */
  get endsWithConnection(): boolean {
    return this.state === UNTIL_CLOSE
  }

  /** As before the first byte. */
  reset(): void {
    this.ended = false
    this.state = HEAD
    this.partial = EMPTY
    this.interim = 0
  }

  /**
   * Reads on until the end of `bytes` or of the answer, or until the sink halts it.
   * @returns how many bytes are used
   * @throws MalformedAnswerError or ConnectionError; nothing may be read afterwards
   */
  read(bytes: Buffer): number {
    this.halted = false
    let at = 0
    while (at < bytes.length && !this.halted && !this.ended) at = this.step(bytes, at)
    return at
  }

  private step(bytes: Buffer, at: number): number {
    switch (this.state) {
      case HEAD:
        return this.readHead(bytes, at)
      case COUNTED:
      case CHUNK:
        return this.readCounted(bytes, at)
      case UNTIL_CLOSE:
        this.sink.onAnswerData(bytes.subarray(at))
        return bytes.length
      default:
        return this.partial.length === 0 ? this.readPlain(bytes, at) : this.readLine(bytes, at)
    }
  }

  /** The lines of chunks as nearly all servers send them: whole, and without extensions or trailers. */
  private readPlain(bytes: Buffer, at: number): number {
    let end = at
    let size = 0
    if (this.state === CHUNK_SIZE) {
      for (let digit = hexDigit(bytes[end]); digit >= 0; digit = hexDigit(bytes[++end])) size = size * 16 + digit
      if (end === at || end - at > MAX_SIZE_DIGITS) return this.readLine(bytes, at)
    }
    if (bytes[end] !== CR || bytes[end + 1] !== LF) return this.readLine(bytes, at)
    if (this.state === CHUNK_SIZE) this.takeSize(size)
    else if (this.state === TRAILER) this.finish()
    else this.state = CHUNK_SIZE
    return end + 2
  }

  private readHead(bytes: Buffer, at: number): number {
    const whole = this.partial.length === 0 ? bytes : Buffer.concat([this.partial, bytes.subarray(at)])
    const start = this.partial.length === 0 ? at : 0
    const end = whole.indexOf(HEAD_END, start)
    // Of a head without its end, the last bytes may be the beginning of that.
    const length = (end === -1 ? whole.length - HEAD_END.length + 1 : end) - start
    if (length > this.maxHeadBytes) throw tooLong()
    if (end === -1) {
      this.partial = Buffer.from(whole.subarray(start))
      checkBeginning(this.partial)
      return bytes.length
    }
    const used = end + HEAD_END.length - start - this.partial.length
    this.partial = EMPTY
    this.takeHead(parseAnswerHead(whole.toString('latin1', start, end)))
    return at + used
  }

  private takeHead(head: AnswerHead): void {
    if (head.status === 101) throw malformed('another protocol, which nobody asked for')
    if (head.status < 200) {
      if (!head.reusable) throw malformed('an interim answer that ends the connection')
      if (++this.interim > MAX_INTERIM) throw malformed('too many interim answers')
      return
    }
    this.interim = 0
    this.left = head.length
    switch (head.framing) {
      case 'none':
        this.ended = true
        break
      case 'length':
        this.state = COUNTED
        break
      case 'chunked':
        this.state = CHUNK_SIZE
        this.trailerBytes = 0
        break
      case 'close':
        this.state = UNTIL_CLOSE
    }
    this.sink.onAnswerHead(head)
  }

  private readCounted(bytes: Buffer, at: number): number {
    const end = Math.min(bytes.length, at + this.left)
    this.left -= end - at
    if (this.left === 0) this.endCounted()
    this.sink.onAnswerData(at === 0 && end === bytes.length ? bytes : bytes.subarray(at, end))
    return end
  }

  private endCounted(): void {
    if (this.state === CHUNK) this.state = CHUNK_END
    else this.finish()
  }

  private finish(): void {
    this.state = HEAD
    this.ended = true
  }

  private readLine(bytes: Buffer, at: number): number {
    const lineFeed = bytes.indexOf(LF, at)
    const end = lineFeed === -1 ? bytes.length : lineFeed + 1
    const piece = bytes.subarray(at, end)
    const line = this.partial.length === 0 ? piece : Buffer.concat([this.partial, piece])
    const max = this.state === TRAILER ? this.maxHeadBytes - this.trailerBytes + LINE_END_BYTES : MAX_SIZE_LINE_BYTES
    if (line.length > max) throw malformed('a line in a chunked body that is too long')
    if (lineFeed === -1) {
      this.partial = Buffer.from(line)
      return end
    }
    this.partial = EMPTY
    if (line.length < 2 || line[line.length - 2] !== CR) throw malformed('a line end that is not CRLF')
    this.takeLine(line.toString('latin1', 0, line.length - 2))
    return end
  }

  private takeLine(line: string): void {
    if (this.state === CHUNK_SIZE) this.takeSizeLine(line)
    else if (this.state === TRAILER) this.takeTrailer(line)
    else if (line !== '') throw malformed('a chunk that is longer than it says')
    else this.state = CHUNK_SIZE
  }

  private takeSizeLine(line: string): void {
    const found = SIZE_LINE.exec(line)
    if (found === null) throw malformed('a chunk size that is none')
    this.takeSize(Number.parseInt(found[1] as string, 16))
  }

  private takeSize(size: number): void {
    this.left = size
    this.state = this.left === 0 ? TRAILER : CHUNK
  }

  /** Trailers are dropped: what is in them came too late for the head that they belong to (RFC 9110, 6.5.1). */
  private takeTrailer(line: string): void {
    if (line === '') {
      this.finish()
      return
    }
    if (!TRAILER_LINE.test(line)) throw malformed('a trailer field that is none')
    this.trailerBytes += line.length + LINE_END_BYTES
    if (this.trailerBytes > this.maxHeadBytes) throw malformed('a trailer that is too long')
  }
}

/** Says early that this is no HTTP answer, where its end may never come. */
function checkBeginning(partial: Buffer): void {
  const begins = partial.toString('latin1', 0, 7)
  if (!'HTTP/1.'.startsWith(begins)) throw malformed('no status line')
  for (let at = partial.indexOf(LF); at !== -1; at = partial.indexOf(LF, at + 1)) {
    if (partial[at - 1] !== CR) throw malformed('a line end that is not CRLF')
  }
}

/** -1 = it is none. */
function hexDigit(byte: number | undefined): number {
  if (byte === undefined) return -1
  if (byte >= 0x30 && byte <= 0x39) return byte - 0x30
  const letter = byte | 0x20
  return letter >= 0x61 && letter <= 0x66 ? letter - 0x57 : -1
}

function tooLong(): ConnectionError {
  return new ConnectionError('UND_ERR_HEADERS_OVERFLOW', 'the head of the answer is too long')
}
