import type { WireMessage } from '../message/message.ts'
import type { UpstreamRequest } from '../upstream/upstream.ts'
import type { Inbound, RelayServices } from './ports.ts'
import { renameHeaders } from './rename.ts'
import { hashKeyOf, isRead, isRepeatable } from './request-facts.ts'

/** The client's message as it goes to a replica. */
export class Outbound implements UpstreamRequest {
  readonly method: 'POST' | 'GET' | 'DELETE'
  readonly headers: string[]
  readonly body: Uint8Array | null
  readonly query: string
  readonly lane: 'call' | 'stream'
  readonly replica: string
  readonly client: string
  readonly idleTimeoutMs: number
  readonly firstByteTimeoutMs: number
  private readonly inbound: Inbound
  private readonly message: WireMessage
  private readonly services: RelayServices

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
    this.client = inbound.principal.id
    this.idleTimeoutMs = services.idleTimeoutMs
    this.firstByteTimeoutMs = services.firstByteTimeoutMs
    this.inbound = inbound
    this.message = message
    this.services = services
  }

  get repeatable(): boolean {
    return isRepeatable(this.services, this.inbound.server, this.message)
  }

  get reads(): boolean {
    return isRead(this.services, this.inbound.server, this.message)
  }

  get rpc(): string {
    return this.method !== 'POST' || this.message.kind === 'response' ? '' : this.message.method
  }

  get tool(): string {
    return this.message.kind === 'request' && this.message.method === 'tools/call' ? this.message.name : ''
  }

  hashKey(by: Parameters<UpstreamRequest['hashKey']>[0]): string {
    return hashKeyOf(this.inbound, this.message, by)
  }
}
