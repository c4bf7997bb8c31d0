import { isUtf8 } from 'node:buffer'
import { ERRORS, type ErrorCode, type Json, type JsonObject } from '../api/index.ts'

const JSONRPC = '{"jsonrpc":"2.0"'

/**
 * The JSON-RPC `error` object of a row of the error table. Its `data` always says `source` and `code`, and `retry`
 * unless a retry makes no sense; what the caller gives (`retry_after_ms`, details) follows and cannot replace these.
 */
export function errorObject(code: ErrorCode, reason: string, data: JsonObject | null, modern = true): JsonObject {
  const { rpc, legacyRpc } = ERRORS[code]
  return { code: modern ? rpc : legacyRpc, message: reason, data: errorData(code, data) }
}

function errorData(code: ErrorCode, data: JsonObject | null): JsonObject {
  const spec = ERRORS[code]
  const own: JsonObject = { source: spec.source, code }
  if (spec.retry !== 'never') own['retry'] = spec.retry
  return data === null ? own : { ...own, ...data, ...own }
}

/**
 * A whole error answer.
 * @param idText source text of the request's id; `''` leaves the member out, as MCP wants where it is not known
 * @param modern whether the asker speaks 2026-07-28: a few numbers were others before
 */
export function errorAnswer(
  idText: string,
  code: ErrorCode,
  reason: string,
  data: JsonObject | null,
  modern = true,
): Buffer {
  return Buffer.from(`${head(idText)},"error":${JSON.stringify(errorObject(code, reason, data, modern))}}`)
}

/**
 * A whole result answer.
 * @param result the `result` member, or its UTF-8 JSON text, which must be an object
 * @param modern whether the asker speaks 2026-07-28: then a result without `resultType` gets `"complete"`
 */
export function resultAnswer(idText: string, result: JsonObject | Uint8Array, modern: boolean): Buffer {
  if (result instanceof Uint8Array) return fromText(idText, result, modern)
  return Buffer.from(`${head(idText)},"result":${JSON.stringify(modern ? complete(result) : result)}}`)
}

/**
 * A refusal that the model can act on: a `tools/call` result with `isError: true` whose text is the reason. Programs
 * find the error's data under `_meta["dev.sluice/error"]`.
 */
export function toolErrorAnswer(
  idText: string,
  code: ErrorCode,
  reason: string,
  data: JsonObject | null,
  modern: boolean,
): Buffer {
  const result: JsonObject = {
    content: [{ type: 'text', text: reason }],
    isError: true,
    _meta: { 'dev.sluice/error': errorData(code, data) },
  }
  return resultAnswer(idText, result, modern)
}

/** One SSE event that carries `body`; a line feed inside it (pretty-printed JSON) makes several data lines. */
export function sseEvent(body: Buffer): Buffer {
  const text = body
    .toString()
    .split(/\r\n|\r|\n/)
    .join('\ndata: ')
  return Buffer.from(`event: message\ndata: ${text}\n\n`)
}

function head(idText: string): string {
  return idText === '' ? JSONRPC : `${JSONRPC},"id":${idText}`
}

function complete(result: JsonObject): JsonObject {
  return Object.hasOwn(result, 'resultType') ? result : { resultType: 'complete', ...result }
}

/** What is known of a result that was given as text. */
interface ResultShape {
  readonly hasType: boolean
  readonly isEmpty: boolean
  /** Position behind its opening bracket. */
  readonly inside: number
}

/** A result that is given again and again (from a cache) is looked at once: nobody may write to it. */
const shapes = new WeakMap<Uint8Array, ResultShape>()

/** @throws TypeError, SyntaxError when it is no JSON object in UTF-8 */
function shapeOf(result: Uint8Array): ResultShape {
  const known = shapes.get(result)
  if (known !== undefined) return known
  if (!isUtf8(result)) throw new TypeError('a JSON-RPC result must be UTF-8')
  const value = JSON.parse(Buffer.from(result.buffer, result.byteOffset, result.byteLength).toString()) as Json
  if (value === null || typeof value !== 'object' || Array.isArray(value)) {
    throw new TypeError('a JSON-RPC result must be an object')
  }
  const shape = {
    hasType: Object.hasOwn(value, 'resultType'),
    isEmpty: Object.keys(value).length === 0,
    inside: result.indexOf(0x7b) + 1,
  }
  shapes.set(result, shape)
  return shape
}

function fromText(idText: string, result: Uint8Array, modern: boolean): Buffer {
  const { hasType, isEmpty, inside } = shapeOf(result)
  if (!modern || hasType) return Buffer.concat([Buffer.from(`${head(idText)},"result":`), result, CLOSE])
  const type = `"resultType":"complete"${isEmpty ? '' : ','}`
  const begin = Buffer.from(`${head(idText)},"result":`)
  return Buffer.concat([begin, result.subarray(0, inside), Buffer.from(type), result.subarray(inside), CLOSE])
}

const CLOSE = Buffer.from('}')
