import { type JsonObject, type Message, Verdict } from '#api'
import { isRecord } from './json.ts'
import type { Rule } from './rules.ts'

/**
 * Takes the outputSchema of shaped tools out of a `tools/list`, or puts the declared one in its place: a client that
 * checks results by it would refuse what we shaped (2025-06-18, tools, "Output Schema").
 * @param ruleOf the rule for a tool by its name
 */
export function mendSchemas(message: Message, ruleOf: (tool: string) => Rule | null): void {
  const schemaOf = (tool: JsonObject): JsonObject | null | undefined => {
    const rule = typeof tool['name'] === 'string' ? ruleOf(tool['name']) : null
    return rule === null || rule.structured === 'leave' ? undefined : rule.outputSchema
  }
  if (!toolsOf(message.json()).some(tool => mustChange(tool, schemaOf(tool)))) return
  message.edit(json => {
    for (const tool of toolsOf(json)) {
      const schema = schemaOf(tool)
      if (!mustChange(tool, schema)) continue
      if (schema === null || schema === undefined) delete tool['outputSchema']
      else tool['outputSchema'] = structuredClone(schema)
    }
  })
}

/** A declared schema is shown only where the tool has one: else it need not answer with structuredContent. */
function mustChange(tool: JsonObject, schema: JsonObject | null | undefined): boolean {
  return schema !== undefined && tool['outputSchema'] !== undefined
}

function toolsOf(json: Readonly<JsonObject>): JsonObject[] {
  const result = json['result']
  const tools = isRecord(result) ? result['tools'] : undefined
  return Array.isArray(tools) ? tools.filter(isRecord) : []
}

/** Adds the capability to read resources to what a server says about itself. */
export function advertise(message: Message): void {
  const result = message.json()['result']
  const capabilities = isRecord(result) ? result['capabilities'] : undefined
  if (!isRecord(capabilities) || capabilities['resources'] !== undefined) return
  message.edit(json => {
    const own = (json['result'] as JsonObject)['capabilities'] as JsonObject
    own['resources'] = {}
  })
}

const METHOD_NOT_FOUND = -32601

/** A server whose resources we advertised has none to list: an empty list in place of its "method not found". */
export function emptyList(message: Message, modern: boolean): Verdict | undefined {
  const error = message.json()['error']
  if (!isRecord(error) || error['code'] !== METHOD_NOT_FOUND) return undefined
  const key = message.method === 'resources/list' ? 'resources' : 'resourceTemplates'
  const hints: JsonObject = modern ? { ttlMs: 0, cacheScope: 'private' } : {}
  return Verdict.reply({ [key]: [], ...hints }, 'the server has no resources of its own')
}
