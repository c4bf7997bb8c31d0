import { defineInterceptor, type Environment, type Hooks, type Message } from '#api'
import { Calls } from './calls.ts'
import { Checkers } from './check/checkers.ts'
import { Engine } from './check/engine.ts'
import { isObject } from './check/json.ts'
import type { ToolList } from './learn/tool-list.ts'
import { type Options, options } from './options.ts'
import { Reports } from './reports.ts'
import { Results } from './results.ts'
import { Tools } from './tools.ts'

/** The largest list, and the largest result, that is looked at, in bytes. */
const MAX_ANSWER_BYTES = 16 * 1024 * 1024
/** Time to learn all pages of a list, in milliseconds. */
const LEARN_TIMEOUT_MS = 10_000

/** What a request leaves for its answer. */
interface State {
  /** What page of a list it asked for: `null` = the first one; `undefined` = nobody knows. */
  cursor: string | null | undefined
  /** The tools that a call was judged by; `null` = none. */
  list: ToolList | null
}

/**
 * Whether a tool exists, its arguments fit its `inputSchema`, and its results their `outputSchema` (R053, R054, R055); and
 * whether it still is what it was when somebody looked at it (pins). Nothing is parsed for a tool that says nothing about its
 * arguments or results.
 */
export default defineInterceptor<Options, State>({
  name: 'schema',
  summary:
    'Checks that tools exist, that arguments and results fit their schemas, and that tools are as they were pinned.',
  options,
  looks: {
    request: { need: 'json', edits: true, directions: ['toServer'], methods: ['tools/call', 'tools/list'] },
    response: {
      need: 'json',
      edits: true,
      directions: ['toClient'],
      methods: ['tools/list', 'tools/call'],
      maxBytes: MAX_ANSWER_BYTES,
    },
    notification: {
      need: 'envelope',
      directions: ['toClient'],
      methods: ['notifications/tools/list_changed'],
    },
  },
  onFailure: 'closed',
  // What counts is what the server gets, whatever an entry behind this one makes of a call.
  recheck: true,
  timeoutMs: LEARN_TIMEOUT_MS,
  create,
})

function create(checked: Options, environment: Environment): Hooks<State> {
  const reports = new Reports(environment)
  const tools = new Tools(checked, environment, reports)
  const checkers = new Checkers(meansOf(checked))
  const calls = new Calls(tools, checkers, checked, reports)
  const results = new Results(tools, checkers, checked, reports)
  return {
    ...(checked.results === 'off' && { methods: { response: ['tools/list'] } }),
    state: () => ({ cursor: undefined, list: null }),
    request(message, exchange, state) {
      if (message.method === 'tools/call') return calls.judge(message, exchange, state)
      state.cursor = cursorOf(message)
      return undefined
    },
    response(message, exchange, state) {
      if (message.method === 'tools/list') return tools.pass(message, exchange, state.cursor)
      return results.judge(message, exchange, state.list)
    },
    notification(_message, exchange) {
      tools.lists.changed(exchange.server)
    },
  }
}

function meansOf(checked: Options) {
  const { max_schema_bytes, max_schema_depth, max_schema_nodes, unsupported_patterns } = checked
  return {
    limits: { maxBytes: max_schema_bytes, maxDepth: max_schema_depth, maxNodes: max_schema_nodes },
    strictPatterns: unsupported_patterns === 'deny',
    verdicts: new Engine(false),
    faults: new Engine(true),
  }
}

function cursorOf(message: Message): string | null | undefined {
  const { params } = message.json()
  const cursor = isObject(params) ? params['cursor'] : undefined
  if (cursor === undefined) return null
  return typeof cursor === 'string' ? cursor : undefined
}
