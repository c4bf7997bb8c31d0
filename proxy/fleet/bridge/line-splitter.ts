/** How much is kept of each end of a line that is too long: enough to see what it was, and which id it had. */
export const OVERSIZE_END_BYTES = 512
const FIRST_HOLD_BYTES = 16_384
const NOTHING = Buffer.alloc(0)

/** What hears the lines of a stream. */
export interface LineSink {
  /** One line without its line feed; may be a view of the chunk, valid for the rest of this turn of the event loop. */
  onLine(line: Buffer): void
  /** A line longer than allowed has ended: its first and last bytes, and how long it was. */
  onOversize(head: Buffer, tail: Buffer, lengthBytes: number): void
}

/**
 * Splits a byte stream at byte 0x0A and nowhere else (MCP, stdio transport): U+2028 and a lone CR are text. A line that
 * lies within one chunk is not copied; one that spans chunks is copied once, into room that doubles.
 */
export class LineSplitter {
  private readonly sink: LineSink
  private readonly maxLineBytes: number
  private held: Buffer
  private heldLength: number
  /** Length so far of a line that is being skipped; -1 = none is. */
  private skipped: number
  private head: Buffer
  private tail: Buffer

  constructor(sink: LineSink, maxLineBytes: number) {
    this.sink = sink
    this.maxLineBytes = maxLineBytes
    this.held = NOTHING
    this.heldLength = 0
    this.skipped = -1
    this.head = NOTHING
    this.tail = NOTHING
  }

  /** Bytes of an unfinished line that are held. */
  get heldBytes(): number {
    return this.heldLength
  }

  push(chunk: Buffer): void {
    let at = 0
    while (at < chunk.length) {
      const end = chunk.indexOf(0x0a, at)
      if (end < 0) {
        this.hold(chunk, at, chunk.length)
        return
      }
      if (this.skipped >= 0 || this.heldLength > 0) this.endHeld(chunk, at, end)
      else if (end - at > this.maxLineBytes) this.endOversize(chunk.subarray(at, end))
      else this.sink.onLine(chunk.subarray(at, end))
      at = end + 1
    }
  }

  /** Forgets what it holds: the stream has ended inside a line. */
  reset(): void {
    this.held = NOTHING
    this.heldLength = 0
    this.skipped = -1
  }

  private endHeld(chunk: Buffer, at: number, end: number): void {
    this.hold(chunk, at, end)
    if (this.skipped >= 0) {
      const length = this.skipped
      this.skipped = -1
      this.sink.onOversize(this.head, this.tail, length)
      return
    }
    const line = this.held.subarray(0, this.heldLength)
    this.held = NOTHING
    this.heldLength = 0
    this.sink.onLine(line)
  }

  private endOversize(line: Buffer): void {
    this.sink.onOversize(line.subarray(0, OVERSIZE_END_BYTES), line.subarray(-OVERSIZE_END_BYTES), line.length)
  }

  private hold(chunk: Buffer, from: number, to: number): void {
    if (this.skipped >= 0) {
      this.skipped += to - from
      this.keepTail(chunk.subarray(from, to))
      return
    }
    const length = this.heldLength + to - from
    if (length > this.maxLineBytes) {
      this.beginSkip(chunk, from, to, length)
      return
    }
    if (length > this.held.length) {
      const grown = Buffer.allocUnsafe(Math.min(this.maxLineBytes, Math.max(FIRST_HOLD_BYTES, length * 2)))
      this.held.copy(grown, 0, 0, this.heldLength)
      this.held = grown
    }
    chunk.copy(this.held, this.heldLength, from, to)
    this.heldLength = length
  }

  private beginSkip(chunk: Buffer, from: number, to: number, length: number): void {
    const held = this.held.subarray(0, this.heldLength)
    const part = chunk.subarray(from, to)
    this.head = Buffer.concat([held.subarray(0, OVERSIZE_END_BYTES), part.subarray(0, OVERSIZE_END_BYTES)])
    this.head = this.head.subarray(0, OVERSIZE_END_BYTES)
    this.tail = Buffer.from(held.subarray(-OVERSIZE_END_BYTES))
    this.keepTail(part)
    this.held = NOTHING
    this.heldLength = 0
    this.skipped = length
  }

  private keepTail(part: Buffer): void {
    this.tail =
      part.length >= OVERSIZE_END_BYTES
        ? Buffer.from(part.subarray(-OVERSIZE_END_BYTES))
        : Buffer.concat([this.tail, part]).subarray(-OVERSIZE_END_BYTES)
  }
}
