import { type Exchange, type Json, type JsonObject, type Message, Verdict } from '#api'
import { checkerOf, checkSchema } from './check/check-schema.ts'
import type { Checkers } from './check/checkers.ts'
import { brief, isObject } from './check/json.ts'
import type { Tool, ToolSchema } from './learn/tool.ts'
import type { ToolList } from './learn/tool-list.ts'
import type { Options } from './options.ts'
import type { Reports } from './reports.ts'
import type { Tools } from './tools.ts'

/** Judges what tools answer. Never waits: the tools were learned with the call. */
export class Results {
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

  /** @param list what the call was judged by; `null` = it was not */
  judge(message: Message, exchange: Exchange, list: ToolList | null): Verdict | undefined {
    const tool = (list ?? this.#tools.lists.known(exchange))?.tools.get(message.name)
    // Who changes a result answers for it: the schema is about what the server says.
    if (tool === undefined || tool.output === null || message.edited) return
    const structured = structuredOf(message.jsonWithoutContent())
    if (structured === NOT_DUE) return
    if (structured === undefined) return this.#invalid(['structuredContent is missing'], tool, exchange)
    return this.#check(tool, tool.output, structured, message, exchange)
  }

  #check(tool: Tool, output: ToolSchema, structured: Json, message: Message, exchange: Exchange): Verdict | undefined {
    const checker = checkerOf(this.#checkers, output)
    const finding = checkSchema(checker, output, structured, message.byteLength, 'member')
    if (finding === null) return
    if (finding.kind === 'faults') return this.#invalid(finding.lines, tool, exchange)
    const { why } = finding
    const deny = this.#options.results === 'deny' && this.#options.unusable_schemas === 'deny'
    this.#reports.found(exchange, 'unusable_schema', deny ? 'deny' : 'report', 'outputSchema')
    this.#reports.once(exchange.server, tool.name, `output ${why}`, { why }, 'an outputSchema cannot be used')
    if (!deny) return
    const title = `${exchange.server}.${brief(tool.name, 200)}`
    return Verdict.deny('content_denied', `Cannot check the result of ${title}: its outputSchema ${why}`)
  }

  #invalid(lines: readonly string[], tool: Tool, exchange: Exchange): Verdict | undefined {
    const action = this.#options.results === 'deny' ? 'deny' : 'report'
    this.#reports.found(exchange, 'result', action, lines.length)
    if (action === 'report') return
    const title = `Invalid result of ${exchange.server}.${brief(tool.name, 200)}:`
    return Verdict.deny('content_denied', [title, ...lines].join('\n'))
  }
}

/** The answer is one that owes no `structuredContent`. */
const NOT_DUE = Symbol('not due')

/** Errors, questions back (`input_required`) and tasks that have only begun say nothing of the tool's result yet. */
function structuredOf({ result }: Readonly<JsonObject>): Json | undefined | typeof NOT_DUE {
  if (!isObject(result) || result['isError'] === true) return NOT_DUE
  const { resultType } = result
  if (resultType !== undefined && resultType !== 'complete') return NOT_DUE
  if (result['structuredContent'] === undefined && result['content'] === undefined && isObject(result['task']))
    return NOT_DUE
  return result['structuredContent']
}
