import { BASE64, CLASSES, hexPair, KEYWORD } from './classes.ts'
import { encodedRuns, MIN_RUN, MIXED_WITHIN, unescaped } from './decode.ts'
import { beginText, inLane, LANES, mayBegin } from './raw-tests.ts'
import { ESCAPE_MARK, type KeywordTest, PERCENT_MARK, type RuleIndex, TEXT_MARK } from './rule-index.ts'

/** Where one keyword or more end in a text. */
export interface Mark {
  /** Of the automaton. */
  readonly state: number
  /** Behind the last byte. */
  at: number
}

const BACKSLASH = 0x5c
const QUOTE = 0x22
const BLANK = 0x20

/** Shorter texts are gone over in one piece, and those whose parts would be short beside a keyword. */
const MIN_IN_LANES = 256
const MIN_PART = 8

/** Bytes of each part that are gone over before what stands there is looked at. */
const BLOCK = 256

/** Longer stretches of base64 are decoded as a whole. */
const MAX_DECODED = 4096

/** Bytes at both sides of the gap between two texts that are looked at together. */
const JOIN_BEFORE = 160
const JOIN_AFTER = 640

/**
 * Looks over a message as it came, without parsing it, and says whether a closer look could find anything. It may say yes for
 * nothing, but never no where the closer look would find a secret: keywords have only characters that no encoder escapes,
 * and one that is escaped all the same is itself a reason for the closer look.
 */
export class Prefilter {
  readonly #index: RuleIndex
  /** Where the values of keys `text` begin in the message at hand. */
  readonly #texts: number[]
  /** What a stretch of base64 stands for. */
  readonly #decoded: Buffer
  /** Where keywords end in the block at hand, and the automaton's states there. */
  readonly #ends: Int32Array
  readonly #states: Uint16Array

  constructor(index: RuleIndex) {
    this.#index = index
    this.#texts = []
    this.#decoded = Buffer.alloc(MAX_DECODED)
    this.#ends = new Int32Array(BLOCK * LANES)
    this.#states = new Uint16Array(BLOCK * LANES)
  }

  /** @param json one JSON text */
  suspects(json: Buffer): boolean {
    this.#texts.length = 0
    const end = json.length
    return this.#scan(json, 0, end, true) || this.#joined(json) || this.#encoded(json, 0, end)
  }

  /** The same for one string of it. */
  suspectsRange(json: Buffer, start: number, end: number): boolean {
    return this.#scan(json, start, end, false) || this.#encoded(json, start, end)
  }

  /** The same for a text that was put together, without a look into base64. */
  suspectsText(text: Buffer): boolean {
    return this.#scan(text, 0, text.length, false)
  }

  /**
   * Goes on over a text that comes in pieces, and marks where keywords end. @param state where the automaton is, 0 at first
   * @returns where it is now
   */
  mark(state: number, bytes: Buffer, start: number, end: number, marks: Mark[]): number {
    const { table, firstAccept } = this.#index.dfa
    let now = state
    for (let i = start; i < end; i++) {
      now = table[(now << 8) | (bytes[i] as number)] as number
      if (now >= firstAccept) marks.push({ state: now, at: i + 1 })
    }
    return now
  }

  /** Whether a secret could begin at one of the marks of a text. */
  suspectsMarks(marks: readonly Mark[], text: Buffer): boolean {
    beginText()
    return marks.some(({ state, at }) => this.#accepted(state, text, at, false))
  }

  /** Whether any keyword stands in a range. */
  hasKeyword(json: Buffer, start: number, end: number): boolean {
    const { table, firstAccept, ends } = this.#index.dfa
    let state = 0
    for (let i = start; i < end; i++) {
      state = table[(state << 8) | (json[i] as number)] as number
      if (state < firstAccept) continue
      // Marks count too: an escape may hide one.
      if ((ends[state - firstAccept] as readonly number[]).some(n => n !== TEXT_MARK)) return true
    }
    return false
  }

  #scan(bytes: Buffer, start: number, end: number, isJson: boolean): boolean {
    beginText()
    const { longest } = this.#index.dfa
    if (end - start < MIN_IN_LANES || end - start < longest * MIN_PART) return this.#part(0, bytes, start, end, isJson)
    return this.#inLanes(bytes, start, end, isJson)
  }

  /** @param state where the automaton is */
  #part(state: number, bytes: Buffer, start: number, end: number, isJson: boolean): boolean {
    const { table, firstAccept } = this.#index.dfa
    let now = state
    for (let i = start; i < end; i++) {
      now = table[(now << 8) | (bytes[i] as number)] as number
      if (now >= firstAccept && this.#accepted(now, bytes, i + 1, isJson)) return true
    }
    return false
  }

  /**
   * Goes over four parts of a text at once. Each look-up waits for the one before it, so that four in a row that have nothing to
   * do with each other take hardly longer than one.
   */
  #inLanes(bytes: Buffer, start: number, end: number, isJson: boolean): boolean {
    const { table, firstAccept: first, longest } = this.#index.dfa
    const size = Math.trunc((end - start) / LANES)
    const b = start + size
    const c = b + size
    const d = c + size
    let s0 = 0
    let s1 = 0
    let s2 = 0
    let s3 = 0
    // What begins before a part may end in it.
    for (let i = -longest; i < 0; i++) {
      s1 = table[(s1 << 8) | (bytes[b + i] as number)] as number
      s2 = table[(s2 << 8) | (bytes[c + i] as number)] as number
      s3 = table[(s3 << 8) | (bytes[d + i] as number)] as number
    }
    const states = this.#states
    const ends = this.#ends
    for (let i = 0; i < size; ) {
      const stop = Math.min(size, i + BLOCK)
      let n = 0
      // No calls in here, so that all of it stays in registers.
      for (; i < stop; i++) {
        s0 = table[(s0 << 8) | (bytes[start + i] as number)] as number
        s1 = table[(s1 << 8) | (bytes[b + i] as number)] as number
        s2 = table[(s2 << 8) | (bytes[c + i] as number)] as number
        s3 = table[(s3 << 8) | (bytes[d + i] as number)] as number
        if (s0 >= first) {
          states[n] = s0
          ends[n++] = start + i + 1
        }
        if (s1 >= first) {
          states[n] = s1
          ends[n++] = b + i + 1
        }
        if (s2 >= first) {
          states[n] = s2
          ends[n++] = c + i + 1
        }
        if (s3 >= first) {
          states[n] = s3
          ends[n++] = d + i + 1
        }
      }
      for (let k = 0; k < n; k++) {
        const at = ends[k] as number
        inLane(at > d ? 3 : at > c ? 2 : at > b ? 1 : 0)
        if (this.#accepted(states[k] as number, bytes, at, isJson)) return true
      }
    }
    if (this.#part(s3, bytes, d + size, end, isJson)) return true
    if (this.#texts.length > 1) this.#texts.sort((one, other) => one - other)
    return false
  }

  #accepted(state: number, bytes: Buffer, at: number, isJson: boolean): boolean {
    const { dfa, tests } = this.#index
    const ends = dfa.ends[state - dfa.firstAccept] as readonly number[]
    for (let k = 0; k < ends.length; k++) {
      const n = ends[k] as number
      const test = tests[n] as KeywordTest | null
      if (test !== null) {
        if (mayBegin(test, bytes, at)) return true
      } else if (n === ESCAPE_MARK || n === PERCENT_MARK) {
        if (hidesKeyword(bytes, at, n === PERCENT_MARK)) return true
      } else if (n === TEXT_MARK && isJson) {
        this.#texts.push(at)
      }
    }
    return false
  }

  /** Where the message has several texts: whether a keyword or its value is split between two that follow each other. */
  #joined(json: Buffer): boolean {
    if (this.#texts.length < 2) return false
    const starts = this.#texts.map(at => valueStart(json, at)).filter(start => start >= 0)
    if (starts.length < 2) return false
    let tail = Buffer.alloc(0)
    for (const start of starts) {
      const end = stringEnd(json, start)
      const both = Buffer.concat([tail, json.subarray(start, Math.min(end, start + JOIN_AFTER))])
      if (tail.length > 0 && this.#scan(both, 0, both.length, false)) return true
      const kept = Buffer.concat([tail, json.subarray(Math.max(start, end - JOIN_BEFORE), end)])
      tail = kept.subarray(Math.max(0, kept.length - JOIN_BEFORE))
    }
    return false
  }

  /** Looks into what may be base64: from 24 such characters on. A window without them is left by its last other character. */
  #encoded(json: Buffer, from: number, to: number): boolean {
    for (let start = from; start + MIN_RUN <= to; ) {
      let at = start + MIN_RUN - 1
      while (at >= start && RUN[json[at] as number] === 1) at--
      if (at >= start) {
        start = at + 1
        continue
      }
      let end = start + MIN_RUN
      while (end < to && RUN[json[end] as number] === 1) end++
      if (this.#hidesInRun(json, start, end) && this.#stretch(json, start, end)) return true
      start = end + 1
    }
    return false
  }

  /**
   * Whether a stretch may hold a secret once it is decoded. Long names and paths look like base64, too, so it is gone through
   * without making anything; only one in which a keyword stands is looked at as a text.
   */
  #hidesInRun(json: Buffer, start: number, to: number): boolean {
    let end = to
    // They escape what ends the stretch.
    while (json[end - 1] === BACKSLASH) end--
    if (end - start < MIN_RUN || !isMixed(json, start, end)) return false
    const { table, firstAccept } = this.#index.dfa
    const decoded = this.#decoded
    let hasKeyword = false
    let state = 0
    let bits = 0
    let held = 0
    let size = 0
    for (let i = start; i < end; i++) {
      const value = SEXTETS[json[i] as number] as number
      // Escapes stand for something else.
      if (value === NO_SEXTET || size === MAX_DECODED) return true
      bits = ((bits << 6) | value) & 0xfff
      held += 6
      if (held < 8) continue
      held -= 8
      const byte = (bits >> held) & 0xff
      decoded[size++] = byte
      state = table[(state << 8) | byte] as number
      if (state >= firstAccept) hasKeyword = true
    }
    return hasKeyword && this.#scan(decoded.subarray(0, size), 0, size, false)
  }

  #stretch(json: Buffer, start: number, end: number): boolean {
    const raw = json.toString('latin1', start, end)
    for (const { decoded } of encodedRuns(unescaped(raw)?.text ?? raw)) {
      const bytes = Buffer.from(decoded, 'latin1')
      if (this.#scan(bytes, 0, bytes.length, false)) return true
    }
    return false
  }
}

/** Both cases among the first characters, as `encodedRuns` wants it; with an escape in it, it may be. */
function isMixed(json: Buffer, start: number, end: number): boolean {
  const last = Math.min(end, start + MIXED_WITHIN)
  let seen = 0
  for (let i = start; i < last; i++) {
    const byte = json[i] as number
    if (byte === BACKSLASH) return true
    if (byte >= 0x61 && byte <= 0x7a) seen |= 1
    else if (byte >= 0x41 && byte <= 0x5a) seen |= 2
  }
  return seen === 3
}

const NO_SEXTET = 255
/** What the characters of base64 and base64url stand for. */
const SEXTETS = new Uint8Array(256).fill(NO_SEXTET)
for (const alphabet of ['+/', '-_']) {
  const all = `ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789${alphabet}`
  for (let i = 0; i < all.length; i++) SEXTETS[all.charCodeAt(i)] = i
}

function has(byte: number | undefined, bit: number): boolean {
  return ((CLASSES[byte as number] as number) & bit) !== 0
}

/** Base64, or a backslash: a slash or the end of a line may be escaped in the middle of it. */
const RUN = Uint8Array.from(CLASSES, (bits, byte) => ((bits & BASE64) !== 0 || byte === BACKSLASH ? 1 : 0))

/** Whether the escape before `at` (`\u00` or `%`, then two digits) stands for a character of keywords, or of base64. */
function hidesKeyword(bytes: Buffer, at: number, isPercent: boolean): boolean {
  const code = at + 1 < bytes.length ? hexPair(bytes[at] as number, bytes[at + 1] as number) : -1
  if (code < 0) return false
  return has(code, KEYWORD) || (!isPercent && (code === 0x2b || code === 0x2f))
}

/** After the colon and the quote that follow a key; -1 where its value is no string. */
function valueStart(json: Buffer, at: number): number {
  let i = at
  while (isSpace(json[i]) || json[i] === 0x3a) i++
  return json[i] === QUOTE ? i + 1 : -1
}

function stringEnd(json: Buffer, start: number): number {
  let i = start
  while (i < json.length && json[i] !== QUOTE) i += json[i] === BACKSLASH ? 2 : 1
  return i
}

function isSpace(byte: number | undefined): boolean {
  return byte === BLANK || byte === 0x0a || byte === 0x0d || byte === 0x09
}
