/** What the `result` of a response says about itself, and where it stands. */
export interface ResultFacts {
  /** Range of `result` in the response, in bytes. */
  readonly start: number
  readonly end: number
  /**
   * Whether it is all there is to say: no `isError: true`, no `input_required`, no task, no `resultType` but `complete`
   * (or none: the legacy era).
   */
  readonly isComplete: boolean
  /** `isError: true`: a tool that failed. */
  readonly isError: boolean
  /** Whether it has a `resultType`, which 2026-07-28 requires and which was not there before. */
  readonly hasType: boolean
  /** `ttlMs` (2026-07-28, "Caching"): milliseconds, 0 where it makes no sense; -1 = there is none. */
  readonly ttlMs: number
  /** Range of the number in the response; -1 = there is none. */
  readonly ttlStart: number
  readonly ttlEnd: number
  /** `cacheScope`: whether it says `public`, and nothing else. */
  readonly isPublic: boolean
}

/** Members of a result that make it a part of something longer. */
const UNFINISHED = new Set(['"inputRequests"', '"requestState"', '"task"'])

/**
 * Reads what decides whether a response may be kept and given to others, without parsing it. What a result says twice
 * counts in the way that shares less.
 * @param body a JSON-RPC response, as `Message.bytes()` gives it: it has been found valid before
 * @returns `null` when it has no `result` that is an object, as every error
 */
export function readResult(body: Uint8Array): ResultFacts | null {
  const text = Buffer.from(body.buffer, body.byteOffset, body.byteLength).toString('latin1')
  let start = -1
  let end = -1
  let isError = false
  eachMember(text, skipBlank(text, 0), (key, from, to) => {
    if (key === '"error"') isError = true
    if (key !== '"result"') return
    start = from
    end = to
  })
  return start === -1 || isError || text[start] !== '{' ? null : factsOf(text, start, end)
}

function factsOf(text: string, start: number, end: number): ResultFacts {
  const facts = {
    start,
    end,
    isComplete: true,
    isError: false,
    hasType: false,
    ttlMs: -1,
    ttlStart: -1,
    ttlEnd: -1,
    isPublic: false,
  }
  let scopes = 0
  eachMember(text, start, (key, from, to) => {
    const value = to - from > LONGEST_VALUE ? '' : text.slice(from, to)
    if (key === '"isError"') facts.isError ||= value !== 'false'
    else if (key === '"resultType"') {
      facts.hasType = true
      facts.isComplete &&= value === '"complete"'
    } else if (UNFINISHED.has(key)) facts.isComplete = false
    else if (key === '"cacheScope"') facts.isPublic = ++scopes === 1 && value === '"public"'
    else if (key === '"ttlMs"') {
      facts.ttlMs = facts.ttlStart === -1 ? lifetimeOf(value) : 0
      facts.ttlStart = from
      facts.ttlEnd = to
    }
  })
  if (facts.isError) facts.isComplete = false
  return facts
}

/** No value that is compared here is longer. */
const LONGEST_VALUE = 64

/** Absent or negative = 0 (2026-07-28, "Caching"), and so is what is no number. */
function lifetimeOf(value: string): number {
  const ms = /^[\d.eE+]+$/.test(value) ? Math.floor(Number(value)) : 0
  return Number.isSafeInteger(ms) ? ms : 0
}

type Take = (key: string, start: number, end: number) => void

/** @param at position of the object's opening bracket, in valid JSON */
function eachMember(text: string, at: number, take: Take): void {
  let i = skipBlank(text, at + 1)
  while (i < text.length && text.charCodeAt(i) !== CLOSE_OBJECT) {
    const keyEnd = skipString(text, i)
    const key = plain(text.slice(i, keyEnd))
    const start = skipBlank(text, skipBlank(text, keyEnd) + 1)
    const end = skipValue(text, start)
    take(key, start, end)
    i = skipBlank(text, end)
    if (text.charCodeAt(i) === COMMA) i = skipBlank(text, i + 1)
  }
}

/** A key without escapes: `"is\u0045rror"` is `"isError"`. */
function plain(key: string): string {
  return key.includes('\\') ? JSON.stringify(JSON.parse(key)) : key
}

function skipValue(text: string, start: number): number {
  const first = text.charCodeAt(start)
  if (first === QUOTE) return skipString(text, start)
  let depth = 0
  for (let i = start; i < text.length; i++) {
    const code = text.charCodeAt(i)
    if (code === QUOTE) i = skipString(text, i) - 1
    else if (code === OPEN_OBJECT || code === OPEN_ARRAY) depth++
    else if (code === CLOSE_OBJECT || code === CLOSE_ARRAY) {
      if (--depth === 0) return i + 1
      // A number or literal ends where its object does.
      if (depth < 0) return i
    } else if (depth === 0 && (code === COMMA || code <= 0x20)) return i
  }
  return text.length
}

/** Position behind the string that begins at `start`. */
function skipString(text: string, start: number): number {
  for (let end = text.indexOf('"', start + 1); end !== -1; end = text.indexOf('"', end + 1)) {
    let slashes = 0
    while (text.charCodeAt(end - 1 - slashes) === BACKSLASH) slashes++
    if (slashes % 2 === 0) return end + 1
  }
  return text.length
}

function skipBlank(text: string, from: number): number {
  let i = from
  while (i < text.length && text.charCodeAt(i) <= 0x20) i++
  return i
}

const QUOTE = 0x22
const COMMA = 0x2c
const BACKSLASH = 0x5c
const OPEN_OBJECT = 0x7b
const CLOSE_OBJECT = 0x7d
const OPEN_ARRAY = 0x5b
const CLOSE_ARRAY = 0x5d
