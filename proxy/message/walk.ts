import { decode, ends, noteTwin, starts } from './found.ts'
import { fail, failDepth, PLAIN, skipColon, skipSpace, skipString, skipValue, trouble } from './grammar.ts'
import { decodedKey, exactKey, foldedKey, type Key, type Level } from './keys.ts'

/**
 * Reads one object whose members matter, and those inside it by `Key.inner`; notes ranges and twins in `found`.
 * @param at position of its opening brace
 * @param depth its own nesting, 1 for the message
 * @returns the position behind it, or -1
 */
export function walk(level: Level, bytes: Buffer, at: number, end: number, depth: number, maxDepth: number): number {
  if (depth > maxDepth) return failDepth(maxDepth, at)
  if (depth > trouble.deepest) trouble.deepest = depth
  let seen = 0
  let i = skipSpace(bytes, at + 1, end)
  if (i < end && bytes[i] === 0x7d) return i + 1
  for (;;) {
    if (i >= end || bytes[i] !== 0x22) return fail('expected a key in double quotes', i)
    const from = i + 1
    i = plainEnd(bytes, from, end)
    const plain = i >= 0
    if (!plain) i = skipString(bytes, from, end)
    if (i < 0) return -1
    let key = plain ? exactKey(level, bytes, from, i - 1) : null
    const exact = key !== null || (!plain && spellsExactly(level, decode(bytes, from - 1, i)))
    if (key === null) {
      key = plain ? foldedKey(level, bytes, from, i - 1) : decodedKey(level, decode(bytes, from - 1, i))
    }
    i = skipColon(bytes, i, end)
    if (i < 0) return -1
    if (key === null) {
      i = skipValue(bytes, i, end, depth, maxDepth)
    } else {
      if (level.strict && (!exact || (seen & key.bit) !== 0)) noteTwin(level, key, from)
      seen |= key.bit
      i = walkMember(key, exact, bytes, i, end, depth, maxDepth)
    }
    if (i < 0) return -1
    if (i < end && (bytes[i] as number) <= 0x20) i = skipSpace(bytes, i, end)
    if (i >= end) return fail('unexpected end', end)
    const c = bytes[i] as number
    if (c === 0x7d) return i + 1
    if (c !== 0x2c) return fail('expected "," or "}"', i)
    i = skipSpace(bytes, i + 1, end)
  }
}

function spellsExactly(level: Level, text: string): boolean {
  return decodedKey(level, text)?.text === text
}

/** The value of a key of interest. */
function walkMember(
  key: Key,
  exact: boolean,
  bytes: Buffer,
  at: number,
  end: number,
  depth: number,
  maxDepth: number,
): number {
  const inner = exact ? key.inner : null
  const isObject = inner !== null && at < end && bytes[at] === 0x7b
  const i = isObject ? walk(inner, bytes, at, end, depth + 1, maxDepth) : skipValue(bytes, at, end, depth, maxDepth)
  if (exact && i >= 0) {
    starts[key.slot] = at
    ends[key.slot] = i
  }
  return i
}

/** Position behind the closing quote of a key without escapes and non-ASCII bytes; -1 for any other. */
function plainEnd(bytes: Buffer, at: number, end: number): number {
  let i = at
  let union = 0
  while (i < end) {
    const c = bytes[i] as number
    if (PLAIN[c] !== 1) return c === 0x22 && union < 0x80 ? i + 1 : -1
    union |= c
    i++
  }
  return -1
}
