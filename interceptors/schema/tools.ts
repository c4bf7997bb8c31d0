import { type Environment, type Exchange, type Json, type JsonObject, type Message, Rights } from '#api'
import { isObject } from './check/json.ts'
import { learn } from './learn/learn.ts'
import { Lists } from './learn/lists.ts'
import { isTool, readList } from './learn/read-list.ts'
import { Tool } from './learn/tool.ts'
import type { ToolList } from './learn/tool-list.ts'
import type { Options } from './options.ts'
import { Pins, type PinVerdict } from './pins/judge-pins.ts'
import { readLock } from './pins/lock-file.ts'
import type { Reports } from './reports.ts'

/** The tools of all servers: learned, kept, and compared with their pins. */
export class Tools {
  readonly lists: Lists
  readonly #pins: Pins | null
  readonly #rights: Rights | null
  readonly #reports: Reports
  readonly #make = (exchange: Exchange, definitions: readonly JsonObject[]): Tool[] =>
    definitions.filter(isTool).map(tool => this.#makeTool(exchange, tool))

  /** @throws Error where the lock file cannot be read */
  constructor(options: Options, environment: Environment, reports: Reports) {
    this.lists = new Lists(environment.clock, options.max_age)
    this.#pins =
      options.pins === undefined ? null : new Pins(readLock(environment.resolve(options.pins.file)), options.pins)
    this.#rights = environment.accessControl === null ? null : new Rights(environment.accessControl)
    this.#reports = reports
  }

  /** Asks the server. @throws SluiceError where nothing is known and it does not say */
  async learn(exchange: Exchange): Promise<ToolList> {
    await learn(this.lists, this.lists.of(exchange), exchange, this.#make)
    return this.lists.of(exchange)
  }

  /** Names of the tools that the client of an exchange may call. */
  available(list: ToolList, exchange: Exchange): string[] {
    const access = this.#rights?.of(exchange.principal.id, exchange.server) ?? null
    const names: string[] = []
    for (const { name, blocked } of list.tools.values()) {
      if (blocked === '' && (access === null || access.mayCall(name))) names.push(name)
    }
    return names
  }

  /**
   * Learns from a list on its way to a client, and takes out of it what its pin forbids.
   * @param cursor what the client asked for; `null` = the first page, `undefined` = nobody knows
   */
  pass(message: Message, exchange: Exchange, cursor: string | null | undefined): Promise<void> | undefined {
    const page = readList(message.json())
    if (page === null) return
    // An interceptor nearer to the server has changed what the server said: pins are about what the server says.
    if (message.edited) return this.#pins === null ? undefined : this.#hideByName(message, exchange)
    const tools = this.#make(exchange, page.tools)
    this.lists.seen(exchange, cursor, page, tools, message.byteLength)
    const blocked = new Set(tools.filter(tool => tool.blocked !== '').map(tool => tool.definition))
    hideTools(message, tool => this.#pins === null || (isTool(tool) && !blocked.has(tool)))
  }

  async #hideByName(message: Message, exchange: Exchange): Promise<void> {
    const known = this.lists.of(exchange)
    const list = this.lists.isFresh(known, exchange) ? known : await this.learn(exchange)
    hideTools(message, tool => isTool(tool) && list.tools.get(tool.name)?.blocked === '')
  }

  #makeTool(exchange: Exchange, definition: JsonObject & { name: string }): Tool {
    const verdict = this.#verdict(exchange, definition)
    if (verdict === null || verdict.action === 'allow') return new Tool(definition.name, definition, '')
    const { kind, fields, digest } = verdict
    const action = verdict.action === 'block' ? 'deny' : 'report'
    const why = kind === 'new' ? 'it is not pinned' : `its ${fields} changed since it was pinned`
    this.#reports.found(exchange, kind === 'new' ? 'new_tool' : 'changed_tool', action, definition.name.slice(0, 100))
    const text = kind === 'new' ? 'a tool is not pinned' : 'a tool is not what it was when it was pinned'
    this.#reports.once(exchange.server, definition.name, digest, { fields, digest, action }, text)
    return new Tool(definition.name, definition, action === 'deny' ? why : '')
  }

  #verdict({ server }: Exchange, tool: JsonObject & { name: string }): PinVerdict | null {
    return this.#pins === null ? null : this.#pins.judge(server, tool.name, tool)
  }
}

/** Takes tools out of a list; the others keep their source text. */
function hideTools(message: Message, mayStay: (tool: Json) => boolean): void {
  const leaving = (toolsOf(message.json()) ?? []).map(tool => !mayStay(tool))
  if (!leaving.includes(true)) return
  message.edit(json => {
    const tools = toolsOf(json)
    // From the end, so that positions before stay what they are.
    for (let i = leaving.length - 1; i >= 0; i--) if (leaving[i]) tools?.splice(i, 1)
  })
}

function toolsOf(json: Readonly<JsonObject>): Json[] | null {
  const { result } = json
  return isObject(result) && Array.isArray(result['tools']) ? result['tools'] : null
}
