import { bomLength, fieldOf } from './sse-lines.ts'

const DATA = Buffer.from('data: ')
const CR = Buffer.from('\r')

/**
 * The same event with other data: its data lines make way for new ones where the first of them stood; `id`, `event`,
 * `retry`, comments and unknown lines stay byte for byte. New lines end as the event's first data line does, or, where it
 * has none, as its blank line. Data with line ends of its own (pretty-printed JSON) becomes several lines.
 * @param raw one complete event as `SseSplitter` hands it out
 */
export function rebuildEvent(raw: Buffer, newData: Buffer): Buffer {
  const parts: Buffer[] = []
  let placed = false
  /** Position behind the last line that was kept or replaced. */
  let keptTo = 0
  let at = bomLength(raw, 0, raw.length)
  if (at > 0) parts.push(raw.subarray(0, at))
  while (at < raw.length) {
    const lineEnd = endOfLine(raw, at)
    const next = behind(raw, lineEnd)
    const isData = fieldOf(raw, at, lineEnd) === 'data'
    // Without a data line the new ones go before the blank line that ends the event.
    const isFirstData = isData && !placed
    if (isFirstData || (!placed && next === raw.length)) {
      pushData(parts, newData, raw.subarray(lineEnd, next))
      placed = true
    }
    if (!isData) {
      // Line ends are mixed and the lines between are gone: CR and LF must not become one line end.
      if (keptTo !== at && raw[keptTo - 1] === 0x0d && raw[at] === 0x0a) parts.push(CR)
      parts.push(raw.subarray(at, next))
    }
    if (!isData || isFirstData) keptTo = next
    at = next
  }
  return Buffer.concat(parts)
}

function pushData(parts: Buffer[], data: Buffer, lineBreak: Buffer): void {
  let at = 0
  for (;;) {
    const end = endOfLine(data, at)
    parts.push(DATA, data.subarray(at, end), lineBreak)
    if (end === data.length) return
    at = behind(data, end)
  }
}

function endOfLine(bytes: Buffer, from: number): number {
  let i = from
  while (i < bytes.length && bytes[i] !== 0x0a && bytes[i] !== 0x0d) i++
  return i
}

function behind(bytes: Buffer, lineEnd: number): number {
  const isPair = bytes[lineEnd] === 0x0d && bytes[lineEnd + 1] === 0x0a
  return Math.min(bytes.length, lineEnd + (isPair ? 2 : 1))
}
