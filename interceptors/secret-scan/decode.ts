import { hexPair } from './classes.ts'

/** A text that another text stands for: what it says, and where each part of it comes from. */
export interface Decoded {
  readonly text: string
  /** Where the characters of `text` at these positions begin in the source. `positions` ascend. */
  sources(positions: readonly number[]): number[]
}

/** What a decoder reads at a mark: how many characters it takes, and the one they stand for. */
interface Step {
  taken: number
  code: number
}

type Reader = (source: Uint16Array, at: number, step: Step) => void

const BACKSLASH = 0x5c
const PERCENT = 0x25

/**
 * The text with the escapes of JSON and of most programming languages undone: JSON inside a string, source code, logs. Lenient:
 * what is no escape stays. `null` where there is none.
 */
export function unescaped(source: string): Decoded | null {
  return source.includes('\\') ? decode(source, BACKSLASH, readEscape) : null
}

/** How deep JSON may be wrapped in strings of JSON. */
const MAX_LEVELS = 3

/** What the text says when one level of escapes after the other is undone, up to three. */
export function unescapedLevels(source: string): Decoded[] {
  const levels: Decoded[] = []
  for (let last = unescaped(source); last !== null && levels.length < MAX_LEVELS; ) {
    levels.push(last)
    const outer: Decoded = last
    const inner = unescaped(outer.text)
    last = inner === null ? null : { text: inner.text, sources: at => outer.sources(inner.sources(at)) }
  }
  return levels
}

/** The text with its `%XX` undone, as UTF-8 where it is ASCII. `null` where there is none. */
export function percentDecoded(source: string): Decoded | null {
  return source.includes('%') ? decode(source, PERCENT, readPercent) : null
}

function decode(source: string, mark: number, read: Reader): Decoded | null {
  const units = unitsOf(source)
  const step: Step = { taken: 1, code: mark }
  let out = 0
  for (let at = 0; at < source.length; at += step.taken) {
    step.taken = 1
    step.code = units[at] as number
    if (step.code === mark) read(units, at, step)
    // What is written never overtakes what is read.
    units[out++] = step.code
  }
  if (out === source.length) return null
  const text = Buffer.from(units.buffer, 0, out * 2).toString('utf16le')
  return { text, sources: positions => locate(source, mark, read, positions) }
}

/** The UTF-16 units of a text. */
function unitsOf(source: string): Uint16Array {
  const units = new Uint16Array(source.length)
  Buffer.from(units.buffer).write(source, 'utf16le')
  return units
}

/** Goes through the source once more, and counts. */
function locate(source: string, mark: number, read: Reader, positions: readonly number[]): number[] {
  const units = unitsOf(source)
  const step: Step = { taken: 1, code: mark }
  const found: number[] = []
  let at = 0
  let out = 0
  for (const position of positions) {
    for (; out < position && at < source.length; out++) {
      step.taken = 1
      if (units[at] === mark) read(units, at, step)
      at += step.taken
    }
    found.push(at)
  }
  return found
}

const ESCAPES = new Map(
  Object.entries({ n: '\n', r: '\r', t: '\t', b: '\b', f: '\f', '"': '"', "'": "'", '/': '/', '\\': '\\' }).map(
    ([letter, said]) => [letter.charCodeAt(0), said.charCodeAt(0)] as const,
  ),
)

function readEscape(source: Uint16Array, at: number, step: Step): void {
  const letter = source[at + 1] ?? 0
  if (letter === 0x75) {
    const high = pairAt(source, at + 2)
    const low = pairAt(source, at + 4)
    if (high < 0 || low < 0) return
    step.taken = 6
    step.code = (high << 8) | low
    return
  }
  const code = ESCAPES.get(letter)
  if (code === undefined) return
  step.taken = 2
  step.code = code
}

function readPercent(source: Uint16Array, at: number, step: Step): void {
  const code = pairAt(source, at + 1)
  if (code < 0) return
  step.taken = 3
  step.code = code
}

function pairAt(source: Uint16Array, at: number): number {
  return at + 1 < source.length ? hexPair(source[at] as number, source[at + 1] as number) : -1
}

/** A stretch of base64 or base64url in a text. */
export interface EncodedRun {
  readonly start: number
  readonly end: number
  /** What it stands for, one character a byte. */
  readonly decoded: string
}

/** Shorter ones hold no secret of ours: 24 characters are 18 bytes. */
export const MIN_RUN = 24

const RUN = /[A-Za-z0-9+/_-]{24,}(?:\r?\n[A-Za-z0-9+/_-]{4,})*={0,2}/g
/** Text in base64 has both cases before long; words, paths and hexadecimal digits have not. */
export const MIXED_WITHIN = 64

/** The stretches of a text that may be base64: at least 24 characters, both cases among the first 64; lines are joined. */
export function encodedRuns(text: string): EncodedRun[] {
  if (text.length < MIN_RUN) return []
  const runs: EncodedRun[] = []
  RUN.lastIndex = 0
  for (let match = RUN.exec(text); match !== null; match = RUN.exec(text)) {
    const head = match[0].slice(0, MIXED_WITHIN)
    if (!/[a-z]/.test(head) || !/[A-Z]/.test(head)) continue
    const decoded = Buffer.from(match[0], 'base64').toString('latin1')
    runs.push({ start: match.index, end: match.index + match[0].length, decoded })
  }
  return runs
}

/** Text (one character a byte) back as base64, in the alphabet and with the padding of what it replaces. */
export function encodeLike(original: string, text: string): string {
  const url = /[-_]/.test(original) && !/[+/]/.test(original)
  const padded = original.endsWith('=') || !url
  const encoded = Buffer.from(text, 'latin1').toString(url ? 'base64url' : 'base64')
  return url && padded ? encoded + '='.repeat((4 - (encoded.length % 4)) % 4) : encoded
}
