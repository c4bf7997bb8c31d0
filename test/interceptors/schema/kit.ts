import type { JsonObject } from '#api'
import { type Probe, probe } from '#testing'
import schema from '../../../interceptors/schema/schema.ts'

export type ProbeOptions = NonNullable<Parameters<typeof probe>[1]>

/** A server of a test: what it lists, and how often it was asked. */
export class Server {
  pages: JsonObject[][]
  /** Cursors it was asked with. */
  readonly asked: (string | undefined)[] = []
  extra: JsonObject = {}
  /** Called before it answers. */
  before: (() => void | Promise<void>) | null = null

  constructor(...pages: JsonObject[][]) {
    this.pages = pages
  }

  answer = async (message: JsonObject): Promise<JsonObject> => {
    const cursor = (message.params as { cursor?: string }).cursor
    this.asked.push(cursor)
    await this.before?.()
    return { result: this.page(cursor) }
  }

  page(cursor?: string): JsonObject {
    const index = cursor === undefined ? 0 : Number(cursor)
    const next = index + 1 < this.pages.length ? { nextCursor: String(index + 1) } : {}
    return { tools: this.pages[index] ?? [], ...next, ...this.extra }
  }
}

/** A tool whose arguments must be an object with these properties. */
export function tool(name: string, properties: JsonObject = {}, more: JsonObject = {}): JsonObject {
  return { name, description: `Does ${name}.`, inputSchema: { type: 'object', properties, ...more } }
}

export const SEARCH = tool(
  'search',
  { query: { type: 'string', minLength: 1 }, limit: { type: 'integer', minimum: 1 }, lang: { enum: ['en', 'de'] } },
  { required: ['query'], additionalProperties: false },
)

export const call = (name: string, args?: unknown): JsonObject =>
  ({ method: 'tools/call', params: { name, ...(args !== undefined && { arguments: args }) } }) as JsonObject

export function probeSchema(server: Server, options: JsonObject = {}, more: ProbeOptions = {}): Promise<Probe> {
  return probe(schema, { options, call: server.answer, ...more })
}
