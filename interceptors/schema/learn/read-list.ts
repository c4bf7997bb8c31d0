import type { Json, JsonObject } from '#api'
import { isObject } from '../check/json.ts'

/** One page of `tools/list`. Everything in it is untrusted. */
export interface ToolPage {
  readonly tools: readonly JsonObject[]
  /** `null` = the last page. */
  readonly nextCursor: string | null
  /** How long it may be trusted, in milliseconds; `null` = the server does not say. */
  readonly ttlMs: number | null
}

/** @returns `null` where the answer is an error or no list */
export function readList(answer: Readonly<JsonObject>): ToolPage | null {
  const { result } = answer
  if (!isObject(result) || !Array.isArray(result['tools'])) return null
  const { nextCursor, ttlMs } = result
  return {
    tools: result['tools'].filter(isTool),
    nextCursor: typeof nextCursor === 'string' ? nextCursor : null,
    ttlMs: typeof ttlMs === 'number' && ttlMs >= 0 ? ttlMs : null,
  }
}

export function isTool(tool: Json | undefined): tool is JsonObject & { name: string } {
  return isObject(tool) && typeof tool['name'] === 'string'
}
