import type { RelayServices } from '../chain/ports.ts'
import type { Upstream } from '../upstream/upstream.ts'
import type { BufferBudget } from './body.ts'
import type { Identity } from './identity.ts'
import type { OriginGuard } from './origin-guard.ts'
import type { SessionSealer } from './session.ts'
import type { StandingStreams } from './standing-streams.ts'

/** One server as clients reach it. */
export interface ServerRoute {
  readonly name: string
  readonly upstream: Upstream
  readonly forwardAuthorization: boolean
  /** Header fields added to every request for it; names lower-case. May be secrets. */
  readonly headers: readonly (readonly [name: string, value: string])[]
}

export interface DownstreamLimits {
  readonly maxBodyBytes: number
  readonly maxBufferedBytes: number
  readonly maxBatch: number
  readonly maxInFlight: number
}

/** What requests from clients are handled with. */
export interface DownstreamServices {
  readonly relay: RelayServices
  readonly sessions: SessionSealer
  readonly identity: Identity
  readonly guard: OriginGuard
  readonly limits: DownstreamLimits
  /** How long a client may leave a full answer unread, in milliseconds; 0 = for ever. */
  readonly stallMs: number
  /** Told when streams that never end by themselves become many (`MANY_STREAMS`), and when they are few again. */
  readonly onManyStreams: (areMany: boolean) => void
}

/** What one request needs of the whole. */
export interface VisitHost {
  readonly services: DownstreamServices
  readonly budget: BufferBudget
  /** Requests that were admitted and whose answers are not over. */
  inFlight: number
  /** Those of them that only wait for what the server may say, and never end by themselves. */
  readonly standing: StandingStreams
}
