import { type Exchange, type Json, type JsonObject, type MaybeAsync, type Message, Verdict } from '#api'
import { checkerOf, checkSchema, type Finding } from './check/check-schema.ts'
import type { Checkers } from './check/checkers.ts'
import { applyCoercions, type Coercion, coercions } from './check/coerce.ts'
import { brief, isObject } from './check/json.ts'
import type { Tool, ToolSchema } from './learn/tool.ts'
import type { ToolList } from './learn/tool-list.ts'
import { notFoundText } from './not-found.ts'
import type { Options } from './options.ts'
import type { Reports } from './reports.ts'
import type { Tools } from './tools.ts'

/** A text that becomes a number may uncover the next fault; more rounds are not made. */
const MAX_COERCE_ROUNDS = 3

/** Judges calls of tools. */
export class Calls {
  readonly #tools: Tools
  readonly #checkers: Checkers
  readonly #options: Options
  readonly #reports: Reports

  constructor(tools: Tools, checkers: Checkers, options: Options, reports: Reports) {
    this.#tools = tools
    this.#checkers = checkers
    this.#options = options
    this.#reports = reports
  }

  /**
   * Waits only where the tools must be learned first.
   * @param memory keeps the list that it judges by, for the result
   */
  judge(message: Message, exchange: Exchange, memory: { list: ToolList | null }): MaybeAsync<Verdict | undefined> {
    const { lists } = this.#tools
    const list = lists.of(exchange)
    memory.list = list
    const tool = list.tools.get(message.name)
    if (lists.isFresh(list, exchange)) {
      if (tool !== undefined) return this.#judgeTool(tool, message, exchange)
      if (lists.isAbsent(list, exchange, message.name)) return this.#unknown(list, message, exchange)
    }
    // A server that does not answer now is not asked with every call.
    if (list.isKnown && lists.isDown(list)) return this.#judgeIn(list, message, exchange)
    return this.#tools.learn(exchange).then(learned => {
      memory.list = learned
      return this.#judgeIn(learned, message, exchange)
    })
  }

  #judgeIn(list: ToolList, message: Message, exchange: Exchange): Verdict | undefined {
    const tool = list.tools.get(message.name)
    return tool === undefined ? this.#unknown(list, message, exchange) : this.#judgeTool(tool, message, exchange)
  }

  #unknown(list: ToolList, { name }: Message, exchange: Exchange): Verdict | undefined {
    const action = this.#options.unknown_tools
    if (action === 'off') return
    this.#reports.found(exchange, 'unknown_tool', action, 'not listed')
    if (action === 'report') return
    return Verdict.deny('tool_not_found', notFoundText(exchange.server, name, this.#tools.available(list, exchange)))
  }

  #judgeTool(tool: Tool, message: Message, exchange: Exchange): Verdict | undefined {
    if (tool.blocked !== '') {
      this.#reports.found(exchange, 'changed_tool', 'deny', brief(tool.name, 100))
      const title = `${exchange.server}.${brief(tool.name, 200)}`
      return Verdict.deny('denied', `Tool blocked: ${title}: ${tool.blocked}; its operator must look at it`)
    }
    if (this.#options.arguments === 'off' || tool.input === null) return
    const args = argumentsOf(message.json())
    const finding = checkSchema(
      checkerOf(this.#checkers, tool.input),
      tool.input,
      args,
      message.byteLength,
      'parameter',
    )
    this.#reportPatterns(tool, tool.input, exchange)
    if (finding === null) return
    if (finding.kind === 'unusable') return this.#unusable(finding.why, tool, exchange)
    if (this.#options.coerce && this.#coerce(finding, args, tool.input, message, exchange)) return
    return this.#invalid(finding.lines, tool, exchange)
  }

  #invalid(lines: readonly string[], tool: Tool, exchange: Exchange): Verdict | undefined {
    const action = this.#options.arguments === 'deny' ? 'deny' : 'report'
    this.#reports.found(exchange, 'arguments', action, lines.length)
    if (action === 'report') return
    const title = `Invalid parameters for ${exchange.server}.${brief(tool.name, 200)}:`
    return Verdict.deny('invalid_arguments', [title, ...lines].join('\n'))
  }

  #unusable(why: string, tool: Tool, exchange: Exchange): Verdict | undefined {
    const { arguments: mode, unusable_schemas } = this.#options
    const action = mode === 'deny' && unusable_schemas === 'deny' ? 'deny' : 'report'
    this.#reports.found(exchange, 'unusable_schema', action, 'inputSchema')
    this.#reports.once(exchange.server, tool.name, `input ${why}`, { why }, 'an inputSchema cannot be used')
    if (action === 'report') return
    const title = `${exchange.server}.${brief(tool.name, 200)}`
    return Verdict.deny('denied', `Cannot check the parameters of ${title}: its inputSchema ${why}`)
  }

  #reportPatterns(tool: Tool, input: ToolSchema, exchange: Exchange): void {
    const { unchecked } = checkerOf(this.#checkers, input)
    if (unchecked.length === 0) return
    this.#reports.found(exchange, 'pattern', 'report', unchecked.length)
    const fields = { patterns: unchecked.slice(0, 5).map(pattern => brief(pattern, 200)) }
    this.#reports.once(exchange.server, tool.name, input.key, fields, 'patterns that nobody can check in linear time')
  }

  /** Whether the arguments fit after texts were turned into what the schema wants; then the message is changed. */
  #coerce(finding: Finding, args: Json, input: ToolSchema, message: Message, exchange: Exchange): boolean {
    const checker = checkerOf(this.#checkers, input)
    const copy = structuredClone(args)
    const made: Coercion[] = []
    let now: Finding | null = finding
    for (let round = 0; round < MAX_COERCE_ROUNDS && now?.kind === 'faults'; round++) {
      const more = coercions(now.faults, copy)
      if (more.length === 0) return false
      applyCoercions(copy, more)
      made.push(...more)
      now = checkSchema(checker, input, copy, message.byteLength, 'parameter')
    }
    if (now !== null) return false
    message.edit(json => applyCoercions(argumentsOf(json), made))
    this.#reports.found(exchange, 'coerced', 'report', made.length)
    return true
  }
}

/** A call without arguments means none. */
function argumentsOf({ params }: Readonly<JsonObject>): Json {
  return (isObject(params) ? params['arguments'] : undefined) ?? {}
}
