import { sameAscii } from '../base/bytes.ts'
import { Envelope } from './envelope.ts'
import { ends, has, sourceAt, starts, textAt, twins } from './found.ts'
import { trouble } from './grammar.ts'
import { SLOT } from './keys.ts'
import { knownMethod, type NameField, nameField } from './methods.ts'
import { ScanFault } from './scan-fault.ts'

/**
 * Decides what a grammatical message is, from what `walk` found.
 * @param at its offset, for faults about the whole
 * @param start where the message's own bytes begin: white space may stand before it
 */
export function judge(bytes: Buffer, at: number, start: number): Envelope | ScanFault {
  if (twins.at >= 0) {
    return refuse(bytes, `the key "${twins.key}" is repeated, or written in another case`, twins.at)
  }
  if (!isVersion2(bytes)) return refuse(bytes, '"jsonrpc" must be "2.0"', at)
  return has(SLOT.method) ? judgeCall(bytes, at) : judgeResponse(bytes, at, start)
}

/** A fault of a message whose grammar was right as far as it was read; carries the id unless that is in doubt. */
export function refuse(bytes: Buffer, text: string, offset: number): ScanFault {
  const id = twins.id || !isCallId(bytes) ? '' : idText(bytes)
  return new ScanFault('invalid_request', `Invalid request: ${text}`, offset, id)
}

function isVersion2(bytes: Buffer): boolean {
  const start = starts[SLOT.jsonrpc] as number
  const isShort = start >= 0 && (ends[SLOT.jsonrpc] as number) === start + 5
  return isShort ? sameAscii(bytes, start, '"2.0"') : textAt(bytes, SLOT.jsonrpc) === '2.0'
}

function judgeCall(bytes: Buffer, at: number): Envelope | ScanFault {
  const start = starts[SLOT.method] as number
  const known = bytes[start] === 0x22 ? knownMethod(bytes, start + 1, (ends[SLOT.method] as number) - 1) : null
  const method = known === null ? textAt(bytes, SLOT.method) : known.text
  if (method === '') return refuse(bytes, '"method" must be a string that is not empty', start)
  if (has(SLOT.result) || has(SLOT.error)) return refuse(bytes, 'both a call and an answer', at)
  const params = starts[SLOT.params] as number
  if (params >= 0 && bytes[params] !== 0x7b) return refuse(bytes, '"params" must be an object', params)
  const isRequest = has(SLOT.id)
  if (isRequest && !isCallId(bytes)) {
    return refuse(bytes, '"id" must be a string or an integer', starts[SLOT.id] as number)
  }
  const field = known === null ? nameField(method) : known.field
  if (twins.refAt >= 0 && field === 'ref') {
    return refuse(bytes, 'a key of "ref" is repeated, or written in another case', twins.refAt)
  }
  return new Envelope(
    isRequest ? 'request' : 'notification',
    method,
    nameText(bytes, field),
    idText(bytes),
    has(SLOT.version) ? textAt(bytes, SLOT.version) : null,
    has(SLOT.capabilities) && bytes[starts[SLOT.capabilities] as number] === 0x7b,
    false,
    false,
    0,
    -1,
    -1,
    trouble.deepest,
  )
}

function judgeResponse(bytes: Buffer, at: number, start: number): Envelope | ScanFault {
  const isError = has(SLOT.error)
  if (isError === has(SLOT.result)) {
    return refuse(bytes, isError ? 'both "result" and "error"' : 'neither "method" nor "result" nor "error"', at)
  }
  const id = idText(bytes)
  if (id === '' && (!isError || !isNullOrAbsent(bytes))) {
    return refuse(bytes, '"id" of an answer must be a string or a number', at)
  }
  return new Envelope(
    'response',
    '',
    '',
    id,
    null,
    false,
    isError,
    has(SLOT.isError) && bytes[starts[SLOT.isError] as number] === 0x74,
    isError ? numberAt(bytes, SLOT.code) : 0,
    has(SLOT.content) ? (starts[SLOT.content] as number) - start : -1,
    has(SLOT.content) ? (ends[SLOT.content] as number) - start : -1,
    trouble.deepest,
  )
}

function nameText(bytes: Buffer, field: NameField): string {
  switch (field) {
    case 'name':
      return textAt(bytes, SLOT.name)
    case 'uri':
      return textAt(bytes, SLOT.uri)
    case 'taskId':
      return textAt(bytes, SLOT.taskId)
    case 'ref':
      return textAt(bytes, SLOT.refName) || textAt(bytes, SLOT.refUri)
    default:
      return textAt(bytes, SLOT.name) || textAt(bytes, SLOT.uri) || textAt(bytes, SLOT.taskId)
  }
}

function numberAt(bytes: Buffer, slot: number): number {
  return has(slot) && startsNumber(bytes[starts[slot] as number] as number) ? Number(sourceAt(bytes, slot)) : 0
}

function startsNumber(c: number): boolean {
  return c === 0x2d || (c >= 0x30 && c <= 0x39)
}

function isNullOrAbsent(bytes: Buffer): boolean {
  return !has(SLOT.id) || bytes[starts[SLOT.id] as number] === 0x6e
}

/** MCP: a string or an integer. `1.0` is an integer as in JSON Schema; an exponent is not worth the doubt. */
function isCallId(bytes: Buffer): boolean {
  const start = starts[SLOT.id] as number
  if (start < 0) return false
  if (bytes[start] === 0x22) return true
  if (!startsNumber(bytes[start] as number)) return false
  const end = ends[SLOT.id] as number
  let fraction = false
  for (let i = start + 1; i < end; i++) {
    const c = bytes[i] as number
    if (c === 0x2e) fraction = true
    else if (c > 0x39 || c < 0x30 || (fraction && c !== 0x30)) return false
  }
  return true
}

/** Source text of an id that is a string or a number, else `''`. */
function idText(bytes: Buffer): string {
  const start = starts[SLOT.id] as number
  if (start < 0) return ''
  const end = ends[SLOT.id] as number
  const c = bytes[start] as number
  if (c === 0x22) return bytes.toString('utf8', start, end)
  if (!startsNumber(c)) return ''
  if (end - start > 15) return bytes.toString('latin1', start, end)
  let value = 0
  for (let i = start; i < end; i++) {
    const digit = (bytes[i] as number) - 0x30
    if (digit < 0 || digit > 9) return bytes.toString('latin1', start, end)
    value = value * 10 + digit
  }
  return String(value)
}
