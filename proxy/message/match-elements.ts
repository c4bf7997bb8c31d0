import type { Json, JsonObject } from '../api/index.ts'
import { isPlainObject, sameJson } from './json-equal.ts'
import { jsonText } from './json-text.ts'

/** Most comparisons spent on finding the old form of changed elements of one array; what is left is written anew. */
const MAX_COMPARISONS = 10_000

/** What identifies an element of the lists that MCP knows. */
const IDENTITY = ['name', 'uri', 'id', 'uriTemplate', 'taskId', 'key'] as const

/** Where each element of the changed array comes from. */
export interface Origins {
  /** Index of an element before that is equal: its text is copied; -1 = none. */
  readonly equal: Int32Array
  /** Index of the element before that this one was made from: it is patched; -1 = none. */
  readonly made: Int32Array
}

/** Finds for each element after an edit the source text it can keep. Linear in the size of both arrays. */
export function matchElements(before: readonly Json[], after: readonly unknown[]): Origins {
  const equal = new Int32Array(after.length).fill(-1)
  const made = new Int32Array(after.length).fill(-1)
  let head = 0
  const shorter = Math.min(before.length, after.length)
  while (head < shorter && sameJson(before[head], after[head])) equal[head] = head++
  let tail = 0
  while (tail < shorter - head && sameJson(before[before.length - 1 - tail], after[after.length - 1 - tail])) {
    tail++
    equal[after.length - tail] = before.length - tail
  }
  const beforeEnd = before.length - tail
  const afterEnd = after.length - tail
  if (head < beforeEnd && head < afterEnd) matchMiddle(before, after, head, beforeEnd, afterEnd, equal, made)
  return { equal, made }
}

function matchMiddle(
  before: readonly Json[],
  after: readonly unknown[],
  start: number,
  beforeEnd: number,
  afterEnd: number,
  equal: Int32Array,
  made: Int32Array,
): void {
  const places = placesByText(before, start, beforeEnd)
  const taken = new Uint8Array(before.length)
  let next = start
  for (let k = start; k < afterEnd; k++) {
    const j = findEqual(before, after[k], places, next)
    equal[k] = j
    if (j < 0) continue
    taken[j] = 1
    if (j >= next) next = j + 1
  }
  pairGaps(before, after, start, beforeEnd, afterEnd, equal, made, taken)
}

function placesByText(before: readonly Json[], start: number, end: number): Map<string, number[]> {
  const places = new Map<string, number[]>()
  for (let j = start; j < end; j++) {
    const text = jsonText(before[j])
    const known = places.get(text)
    if (known === undefined) places.set(text, [j])
    else known.push(j)
  }
  return places
}

/** An equal element, at or behind `next` if there is one: then the order stays. */
function findEqual(before: readonly Json[], value: unknown, places: Map<string, number[]>, next: number): number {
  const candidates = places.get(jsonText(value))
  if (candidates === undefined) return -1
  // In-order candidates are used up from the front, so that this stays linear.
  while (candidates.length > 1 && (candidates[0] as number) < next) candidates.shift()
  const j = candidates[0] as number
  return sameJson(before[j], value) ? j : -1
}

/** Between two neighbours that kept their order, as many before as after: they belong together one by one. */
function pairGaps(
  before: readonly Json[],
  after: readonly unknown[],
  start: number,
  beforeEnd: number,
  afterEnd: number,
  equal: Int32Array,
  made: Int32Array,
  taken: Uint8Array,
): void {
  let budget = MAX_COMPARISONS
  let from = start
  let gap: number[] = []
  for (let k = start; k <= afterEnd; k++) {
    const anchor = k === afterEnd ? beforeEnd : (equal[k] as number)
    if (anchor < 0) gap.push(k)
    if (anchor < from) continue
    const free: number[] = []
    for (let j = from; j < anchor; j++) if (taken[j] === 0) free.push(j)
    budget = pairGap(before, after, free, gap, made, budget)
    gap = []
    from = anchor + 1
  }
}

function pairGap(
  before: readonly Json[],
  after: readonly unknown[],
  free: readonly number[],
  gap: readonly number[],
  made: Int32Array,
  budget: number,
): number {
  if (free.length === gap.length) {
    for (let n = 0; n < gap.length; n++) made[gap[n] as number] = free[n] as number
    return budget
  }
  let left = budget
  let from = 0
  for (const k of gap) {
    for (let n = from; n < free.length && left > 0; n++) {
      left--
      if (!isAlike(before[free[n] as number], after[k])) continue
      made[k] = free[n] as number
      from = n + 1
      break
    }
  }
  return left
}

/** Whether an element is likely to be another one, changed: same identity, or half of its members the same. */
function isAlike(before: Json | undefined, after: unknown): boolean {
  if (!isPlainObject(before) || !isPlainObject(after)) return false
  for (const key of IDENTITY) {
    if (Object.hasOwn(before, key) && Object.hasOwn(after, key)) return before[key] === after[key]
  }
  return sharesHalf(before, after)
}

function sharesHalf(before: JsonObject, after: JsonObject): boolean {
  const keys = Object.keys(before)
  let shared = 0
  for (const key of keys) {
    if (Object.hasOwn(after, key) && sameJson(before[key], after[key])) shared++
  }
  return shared * 2 >= Math.max(keys.length, Object.keys(after).length)
}
