import { isJsonObject, type Json, type JsonObject } from '#api'
import { valueAt } from './write-csv.ts'

/** An array of objects, and what stands beside it. */
export interface Table {
  readonly rows: readonly JsonObject[]
  /** The value without the array; `null` where nothing is left. */
  readonly rest: JsonObject | null
}

/**
 * Finds the rows in a value.
 * @param path where they are; `undefined` = the value itself, or the only array of objects among its members
 * @returns `null` where there is no array, an empty one, or one that holds anything but objects
 */
export function findTable(value: Json, path: string | undefined): Table | null {
  if (path === undefined && isJsonObject(value)) return onlyTable(value)
  const parts = path === undefined || path === '' ? [] : path.split('.')
  const rows = valueAt(value, parts)
  return isTable(rows) ? { rows, rest: without(value, parts) } : null
}

function onlyTable(value: JsonObject): Table | null {
  const names = Object.keys(value).filter(name => isTable(value[name]))
  const [name] = names
  if (name === undefined || names.length > 1) return null
  return { rows: value[name] as JsonObject[], rest: without(value, [name]) }
}

function isTable(value: Json | undefined): value is JsonObject[] {
  return Array.isArray(value) && value.length > 0 && value.every(isRow)
}

/** A number that `parseExact` kept as it was written is an object too. */
function isRow(value: Json): boolean {
  return isJsonObject(value) && !(JSON as unknown as { isRawJSON(value: unknown): boolean }).isRawJSON(value)
}

/** A copy without the member at the end of a path, and without objects that only led there. */
function without(value: Json, parts: readonly string[]): JsonObject | null {
  const [part, ...more] = parts
  if (part === undefined || !isJsonObject(value)) return null
  const inner = more.length === 0 ? null : without(value[part] ?? null, more)
  const entries = Object.entries(value).flatMap(([key, one]): [string, Json][] => {
    if (key !== part) return [[key, one]]
    return inner === null ? [] : [[key, inner]]
  })
  return entries.length === 0 ? null : Object.fromEntries(entries)
}
