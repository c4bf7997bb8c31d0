import type { JsonObject } from '#api'
import type { Options } from './options.ts'

/** Members of a schema that references from within it lead to (`#/$defs/…`): they stay at its root. */
const SHARED = ['$defs', 'definitions', '$schema'] as const

/** What becomes of the `outputSchema` of the tools that are filtered: `null` = they have none, `undefined` = it stays. */
export function newSchema({ output_schema: given, source, raw }: Options): JsonObject | null | undefined {
  if (given === 'keep' || source === 'text') return undefined
  if (given === 'remove' || raw) return null
  return describesObject(given) ? { ...given, type: 'object' } : wrapped(given)
}

/** The root of an `outputSchema` must say `type: object` up to 2025-11-25. */
function describesObject(schema: JsonObject): boolean {
  return schema['type'] === 'object' || (schema['type'] === undefined && schema['properties'] !== undefined)
}

/** What is no object comes as `{ result: … }`, and so does its schema. */
function wrapped(schema: JsonObject): JsonObject {
  const inner = { ...schema }
  const outer: JsonObject = { type: 'object', properties: { result: inner }, required: ['result'] }
  for (const key of SHARED) {
    if (inner[key] === undefined) continue
    outer[key] = inner[key]
    delete inner[key]
  }
  return outer
}
