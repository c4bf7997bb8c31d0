/** Which end of a text is kept. `both`: the first two thirds of what is kept come from the head. */
export type Keep = 'head' | 'tail' | 'both'

/** Bytes of a text in UTF-8. */
export function byteLength(text: string): number {
  return Buffer.byteLength(text)
}

/** The longest beginning of `text` that has no more than `maxBytes` in UTF-8; no code point is cut in two. */
export function headOf(text: string, maxBytes: number): string {
  if (text.length * 3 <= maxBytes || byteLength(text) <= maxBytes) return text
  const bytes = Buffer.from(text.slice(0, maxBytes + 1))
  return bytes.toString('utf8', 0, borderBefore(bytes, Math.min(maxBytes, bytes.length)))
}

/** The longest end of `text` that has no more than `maxBytes` in UTF-8; no code point is cut in two. */
export function tailOf(text: string, maxBytes: number): string {
  if (text.length * 3 <= maxBytes || byteLength(text) <= maxBytes) return text
  // One more unit than could be kept: if that is half a pair, the other half is cut off anyway.
  const bytes = Buffer.from(text.slice(Math.max(0, text.length - maxBytes - 1)))
  let start = Math.max(0, bytes.length - maxBytes)
  while (start < bytes.length && isContinuation(bytes[start])) start++
  return bytes.toString('utf8', start)
}

/** Where the last whole code point ends at or before `at`. */
export function borderBefore(bytes: Uint8Array, at: number): number {
  let end = at
  while (end > 0 && end < bytes.length && isContinuation(bytes[end])) end--
  return end
}

function isContinuation(byte: number | undefined): boolean {
  return byte !== undefined && (byte & 0xc0) === 0x80
}

/** A text of no more than `maxBytes`, with a mark where something is left out. Shorter texts stay as they are. */
export function cutText(text: string, maxBytes: number, keep: Keep): string {
  const bytes = byteLength(text)
  if (bytes <= maxBytes) return text
  // The mark's number is never longer than this one.
  const room = Math.max(0, maxBytes - byteLength(mark(bytes)) - 1)
  if (room === 0) return headOf('…', maxBytes)
  const headBytes = keep === 'head' ? room : keep === 'tail' ? 0 : Math.ceil((room * 2) / 3)
  const head = headBytes === 0 ? '' : headOf(text, headBytes)
  const tail = keep === 'head' ? '' : tailOf(text, room - byteLength(head))
  const cut = bytes - byteLength(head) - byteLength(tail)
  return keep === 'head' ? `${head}\n${mark(cut)}` : keep === 'tail' ? `${mark(cut)}\n${tail}` : head + mark(cut) + tail
}

function mark(bytes: number): string {
  return `[… ${bytes} bytes cut …]`
}
