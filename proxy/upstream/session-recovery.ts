import { SluiceError } from '../api/index.ts'
import { channels } from '../observe/channels.ts'
import { count } from './counts.ts'
import { type KnownSession, SessionMemory } from './session-memory.ts'
import { SESSION_FIELD, SessionRequest, sessionOf } from './session-request.ts'
import { type Sender, SessionRevival } from './session-revival.ts'
import type { Flow, UpstreamRequest, UpstreamSink } from './upstream.ts'

/**
 * `sessions: recover`: a session whose replica is gone, or has forgotten it, is begun anew by the proxy, and the request
 * that met this is sent there. Its client notices nothing but what the server has forgotten. A worker can do so for
 * sessions that it saw begin; for others the client is told to begin anew itself.
 */
export class SessionRecovery {
  readonly server: string
  readonly memory: SessionMemory
  private readonly sender: Sender
  /** Sessions being begun anew, by the one that was lost. */
  private readonly revivals: Map<KnownSession, SessionRevival>

  constructor(server: string, sender: Sender) {
    this.server = server
    this.memory = new SessionMemory()
    this.sender = sender
    this.revivals = new Map()
  }

  /** Whether it has something to do with a request: one that begins a session, or belongs to one. */
  concerns(request: UpstreamRequest): boolean {
    return request.replica === '' ? request.rpc === 'initialize' : request.method !== 'DELETE'
  }

  send(request: UpstreamRequest, sink: UpstreamSink): void {
    if (request.replica === '') this.sender.sendOnce(request, new Beginning(this.memory, request, sink), null)
    else new SessionCall(this, this.sender, request, sink).start()
  }

  /** Begins a lost session anew, once for all that ask at the same time. */
  revive(lost: KnownSession, request: UpstreamRequest, revived: (session: KnownSession | null) => void): void {
    const now = this.memory.find(request.replica, sessionOf(request.headers))
    // Another request met the loss before, and has done all there was to do.
    if (now !== null && now !== lost) {
      revived(now)
      return
    }
    const running = this.revivals.get(lost)
    if (running !== undefined) {
      running.tell(revived)
      return
    }
    const revival = new SessionRevival(this.sender, lost, request)
    this.revivals.set(lost, revival)
    revival.tell(session => {
      this.revivals.delete(lost)
      if (session !== null) this.tell(lost, session)
    })
    revival.tell(revived)
    revival.start()
  }

  private tell(lost: KnownSession, session: KnownSession): void {
    this.memory.moved(lost.replica, lost.upstreamId, session)
    count(this.server, 'recovered')
    const fields = { server: this.server, from: lost.replica, to: session.replica }
    channels.notice.publish({ level: 'warn', text: 'session begun anew', fields })
  }
}

/** An `initialize`: notes which session it began. */
class Beginning implements UpstreamSink {
  private readonly memory: SessionMemory
  private readonly request: UpstreamRequest
  private readonly sink: UpstreamSink

  constructor(memory: SessionMemory, request: UpstreamRequest, sink: UpstreamSink) {
    this.memory = memory
    this.request = request
    this.sink = sink
  }

  onFlow(flow: Flow): void {
    this.sink.onFlow(flow)
  }

  onHead(status: number, headers: string[], replica: string): void {
    const { body } = this.request
    const at = headers.indexOf(SESSION_FIELD)
    if (status < 300 && body !== null && at !== -1 && at % 2 === 0) {
      this.memory.begun(replica, headers[at + 1] as string, body)
    }
    this.sink.onHead(status, headers, replica)
  }

  onData(chunk: Buffer): void {
    this.sink.onData(chunk)
  }

  onEnd(): void {
    this.sink.onEnd()
  }

  onFail(error: SluiceError): void {
    this.sink.onFail(error)
  }
}

/** A request of a session: goes where that lives now, and once more where it is begun anew. */
class SessionCall implements UpstreamSink, Flow {
  private readonly recovery: SessionRecovery
  private readonly sender: Sender
  private readonly request: UpstreamRequest
  private readonly sink: UpstreamSink
  private readonly known: KnownSession | null
  private flow: Flow | null
  private isSecond: boolean
  /** Whether what comes from the first try is not wanted any more. */
  private isBetween: boolean
  private isAborted: boolean
  private isPaused: boolean

  constructor(recovery: SessionRecovery, sender: Sender, request: UpstreamRequest, sink: UpstreamSink) {
    this.recovery = recovery
    this.sender = sender
    this.request = request
    this.sink = sink
    this.known = recovery.memory.find(request.replica, sessionOf(request.headers))
    this.flow = null
    this.isSecond = false
    this.isBetween = false
    this.isAborted = false
    this.isPaused = false
  }

  start(): void {
    this.sink.onFlow(this)
    const { known, request } = this
    const isHome = known === null || isAt(request, known)
    this.sender.sendOnce(isHome ? request : moved(request, known), this, null)
  }

  onFlow(flow: Flow): void {
    this.flow = flow
    if (this.isPaused) flow.pause()
  }

  /** 404 to a request of a session means that the server does not know it, so it has done nothing. */
  onHead(status: number, headers: string[], replica: string): void {
    if (this.isBetween) return
    if (status === 404 && this.mayRevive()) this.revive(`${this.recovery.server} answered HTTP 404`)
    else this.sink.onHead(status, headers, replica)
  }

  onData(chunk: Buffer): void {
    if (!this.isBetween) this.sink.onData(chunk)
  }

  isFlushed(): boolean {
    return !this.isBetween && this.sink.isFlushed?.() === true
  }

  onEnd(): void {
    if (!this.isBetween) this.sink.onEnd()
  }

  onFail(error: SluiceError): void {
    if (this.isBetween) return
    if (error.code === 'session_not_found' && this.mayRevive()) this.revive(error.message)
    else this.sink.onFail(error)
  }

  pause(): void {
    this.isPaused = true
    this.flow?.pause()
  }

  resume(): void {
    this.isPaused = false
    this.flow?.resume()
  }

  abort(): void {
    this.isAborted = true
    this.flow?.abort()
  }

  /** An answer to a question of the lost replica would be news to any other. */
  private mayRevive(): boolean {
    if (this.isSecond || this.known === null) return false
    return this.request.method === 'GET' || this.request.rpc !== ''
  }

  private revive(why: string): void {
    this.isBetween = true
    this.flow?.abort()
    this.flow = null
    this.recovery.revive(this.known as KnownSession, this.request, session => this.revived(session, why))
  }

  private revived(session: KnownSession | null, why: string): void {
    if (this.isAborted) return
    this.isBetween = false
    this.isSecond = true
    if (session !== null) this.sender.sendOnce(moved(this.request, session), this, null)
    else this.sink.onFail(new SluiceError('session_not_found', `${why}, and no other session could be begun`))
  }
}

function moved(request: UpstreamRequest, { replica, upstreamId }: KnownSession): SessionRequest {
  return new SessionRequest(request, replica, upstreamId, null)
}

function isAt(request: UpstreamRequest, { replica, upstreamId }: KnownSession): boolean {
  return replica === request.replica && upstreamId === sessionOf(request.headers)
}
