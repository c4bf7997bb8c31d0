import type { Principal } from '../api/index.ts'
import type { Upstream } from '../upstream/upstream.ts'
import type { Era, Inbound, SessionPin } from './ports.ts'

/** A client's HTTP request as a message sees it that is not the whole of it, with header fields of its own to add to. */
export class InnerInbound implements Inbound {
  readonly httpMethod = 'POST'
  readonly server: string
  readonly upstream: Upstream
  readonly era: Era
  readonly principal: Principal
  readonly session: SessionPin | null
  readonly rawHeaders: readonly string[]
  readonly upstreamHeaders: string[]
  readonly acceptEncoding: string
  readonly query: string
  readonly startedMs: number
  readonly forwardAuthorization: boolean
  readonly wholeEvents = true

  /** @param upstreamHeaders its own: nobody else adds to them */
  constructor(whole: Inbound, upstreamHeaders: string[]) {
    this.server = whole.server
    this.upstream = whole.upstream
    this.era = whole.era
    this.principal = whole.principal
    this.session = whole.session
    this.rawHeaders = whole.rawHeaders
    this.upstreamHeaders = upstreamHeaders
    this.acceptEncoding = ''
    this.query = whole.query
    this.startedMs = whole.startedMs
    this.forwardAuthorization = whole.forwardAuthorization
  }
}
