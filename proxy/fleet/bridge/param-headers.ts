import type { Json, JsonObject } from '../../api/index.ts'
import { paramFields, sameParamValue } from '../../message/mcp-headers.ts'

/** Most tools with mirrored arguments that are kept. */
const MAX_TOOLS = 10_000
const ANNOTATION = Buffer.from('"x-mcp-header"')

/**
 * The duty of an HTTP server that a server over stdio does not know of: arguments that a tool wants mirrored in
 * `Mcp-Param-*` fields must say there what they say in the body (SEP-2243). Learnt from the lists that clients ask for,
 * as a client that has not seen the list mirrors nothing.
 */
export class ParamHeaders {
  /** Schemas of the tools that mirror something; most servers have none. */
  private readonly schemas: Map<string, JsonObject>

  constructor() {
    this.schemas = new Map()
  }

  /** @param line an answer to `tools/list` */
  learn(line: Buffer): void {
    if (this.schemas.size === 0 && !line.includes(ANNOTATION)) return
    const { result } = JSON.parse(line.toString()) as { result?: { tools?: Json } }
    if (!Array.isArray(result?.tools)) return
    for (const tool of result.tools as JsonObject[]) this.learnTool(tool?.['name'], tool?.['inputSchema'])
  }

  private learnTool(name: Json | undefined, schema: Json | undefined): void {
    if (typeof name !== 'string' || typeof schema !== 'object' || schema === null || Array.isArray(schema)) return
    this.schemas.delete(name)
    const mirrors = JSON.stringify(schema).includes('"x-mcp-header"')
    if (mirrors && this.schemas.size < MAX_TOOLS) this.schemas.set(name, schema)
  }

  /**
   * What is wrong with the fields of a call; `''` = nothing.
   * @param fields names in lower case without `mcp-param-`, and values
   */
  fault(tool: string, body: Buffer, fields: readonly string[] | null): string {
    if (this.schemas.size === 0) return ''
    const schema = this.schemas.get(tool)
    if (schema === undefined) return ''
    const { params } = JSON.parse(body.toString()) as { params?: JsonObject }
    const expected = new Map(paramFields(schema, params?.['arguments']))
    for (const [name, value] of expected) {
      const at = fieldAt(fields, name)
      if (fields === null || at < 0) return `Mcp-Param-${name} is missing: ${tool} wants the argument mirrored there`
      if (!sameParamValue(fields[at + 1] as string, value))
        return `Mcp-Param-${name} does not say what the argument says`
    }
    const stray = headerNames(schema).find(name => !expected.has(name) && fieldAt(fields, name) >= 0)
    return stray === undefined ? '' : `Mcp-Param-${stray} mirrors an argument that is not there`
  }
}

function fieldAt(fields: readonly string[] | null, name: string): number {
  if (fields === null) return -1
  for (let i = 0; i < fields.length; i += 2) if (fields[i] === name) return i
  return -1
}

/** All field names of a schema, in lower case. */
function headerNames(schema: JsonObject): string[] {
  const names = JSON.stringify(schema).matchAll(/"x-mcp-header":"([^"\\]+)"/g)
  return [...names].map(match => (match[1] as string).toLowerCase())
}
