import type { SluiceError } from '../api/index.ts'
import type { KnownSession } from './session-memory.ts'
import { SESSION_FIELD, SessionRequest } from './session-request.ts'
import type { Flow, UpstreamRequest, UpstreamSink } from './upstream.ts'

const INITIALIZED = Buffer.from('{"jsonrpc":"2.0","method":"notifications/initialized"}')

/** What is sent by. */
export interface Sender {
  sendOnce(request: UpstreamRequest, sink: UpstreamSink, not: null): unknown
}

/** Told how it ended: the session as it is now, or `null`. */
export type Revived = (session: KnownSession | null) => void

/**
 * Begins a lost session anew on another replica, as its client once began it: `initialize`, then
 * `notifications/initialized` (MCP 2025-11-25, lifecycle). What the lost replica knew of the session stays lost.
 */
export class SessionRevival {
  private readonly sender: Sender
  private readonly lost: KnownSession
  private readonly request: UpstreamRequest
  private readonly waiting: Revived[]

  /** @param request one of the session's; its header fields go with the new beginning */
  constructor(sender: Sender, lost: KnownSession, request: UpstreamRequest) {
    this.sender = sender
    this.lost = lost
    this.request = request
    this.waiting = []
  }

  /** Asks to be told; requests that come meanwhile are bounded as all that are in flight. */
  tell(revived: Revived): void {
    this.waiting.push(revived)
  }

  start(): void {
    const request = new SessionRequest(this.request, '', '', this.lost.initialize)
    this.sender.sendOnce(
      request,
      new Step((ok, replica, upstreamId) => this.initialized(ok, replica, upstreamId)),
      null,
    )
  }

  private initialized(ok: boolean, replica: string, upstreamId: string): void {
    if (!ok || upstreamId === '') {
      this.settle(null)
      return
    }
    const session = { replica, upstreamId, initialize: this.lost.initialize }
    const request = new SessionRequest(this.request, replica, upstreamId, INITIALIZED)
    this.sender.sendOnce(request, new Step(told => this.settle(told ? session : null)), null)
  }

  private settle(session: KnownSession | null): void {
    for (const revived of this.waiting.splice(0)) revived(session)
  }
}

type Done = (ok: boolean, replica: string, upstreamId: string) => void

/** Sends one message and waits until its answer is over; what the answer says is not looked at. */
class Step implements UpstreamSink {
  private readonly done: Done
  private status: number
  private replica: string
  private upstreamId: string

  constructor(done: Done) {
    this.done = done
    this.status = 0
    this.replica = ''
    this.upstreamId = ''
  }

  onFlow(_flow: Flow): void {}

  onHead(status: number, headers: string[], replica: string): void {
    this.status = status
    this.replica = replica
    const at = headers.indexOf(SESSION_FIELD)
    if (at !== -1 && at % 2 === 0) this.upstreamId = headers[at + 1] ?? ''
  }

  onData(): void {}

  onEnd(): void {
    this.done(this.status >= 200 && this.status < 300, this.replica, this.upstreamId)
  }

  onFail(_error: SluiceError): void {
    this.done(false, '', '')
  }
}
