import { ConnectionError } from './connection-error.ts'

/** What a connection sends. */
export interface Outgoing {
  readonly path: string
  readonly method: string
  /** Flat: name, value, name, value. Without Host, Content-Length and fields of the connection. */
  readonly headers: readonly string[]
  readonly body: Uint8Array | null
}

/** Bodies up to this go out in one piece with their head; copying a larger one costs more than a second write. */
const MAX_JOINED_BYTES = 16_384

const TOKEN = /^[!#$%&'*+\-.^_`|~0-9A-Za-z]+$/
/** Field values (RFC 9110, 5.5); what else there is could end the field, or the head. */
const FORBIDDEN_IN_VALUE = /[^\t\x20-\x7e\x80-\xff]/
const FORBIDDEN_IN_PATH = /[^\x21-\x7e\x80-\xff]/

/** Field names known to be well-formed; bounded, for clients may make up names. */
const MAX_KNOWN_NAMES = 512
const known = new Set<string>()

/**
 * The bytes of a request's head (RFC 9112, 3), with its body where that is small: `complete` says so.
 * @throws ConnectionError for a path, name or value that cannot stand in a head; it holds none of them
 */
export function requestBytes(outgoing: Outgoing, host: string): { bytes: Buffer; complete: boolean } {
  const head = requestHead(outgoing, host)
  const { body } = outgoing
  if (body === null || body.length === 0) return { bytes: Buffer.from(head, 'latin1'), complete: true }
  if (body.length > MAX_JOINED_BYTES) return { bytes: Buffer.from(head, 'latin1'), complete: false }
  const bytes = Buffer.allocUnsafe(head.length + body.length)
  bytes.write(head, 0, 'latin1')
  bytes.set(body, head.length)
  return { bytes, complete: true }
}

function requestHead({ path, method, headers, body }: Outgoing, host: string): string {
  if (!path.startsWith('/') || FORBIDDEN_IN_PATH.test(path)) throw invalid('request path')
  let head = `${method} ${path} HTTP/1.1\r\nhost: ${host}\r\nconnection: keep-alive\r\n`
  for (let i = 0; i < headers.length; i += 2) {
    const name = headers[i] as string
    const value = headers[i + 1] as string
    if (!known.has(name)) checkName(name)
    if (FORBIDDEN_IN_VALUE.test(value)) throw invalid('header value')
    head += `${name}: ${value}\r\n`
  }
  if (body !== null) head += `content-length: ${body.length}\r\n`
  else if (method === 'POST') head += 'content-length: 0\r\n'
  return `${head}\r\n`
}

function checkName(name: string): void {
  if (!TOKEN.test(name)) throw invalid('header name')
  if (known.size < MAX_KNOWN_NAMES) known.add(name)
}

function invalid(what: string): ConnectionError {
  return new ConnectionError('UND_ERR_INVALID_ARG', `invalid ${what}`)
}
