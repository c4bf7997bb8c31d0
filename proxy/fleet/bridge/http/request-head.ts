import { sameAscii } from '../../../base/bytes.ts'

/** What the bridge needs of the head of a request. */
export class RequestHead {
  method: 'POST' | 'GET' | 'DELETE' | ''
  /** Without query. */
  path: string
  /** -1 = not declared. */
  contentLength: number
  /** `Mcp-Session-Id`; `''` = absent. */
  session: string
  /** Whether the peer wants the connection closed behind the answer. */
  close: boolean
  /** `Mcp-Param-*` fields, flat, names in lower case without that prefix; `null` = there is none. */
  params: string[] | null

  constructor() {
    this.method = ''
    this.path = ''
    this.contentLength = -1
    this.session = ''
    this.close = false
    this.params = null
  }
}

const COLON = 0x3a
const CR = 0x0d
const LF = 0x0a
const MAX_LENGTH_DIGITS = 15
const USUAL = 'POST /mcp HTTP/1.1'
const PARAM = 'mcp-param-'
const MAX_PARAMS = 100
const VISIBLE = /^[\x21-\x7e]+$/

/**
 * Reads the head of an HTTP/1.1 request, strictly: the peer is the proxy's own client, and what is read in two ways by
 * two parsers is refused (RFC 9112, 2.2, 5.2, 6.3): a bare line feed, folded fields, white space before a colon, a
 * transfer coding, two lengths.
 * @param end position of the CR LF CR LF that ends it
 * @returns the head, or the HTTP status of the refusal
 */
export function readHead(bytes: Buffer, start: number, end: number): RequestHead | number {
  const head = new RequestHead()
  let lineEnd = bytes.indexOf(LF, start)
  if (bytes[lineEnd - 1] !== CR || !readRequestLine(head, bytes, start, lineEnd - 1)) return 400
  while (lineEnd < end) {
    const at = lineEnd + 1
    // Byte by byte: a native search costs more than the length of a field.
    let colon = at
    while (bytes[colon] !== COLON && bytes[colon] !== LF) colon++
    lineEnd = colon
    while (bytes[lineEnd] !== LF) lineEnd++
    if (bytes[lineEnd - 1] !== CR) return 400
    const fault = readField(head, bytes, at, colon, lineEnd - 1)
    if (fault !== 0) return fault
  }
  return head
}

function readRequestLine(head: RequestHead, bytes: Buffer, start: number, end: number): boolean {
  if (end - start === USUAL.length && sameAscii(bytes, start, USUAL)) {
    head.method = 'POST'
    head.path = '/mcp'
    return true
  }
  const [method, target, version, more] = bytes.toString('latin1', start, end).split(' ')
  if (version !== 'HTTP/1.1' || more !== undefined || target === undefined || !target.startsWith('/')) return false
  const query = target.indexOf('?')
  head.path = query < 0 ? target : target.slice(0, query)
  if (method === 'POST' || method === 'GET' || method === 'DELETE') head.method = method
  return true
}

/** @returns 0, or the HTTP status of the refusal */
function readField(head: RequestHead, bytes: Buffer, start: number, colon: number, end: number): number {
  if (colon <= start || colon >= end) return 400
  const first = bytes[start] as number
  if (first <= 0x20 || (bytes[colon - 1] as number) <= 0x20) return 400
  if ((first | 0x20) === 0x6d && colon - start > PARAM.length && isName(bytes, start, PARAM)) {
    head.params ??= []
    const name = bytes.toString('latin1', start + PARAM.length, colon).toLowerCase()
    if (head.params.length < MAX_PARAMS * 2) head.params.push(name, value(bytes, colon, end))
    return 0
  }
  switch (colon - start) {
    case 10:
      // `keep-alive` and nothing else: the usual one.
      if (end - colon === 12 && isName(bytes, end - 10, 'keep-alive')) return 0
      if (isName(bytes, start, 'connection')) head.close ||= /close/i.test(value(bytes, colon, end))
      return 0
    case 14:
      return isName(bytes, start, 'content-length')
        ? readLength(head, value(bytes, colon, end))
        : readSession(head, bytes, start, colon, end)
    case 17:
      return isName(bytes, start, 'transfer-encoding') ? 411 : 0
    default:
      return 0
  }
}

function readSession(head: RequestHead, bytes: Buffer, start: number, colon: number, end: number): number {
  if (!isName(bytes, start, 'mcp-session-id')) return 0
  if (head.session !== '') return 400
  head.session = value(bytes, colon, end)
  return VISIBLE.test(head.session) ? 0 : 400
}

function readLength(head: RequestHead, text: string): number {
  if (head.contentLength >= 0 || !/^\d+$/.test(text) || text.length > MAX_LENGTH_DIGITS) return 400
  head.contentLength = Number(text)
  return 0
}

function isBlank(c: number): boolean {
  return c === 0x20 || c === 0x09
}

function value(bytes: Buffer, colon: number, end: number): string {
  let from = colon + 1
  let to = end
  while (from < to && isBlank(bytes[from] as number)) from++
  while (to > from && isBlank(bytes[to - 1] as number)) to--
  return bytes.toString('latin1', from, to)
}

/** Whether a field has this lower-case name, in any case. */
function isName(bytes: Buffer, start: number, name: string): boolean {
  for (let i = 0; i < name.length; i++) {
    const c = bytes[start + i] as number
    const lower = c >= 0x41 && c <= 0x5a ? c | 0x20 : c
    if (lower !== name.charCodeAt(i)) return false
  }
  return true
}
