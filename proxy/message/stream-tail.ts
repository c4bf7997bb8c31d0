import { peekKind } from './peek.ts'
import { bomLength, fieldOf, LineFinder, valueStart } from './sse-lines.ts'

/** How much of an event's data is looked at to tell what message it is. */
const PEEK_BYTES = 512
/** How much is kept of a line that spans chunks: the field's name and what is looked at. */
const LINE_BYTES = PEEK_BYTES + 16
const NOTHING = Buffer.alloc(0)

/**
 * Follows a stream that nobody looks at, as its chunks are passed on: where its events end, and whether one of them was
 * the answer. Costs a native search a line and never copies more than the head of a line.
 */
export class StreamTail {
  /** Whether the stream stands between two events, so that another event may be written. */
  atBoundary: boolean
  /** Whether a complete event carried a JSON-RPC response, judged by the first 512 bytes of its data. */
  sawFinal: boolean
  /** Whether that response was an error. */
  sawError: boolean
  /** Whether a complete event carried data of which that many bytes did not tell what it is. */
  sawUnknown: boolean
  /** Whether an `id` line with a value was seen. */
  sawEventId: boolean
  /** Blank lines so far: complete events, those without data included. */
  events: number
  private readonly lines: LineFinder
  private afterCr: boolean
  private isFirstLine: boolean
  /** Head of the line that goes on, where it began in an earlier chunk; and its full length so far. */
  private lineHead: Buffer
  private lineLength: number
  /** What the data so far says; `none` = no data line with a value yet. */
  private kind: 'none' | 'result' | 'error' | 'call' | 'unknown'
  /** Head of the data while that is undecided: it may go on in another data line. */
  private dataHead: Buffer
  private dataLength: number

  constructor() {
    this.atBoundary = true
    this.sawFinal = false
    this.sawError = false
    this.sawUnknown = false
    this.sawEventId = false
    this.events = 0
    this.lines = new LineFinder()
    this.afterCr = false
    this.isFirstLine = true
    this.lineHead = NOTHING
    this.lineLength = 0
    this.kind = 'none'
    this.dataHead = NOTHING
    this.dataLength = 0
  }

  /** Whether the stream stands inside a line. */
  get inLine(): boolean {
    return this.lineLength > 0
  }

  push(chunk: Buffer): void {
    const end = chunk.length
    if (end === 0) return
    this.lines.reset()
    // The LF of a CR LF pair cut in two belongs to what came before and changes nothing.
    let at = this.afterCr && chunk[0] === 0x0a ? 1 : 0
    this.afterCr = false
    while (at < end) {
      this.atBoundary = false
      const lineEnd = this.lines.find(chunk, at)
      if (lineEnd < 0) return this.keepHead(chunk, at, end)
      if (this.lineLength === 0) this.line(chunk, at, lineEnd)
      else {
        this.keepHead(chunk, at, lineEnd)
        this.line(this.lineHead, 0, Math.min(this.lineLength, LINE_BYTES))
        this.lineLength = 0
      }
      at = lineEnd + 1
      if (chunk[lineEnd] === 0x0d) {
        if (at === end) this.afterCr = true
        else if (chunk[at] === 0x0a) at++
      }
    }
  }

  private keepHead(chunk: Buffer, from: number, to: number): void {
    if (this.lineHead === NOTHING) this.lineHead = Buffer.allocUnsafe(LINE_BYTES)
    if (this.lineLength < LINE_BYTES) chunk.copy(this.lineHead, this.lineLength, from, to)
    this.lineLength += to - from
  }

  private line(bytes: Buffer, from: number, end: number): void {
    let start = from
    if (this.isFirstLine) {
      this.isFirstLine = false
      start += bomLength(bytes, start, end)
    }
    switch (fieldOf(bytes, start, end)) {
      case 'blank':
        return this.endEvent()
      case 'data':
        return this.data(bytes, valueStart(bytes, start + 4, end), end)
      case 'id':
        if (valueStart(bytes, start + 2, end) < end) this.sawEventId = true
        return
      default:
    }
  }

  private data(bytes: Buffer, start: number, end: number): void {
    if (this.isDecided() || start === end) return
    const stop = Math.min(end, start + PEEK_BYTES)
    if (this.dataLength === 0) this.kind = judge(bytes, start, stop)
    if (this.isDecided()) return
    // Undecided: the message may go on in another data line. A line feed is white space to JSON.
    if (this.dataHead === NOTHING) this.dataHead = Buffer.allocUnsafe(PEEK_BYTES)
    if (this.dataLength > 0 && this.dataLength < PEEK_BYTES) this.dataHead[this.dataLength++] = 0x0a
    this.dataLength += bytes.copy(this.dataHead, this.dataLength, start, stop)
    this.kind = judge(this.dataHead, 0, this.dataLength)
  }

  private isDecided(): boolean {
    return this.kind !== 'none' && this.kind !== 'unknown'
  }

  private endEvent(): void {
    this.events++
    this.atBoundary = true
    if (this.kind === 'result' || this.kind === 'error') {
      this.sawFinal = true
      this.sawError = this.kind === 'error'
    } else if (this.kind === 'unknown') this.sawUnknown = true
    this.kind = 'none'
    this.dataLength = 0
  }
}

function judge(bytes: Buffer, start: number, end: number): 'result' | 'error' | 'call' | 'unknown' {
  const kind = peekKind(bytes, start, end)
  return kind === 'method' ? 'call' : kind
}
