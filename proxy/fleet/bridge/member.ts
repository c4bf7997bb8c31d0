import { skipColon, skipSpace, skipString, skipValue, trouble } from '../../message/grammar.ts'

/** Deeper than anything that was accepted: the bytes have been validated before. */
const ANY_DEPTH = 100_000
const QUOTE = 0x22
const COMMA = 0x2c
const OPEN_BRACE = 0x7b
const REVERSE_SOLIDUS = 0x5c

/** What `findMember` found last; read at once, never kept. */
export const member = {
  /** Range of the value. */
  start: -1,
  end: -1,
  /** Whether the key is there twice, or in another case: another parser might take that one. */
  isTwin: false,
}

/**
 * Finds a member of a JSON object by its key, escaped or not; of several the last one, as `JSON.parse` does.
 * @param at position of the object's opening brace, in bytes that were found valid; anything else is "not found"
 * @returns whether there is one; what was found is in `member`
 */
export function findMember(bytes: Buffer, at: number, key: string): boolean {
  member.start = -1
  member.isTwin = false
  if (at < 0 || bytes[at] !== OPEN_BRACE) return false
  trouble.deepest = 0
  const end = bytes.length
  let i = skipSpace(bytes, at + 1, end)
  while (i < end && bytes[i] === QUOTE) {
    const keyEnd = skipString(bytes, i + 1, end)
    if (keyEnd < 0) return false
    const match = matchKey(bytes, i, keyEnd, key)
    const valueStart = skipColon(bytes, keyEnd, end)
    if (valueStart < 0) return false
    const valueEnd = skipValue(bytes, valueStart, end, 0, ANY_DEPTH)
    if (valueEnd < 0) return false
    if (match !== 'other') note(match, valueStart, valueEnd)
    i = skipSpace(bytes, valueEnd, end)
    if (bytes[i] !== COMMA) break
    i = skipSpace(bytes, i + 1, end)
  }
  return member.start >= 0
}

function note(match: 'exact' | 'folded', start: number, end: number): void {
  if (match === 'folded' || member.start >= 0) member.isTwin = true
  if (match === 'folded') return
  member.start = start
  member.end = end
}

/** @param start position of the key's opening quote, `end` behind its closing one */
function matchKey(bytes: Buffer, start: number, end: number, key: string): 'exact' | 'folded' | 'other' {
  const length = end - start - 2
  if (length < key.length) return 'other'
  if (length > key.length && bytes.subarray(start, end).indexOf(REVERSE_SOLIDUS) < 0) return 'other'
  let isExact = length === key.length
  for (let i = 0; i < key.length; i++) {
    const c = bytes[start + 1 + i] as number
    const wanted = key.charCodeAt(i)
    if (c === wanted) continue
    if (c === REVERSE_SOLIDUS) return matchText(JSON.parse(bytes.toString('utf8', start, end)) as string, key)
    if (c > 0x7f || lower(c) !== lower(wanted)) return 'other'
    isExact = false
  }
  if (length === key.length) return isExact ? 'exact' : 'folded'
  return matchText(JSON.parse(bytes.toString('utf8', start, end)) as string, key)
}

function matchText(text: string, key: string): 'exact' | 'folded' | 'other' {
  if (text === key) return 'exact'
  return text.toLowerCase() === key.toLowerCase() ? 'folded' : 'other'
}

function lower(c: number): number {
  return c >= 0x41 && c <= 0x5a ? c | 0x20 : c
}
