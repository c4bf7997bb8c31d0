import type { IncomingMessage, ServerResponse } from 'node:http'
import type { Duplex } from 'node:stream'
import { ERRORS, type ErrorCode } from '../api/index.ts'
import { errorAnswer } from '../message/jsonrpc.ts'
import { channels } from '../observe/channels.ts'
import { closeAfter, markClosing } from './last-request.ts'
import type { LeanRequest } from './lean-request.ts'

/** Why a request head is refused before anybody looks at the request. */
export interface Fault {
  readonly code: ErrorCode
  readonly text: string
}

const ONE_HOST: Fault = { code: 'invalid_request', text: 'expected exactly one Host field' }
const TOO_MANY: Fault = { code: 'headers_too_large', text: 'too many header fields' }
const CODING: Fault = { code: 'invalid_request', text: 'the only transfer coding understood is chunked, over HTTP/1.1' }
const VERSION: Fault = { code: 'invalid_request', text: 'expected HTTP/1.1 or HTTP/1.0' }
const TARGET: Fault = { code: 'invalid_request', text: 'expected a request target that begins with "/"' }

/**
 * What llhttp lets pass although a parser in front of or behind us may read it differently: two Host fields
 * (RFC 9112, 3.2), transfer codings besides chunked or with HTTP/1.0 (6.1), HTTP/0.9, a target with its own
 * authority (3.2.2). Everything else (bare LF, folding, both lengths, NUL…) llhttp refuses; a test holds it to that.
 */
export function malformed(request: LeanRequest, maxHeaders: number): Fault | null {
  if (maxHeaders > 0 && request.rawHeaders.length > maxHeaders * 2) return TOO_MANY
  if (request.httpVersionMajor !== 1) return VERSION
  // 0x2f is "/"; `*` is for OPTIONS (RFC 9112, 3.2.4), which names no server here and falls through to 404.
  if (request.url?.charCodeAt(0) !== 0x2f && request.url !== '*') return TARGET
  const { hosts, transferEncoding } = request.head
  if (hosts > 1 || (hosts === 0 && request.httpVersionMinor === 1)) return ONE_HOST
  if (transferEncoding === '') return null
  const chunked = request.httpVersionMinor === 1 && transferEncoding.trim().toLowerCase() === 'chunked'
  return chunked ? null : CODING
}

/** Answers a request that goes no further, and closes its connection. */
export function refuse(
  request: IncomingMessage,
  response: ServerResponse,
  code: ErrorCode,
  text: string,
  status: number = ERRORS[code].http,
): void {
  publish(code, status, text)
  const body = errorAnswer('', code, text, null)
  closeAfter(response)
  response.writeHead(status, { 'content-type': 'application/json', 'content-length': body.length })
  response.end(body)
  request.resume() // so that the answer is not lost in a reset; bounded, for the connection closes after it
}

/**
 * Answers what is not HTTP at all, or came too slowly or too large, and closes the connection. `_httpMessage` is what
 * node's own handler asks to learn whether an answer has begun; then nothing can be said any more.
 */
export function onClientError(error: NodeJS.ErrnoException, socket: Duplex): void {
  if (error.code === 'ECONNRESET' || error.code === 'EPIPE' || !socket.writable) socket.destroy(error)
  else if (!waiting.has(socket)) fail(error, socket)
}

/** Connections whose fault is told once the answers before it are out. */
const waiting = new WeakSet<Duplex>()

function fail(error: NodeJS.ErrnoException, socket: Duplex): void {
  const answer = (socket as { _httpMessage?: ServerResponse | null })._httpMessage ?? null
  if (answer?.req.complete === true) answerFirst(answer, error, socket)
  else if (answer?.headersSent === true) socket.destroy(error)
  else endWithFault(faultOf(error.code ?? ''), socket)
}

/** The fault lies behind a request that came whole: or the refusal would be taken for its answer. */
function answerFirst(answer: ServerResponse, error: NodeJS.ErrnoException, socket: Duplex): void {
  waiting.add(socket)
  markClosing(socket)
  answer.once('finish', () => {
    if (socket.writable) fail(error, socket)
  })
}

function endWithFault(fault: Fault, socket: Duplex): void {
  const status = ERRORS[fault.code].http
  publish(fault.code, status, fault.text)
  socket.end(rawAnswer(status, errorAnswer('', fault.code, fault.text, null)), () => socket.destroy())
}

function faultOf(code: string): Fault {
  switch (code) {
    case 'HPE_HEADER_OVERFLOW':
      return { code: 'headers_too_large', text: 'the header fields are too large' }
    case 'HPE_CHUNK_EXTENSIONS_OVERFLOW':
      return { code: 'message_too_large', text: 'the chunk extensions are too large' }
    case 'ERR_HTTP_REQUEST_TIMEOUT':
      return { code: 'request_timeout', text: 'the request did not arrive in time' }
    default:
      // llhttp's own words stay out: they repeat nothing of the input, but they change from version to version.
      return { code: 'invalid_request', text: `the request is not valid HTTP/1.1 (${code})` }
  }
}

const REASONS: Readonly<Record<number, string>> = {
  400: 'Bad Request',
  408: 'Request Timeout',
  413: 'Content Too Large',
  431: 'Request Header Fields Too Large',
}

function rawAnswer(status: number, body: Buffer): Buffer {
  const head = [
    `HTTP/1.1 ${status} ${REASONS[status] ?? 'Error'}`,
    'Content-Type: application/json',
    `Content-Length: ${body.length}`,
    'Connection: close',
    '\r\n',
  ]
  return Buffer.concat([Buffer.from(head.join('\r\n')), body])
}

function publish(code: ErrorCode, status: number, reason: string): void {
  if (channels.refusal.hasSubscribers) channels.refusal.publish({ code, status, reason })
}
