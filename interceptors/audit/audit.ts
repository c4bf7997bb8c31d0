import {
  defineInterceptor,
  type Exchange,
  type Hook,
  type Hooks,
  type Json,
  type JsonObject,
  type Message,
  type Outcome,
  parseExact,
} from '#api'
import { auditLine, withheldLine } from './line.ts'
import type { SharedFile } from './open-files.ts'
import { openLines } from './open-lines.ts'
import { type Options, options } from './options.ts'
import { sanitise } from './sanitise.ts'

/** What the hooks found; `''` until then, and where nothing is to be written. */
interface State {
  params: string
  result: string
}

const NOTHING: State = Object.freeze({ params: '', result: '' })
const NAMED = ['tools/call', 'prompts/get']

/**
 * One JSON line for each exchange when it ends (R100, R101, R102). Nothing is looked at unless `include` asks for it: a
 * chain of only `audit` passes bytes through.
 */
export default defineInterceptor<Options, State>({
  name: 'audit',
  summary: 'Writes one JSON line for each exchange: who called what, how it ended, how long it took.',
  options,
  looks: {
    request: { need: 'json', directions: ['toServer'], methods: NAMED, tooBig: 'skip' },
    response: { need: 'json', directions: ['toClient'], methods: [...NAMED, 'resources/read'], tooBig: 'skip' },
  },
  onFailure: 'open',
  create: (checked, environment) => createHooks(checked, openLines(checked, environment)),
})

function createHooks(checked: Options, lines: SharedFile): Hooks<State> {
  const { include, max_value_bytes: maxBytes } = checked
  const close = (): Promise<void> => lines.close()
  const end = (exchange: Exchange, outcome: Outcome, state: State | undefined): void => {
    const { params, result } = state ?? NOTHING
    if (outcome.withheld === '') lines.write(auditLine(exchange, outcome, params, result))
    else lines.write(withheldLine(exchange, outcome, include))
  }
  if (include.length === 0) return { end, close }
  return {
    state: () => ({ params: '', result: '' }),
    ...(include.includes('arguments') ? { request: recorder('params', argumentsOf, maxBytes) } : {}),
    ...(include.includes('results') ? { response: recorder('result', resultOf, maxBytes) } : {}),
    end,
    close,
  }
}

function recorder(key: keyof State, find: (message: JsonObject) => Json | undefined, maxBytes: number): Hook<State> {
  return (message: Message, _exchange: Exchange, state: State): undefined => {
    const value = find(jsonOf(message))
    if (value !== undefined) state[key] = sanitise(value, maxBytes)
  }
}

/** Digits in a row that a double may not hold. */
const LONG_NUMBER = /[\d.]{16}/

/** With numbers that no double holds as they were written; nearly no message has one. */
function jsonOf(message: Message): JsonObject {
  const bytes = message.bytes()
  const text = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength).toString('latin1')
  return LONG_NUMBER.test(text) ? (parseExact(bytes) as JsonObject) : message.json()
}

function argumentsOf({ params }: JsonObject): Json | undefined {
  return isObject(params) ? (params.arguments ?? {}) : undefined
}

/** An error of the server stands there as `{ "error": … }`. */
function resultOf({ result, error }: JsonObject): Json | undefined {
  return result === undefined && error !== undefined ? { error } : result
}

function isObject(value: Json | undefined): value is JsonObject {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
}
