import { isUtf8 } from 'node:buffer'
import type { Envelope } from './envelope.ts'
import { forget } from './found.ts'
import { fail, release, skipSpace, skipValue, trouble } from './grammar.ts'
import { judge, refuse } from './judge.ts'
import { TOP } from './keys.ts'
import { ScanFault } from './scan-fault.ts'
import { walk } from './walk.ts'

export { ScanFault } from './scan-fault.ts'

/** One element of a JSON-RPC batch: its byte range in the body, and what it is. */
export interface BatchItem {
  readonly start: number
  readonly end: number
  readonly envelope: Envelope | ScanFault
}

/**
 * Reads one JSON-RPC message: one pass, the whole grammar of RFC 8259, to the end of the bytes. Nothing is parsed that
 * the envelope does not need. `parse_error` for exactly what `JSON.parse` refuses (and what is not UTF-8).
 *
 * As the bytes are passed on as they came, what we read must be what the server reads. So a key that decides anything
 * (`jsonrpc`, `method`, `id`, `params`, `result`, `error`; in `params`: `name`, `uri`, `taskId`, `arguments`, `_meta`,
 * `inputResponses`, `requestState`, `ref`; the envelope keys in `_meta`) is refused when it is repeated or spelled in
 * another case, beside the exact one or alone: a parser that ignores case would take it.
 * @param maxDepth nesting allowed; the message itself is level 1
 */
export function scan(bytes: Buffer, maxDepth: number): Envelope | ScanFault {
  if (!isUtf8(bytes)) return notUtf8()
  const found = scanRange(bytes, 0, bytes.length, maxDepth)
  release()
  return found
}

/**
 * Reads a JSON-RPC batch (2025-03-26), each element on its own.
 * @param maxItems more elements than this are a fault of the whole, as are none at all
 */
export function scanBatch(bytes: Buffer, maxDepth: number, maxItems: number): BatchItem[] | ScanFault {
  if (!isUtf8(bytes)) return notUtf8()
  const found = scanItems(bytes, maxDepth, maxItems)
  release()
  return found
}

function scanItems(bytes: Buffer, maxDepth: number, maxItems: number): BatchItem[] | ScanFault {
  const end = bytes.length
  const items: BatchItem[] = []
  begin()
  let i = skipSpace(bytes, 0, end)
  if (i >= end || bytes[i] !== 0x5b) return invalid('expected an array of messages', i)
  do {
    const start = skipSpace(bytes, i + 1, end)
    begin()
    if (start < end && bytes[start] === 0x5d && items.length === 0) return emptyBatch(bytes, start)
    i = skipValue(bytes, start, end, 0, maxDepth)
    if (i < 0) return broken(bytes)
    if (items.length === maxItems) return invalid(`more than ${maxItems} messages in one batch`, start)
    items.push({ start, end: i, envelope: scanRange(bytes, start, i, maxDepth) })
    i = skipSpace(bytes, i, end)
  } while (i < end && bytes[i] === 0x2c)
  if (i >= end || bytes[i] !== 0x5d) return brokenAt(bytes, 'expected "," or "]"', i)
  const rest = skipSpace(bytes, i + 1, end)
  return rest === end ? items : brokenAt(bytes, 'unexpected data behind the batch', rest)
}

/** Whether the first byte that is not white space opens an array. */
export function startsWithArray(bytes: Buffer): boolean {
  const i = skipSpace(bytes, 0, bytes.length)
  return i < bytes.length && bytes[i] === 0x5b
}

function begin(): void {
  forget()
  trouble.tooDeep = false
  trouble.deepest = 0
}

function scanRange(bytes: Buffer, from: number, end: number, maxDepth: number): Envelope | ScanFault {
  begin()
  const at = skipSpace(bytes, from, end)
  const isObject = at < end && bytes[at] === 0x7b
  let i = isObject ? walk(TOP, bytes, at, end, 1, maxDepth) : skipValue(bytes, at, end, 0, maxDepth)
  if (i < 0) return broken(bytes)
  if (i < end) i = skipSpace(bytes, i, end)
  if (i !== end) return brokenAt(bytes, 'unexpected data behind the message', i)
  return isObject ? judge(bytes, at, from) : invalid('a message must be an object', at)
}

function emptyBatch(bytes: Buffer, at: number): ScanFault {
  const rest = skipSpace(bytes, at + 1, bytes.length)
  if (rest !== bytes.length) return brokenAt(bytes, 'unexpected data behind the batch', rest)
  return invalid('a batch must not be empty', at)
}

function notUtf8(): ScanFault {
  return new ScanFault('parse_error', 'Parse error: not valid UTF-8', 0, '')
}

function invalid(text: string, offset: number): ScanFault {
  return new ScanFault('invalid_request', `Invalid request: ${text}`, offset, '')
}

/** Turns what the grammar noted into a fault. What is not JSON has no id; what is too deep may have shown its own. */
function broken(bytes: Buffer): ScanFault {
  if (trouble.tooDeep) return refuse(bytes, trouble.text, trouble.at)
  return new ScanFault('parse_error', `Parse error: ${trouble.text} at byte ${trouble.at}`, trouble.at, '')
}

function brokenAt(bytes: Buffer, text: string, at: number): ScanFault {
  trouble.tooDeep = false
  fail(text, at)
  return broken(bytes)
}
