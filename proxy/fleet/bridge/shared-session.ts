import type { Call } from './call.ts'
import { Session, type SessionLine } from './session.ts'

/** The one process, as a session of it sees it. */
export interface SharedLine {
  readonly sessions: ReadonlyMap<string, SharedSession>
  send(call: Call): void
  tell(message: Buffer): void
  /** Its client has gone before it was sent. */
  forget(call: Call): void
}

/** Notifications about the one handshake and the client's own roots: not for a server that serves others too. */
const SWALLOWED = new Set(['notifications/initialized', 'notifications/roots/list_changed'])

/** A session of a shared process. */
export class SharedSession implements SessionLine {
  readonly session: Session
  /** Resources it has subscribed to. */
  readonly uris: Set<string>
  private readonly line: SharedLine

  constructor(id: string, line: SharedLine) {
    this.session = new Session(id, this)
    this.uris = new Set()
    this.line = line
  }

  /** Whether it wants to know of changes of this resource: of one it has subscribed to, or of a part of one. */
  follows(uri: string): boolean {
    if (this.uris.has(uri)) return true
    for (const own of this.uris) if (uri.startsWith(own)) return true
    return false
  }

  send(call: Call): void {
    if (call.method === 'resources/subscribe') this.uris.add(call.name)
    else if (call.method === 'resources/unsubscribe' && this.sharesInterest(call.name)) return this.keep(call)
    this.line.send(call)
  }

  tell(message: Buffer, method: string): void {
    if (!SWALLOWED.has(method)) this.line.tell(message)
  }

  onCallGone(call: Call): void {
    if (call.pipe === null) this.line.forget(call)
  }

  onCallSettled(): void {}

  onStreamDrained(): void {}

  /** Whether another session still wants to hear of it. */
  private sharesInterest(uri: string): boolean {
    this.uris.delete(uri)
    for (const one of this.line.sessions.values()) if (one !== this && one.uris.has(uri)) return true
    return false
  }

  private keep(call: Call): void {
    call.exchange.answer(200, Buffer.from(`{"jsonrpc":"2.0","id":${call.idText},"result":{}}`))
    call.holder.settled(call, null)
  }
}
