/** What a line of an event stream is (HTML, 9.2.6); `other` = comments, `retry` and what nobody knows. */
export type Field = 'data' | 'event' | 'id' | 'blank' | 'other'

/** Looked at byte by byte before the search goes native. */
const SHORT_LINE_BYTES = 32

/** Finds line ends in one chunk, in rising order, each byte searched once: the next CR and LF are remembered. */
export class LineFinder {
  private nextCr: number
  private nextLf: number

  constructor() {
    this.nextCr = -1
    this.nextLf = -1
  }

  /** Call for each new chunk, and before going back in one. */
  reset(): void {
    this.nextCr = -1
    this.nextLf = -1
  }

  /** Position of the LF or CR that ends the line which goes on at `from`; -1 = not in this chunk. */
  find(bytes: Buffer, from: number): number {
    const end = bytes.length
    const soon = from + SHORT_LINE_BYTES < end ? from + SHORT_LINE_BYTES : end
    for (let i = from; i < soon; i++) {
      const c = bytes[i] as number
      if (c === 0x0a || c === 0x0d) return i
    }
    if (soon === end) return -1
    if (this.nextCr < soon) this.nextCr = positionOf(bytes, 0x0d, soon)
    if (this.nextLf < soon) this.nextLf = positionOf(bytes, 0x0a, soon)
    const first = this.nextCr < this.nextLf ? this.nextCr : this.nextLf
    return first < end ? first : -1
  }
}

/** Position of a byte, or the length where there is none. */
function positionOf(bytes: Buffer, byte: number, from: number): number {
  const at = bytes.indexOf(byte, from)
  return at < 0 ? bytes.length : at
}

/** @param start,end the line without its end */
export function fieldOf(bytes: Buffer, start: number, end: number): Field {
  const length = end - start
  if (length === 0) return 'blank'
  switch (bytes[start]) {
    case 0x64:
      return isName(bytes, start, length, 'data') ? 'data' : 'other'
    case 0x65:
      return isName(bytes, start, length, 'event') ? 'event' : 'other'
    case 0x69:
      return isName(bytes, start, length, 'id') ? 'id' : 'other'
    default:
      return 'other'
  }
}

function isName(bytes: Buffer, start: number, length: number, name: string): boolean {
  const size = name.length
  if (length < size || (length > size && bytes[start + size] !== 0x3a)) return false
  for (let i = 1; i < size; i++) {
    if (bytes[start + i] !== name.charCodeAt(i)) return false
  }
  return true
}

/**
 * Where the value of a field begins: behind the colon and one space.
 * @param at behind the field's name
 */
export function valueStart(bytes: Buffer, at: number, end: number): number {
  if (at >= end) return end
  return at + 1 < end && bytes[at + 1] === 0x20 ? at + 2 : at + 1
}

/** Length of the byte order mark at `start`: 3 or 0. */
export function bomLength(bytes: Buffer, start: number, end: number): number {
  return end - start >= 3 && bytes[start] === 0xef && bytes[start + 1] === 0xbb && bytes[start + 2] === 0xbf ? 3 : 0
}
