import { z } from 'zod'
import type { Entry, Registry } from './registry.ts'
import { policySchema } from './schema.ts'

type Json = Record<string, unknown>

/**
 * JSON Schema of policy files for editors, with the options of every interceptor in the registry. Other names are
 * accepted too: the reader may have interceptors that the writer had not.
 */
export function policyJsonSchema(registry: Registry): Json {
  const schema = z.toJSONSchema(policySchema, { io: 'input', unrepresentable: 'any' }) as Json
  const chain = (schema.properties as { interceptors: Json }).interceptors
  const item = chainItem(chain) as { anyOf: [Json, Json] }
  const [name, entry] = item.anyOf
  const entries = registry.list()
  const names = entries.map(({ interceptor }) => ({ const: interceptor.name, description: interceptor.summary }))
  name.anyOf = [...names, { type: 'string' }]
  ;(entry.properties as Json).use = { anyOf: [...names, { type: 'string', minLength: 1 }] }
  entry.allOf = entries.map(optionsRule)
  return { ...schema, title: 'Sluice policy' }
}

/** `interceptors` may be null: the list is one of its alternatives. */
function chainItem(chain: Json): unknown {
  const lists = [chain, ...((chain.anyOf ?? []) as Json[])]
  return lists.find(one => one.items !== undefined)?.items
}

/** With `use: NAME`, `options` are those of NAME. */
function optionsRule({ interceptor }: Entry): Json {
  const options = z.toJSONSchema(interceptor.options, { io: 'input', unrepresentable: 'any' }) as Json
  delete options.$schema
  return {
    if: { properties: { use: { const: interceptor.name } }, required: ['use'] },
    // biome-ignore lint/suspicious/noThenProperty: a keyword of JSON Schema
    then: {
      properties: { options: { ...options, description: `Options of ${interceptor.name}: ${interceptor.summary}` } },
    },
  }
}
