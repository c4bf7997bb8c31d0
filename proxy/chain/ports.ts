import type { Exchange, Message, Outcome, Principal } from '../api/index.ts'
import type { PlanSource } from '../policy/plan.ts'
import type { Upstream, UpstreamSink } from '../upstream/upstream.ts'
import type { PendingRequests } from './pending.ts'
import type { ToolTable } from './tool-table.ts'

/** Stand for the GET stream and the DELETE of the legacy era, so that every rule of the chain holds for them too. */
export const STREAM_METHOD = 'transport/stream'
export const CLOSE_METHOD = 'transport/close'

/** Which protocol generation a request speaks: sessions, or per-request metadata (2026-07-28 and later). */
export type Era = 'legacy' | 'modern'

/** What the chain needs of an opened session token. */
export interface SessionPin {
  readonly replica: string
  readonly upstreamId: string
  /** For logs: never a credential. */
  readonly fingerprint: string
}

/** The client's side of one HTTP exchange, as the relay writes it. */
export interface ReplyPort {
  /** Whether a byte of the answer has been handed to the socket: then status and headers are settled. */
  readonly started: boolean
  readonly status: number
  readonly bytes: number
  /** Sets status and header fields (flat); may be called again until the answer has started. */
  head(status: number, headers: string[]): void
  /** Sends the head now, before there is a body. */
  flush(): void
  /** @returns false when the client reads slower than we write: wait for `onDrain` */
  write(chunk: Uint8Array): boolean
  end(chunk: Uint8Array | null): void
  /** Whether nothing that was written is held any more: all of it is the system's. Left out = it may be. */
  isFlushed?(): boolean
  /** Breaks the connection: the only honest end of an answer that cannot be completed. */
  destroy(): void
}

/** Told what happens to a `ReplyPort`. */
export interface ReplyOwner {
  onDrain(): void
  /** The client left before the answer had ended. */
  onClose(): void
}

/** One client HTTP request after everything before the chain has been settled. */
export interface Inbound {
  readonly httpMethod: 'POST' | 'GET' | 'DELETE'
  readonly server: string
  readonly upstream: Upstream
  readonly era: Era
  readonly principal: Principal
  readonly session: SessionPin | null
  /** As the client sent them, for `Exchange.header`. */
  readonly rawHeaders: readonly string[]
  /** End-to-end header fields for the server, flat; the relay may add to it. No session, no accept-encoding. */
  readonly upstreamHeaders: string[]
  readonly acceptEncoding: string
  readonly query: string
  readonly startedMs: number
  /** Whether the client's own credentials go to the server, so that the server's challenges belong to the client. */
  readonly forwardAuthorization: boolean
  /** Whether events must reach the reply whole, because it puts several streams together. */
  readonly wholeEvents: boolean
}

/** Looks on while exchanges pass, for whoever wants to know what was said. It changes nothing. */
export interface Witness {
  /**
   * Called when an exchange begins.
   * @param reply,sink where to pass on what the client and the relay are to get
   * @returns `null` when nobody wants to know about this one
   */
  begin(exchange: Exchange, inbound: Inbound, message: Message, reply: ReplyPort, sink: UpstreamSink): Tap | null
}

/** Stands between the relay and both its sides, passes everything on, and keeps what it wants. */
export interface Tap extends ReplyPort, UpstreamSink {
  /** @param message the client's, as it is now. */
  ended(message: Message, outcome: Outcome): void
}

/** What all exchanges share. */
export interface RelayServices {
  readonly plans: PlanSource
  readonly pending: PendingRequests
  readonly tools: ToolTable
  readonly firstByteTimeoutMs: number
  readonly idleTimeoutMs: number
  readonly maxDepth: number
  readonly maxEventBytes: number
  /** Set for a call of the proxy's own: it is no client's exchange, and not published as one. */
  readonly quiet?: boolean
  /** Absent or `null` = nobody looks on. */
  witness?: Witness | null
  /** Set for a call of the proxy's own: the exchange in whose audit line its use of secrets belongs. */
  readonly outer?: { used(secret: string, usedFor: string): void }
  /** Makes the client's session id out of the server's. */
  sealSession(server: string, replica: string, upstreamId: string, principal: string): string
}
