import type { Json, JsonObject } from '../api/index.ts'

/** Most tools kept of one server; further ones are not remembered. */
const MAX_TOOLS = 10_000

/** What the servers said about their tools, as far as their `tools/list` answers were read here. Untrusted input. */
export class ToolTable {
  private readonly byServer = new Map<string, Map<string, JsonObject>>()

  /** The tools of a server by name; `null` when none of its lists was read yet. */
  get(server: string): ReadonlyMap<string, JsonObject> | null {
    return this.byServer.get(server) ?? null
  }

  /**
   * Takes in a page of `tools/list`.
   * @param first whether it is the first page (no cursor was asked for): then older entries are forgotten
   */
  learn(server: string, result: Json | undefined, first: boolean): void {
    const tools = isObject(result) ? result['tools'] : undefined
    if (!Array.isArray(tools)) return
    let known = this.byServer.get(server)
    if (known === undefined || first) {
      known = new Map()
      this.byServer.set(server, known)
    }
    for (const tool of tools) {
      if (!isObject(tool) || typeof tool['name'] !== 'string') continue
      if (known.size < MAX_TOOLS || known.has(tool['name'])) known.set(tool['name'], tool)
    }
  }
}

function isObject(value: Json | undefined): value is JsonObject {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
}
