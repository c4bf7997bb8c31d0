import { ALNUM, CLASSES, hexPair, NAME, OPENER, OPERATOR, SOLID, VALUE } from './classes.ts'
import type { KeywordTest } from './rule-index.ts'

/*
 * Cheap tests of what stands around a keyword in raw JSON before anything is parsed, and in
 * decoded text before a pattern is tried. Each passes everything that the rules
 * could match once the text is decoded: once as JSON, and once more as JSON in a string, or as a URL.
 */

const BACKSLASH = 0x5c
const SLASH = 0x2f
const PERCENT = 0x25
const BLANK = 0x20
const LETTER_U = 0x75
const QUOTE = 0x22
const COMMA = 0x2c

/** Bytes after a keyword in which an operator must come. Escapes make text longer. */
const OPERATOR_WITHIN = 72
const VALUE_KEY = '"value"'
/** JSON's only escape for a letter. */
const ESCAPED_LETTER = '\\u'
const ESCAPED_KEY = /"(?!value")(?:v|\\u0076)(?:a|\\u0061)(?:l|\\u006c)(?:u|\\u0075)(?:e|\\u0065)"/i
/** Bytes from a name to the `value` that belongs to it, with the members between them. */
export const MAX_BESIDE = 256
/** Bytes after an operator in which the value must begin. */
const VALUE_WITHIN = 96
const URL_WITHIN = 420
const MAX_TAIL = 64
/** Words that may stand before the value: a scheme of authentication, and the key `value` beside a `name`. */
const MAX_WORDS = 2
/** `value`, `basic`, `token`, `bearer`. */
const MIN_WORD = 5
const MAX_WORD = 6
const INITIALS = 'vbt'
/** Characters that may stand between a keyword and the operator once all is decoded: 30 of a name, 3 quotes, 4 blanks. */
const MAX_BETWEEN = 37

/** Whether a rule could match at a keyword. @param at after the keyword */
export function mayBegin(test: KeywordTest, bytes: Buffer, at: number): boolean {
  if (test.tail >= 0 && (!test.bounded || !followsWord(bytes, at - test.length)) && hasTail(test, bytes, at))
    return true
  if (test.minValue >= 0 && !(test.wholeName && has(bytes[at], ALNUM)) && isAssigned(bytes, at, test.minValue))
    return true
  return test.url && hasPassword(bytes, at)
}

function has(byte: number | undefined, bit: number): boolean {
  return ((CLASSES[byte as number] as number) & bit) !== 0
}

/** Whether a letter or digit stands before `start` that is not the end of an escape. */
function followsWord(bytes: Buffer, start: number): boolean {
  if (start === 0 || !has(bytes[start - 1], ALNUM)) return false
  if (bytes[start - 2] === BACKSLASH || bytes[start - 3] === PERCENT) return false
  // The last character may be escaped, and so may the percent sign of `%20` (then 8 bytes before) or its first digit (then 7).
  for (let i = start - 8; i <= start - 6; i++) {
    if (bytes[i] === BACKSLASH && bytes[i + 1] === LETTER_U) return false
  }
  return true
}

function hasTail({ tail, tailSet, blanks }: KeywordTest, bytes: Buffer, at: number): boolean {
  if (tailSet !== null) return hasTailOf(tailSet, Math.min(tail, MAX_TAIL), bytes, at, blanks)
  let i = at
  while (i < at + 4 && bytes[i] === BLANK) i++
  const end = i + Math.min(tail, MAX_TAIL)
  for (; i < end; i++) {
    if (!has(bytes[i], SOLID)) return false
  }
  return true
}

function hasTailOf(set: Uint8Array, tail: number, bytes: Buffer, from: number, blanks: number): boolean {
  let at = from
  while (at < from + blanks && bytes[at] === BLANK) at++
  for (let i = at; i < at + tail; i++) {
    const byte = bytes[i]
    if (byte === undefined) return false
    // What is escaped may be anything: let the pattern decide.
    if (set[byte] === 0) return byte === BACKSLASH || byte === PERCENT
  }
  return true
}

/** Length in bytes of the character that `decodedAt` gave last. */
let width = 1

/** The character at `i` with escapes undone: of JSON, of JSON in a string, of URLs. Sets `width`. */
function decodedAt(bytes: Buffer, i: number): number {
  const byte = bytes[i] as number
  width = 1
  if (byte === PERCENT) {
    const code = pairAt(bytes, i + 1)
    if (code < 0) return byte
    width = 3
    return code
  }
  if (byte !== BACKSLASH) return byte
  const letter = bytes[i + 1]
  if (letter === LETTER_U) return unicodeAt(bytes, i)
  if (letter === undefined || letter === BACKSLASH) return byte
  width = 2
  return has(letter, ALNUM) ? BLANK : letter
}

function unicodeAt(bytes: Buffer, i: number): number {
  const code = pairAt(bytes, i + 4)
  if (code < 0) return BACKSLASH
  width = 6
  return code
}

function pairAt(bytes: Buffer, i: number): number {
  return i + 1 < bytes.length ? hexPair(bytes[i] as number, bytes[i + 1] as number) : -1
}

/** How many parts of a text are gone over at once, each on its own. */
export const LANES = 4

/**
 * Where names without an operator were seen last in each part, so that a text of nothing but keywords is gone over once and
 * not once for each.
 */
const clearFrom = new Int32Array(LANES)
const clearTo = new Int32Array(LANES)
let lane = 0

/** Forgets what was seen: before the tests of another text. */
export function beginText(): void {
  for (lane = LANES - 1; lane > 0; lane--) clearFrom[lane] = clearTo[lane] = 0
  clearFrom[0] = clearTo[0] = 0
}

/** Says which part the next tests are about. */
export function inLane(n: number): void {
  lane = n
}

/** 1 = part of a name, and nothing to think about. */
const IN_NAME = Uint8Array.from(CLASSES, (bits, byte) =>
  (bits & NAME) !== 0 && (bits & OPERATOR) === 0 && byte !== BLANK && byte !== BACKSLASH && byte !== PERCENT ? 1 : 0,
)

/** Whether a name goes on, an operator follows and after it a value that holds a letter and something else. */
function isAssigned(bytes: Buffer, at: number, minValue: number): boolean {
  const end = Math.min(bytes.length, at + OPERATOR_WITHIN)
  const isKnown = at >= (clearFrom[lane] as number) && at <= (clearTo[lane] as number)
  let i = isKnown ? (clearTo[lane] as number) : at
  let left = MAX_BETWEEN
  let isClear = true
  for (;;) {
    for (; i < end && left > 0 && IN_NAME[bytes[i] as number] === 1; i++) left--
    if (i >= end) break
    const byte = bytes[i] as number
    const isEscape = byte === BACKSLASH || byte === PERCENT
    const code = isEscape ? decodedAt(bytes, i) : byte
    const next = isEscape ? i + width : i + 1
    const bits = CLASSES[code] as number
    if ((bits & OPERATOR) !== 0) return hasValue(bytes, next, minValue) || isNamed(bytes, i, minValue)
    if (code === BLANK && isWordIs(bytes, next)) {
      if (hasValue(bytes, next + 2, minValue)) return true
      // Another keyword may do with a shorter value.
      isClear = false
    }
    if ((bits & NAME) === 0 && !isEscape) {
      if (isSpace(byte) && isNamed(bytes, afterSpace(bytes, i), minValue)) return true
      break
    }
    // A character that is decoded once more takes more than one of these.
    if (code === PERCENT) left += 2
    else if (code !== BACKSLASH && --left < 0) break
    i = next
  }
  if (!isClear) return false
  if (!isKnown) clearFrom[lane] = at
  clearTo[lane] = Math.max(i, at)
  return false
}

/**
 * Whether a name that ends before `at` has its value in a member further on: `{"name": "DB_PASSWORD", "masked": true, "value": …}`.
 * Members are those of the message: an escaped quote ends no name.
 */
function isNamed(bytes: Buffer, at: number, minValue: number): boolean {
  if (bytes[at] !== COMMA) return false
  let quote = at - 1
  while (isSpace(bytes[quote])) quote--
  if (bytes[quote] !== QUOTE || isEscaped(bytes, quote)) return false
  const stretch = bytes.subarray(at, at + MAX_BESIDE)
  for (let found = stretch.indexOf(VALUE_KEY); found !== -1; found = stretch.indexOf(VALUE_KEY, found + 1)) {
    if (hasValue(bytes, at + found + VALUE_KEY.length, minValue)) return true
  }
  return stretch.includes(ESCAPED_LETTER) && ESCAPED_KEY.test(stretch.toString('latin1'))
}

function afterSpace(bytes: Buffer, from: number): number {
  let at = from
  while (at < from + OPERATOR_WITHIN && isSpace(bytes[at])) at++
  return at
}

function isSpace(byte: number | undefined): boolean {
  return byte === BLANK || byte === 0x0a || byte === 0x0d || byte === 0x09
}

function isEscaped(bytes: Buffer, at: number): boolean {
  let before = at
  while (bytes[before - 1] === BACKSLASH) before--
  return ((at - before) & 1) === 1
}

function isWordIs(bytes: Buffer, at: number): boolean {
  if (at + 2 >= bytes.length || has(bytes[at + 2], ALNUM)) return false
  return ((bytes[at] as number) | 0x20) === 0x69 && ((bytes[at + 1] as number) | 0x20) === 0x73
}

function hasValue(bytes: Buffer, at: number, minValue: number): boolean {
  const end = Math.min(bytes.length, at + VALUE_WITHIN)
  let i = at
  for (let words = 0; words <= MAX_WORDS && i < end; words++) {
    while (i < end && has(decodedAt(bytes, i), OPENER)) i += width
    const start = i
    const initial = i < end ? String.fromCharCode(decodedAt(bytes, i) | 0x20) : ''
    let length = 0
    let letter = false
    let other = false
    for (let code = decodedAt(bytes, i); i < bytes.length && has(code, VALUE); code = decodedAt(bytes, i)) {
      const lower = code | 0x20
      if (lower >= 0x61 && lower <= 0x7a) letter = true
      else other = true
      if (++length >= minValue && letter && other) return true
      i += width
    }
    if (other || i === start || length < MIN_WORD || length > MAX_WORD || !INITIALS.includes(initial)) return false
  }
  return false
}

const GOES_ON = 0
const ENDS = 1
const AT_SIGN = 2
const IS_ESCAPE = 3
/** What a character does to the user and password of a URL. */
const IN_LOGIN = Uint8Array.from(CLASSES, (bits, byte) => {
  if (byte === BACKSLASH || byte === PERCENT) return IS_ESCAPE
  if (byte === 0x40) return AT_SIGN
  return (bits & SOLID) !== 0 && byte !== SLASH ? GOES_ON : ENDS
})

/** Whether a scheme is followed by `://`, and that by an `@` before the next slash. */
function hasPassword(bytes: Buffer, at: number): boolean {
  const end = Math.min(bytes.length, at + URL_WITHIN)
  let i = at
  while (i < at + 17 && (has(bytes[i], ALNUM) || bytes[i] === 0x2b)) i++
  for (const expected of SCHEME_ENDS) {
    let code = decodedAt(bytes, i)
    // A slash may be escaped more than once: `\\\/`.
    while (code === BACKSLASH && i < end) code = decodedAt(bytes, ++i)
    if (code !== expected) return false
    i += width
  }
  while (i < end) {
    let what = IN_LOGIN[bytes[i] as number] as number
    width = 1
    if (what === IS_ESCAPE) {
      const code = decodedAt(bytes, i)
      what = code === BACKSLASH || code === PERCENT ? GOES_ON : (IN_LOGIN[code] as number)
    }
    if (what !== GOES_ON) return what === AT_SIGN
    i += width
  }
  return false
}

const SCHEME_ENDS = [0x3a, SLASH, SLASH] as const
