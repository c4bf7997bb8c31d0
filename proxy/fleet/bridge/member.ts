import { skipColon, skipSpace, skipString, skipValue, trouble } from '../../message/grammar.ts'

/** Deeper than anything that was accepted: the bytes have been validated before. */
const ANY_DEPTH = 100_000

/** Range of the value that `findMember` found last; read at once, never kept. */
export const member = { start: -1, end: -1 }

/**
 * Finds a member of a JSON object by its key, escaped or not; of several the last one, as `JSON.parse` does.
 * @param at position of the object's opening brace, in bytes that were found valid; anything else is "not found"
 * @returns whether there is one; its range is in `member`
 */
export function findMember(bytes: Buffer, at: number, key: string): boolean {
  member.start = -1
  if (at < 0 || bytes[at] !== 0x7b) return false
  trouble.deepest = 0
  const end = bytes.length
  let i = skipSpace(bytes, at + 1, end)
  while (i < end && bytes[i] === 0x22) {
    const keyEnd = skipString(bytes, i + 1, end)
    if (keyEnd < 0) return false
    const isIt = isKey(bytes, i, keyEnd, key)
    const valueStart = skipColon(bytes, keyEnd, end)
    if (valueStart < 0) return false
    const valueEnd = skipValue(bytes, valueStart, end, 0, ANY_DEPTH)
    if (valueEnd < 0) return false
    if (isIt) {
      member.start = valueStart
      member.end = valueEnd
    }
    i = skipSpace(bytes, valueEnd, end)
    if (bytes[i] !== 0x2c) break
    i = skipSpace(bytes, i + 1, end)
  }
  return member.start >= 0
}

/** @param start position of the key's opening quote, `end` behind its closing one */
function isKey(bytes: Buffer, start: number, end: number, key: string): boolean {
  const length = end - start - 2
  if (length < key.length) return false
  let i = 0
  while (i < key.length && bytes[start + 1 + i] === key.charCodeAt(i)) i++
  if (i === key.length && length === key.length) return true
  if (length === key.length || bytes.subarray(start, end).indexOf(0x5c) < 0) return false
  return JSON.parse(bytes.toString('utf8', start, end)) === key
}
