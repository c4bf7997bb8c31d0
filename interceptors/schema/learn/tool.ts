import type { JsonObject } from '#api'
import { Checkers } from '../check/checkers.ts'
import { isObject } from '../check/json.ts'

/** One schema of a tool. */
export interface ToolSchema {
  readonly schema: JsonObject
  /** Names of the members it describes. */
  readonly members: readonly string[]
  /** Key for `Checkers`. */
  readonly key: string
}

/** One tool as its server described it. Its schemas are looked at when it is first called. */
export class Tool {
  readonly name: string
  readonly definition: Readonly<JsonObject>
  /** Why it may not be used, by its pin; `''` = it may. */
  readonly blocked: string
  #input: ToolSchema | null | undefined = undefined
  #output: ToolSchema | null | undefined = undefined

  constructor(name: string, definition: Readonly<JsonObject>, blocked: string) {
    this.name = name
    this.definition = definition
    this.blocked = blocked
  }

  /** `null` = there is nothing to check arguments against. */
  get input(): ToolSchema | null {
    if (this.#input === undefined) this.#input = schemaOf(this.definition['inputSchema'])
    return this.#input
  }

  /** `null` = it declares none. */
  get output(): ToolSchema | null {
    if (this.#output === undefined) this.#output = schemaOf(this.definition['outputSchema'])
    return this.#output
  }
}

/** Keywords without which, or with nothing in which, a schema of an object says nothing. */
const SAYS_NOTHING = new Set(['$schema', '$id', 'type', 'title', 'description', 'properties', 'required', '$defs'])

function schemaOf(given: JsonObject[string] | undefined): ToolSchema | null {
  if (!isObject(given) || saysNothing(given)) return null
  const members = isObject(given['properties']) ? Object.keys(given['properties']) : []
  return { schema: given, members, key: Checkers.keyOf(given) }
}

function saysNothing(schema: JsonObject): boolean {
  if (schema['type'] !== undefined && schema['type'] !== 'object') return false
  const { $schema } = schema
  // One of an unknown dialect may say anything.
  if (
    $schema !== undefined &&
    !/^https?:\/\/json-schema\.org\/(draft-07|draft\/2020-12)\/schema#?$/.test(String($schema))
  )
    return false
  return Object.keys(schema).every(keyword => {
    if (keyword === 'additionalProperties') return schema[keyword] === true
    if (!SAYS_NOTHING.has(keyword)) return false
    const isOpen = keyword !== 'properties' && keyword !== 'required'
    return isOpen || Object.keys(schema[keyword] ?? {}).length === 0
  })
}
