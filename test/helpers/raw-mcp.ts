import { Downstream } from '../../proxy/downstream/http.ts'
import { POST_HEADERS, rpc } from './mcp-messages.ts'
import { type RawClient, rawPost } from './raw-client.ts'
import type { Scope } from './scope.ts'

/** The header lines of a plain MCP POST. */
export const FIELDS: readonly string[] = Object.entries(POST_HEADERS).map(([name, value]) => `${name}: ${value}`)

/** A JSON-RPC body whose id says which request it is. */
export function bodyOf(id: number, params: object = {}): string {
  return JSON.stringify(rpc(id, 'ping', params))
}

/** A whole POST of a body of its own, as bytes. */
export function post(id: number, fields: readonly string[] = [], body: Uint8Array | string = bodyOf(id)): Buffer {
  return rawPost('/mcp', '127.0.0.1', [...FIELDS, ...fields], body)
}

/** The same in chunks of `size` bytes. */
export function chunkedPost(id: number, size: number, trailer = '', extension = ''): Buffer {
  const body = Buffer.from(bodyOf(id))
  const pieces: Buffer[] = []
  for (let at = 0; at < body.length; at += size) {
    const piece = body.subarray(at, at + size)
    pieces.push(Buffer.from(`${piece.length.toString(16)}${extension}\r\n`), piece, Buffer.from('\r\n'))
  }
  pieces.push(Buffer.from(`0\r\n${trailer}\r\n`))
  return post(id, ['Transfer-Encoding: chunked'], Buffer.concat(pieces))
}

/** Status and JSON-RPC id of the next answer; id `null` where the body has none. */
export async function nextAnswer(client: RawClient): Promise<[status: number, id: unknown]> {
  const { head, body } = await client.readResponse()
  return [head.status, body.length === 0 ? null : (JSON.parse(body.toString()).id ?? null)]
}

/** What the proxy's client side holds. */
export interface Held {
  readonly inFlight: number
  readonly bytes: number
}

/** Shows what the proxy of this process holds; requests must have come in before it can say anything but nothing. */
export function watchHeld(scope: Scope): Held {
  let seen: Downstream | null = null
  const { handle } = Downstream.prototype
  Downstream.prototype.handle = function (this: Downstream, ...given) {
    seen = this
    handle.apply(this, given)
  }
  scope.after(() => {
    Downstream.prototype.handle = handle
  })
  return {
    get inFlight() {
      return seen?.inFlight ?? 0
    },
    get bytes() {
      return seen?.budget.used ?? 0
    },
  }
}
