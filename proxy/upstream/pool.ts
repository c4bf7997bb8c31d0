import { SluiceError } from '../api/index.ts'
import { channels } from '../observe/channels.ts'
import { isGone, isUnsent, SilenceError, toSluiceError } from './failure.ts'
import { type CallOwner, HttpCall } from './http-call.ts'
import { Replica, type ReplicaOptions } from './replica.ts'
import type { Upstream, UpstreamRequest, UpstreamSink } from './upstream.ts'

/** Most tries of one request, however many replicas there are. */
const MAX_TRIES = 3

/** One server's replicas, as the configuration names them. */
export interface ServerTarget {
  readonly name: string
  readonly urls: readonly string[]
}

/**
 * Spreads requests over the replicas of one server: the less busy of two picked at random, a session always on its own.
 * A try that failed before anything was sent goes to another replica; one that may have been processed does so only
 * where the request is `repeatable`.
 */
export class ReplicaPool implements Upstream, CallOwner {
  readonly name: string
  private readonly replicas: readonly Replica[]
  private readonly byId: ReadonlyMap<string, Replica>

  constructor(server: ServerTarget, options: ReplicaOptions) {
    this.name = server.name
    this.replicas = server.urls.map(url => new Replica(url, options))
    this.byId = new Map(this.replicas.map(replica => [replica.id, replica]))
  }

  send(request: UpstreamRequest, sink: UpstreamSink): void {
    const replica = request.replica === '' ? this.pick() : this.byId.get(request.replica)
    if (replica === undefined) {
      sink.onFail(this.lost())
      return
    }
    const call = new HttpCall(request, sink, this, replica)
    sink.onFlow(call)
    call.dispatch()
  }

  get ready(): boolean {
    return this.replicas.some(replica => replica.failures === 0)
  }

  /** Replicas for the admin endpoint. */
  list(): { id: string; inFlight: number; failures: number }[] {
    return this.replicas.map(({ id, inFlight, failures }) => ({ id, inFlight, failures }))
  }

  failed(call: HttpCall, cause: unknown): void {
    const unsent = isUnsent(cause) && !call.headSeen
    if (unsent) call.replica.unreachable(performance.now())
    // A server that took too long once would take as long again.
    const isOver = call.isAborted || cause instanceof SilenceError
    const next = isOver ? null : this.nextReplica(call, unsent)
    if (next !== null) {
      call.replica = next
      call.dispatch()
      return
    }
    const error = this.isLost(call, cause) ? this.lost(cause) : toSluiceError(cause, this.name, call.headSeen)
    if (channels.notice.hasSubscribers) {
      const detail = error.code === 'internal' && cause instanceof Error ? cause.stack : String(cause)
      const fields = { server: this.name, replica: call.replica.id, code: error.code, tries: call.tries, error: detail }
      channels.notice.publish({ level: error.code === 'internal' ? 'error' : 'warn', text: 'upstream failed', fields })
    }
    call.fail(error)
  }

  close(): Promise<void> {
    return Promise.all(this.replicas.map(replica => replica.close())).then(nothing)
  }

  /** Ends running exchanges too. */
  destroy(): Promise<void> {
    return Promise.all(this.replicas.map(replica => replica.destroy())).then(nothing)
  }

  /** Whether a session's replica is gone while another could serve a new session. */
  private isLost(call: HttpCall, cause: unknown): boolean {
    return call.request.replica !== '' && this.replicas.length > 1 && !call.headSeen && isGone(cause)
  }

  private lost(cause?: unknown): SluiceError {
    const text = `the replica of this session is gone: start a new session with ${this.name}`
    return new SluiceError('session_not_found', text, cause)
  }

  /** Where to try again, or `null`. A request that may have been processed is sent again only if that is harmless. */
  private nextReplica(call: HttpCall, unsent: boolean): Replica | null {
    const mayRepeat = unsent || (call.request.repeatable && !call.headSeen && call.tries === 1)
    if (!mayRepeat || call.tries >= MAX_TRIES) return null
    // The same replica is worth one more try only when it was reached: it may just have closed an idle connection.
    if (call.request.replica !== '' || this.replicas.length === 1) return unsent ? null : call.replica
    return this.pickOther(call.replica)
  }

  private pick(): Replica {
    const replicas = this.replicas
    if (replicas.length === 1) return replicas[0] as Replica
    const first = replicas[Math.floor(Math.random() * replicas.length)] as Replica
    const second = replicas[Math.floor(Math.random() * replicas.length)] as Replica
    const now = performance.now()
    if (first.avoided(now) !== second.avoided(now)) return first.avoided(now) ? second : first
    if (first.avoided(now)) return this.pickOther(first)
    return first.inFlight <= second.inFlight ? first : second
  }

  private pickOther(not: Replica): Replica {
    const now = performance.now()
    const others = this.replicas.filter(replica => replica !== not)
    return others.find(replica => !replica.avoided(now)) ?? (others[0] as Replica)
  }
}

function nothing(): void {}
