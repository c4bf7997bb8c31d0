/**
 * The grammar of JSON (RFC 8259) over bytes: each function takes the position where something must stand and gives the
 * position behind it, or -1 after noting in `trouble` what was expected where. Valid UTF-8 is checked beforehand.
 */

/** A string that goes on for longer than this is read by words of four bytes. */
const LONG_STRING_BYTES = 32

/** The notes of the last reader: why and where it stopped, and how deep it came. Read at once, never kept. */
export const trouble = {
  text: '',
  at: 0,
  /** Whether the depth limit was the reason, not the grammar. */
  tooDeep: false,
  deepest: 0,
}

/** 1 = stands for itself inside a string; 0 = quote, reverse solidus or control character. */
export const PLAIN = new Uint8Array(256).fill(1, 0x20)
PLAIN[0x22] = 0
PLAIN[0x5c] = 0

const HEX = new Uint8Array(256)
for (const c of '0123456789abcdefABCDEF') HEX[c.charCodeAt(0)] = 1

/** What may follow a reverse solidus, `u` apart. */
const ESCAPED = new Uint8Array(256)
for (const c of '"\\/bfnrt') ESCAPED[c.charCodeAt(0)] = 1

/** Kind of container open at each depth: 1 = object, 0 = array. Grows to the deepest limit in use. */
let open = new Uint8Array(256)

/** Notes what was expected and gives -1. */
export function fail(text: string, at: number): -1 {
  trouble.text = text
  trouble.at = at
  return -1
}

export function skipSpace(bytes: Buffer, at: number, end: number): number {
  let i = at
  while (i < end) {
    const c = bytes[i] as number
    if (c > 0x20 || (c !== 0x20 && c !== 0x0a && c !== 0x0d && c !== 0x09)) return i
    i++
  }
  return i
}

/** @param at position behind the opening quote */
export function skipString(bytes: Buffer, at: number, end: number): number {
  let i = at
  for (;;) {
    const soon = i + LONG_STRING_BYTES
    if (soon < end) {
      while (i < soon && PLAIN[bytes[i] as number] === 1) i++
      if (i === soon) i = skipPlain(bytes, i, end)
    }
    while (i < end && PLAIN[bytes[i] as number] === 1) i++
    if (i >= end) return fail('unfinished string', end)
    const c = bytes[i] as number
    if (c === 0x22) return i + 1
    if (c !== 0x5c) return fail('unescaped control character in a string', i)
    i = skipEscape(bytes, i, end)
    if (i < 0) return -1
  }
}

/** The words of the buffer that is being read, and the offset in it of the first one. Made for the first long string. */
const NO_WORDS = new Int32Array(0)
let words: Int32Array = NO_WORDS
let wordsOf: Buffer | null = null
let wordsAt = 0

/** Lets go of the last buffer that was read. */
export function release(): void {
  if (wordsOf === null) return
  wordsOf = null
  words = NO_WORDS
}

function viewWords(bytes: Buffer): void {
  wordsOf = bytes
  wordsAt = -bytes.byteOffset & 3
  const count = Math.max(0, (bytes.length - wordsAt) >> 2)
  words = new Int32Array(bytes.buffer, count === 0 ? 0 : bytes.byteOffset + wordsAt, count)
}

/**
 * Skips plain bytes by words of four and stops at most three before the first other one. Per byte of a word: c ^ 2 is
 * below 0x21 exactly for controls and the quote, c ^ 0x5c is 0 for the reverse solidus; the borrow of a subtraction
 * sets the top bit, which bytes above 0x7f are excluded from.
 */
function skipPlain(bytes: Buffer, at: number, end: number): number {
  if (wordsOf !== bytes) viewWords(bytes)
  const shift = (wordsAt - at) & 3
  const stop = (end - wordsAt) >> 2
  for (let i = at; i < at + shift; i++) {
    if (i >= end || PLAIN[bytes[i] as number] !== 1) return i
  }
  let k = (at + shift - wordsAt) >> 2
  for (; k < stop; k++) {
    const v = words[k] as number
    if (((((v ^ 0x5c5c5c5c) - 0x01010101) | ((v ^ 0x02020202) - 0x21212121)) & ~v & -0x7f7f7f80) !== 0) break
  }
  return wordsAt + k * 4
}

function skipEscape(bytes: Buffer, at: number, end: number): number {
  if (at + 1 >= end) return fail('unfinished string', end)
  const c = bytes[at + 1] as number
  if (ESCAPED[c] === 1) return at + 2
  if (c !== 0x75) return fail('unknown escape in a string', at)
  if (at + 6 > end) return fail('unfinished string', end)
  for (let i = at + 2; i < at + 6; i++) {
    if (HEX[bytes[i] as number] !== 1) return fail('\\u without four hexadecimal digits', at)
  }
  return at + 6
}

function skipDigits(bytes: Buffer, at: number, end: number): number {
  let i = at
  while (i < end) {
    const c = bytes[i] as number
    if (c < 0x30 || c > 0x39) break
    i++
  }
  return i === at ? fail('expected a digit', i) : i
}

function skipNumber(bytes: Buffer, at: number, end: number): number {
  let i = bytes[at] === 0x2d ? at + 1 : at
  if (i < end && bytes[i] === 0x30) i++
  else i = skipDigits(bytes, i, end)
  if (i < 0) return -1
  if (i < end && bytes[i] === 0x2e) {
    i = skipDigits(bytes, i + 1, end)
    if (i < 0) return -1
  }
  if (i < end && ((bytes[i] as number) | 0x20) === 0x65) {
    i++
    if (i < end && (bytes[i] === 0x2b || bytes[i] === 0x2d)) i++
    i = skipDigits(bytes, i, end)
  }
  return i
}

/** Whether the three bytes from `at` are these. */
function isWord(bytes: Buffer, at: number, end: number, first: number, second: number, third: number): boolean {
  return at + 3 <= end && bytes[at] === first && bytes[at + 1] === second && bytes[at + 2] === third
}

function skipWord(bytes: Buffer, at: number, end: number): number {
  const c = bytes[at] as number
  if (c === 0x74 && isWord(bytes, at + 1, end, 0x72, 0x75, 0x65)) return at + 4
  if (c === 0x6e && isWord(bytes, at + 1, end, 0x75, 0x6c, 0x6c)) return at + 4
  if (c === 0x66 && at + 5 <= end && bytes[at + 1] === 0x61 && isWord(bytes, at + 2, end, 0x6c, 0x73, 0x65))
    return at + 5
  return fail('expected a value', at)
}

/** A string, number or word. */
function skipScalar(bytes: Buffer, at: number, end: number): number {
  const c = bytes[at] as number
  if (c === 0x22) return skipString(bytes, at + 1, end)
  if (c === 0x2d || (c >= 0x30 && c <= 0x39)) return skipNumber(bytes, at, end)
  return skipWord(bytes, at, end)
}

export function skipColon(bytes: Buffer, at: number, end: number): number {
  let i = at
  if (i < end && (bytes[i] as number) <= 0x20) i = skipSpace(bytes, i, end)
  if (i >= end || bytes[i] !== 0x3a) return fail('expected a colon', i)
  i++
  return i < end && (bytes[i] as number) <= 0x20 ? skipSpace(bytes, i, end) : i
}

/** Notes that the message is nested deeper than allowed. */
export function failDepth(maxDepth: number, at: number): -1 {
  trouble.tooDeep = true
  return fail(`nested deeper than ${maxDepth} levels`, at)
}

/**
 * Any value, without recursion.
 * @param at where the value must stand, white space already skipped
 * @param depth nesting around it: 1 for a value directly in the outermost object
 */
export function skipValue(bytes: Buffer, at: number, end: number, depth: number, maxDepth: number): number {
  if (at >= end) return fail('unexpected end', end)
  const c = bytes[at] as number
  if (c !== 0x7b && c !== 0x5b) return skipScalar(bytes, at, end)
  if (open.length <= maxDepth) open = new Uint8Array(maxDepth + 1)
  return skipContainer(bytes, at, end, depth, maxDepth)
}

function skipContainer(bytes: Buffer, at: number, end: number, outer: number, maxDepth: number): number {
  const kinds = open
  let depth = outer
  let isObject = false
  let isKey = false
  let i = at
  for (;;) {
    if (i >= end) return fail('unexpected end', end)
    let c = bytes[i] as number
    if (c === 0x22) {
      const soon = i + LONG_STRING_BYTES < end ? i + LONG_STRING_BYTES : end
      i++
      while (i < soon && PLAIN[bytes[i] as number] === 1) i++
      if (i < soon && bytes[i] === 0x22) i++
      else i = skipString(bytes, i, end)
      if (isKey) {
        if (i >= 0) i = skipColon(bytes, i, end)
        if (i < 0) return -1
        isKey = false
        continue
      }
    } else if (isKey) {
      return fail('expected a key in double quotes', i)
    } else if (c === 0x7b || c === 0x5b) {
      if (++depth > trouble.deepest) {
        if (depth > maxDepth) return failDepth(maxDepth, i)
        trouble.deepest = depth
      }
      isObject = c === 0x7b
      kinds[depth] = isObject ? 1 : 0
      i++
      if (i < end && (bytes[i] as number) <= 0x20) i = skipSpace(bytes, i, end)
      if (i >= end) return fail('unexpected end', end)
      if (bytes[i] !== c + 2) {
        isKey = isObject
        continue
      }
      i++
      depth--
      isObject = kinds[depth] === 1
    } else {
      const first = c
      const start = i
      i++
      while (i < end && (c = bytes[i] as number) >= 0x30 && c <= 0x39) i++
      // Anything but a plain positive integer: once more, by the book.
      if (first < 0x31 || first > 0x39 || c === 0x2e || (c | 0x20) === 0x65) i = skipScalar(bytes, start, end)
    }
    if (i < 0) return -1
    // Close what ends here, up to the next comma.
    for (;;) {
      if (depth === outer) return i
      if (i < end && (bytes[i] as number) <= 0x20) i = skipSpace(bytes, i, end)
      if (i >= end) return fail('unexpected end', end)
      c = bytes[i] as number
      i++
      if (c === 0x2c) {
        if (i < end && (bytes[i] as number) <= 0x20) i = skipSpace(bytes, i, end)
        isKey = isObject
        break
      }
      if (c !== (isObject ? 0x7d : 0x5d)) return fail(isObject ? 'expected "," or "}"' : 'expected "," or "]"', i - 1)
      depth--
      isObject = kinds[depth] === 1
    }
  }
}
