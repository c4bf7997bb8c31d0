import { sameAscii } from '../base/bytes.ts'
import { bomLength, type Field, fieldOf, LineFinder, valueStart } from './sse-lines.ts'

export { rebuildEvent } from './sse-rebuild.ts'
export { StreamTail } from './stream-tail.ts'

/** Receives the events of a stream, in order. */
export interface SseSink {
  /**
   * @param raw the exact bytes of the event with its blank line and whatever stood before it; a view
   * @param data the joined data lines, `null` when there are none or they are empty; a view of `raw` where it can be
   * @param eventType `message` where the event names none
   * @param id the event's `id` field, `null` when it has none
   */
  onEvent(raw: Buffer, data: Buffer | null, eventType: string, id: string | null): void
  /** An event is larger than `maxEventBytes`. */
  onOversize(): void
  /**
   * Where given, an oversized event is handed through here, in parts as they come, and normal events go on behind it.
   * Where not, the splitter stops for good: `leftover` has what was pushed until then and not handed out; further chunks
   * are ignored.
   */
  onPart?(bytes: Buffer): void
}

const NOTHING = Buffer.alloc(0)
const FIRST_HOLD_BYTES = 4096

/**
 * Cuts an event stream (HTML, 9.2) into events without changing a byte: all `raw`s and parts in order, and `leftover`,
 * are the stream. An event that lies within one chunk is a view of it; one that spans chunks is copied once. At most
 * `maxEventBytes` of an unfinished event, and one chunk, are held; no byte is searched twice.
 *
 * An event whose blank line ends with CR at the end of a chunk is handed out at once; an LF that then turns out to
 * belong to it begins the next `raw`.
 */
export class SseSplitter {
  readonly maxEventBytes: number
  /** The bytes of an event that began in an earlier chunk; owned, handed out with it. */
  private held: Buffer
  private heldLength: number
  private readonly lines: LineFinder
  /** The last chunk ended with a CR: an LF now is the other half of that line end. */
  private afterCr: boolean
  private isFirstLine: boolean
  private state: 'reading' | 'skipping' | 'stopped'
  /** In `skipping`: whether the line that goes on has bytes in earlier chunks. */
  private lineBegun: boolean
  /** In `reading`: start of the line that goes on, in `held` or in the chunk. */
  private lineStart: number
  // What is known of the event that goes on. Positions are in `held` or in the chunk.
  private dataCount: number
  private dataStart: number
  private dataEnd: number
  /** Ranges of the data lines behind the first; `null` in the usual case. */
  private moreData: number[] | null
  private eventType: string
  private id: string | null

  constructor(maxEventBytes: number) {
    this.maxEventBytes = maxEventBytes
    this.held = NOTHING
    this.heldLength = 0
    this.lines = new LineFinder()
    this.afterCr = false
    this.isFirstLine = true
    this.state = 'reading'
    this.lineBegun = false
    this.lineStart = 0
    this.dataCount = 0
    this.dataStart = 0
    this.dataEnd = 0
    this.moreData = null
    this.eventType = 'message'
    this.id = null
  }

  /** Calls `sink.onEvent` for every event that ends in this chunk. The chunk must not be written to afterwards. */
  push(chunk: Buffer, sink: SseSink): void {
    if (chunk.length === 0 || this.state === 'stopped') return
    this.lines.reset()
    let at = 0
    if (this.afterCr) {
      this.afterCr = false
      if (chunk[0] === 0x0a) at = this.skipLineFeed(chunk, sink)
    }
    if (this.heldLength > 0 && at < chunk.length) at = this.pushHeld(chunk, at, sink)
    while (at < chunk.length) {
      at = this.state === 'skipping' ? this.pushPart(chunk, at, sink) : this.pushOwn(chunk, at, sink)
    }
  }

  /** Tells that the stream has ended. An unfinished event is no event; its bytes are `leftover`. */
  finish(_sink: SseSink): void {
    this.state = 'stopped'
  }

  /** The bytes that were pushed and not handed out: of an unfinished event, or of an oversized one. */
  leftover(): Buffer {
    return this.held.subarray(0, this.heldLength)
  }

  /** The first byte of a chunk is the LF of the CR before it. */
  private skipLineFeed(chunk: Buffer, sink: SseSink): number {
    if (this.state === 'skipping') sink.onPart?.(chunk.subarray(0, 1))
    else {
      this.hold(chunk, 0, 1)
      this.lineStart = this.heldLength
    }
    return 1
  }

  /** Goes on with an event that began in an earlier chunk, line by line into `held`, until it ends. */
  private pushHeld(chunk: Buffer, from: number, sink: SseSink): number {
    let at = from
    while (at < chunk.length && this.state === 'reading') {
      const lineEnd = this.lines.find(chunk, at)
      const next = lineEnd < 0 ? chunk.length : this.afterLineEnd(chunk, lineEnd)
      if (this.heldLength + next - at > this.maxEventBytes) return this.oversize(chunk, at, sink)
      this.hold(chunk, at, next)
      if (lineEnd < 0) return next
      const end = this.heldLength - (next - lineEnd)
      at = next
      if (this.line(this.held, this.lineStart, end) === 'blank') {
        const raw = this.held.subarray(0, this.heldLength)
        this.held = NOTHING
        this.heldLength = 0
        this.emit(this.rawData(raw), raw, sink)
        return at
      }
      this.lineStart = this.heldLength
    }
    return at
  }

  /** Reads one event that begins in this chunk; keeps it when it does not end here. */
  private pushOwn(chunk: Buffer, start: number, sink: SseSink): number {
    let at = start
    this.lineStart = start
    while (at < chunk.length) {
      const lineEnd = this.lines.find(chunk, at)
      if (lineEnd < 0) break
      at = this.afterLineEnd(chunk, lineEnd)
      if (this.line(chunk, this.lineStart, lineEnd) === 'blank') {
        if (at - start > this.maxEventBytes) return this.oversize(chunk, start, sink)
        this.emit(this.rawData(chunk), chunk.subarray(start, at), sink)
        return at
      }
      this.lineStart = at
    }
    if (chunk.length - start > this.maxEventBytes) return this.oversize(chunk, start, sink)
    this.hold(chunk, start, chunk.length)
    this.rebase(start)
    return chunk.length
  }

  /** In an oversized event: hands on what there is of it. */
  private pushPart(chunk: Buffer, start: number, sink: SseSink): number {
    let at = start
    while (at < chunk.length) {
      const lineEnd = this.lines.find(chunk, at)
      if (lineEnd < 0) {
        this.lineBegun = true
        at = chunk.length
        break
      }
      const isBlank = lineEnd === at && !this.lineBegun
      this.lineBegun = false
      at = this.afterLineEnd(chunk, lineEnd)
      if (isBlank) {
        this.state = 'reading'
        this.lineStart = 0
        break
      }
    }
    sink.onPart?.(chunk.subarray(start, at))
    return at
  }

  /** Position behind a line end; remembers a CR at the very end of the chunk. */
  private afterLineEnd(chunk: Buffer, lineEnd: number): number {
    if (chunk[lineEnd] === 0x0a) return lineEnd + 1
    if (lineEnd + 1 === chunk.length) this.afterCr = true
    else if (chunk[lineEnd + 1] === 0x0a) return lineEnd + 2
    return lineEnd + 1
  }

  /** Takes in one complete line. */
  private line(bytes: Buffer, from: number, end: number): Field {
    let start = from
    if (this.isFirstLine) {
      this.isFirstLine = false
      start += bomLength(bytes, start, end)
    }
    const field = fieldOf(bytes, start, end)
    if (field === 'data') this.addData(valueStart(bytes, start + 4, end), end)
    else if (field === 'event') this.eventType = typeText(bytes, valueStart(bytes, start + 5, end), end)
    else if (field === 'id') this.takeId(bytes.toString('utf8', valueStart(bytes, start + 2, end), end))
    return field
  }

  private addData(start: number, end: number): void {
    this.dataCount++
    if (this.dataCount === 1) {
      this.dataStart = start
      this.dataEnd = end
    } else if (this.moreData === null) this.moreData = [start, end]
    else this.moreData.push(start, end)
  }

  private takeId(id: string): void {
    if (!id.includes('\0')) this.id = id
  }

  private rawData(bytes: Buffer): Buffer | null {
    if (this.moreData !== null) return joinData(bytes, this.dataStart, this.dataEnd, this.moreData)
    return this.dataCount === 0 || this.dataStart === this.dataEnd ? null : bytes.subarray(this.dataStart, this.dataEnd)
  }

  private emit(data: Buffer | null, raw: Buffer, sink: SseSink): void {
    const eventType = this.eventType
    const id = this.id
    this.forgetEvent()
    sink.onEvent(raw, data, eventType, id)
  }

  private forgetEvent(): void {
    this.lineStart = 0
    this.dataCount = 0
    this.moreData = null
    this.eventType = 'message'
    this.id = null
  }

  /** @param from where the bytes begin in the chunk that were not handed out and are not held */
  private oversize(chunk: Buffer, from: number, sink: SseSink): number {
    const held = this.held.subarray(0, this.heldLength)
    // The line that goes on: begun in held bytes, or at `from`.
    this.lineBegun = this.heldLength > this.lineStart && this.heldLength > 0
    this.afterCr = false
    this.lines.reset()
    this.forgetEvent()
    if (sink.onPart === undefined) {
      this.state = 'stopped'
      sink.onOversize()
      this.hold(chunk, from, chunk.length)
      return chunk.length
    }
    this.state = 'skipping'
    this.held = NOTHING
    this.heldLength = 0
    sink.onOversize()
    if (held.length > 0) sink.onPart(held)
    return from
  }

  /** Copies bytes of the chunk behind those held; room doubles, so that each byte is moved a bounded number of times. */
  private hold(chunk: Buffer, from: number, to: number): void {
    const length = this.heldLength + to - from
    if (length > this.held.length) {
      const grown = Buffer.allocUnsafe(Math.max(FIRST_HOLD_BYTES, length * 2))
      this.held.copy(grown, 0, 0, this.heldLength)
      this.held = grown
    }
    chunk.copy(this.held, this.heldLength, from, to)
    this.heldLength = length
  }

  /** After the event's bytes moved from the chunk to the start of `held`. */
  private rebase(start: number): void {
    this.lineStart -= start
    this.dataStart -= start
    this.dataEnd -= start
    const more = this.moreData
    if (more === null) return
    for (let i = 0; i < more.length; i++) more[i] = (more[i] as number) - start
  }
}

function typeText(bytes: Buffer, start: number, end: number): string {
  if (end - start === 7 && sameAscii(bytes, start, 'message')) return 'message'
  return bytes.toString('utf8', start, end) || 'message'
}

function joinData(bytes: Buffer, firstStart: number, firstEnd: number, more: readonly number[]): Buffer {
  let length = firstEnd - firstStart
  for (let i = 0; i < more.length; i += 2) length += 1 + (more[i + 1] as number) - (more[i] as number)
  const joined = Buffer.allocUnsafe(length)
  let at = bytes.copy(joined, 0, firstStart, firstEnd)
  for (let i = 0; i < more.length; i += 2) {
    joined[at] = 0x0a
    at += 1 + bytes.copy(joined, at + 1, more[i] as number, more[i + 1] as number)
  }
  return joined
}
