import {
  defineInterceptor,
  type Environment,
  type Exchange,
  estimateTokens,
  finishedResult,
  type Hooks,
  type Message,
  readableBytes,
  setOutputSchemas,
} from '#api'
import { type Options, options } from './options.ts'
import { type Converted, ToCsv } from './to-csv.ts'
import { toJson } from './to-json.ts'

/**
 * Turns tables in results into CSV, which says the names of the columns once instead of in every row, and CSV into JSON
 * (R071).
 */
export default defineInterceptor<Options>({
  name: 'csv',
  summary: 'Turns arrays of objects in results of tools into CSV, or CSV into JSON.',
  options,
  looks: {
    response: {
      need: 'json',
      edits: true,
      directions: ['toClient'],
      methods: ['tools/call', 'tools/list'],
      always: ['tools/list'],
    },
  },
  // It brings data into another form and guards nothing: JSON where CSV was meant does no harm.
  onFailure: 'open',
  create: (checked, environment) => createHooks(checked, environment),
})

function createHooks(checked: Options, { applies, counter }: Environment): Hooks {
  const saved = counter(
    'sluice_result_tokens_saved_total',
    'Tokens that results of tools got shorter by, estimated as bytes of text / 4.',
    ['tool'],
  )
  const writer = new ToCsv(checked)
  const convert = (message: Message): Converted | null =>
    checked.to === 'csv' ? writer.convert(message) : toJson(message, checked)
  const changesStructure = checked.to === 'csv' && checked.structured === 'remove'
  return {
    methods: { response: changesStructure ? ['tools/call', 'tools/list'] : ['tools/call'] },
    response(message, exchange) {
      if (message.method === 'tools/call') return onResult(message, exchange)
      const { server, principal } = exchange
      setOutputSchemas(message, tool => applies(server, 'tools/call', tool, principal.id), null)
    },
  }

  function onResult(message: Message, exchange: Exchange): void {
    const result = finishedResult(message.json())
    if (result === null) return
    const before = readableBytes(result)
    const converted = convert(message)
    if (converted === null) {
      if (checked.missing === 'fail') throw new Error(`the result has nothing to convert to ${checked.to}`)
      return
    }
    exchange.note('csv_rows', converted.rows)
    if (converted.cut > 0) exchange.note('csv_rows_cut', converted.cut)
    const tokens = estimateTokens(before) - estimateTokens(readableBytes(finishedResult(message.json()) ?? {}))
    if (tokens > 0) saved(tokens, message.name)
  }
}
