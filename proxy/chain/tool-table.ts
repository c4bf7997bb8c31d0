import type { Json, JsonObject } from '../api/index.ts'

/** Most tools kept of one server; further ones are not remembered. */
const MAX_TOOLS = 10_000

/** Most tools kept in mind that nobody lists, and how long, in milliseconds. */
const MAX_MISSING = 1000
const MISSING_MS = 10_000
/** Longer names are not kept. */
const MAX_NAME = 256

/** What the servers said about their tools, as far as their `tools/list` answers were read here. Untrusted input. */
export class ToolTable {
  private readonly byServer = new Map<string, Map<string, JsonObject>>()
  /** When somebody was last told a whole list without a tool, by server, caller and tool; the oldest first. */
  private readonly missing = new Map<string, number>()

  /** The tools of a server by name; `null` when none of its lists was read yet. */
  get(server: string): ReadonlyMap<string, JsonObject> | null {
    return this.byServer.get(server) ?? null
  }

  /** Whether this caller was told a whole list just now, and this tool was not in it: asking again would tell the same. */
  isMissing(server: string, caller: string, tool: string): boolean {
    const since = this.missing.get(JSON.stringify([server, caller, tool]))
    return since !== undefined && performance.now() < since + MISSING_MS
  }

  /** Notes that a whole list that a caller was told does not have this tool. */
  miss(server: string, caller: string, tool: string): void {
    if (tool.length > MAX_NAME) return
    const key = JSON.stringify([server, caller, tool])
    this.missing.delete(key)
    this.missing.set(key, performance.now())
    if (this.missing.size > MAX_MISSING) this.missing.delete(this.missing.keys().next().value as string)
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
