import type { WireMessage } from '../message/message.ts'
import type { UpstreamRequest } from '../upstream/upstream.ts'
import type { Inbound, RelayServices } from './ports.ts'
import { renameHeaders } from './rename.ts'

/** Methods that only read: sending them twice does no harm. */
const READS = new Set([
  'ping',
  'server/discover',
  'tools/list',
  'prompts/list',
  'prompts/get',
  'resources/list',
  'resources/templates/list',
  'resources/read',
  'completion/complete',
])

/** The client's message as it goes to a replica. */
export class Outbound implements UpstreamRequest {
  readonly method: 'POST' | 'GET' | 'DELETE'
  readonly headers: string[]
  readonly body: Uint8Array | null
  readonly query: string
  readonly lane: 'call' | 'stream'
  readonly replica: string
  readonly idleTimeoutMs: number
  readonly firstByteTimeoutMs: number
  readonly repeatable: boolean

  /** @param looked whether the answer may be looked at, so that it must not be compressed */
  constructor(inbound: Inbound, message: WireMessage, services: RelayServices, looked: boolean) {
    const post = inbound.httpMethod === 'POST'
    const headers = inbound.upstreamHeaders
    if (inbound.session !== null) headers.push('mcp-session-id', inbound.session.upstreamId)
    if (looked) headers.push('accept-encoding', 'identity')
    else if (inbound.acceptEncoding !== '') headers.push('accept-encoding', inbound.acceptEncoding)
    if (message.edited) renameHeaders(headers, message)
    this.method = inbound.httpMethod
    this.headers = headers
    this.body = post ? message.body : null
    this.query = inbound.query
    this.lane = post && message.kind === 'request' && message.method !== 'subscriptions/listen' ? 'call' : 'stream'
    this.replica = inbound.session === null ? '' : inbound.session.replica
    this.idleTimeoutMs = services.idleTimeoutMs
    this.firstByteTimeoutMs = services.firstByteTimeoutMs
    this.repeatable = message.kind === 'request' && READS.has(message.method)
  }
}
