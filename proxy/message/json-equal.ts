import type { Json, JsonObject } from '../api/index.ts'

const isRawJson = (JSON as unknown as { isRawJSON(value: unknown): boolean }).isRawJSON

/** Whether `JSON.stringify` writes the value member by member; not so `JSON.rawJSON`, dates and the like. */
export function isPlainObject(value: unknown): value is JsonObject {
  if (typeof value !== 'object' || value === null || Array.isArray(value)) return false
  const prototype: unknown = Object.getPrototypeOf(value)
  if (prototype !== Object.prototype && prototype !== null && isSpecial(value)) return false
  return !isRawJson(value) && typeof (value as { toJSON?: unknown }).toJSON !== 'function'
}

function isSpecial(value: object): boolean {
  return value instanceof Number || value instanceof String || value instanceof Boolean || value instanceof BigInt
}

/** Whether `JSON.stringify` leaves a member with this value out. */
export function isAbsent(value: unknown): boolean {
  return value === undefined || typeof value === 'function' || typeof value === 'symbol'
}

/** Keys of the members that `JSON.stringify` writes. */
export function presentKeys(value: JsonObject): string[] {
  return Object.keys(value).filter(key => !isAbsent(value[key]))
}

/**
 * Whether a value is the same JSON as before. Infinity (from `1e400`) equals itself.
 * @param before as `JSON.parse` gave it
 * @param after what became of it: anything that `JSON.stringify` takes
 */
export function sameJson(before: Json | undefined, after: unknown): boolean {
  if (before === after) return true
  if (typeof before !== 'object' || before === null || typeof after !== 'object' || after === null) return false
  if (Array.isArray(before)) {
    if (!Array.isArray(after) || before.length !== after.length) return false
    for (let i = 0; i < before.length; i++) {
      if (!sameJson(before[i], after[i])) return false
    }
    return true
  }
  return isPlainObject(after) && sameMembers(before, after)
}

function sameMembers(before: JsonObject, after: JsonObject): boolean {
  const keys = Object.keys(before)
  for (const key of keys) {
    if (!Object.hasOwn(after, key) || !sameJson(before[key], after[key])) return false
  }
  return presentKeys(after).length === keys.length
}
