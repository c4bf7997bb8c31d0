import { BASE64, CLASSES, hexPair, KEYWORD } from './classes.ts'
import { encodedRuns, MIN_RUN, unescaped } from './decode.ts'
import { beginText, mayBegin } from './raw-tests.ts'
import { ESCAPE_MARK, type KeywordTest, PERCENT_MARK, type RuleIndex, TEXT_MARK } from './rule-index.ts'

const BACKSLASH = 0x5c
const QUOTE = 0x22
const BLANK = 0x20

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

  constructor(index: RuleIndex) {
    this.#index = index
    this.#texts = []
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
    const { table, firstAccept } = this.#index.dfa
    let state = 0
    for (let i = start; i < end; i++) {
      state = table[(state << 8) | (bytes[i] as number)] as number
      if (state >= firstAccept && this.#accepted(state, bytes, i + 1, isJson)) return true
    }
    return false
  }

  #accepted(state: number, bytes: Buffer, at: number, isJson: boolean): boolean {
    const { dfa, tests } = this.#index
    for (const n of dfa.ends[state - dfa.firstAccept] as readonly number[]) {
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
    let tail = Buffer.alloc(0)
    for (const at of this.#texts) {
      const start = valueStart(json, at)
      if (start < 0) continue
      const end = stringEnd(json, start)
      const both = Buffer.concat([tail, json.subarray(start, Math.min(end, start + JOIN_AFTER))])
      if (tail.length > 0 && this.#scan(both, 0, both.length, false)) return true
      const kept = Buffer.concat([tail, json.subarray(Math.max(start, end - JOIN_BEFORE), end)])
      tail = kept.subarray(Math.max(0, kept.length - JOIN_BEFORE))
    }
    return false
  }

  /**
   * Looks into what may be base64. A stretch of 24 such characters covers two of every 12th; most text fails at one of
   * five samples.
   */
  #encoded(json: Buffer, from: number, to: number): boolean {
    const step = MIN_RUN / 2
    for (let i = from; i + step < to; i += step) {
      if (!isRunByte(json[i]) || !isRunByte(json[i + 6]) || !isRunByte(json[i + 12])) continue
      if (!isRunByte(json[i + 3]) || !isRunByte(json[i + 9])) continue
      let start = i
      while (start > from && isRunByte(json[start - 1])) start--
      let end = i
      while (end < to && isRunByte(json[end])) end++
      if (end - start >= MIN_RUN && this.#stretch(json, start, end)) return true
      // The next sample is the first one beyond the stretch.
      while (i + step <= end) i += step
    }
    return false
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

function has(byte: number | undefined, bit: number): boolean {
  return ((CLASSES[byte as number] as number) & bit) !== 0
}

/** Base64, or a backslash: a slash or the end of a line may be escaped in the middle of it. */
function isRunByte(byte: number | undefined): boolean {
  return has(byte, BASE64) || byte === BACKSLASH
}

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
