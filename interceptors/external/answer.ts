import { ERRORS, type ErrorCode, type Json, type JsonObject, parseExact } from '#api'
import { ExternalError } from './caller.ts'

/** What something outside wants done with a message. */
export type Answer =
  | { readonly kind: 'continue' }
  | { readonly kind: 'result'; readonly result: JsonObject }
  | { readonly kind: 'params'; readonly params: JsonObject }
  | { readonly kind: 'error'; readonly code: ErrorCode; readonly message: string }

/** The longest text of a refusal, in UTF-16 units. */
const MAX_MESSAGE = 1000
/** Deepest nesting of an answer: what clients take by default, less what stands around it. */
const MAX_DEPTH = 120
const KEYS = ['result', 'params', 'error']
/** The members of a tool's result, which a bare one consists of. */
const RESULT_KEYS = ['content', 'structuredContent', 'isError', '_meta', 'resultType']
const CONTINUE: Answer = { kind: 'continue' }

/** The JSON that a text holds; `undefined` for an empty one. @throws ExternalError when it is none */
export function parseOutput(text: string): Json | undefined {
  if (text.trim() === '') return undefined
  let value: Json
  try {
    value = parseExact(text)
  } catch {
    throw new ExternalError(`answered with ${Buffer.byteLength(text)} bytes that are not JSON`)
  }
  if (!isShallow(value, MAX_DEPTH)) throw new ExternalError(`answered with JSON of more than ${MAX_DEPTH} levels`)
  return value
}

function isShallow(value: Json, depth: number): boolean {
  if (typeof value !== 'object' || value === null) return true
  if (depth === 0) return false
  for (const part of Array.isArray(value) ? value : Object.values(value)) if (!isShallow(part, depth - 1)) return false
  return true
}

/**
 * Reads an answer: nothing or `{}` = continue; else one of `{ result }`, `{ params }`, `{ error: { message, code? } }`.
 * @param bare whether a result may stand there by itself
 * @throws ExternalError that says what is wrong with it, and nothing of what it holds
 */
export function readAnswer(given: Json | undefined, method: string, bare: boolean): Answer {
  if (given === undefined) return CONTINUE
  if (!isObject(given)) throw new ExternalError(`answered with ${kindOf(given)}: expected an object`)
  const { id: _, ...rest } = given
  const keys = Object.keys(rest)
  if (keys.length === 0) return CONTINUE
  if (bare && !keys.some(key => KEYS.includes(key))) return readResult(onlyResult(rest), method)
  const [key] = keys
  if (keys.length > 1 || key === undefined || !KEYS.includes(key)) {
    throw new ExternalError(`answered with an object of ${keys.length} members: expected one of ${KEYS.join(', ')}`)
  }
  const value = rest[key] as Json
  if (key === 'error') return readError(value)
  if (!isObject(value)) throw new ExternalError(`answered with a ${key} that is ${kindOf(value)}: expected an object`)
  return key === 'result' ? readResult(value, method) : readParams(value, method)
}

/** A script that edits what it was given gives back our members as well. */
function onlyResult(given: JsonObject): JsonObject {
  return Object.fromEntries(RESULT_KEYS.filter(key => key in given).map(key => [key, given[key] as Json]))
}

function readResult(result: JsonObject, method: string): Answer {
  const isFinal = result['resultType'] === undefined || result['resultType'] === 'complete'
  if (method === 'tools/call' && isFinal && !Array.isArray(result['content'])) {
    throw new ExternalError('answered with a result of a tool that lacks "content": expected a list')
  }
  return { kind: 'result', result }
}

function readParams(params: JsonObject, method: string): Answer {
  if (method === 'tools/call' && typeof params['name'] !== 'string') {
    throw new ExternalError('answered with params of a tools/call that lack "name"')
  }
  return { kind: 'params', params }
}

function readError(error: Json): Answer {
  const message = isObject(error) ? error['message'] : error
  const code = isObject(error) ? (error['code'] ?? 'denied') : 'denied'
  if (typeof message !== 'string' || message.trim() === '') {
    throw new ExternalError('answered with an error that lacks "message"')
  }
  if (!isVerdictCode(code)) {
    throw new ExternalError('answered with an error whose "code" is none that an interceptor may give')
  }
  const short = message.length > MAX_MESSAGE ? `${message.slice(0, MAX_MESSAGE).toWellFormed()}…` : message
  return { kind: 'error', code, message: short }
}

/** Refusals are the business of interceptors; a row that blames somebody else is not. */
function isVerdictCode(code: Json): code is ErrorCode {
  return typeof code === 'string' && Object.hasOwn(ERRORS, code) && ERRORS[code as ErrorCode].source === 'interceptor'
}

function kindOf(value: Json): string {
  if (value === null) return 'null'
  if (isRawJson(value)) return 'a number'
  return Array.isArray(value) ? 'a list' : `a ${typeof value}`
}

/** Whether it is a JSON object; a number that `parseExact` keeps as its text is none. */
export function isObject(value: Json | undefined): value is JsonObject {
  return typeof value === 'object' && value !== null && !Array.isArray(value) && !isRawJson(value)
}

const isRawJson = (JSON as unknown as { isRawJSON(value: unknown): boolean }).isRawJSON
