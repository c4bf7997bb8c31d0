import { createHash } from 'node:crypto'
import type { JsonObject } from '#api'
import { canonical } from '../check/canonical.ts'

/** What a model or a client acts on: a change of any of these is a change of the tool. */
export const PINNED_FIELDS = ['name', 'title', 'description', 'inputSchema', 'outputSchema', 'annotations'] as const

/** A tool as it is pinned: these members and no others, those that are not there left out. */
export function pinned(tool: Readonly<JsonObject>): JsonObject {
  const kept: JsonObject = {}
  for (const field of PINNED_FIELDS) if (tool[field] !== undefined) kept[field] = tool[field]
  return kept
}

/** `sha256:…` of a pinned tool in canonical JSON. */
export function digestOf(tool: Readonly<JsonObject>): string {
  return `sha256:${createHash('sha256')
    .update(canonical(pinned(tool)))
    .digest('hex')}`
}

/** The members that differ, in order. */
export function changedFields(before: Readonly<JsonObject>, after: Readonly<JsonObject>): string[] {
  return PINNED_FIELDS.filter(field => canonical(before[field] ?? null) !== canonical(after[field] ?? null))
}
