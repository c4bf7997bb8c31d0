import type { Json } from '#api'
import { byteLength, headOf } from './cut-text.ts'
import type { Cuts } from './cuts.ts'
import { isContainer } from './json.ts'

/** Which elements of a long array stay: the first, the last, or some from all over it, the first and last among them. */
export type Items = 'head' | 'tail' | 'sample'

/** How much of JSON may stay. */
export interface Limits {
  readonly items: Items
  readonly maxItems: number
  readonly maxStringBytes: number
  readonly maxMembers: number
}

export const NO_LIMIT = Number.MAX_SAFE_INTEGER

/** Steps of tightness; each allows half as much again as the one before. The last allows more than any message has. */
const LEVELS = 44
const GROWTH = 1.5
const SHORTEST_STRING_BYTES = 24

/**
 * Cuts arrays and strings so that the JSON text has no more than `maxBytes`, and says what it cut. All arrays and all
 * strings get the same limits: the largest that fit. Members of objects go only where that is not enough.
 * @param value changed in place
 * @param mayLeaveOut whether members of objects may go
 * @returns what stands in its place; `undefined` where nothing fits
 */
export function reduce(
  value: Json,
  limits: Limits,
  maxBytes: number,
  mayLeaveOut: boolean,
  cuts: Cuts,
): Json | undefined {
  const chosen = choose(value, limits, maxBytes, mayLeaveOut)
  return chosen === null ? undefined : apply(value, chosen, cuts, [])
}

function choose(value: Json, limits: Limits, maxBytes: number, mayLeaveOut: boolean): Limits | null {
  if (sizeWithin(value, limits, maxBytes) >= 0) return limits
  const tightest = tighten(limits, 0)
  if (sizeWithin(value, tightest, maxBytes) >= 0) return loosest(level => tighten(limits, level), value, maxBytes)
  const fewest = { ...tightest, maxMembers: 1 }
  if (!mayLeaveOut || sizeWithin(value, fewest, maxBytes) < 0) return null
  return loosest(level => ({ ...tightest, maxMembers: amount(level) }), value, maxBytes)
}

/** The loosest step that fits, by bisection; step 0 is known to. */
function loosest(at: (level: number) => Limits, value: Json, maxBytes: number): Limits {
  let low = 0
  let high = LEVELS
  while (high - low > 1) {
    const middle = (low + high) >> 1
    if (sizeWithin(value, at(middle), maxBytes) >= 0) low = middle
    else high = middle
  }
  return at(low)
}

function tighten(limits: Limits, level: number): Limits {
  return {
    ...limits,
    maxItems: Math.min(limits.maxItems, amount(level)),
    maxStringBytes: Math.min(limits.maxStringBytes, SHORTEST_STRING_BYTES * amount(level)),
  }
}

function amount(level: number): number {
  return Math.max(1, Math.floor(GROWTH ** level))
}

/** Bytes of the JSON text under these limits; -1 as soon as they are more than `most`. */
function sizeWithin(value: Json, limits: Limits, most: number): number {
  const left = spend(value, limits, most)
  return left < 0 ? -1 : most - left
}

/** What is left of `left` bytes after `value` is written; below 0 = it does not fit. */
function spend(value: Json, limits: Limits, left: number): number {
  if (left < 0) return left
  if (typeof value === 'string') return left - quotedBytes(cutString(value, limits.maxStringBytes))
  if (!isContainer(value)) return left - JSON.stringify(value).length
  if (Array.isArray(value)) {
    const count = Math.min(value.length, limits.maxItems)
    // Brackets, and a comma less than there are elements.
    let rest = left - (count === 0 ? 2 : 1)
    for (let k = 0; k < count && rest >= 0; k++) {
      rest = spend(value[indexOf(k, count, value.length, limits.items)] as Json, limits, rest - 1)
    }
    return rest
  }
  const keys = Object.keys(value)
  let rest = left - (keys.length === 0 ? 2 : 1)
  for (let k = 0; k < keys.length && k < limits.maxMembers && rest >= 0; k++) {
    const key = keys[k] as string
    rest = spend(value[key] as Json, limits, rest - quotedBytes(key) - 2)
  }
  return rest
}

function quotedBytes(text: string): number {
  return byteLength(JSON.stringify(text))
}

/** Where the k-th of `count` elements that stay stands in an array of `total`. */
function indexOf(k: number, count: number, total: number, items: Items): number {
  if (items === 'head' || count === total) return k
  if (items === 'tail') return total - count + k
  return count === 1 ? 0 : Math.round((k * (total - 1)) / (count - 1))
}

function apply(value: Json, limits: Limits, cuts: Cuts, path: string[]): Json {
  if (typeof value === 'string') {
    const short = cutString(value, limits.maxStringBytes)
    if (short !== value) cuts.strings++
    return short
  }
  if (!isContainer(value)) return value
  if (Array.isArray(value)) applyToArray(value, limits, cuts, path)
  else applyToObject(value, limits, cuts, path)
  return value
}

function applyToArray(list: Json[], limits: Limits, cuts: Cuts, path: string[]): void {
  const total = list.length
  const count = Math.min(total, limits.maxItems)
  if (count < total) cuts.array(path, count, total)
  // What stays moves to the front: its index is never smaller than its new place.
  for (let k = 0; k < count; k++) list[k] = list[indexOf(k, count, total, limits.items)] as Json
  list.length = count
  path.push('*')
  for (let k = 0; k < count; k++) list[k] = apply(list[k] as Json, limits, cuts, path)
  path.pop()
}

function applyToObject(object: { [key: string]: Json }, limits: Limits, cuts: Cuts, path: string[]): void {
  for (const [index, key] of Object.keys(object).entries()) {
    if (index >= limits.maxMembers) {
      delete object[key]
      cuts.members++
      continue
    }
    path.push(key)
    const before = object[key] as Json
    const after = apply(before, limits, cuts, path)
    if (after !== before) object[key] = after
    path.pop()
  }
}

/** A string of no more than about `maxBytes` that says how much it lost; one that would not get shorter stays. */
export function cutString(text: string, maxBytes: number): string {
  if (text.length * 3 <= maxBytes) return text
  const bytes = byteLength(text)
  if (bytes <= maxBytes) return text
  const mark = `… [+${bytes} bytes]`
  const head = headOf(text, Math.max(0, maxBytes - byteLength(mark)))
  const short = `${head}… [+${bytes - byteLength(head)} bytes]`
  return byteLength(short) < bytes ? short : text
}
