import { Lru } from '../base/lru.ts'

/** Most sessions that can be begun anew; beyond it those not used for longest are lost with their replica. */
export const MAX_SESSIONS = 5_000

/** Longest `initialize` that is kept, in bytes. A session that began with a longer one cannot be begun anew. */
export const MAX_INITIALIZE_BYTES = 8_192

/** Where a session lives, and how it began. */
export interface KnownSession {
  readonly replica: string
  readonly upstreamId: string
  /** The client's `initialize`, as it was sent. */
  readonly initialize: Uint8Array
}

/** For `sessions: recover`: how the sessions of a server began, and where those live now that were begun anew. */
export class SessionMemory {
  private readonly sessions: Lru<string, KnownSession>

  constructor() {
    this.sessions = new Lru(MAX_SESSIONS)
  }

  /** A session has begun. */
  begun(replica: string, upstreamId: string, initialize: Uint8Array): void {
    if (initialize.byteLength > MAX_INITIALIZE_BYTES) return
    // A copy: the body may be a view of a larger buffer.
    this.sessions.set(keyOf(replica, upstreamId), { replica, upstreamId, initialize: Uint8Array.from(initialize) })
  }

  /** The session that a client means by the names it knows; `null` = unknown here. */
  find(replica: string, upstreamId: string): KnownSession | null {
    return this.sessions.get(keyOf(replica, upstreamId)) ?? null
  }

  /** The session `was` goes on as `is`, for whoever knows either. */
  moved(replica: string, upstreamId: string, is: KnownSession): void {
    this.sessions.set(keyOf(replica, upstreamId), is)
    this.sessions.set(keyOf(is.replica, is.upstreamId), is)
  }
}

function keyOf(replica: string, upstreamId: string): string {
  return `${replica}\n${upstreamId}`
}
