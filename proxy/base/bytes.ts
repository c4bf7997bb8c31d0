/** Number of different short texts remembered by `stringText`; a power of two. A newer text takes the older one's slot. */
const MAX_TEXTS = 1024
/** The longest text worth remembering, in bytes. */
const MAX_TEXT_BYTES = 64

const texts: string[] = new Array<string>(MAX_TEXTS).fill('')

/**
 * The text between the quotes of a JSON string, decoded. Short ASCII texts that come again (tool names, URIs) give the same string
 * without a call into the runtime or a new allocation.
 * @param start,end the range inside the quotes of a valid JSON string
 */
export function stringText(bytes: Buffer, start: number, end: number): string {
  const length = end - start
  if (length === 0) return ''
  if (length > MAX_TEXT_BYTES) return decoded(bytes, start, end)
  let hash = length
  let union = 0
  for (let i = start; i < end; i++) {
    const byte = bytes[i] as number
    union |= byte === 0x5c ? 0x80 : byte
    hash = (Math.imul(hash, 31) + byte) | 0
  }
  if (union > 0x7f) return decoded(bytes, start, end)
  const slot = (hash ^ (hash >>> 15)) & (MAX_TEXTS - 1)
  const known = texts[slot] as string
  if (known.length === length && sameAscii(bytes, start, known)) return known
  const text = bytes.toString('latin1', start, end)
  texts[slot] = text
  return text
}

function decoded(bytes: Buffer, start: number, end: number): string {
  return JSON.parse(bytes.toString('utf8', start - 1, end + 1)) as string
}

/** Whether the bytes from `start` are exactly this ASCII text. The range must be long enough. */
export function sameAscii(bytes: Uint8Array, start: number, text: string): boolean {
  for (let i = 0; i < text.length; i++) {
    if (bytes[start + i] !== text.charCodeAt(i)) return false
  }
  return true
}
