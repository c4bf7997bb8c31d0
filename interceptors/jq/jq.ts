import {
  defineInterceptor,
  type Environment,
  type Exchange,
  type Hooks,
  isJsonObject,
  type Json,
  type JsonObject,
  type Message,
  setOutputSchemas,
} from '#api'
import { findBinary } from './binary.ts'
import { compileFilters } from './check-filter.ts'
import { Filter, single } from './filter.ts'
import { limitedCommand } from './limits.ts'
import { findInputs, placeOutputs } from './on-result.ts'
import { type Options, options } from './options.ts'
import { newSchema } from './output-schema.ts'
import { Pool } from './pool.ts'
import { asArgument } from './program.ts'

/** What the lists of a server are called in their answers. */
const LISTS: Readonly<Record<string, string>> = {
  'tools/list': 'tools',
  'prompts/list': 'prompts',
  'resources/list': 'resources',
  'resources/templates/list': 'resourceTemplates',
}

/**
 * Runs jq filters on results, arguments and lists (R071), in processes that stay. One message never sees another one, the
 * environment or a file: program.ts says how.
 */
export default defineInterceptor<Options>({
  name: 'jq',
  summary: 'Runs jq filters on the results of tools, on their arguments, or on what servers list.',
  options,
  looks: {
    request: { need: 'json', edits: true, directions: ['toServer'], methods: ['tools/call'] },
    response: {
      need: 'json',
      edits: true,
      directions: ['toClient'],
      methods: ['tools/call', ...Object.keys(LISTS)],
      always: ['tools/list'],
    },
  },
  // A filter may be there to take something out.
  onFailure: 'closed',
  timeoutMs: 10_000,
  async create(checked, environment) {
    const pool = await openPool(checked, environment)
    return { ...createHooks(checked, new Filter(pool), environment), close: () => pool.close() }
  },
})

async function openPool(checked: Options, { logger }: Environment): Promise<Pool> {
  const binary = findBinary(process.env)
  const limits = { maxMemoryBytes: checked.max_memory }
  const program = await compileFilters(binary, checked.filter, limits)
  const pool = new Pool({
    command: limitedCommand(binary, ['-c', '--unbuffered', asArgument(program)], limits),
    deadlineMs: checked.deadline,
    maxOutputBytes: checked.max_output,
    processes: checked.processes,
    queue: checked.queue,
    onTrouble: error => logger.error({ binary, error: error.message }, 'jq cannot be started'),
  })
  await pool.start()
  return pool
}

function createHooks(checked: Options, filter: Filter, { applies }: Environment): Hooks {
  if (checked.on === 'arguments') return { request: (message, exchange) => onArguments(filter, message, exchange) }
  if (checked.on === 'list') {
    return {
      methods: { response: Object.keys(LISTS) },
      response: (message, exchange) => {
        const { server, principal } = exchange
        if (applies(server, message.method, '', principal.id)) return onList(filter, message, exchange)
        return undefined
      },
    }
  }
  const schema = newSchema(checked)
  return {
    methods: { response: schema === undefined ? ['tools/call'] : ['tools/call', 'tools/list'] },
    response(message, exchange) {
      if (message.method === 'tools/call') return onResult(checked, filter, message, exchange)
      const { server, principal } = exchange
      if (schema !== undefined) {
        setOutputSchemas(message, tool => applies(server, 'tools/call', tool, principal.id), schema)
      }
      return undefined
    },
  }
}

function onResult(checked: Options, filter: Filter, message: Message, exchange: Exchange): Promise<void> | undefined {
  const { source, raw, missing } = checked
  const found = findInputs(message, source)
  if (found === null) return undefined
  if (found.inputs.length > 0) {
    return filter
      .run(found.inputs, message, exchange)
      .then(outputs => placeOutputs(message, found, outputs, source, raw))
  }
  if (missing === 'fail') throw new Error(`the result has no JSON to filter (source: ${source})`)
  return undefined
}

async function onArguments(filter: Filter, message: Message, exchange: Exchange): Promise<void> {
  const { params } = message.json()
  if (!isJsonObject(params)) return
  const [outputs = []] = await filter.run([params['arguments'] ?? {}], message, exchange)
  const value = single(outputs)
  if (!isJsonObject(value)) throw new Error('the filter gave no object: arguments are one')
  message.edit(request => {
    ;(request['params'] as JsonObject)['arguments'] = value
  })
}

async function onList(filter: Filter, message: Message, exchange: Exchange): Promise<void> {
  const key = LISTS[message.method] ?? ''
  const list = listOf(message.json(), key)
  if (list === null) return
  const [outputs = []] = await filter.run([list], message, exchange)
  const value = single(outputs)
  if (!Array.isArray(value)) throw new Error('the filter gave no array: a list is one')
  message.edit(answer => {
    ;(answer['result'] as JsonObject)[key] = value
  })
}

function listOf({ result }: Readonly<JsonObject>, key: string): Json[] | null {
  const list = isJsonObject(result) ? result[key] : undefined
  return Array.isArray(list) ? list : null
}
