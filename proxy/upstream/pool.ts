import { SluiceError } from '../api/index.ts'
import { type Balancer, type Chance, createBalancer } from './balance.ts'
import type { Circuit } from './breaker.ts'
import { count } from './counts.ts'
import { isGone, isOwn, isUnsent, SilenceError, StatusError, toSluiceError } from './failure.ts'
import { HedgedCall } from './hedged-call.ts'
import { type CallOwner, HttpCall } from './http-call.ts'
import {
  countStates,
  describeReplica,
  type ReplicaReport,
  reportCircuit,
  reportFailure,
  type StateCounts,
} from './pool-report.ts'
import { Pulse } from './pulse.ts'
import { type CircuitListener, Replica, type ReplicaOptions } from './replica.ts'
import type { FleetLink, ServerPlaces } from './replica-table.ts'
import { MAX_TRIES, RetryRules } from './retry-rules.ts'
import { SessionRecovery } from './session-recovery.ts'
import { readPem } from './tls-files.ts'
import type { Upstream, UpstreamRequest, UpstreamSink } from './upstream.ts'
import { WaitingRoom } from './waiting-room.ts'

/** What a pool is made of, besides the places that `update` brings. */
export interface PoolOptions extends Omit<ReplicaOptions, 'pem'> {
  /** Told what the fleet needs to know; `null` = nobody runs these replicas. */
  readonly link: FleetLink | null
  /** Default: the process's. */
  readonly chance?: Chance
}

const CHANCE: Chance = { now: () => performance.now(), random: () => Math.random() }

/** What a client is told to wait where nobody knows better. */
const RETRY_MS = 1_000

/**
 * Spreads requests over the replicas of one server, as a table says that changes while it runs. A session stays on its
 * replica. Where no replica is ready but one may come, and where `maxInFlight` calls run, requests wait in line.
 */
export class ReplicaPool implements Upstream, CallOwner {
  readonly name: string
  private readonly options: ReplicaOptions
  private readonly link: FleetLink | null
  private readonly chance: Chance
  private readonly balancer: Balancer
  private readonly retries: RetryRules
  private readonly waiting: WaitingRoom
  private readonly pulse: Pulse
  private readonly recovery: SessionRecovery | null
  private readonly onCircuit: CircuitListener
  private places: ServerPlaces
  /** All of the table, by id. */
  private byId: Map<string, Replica>
  /** Those that are gone from it, until the last of their calls has ended. */
  private readonly leaving: Set<Replica>
  /** Those that new requests may go to now. */
  private candidates: readonly Replica[]
  /** Requests that run, streams included. */
  private inFlight: number
  /** Those of them that count against `maxInFlight`. */
  private calls: number
  private toldInFlight: number
  private toldWaiting: number
  private isNew: boolean
  private closed: boolean

  /** @throws Error for a file of `tls` that cannot be read */
  constructor(name: string, options: PoolOptions) {
    const { settings, link, chance = CHANCE } = options
    this.name = name
    this.options = { ...options, pem: readPem(name, settings.tls) }
    this.link = link
    this.chance = chance
    this.balancer = createBalancer(settings.balance, chance)
    this.retries = new RetryRules(settings.retry, settings.hedge)
    this.waiting = new WaitingRoom(settings.maxWaiting)
    this.pulse = new Pulse(() => this.beat())
    this.recovery = settings.sessions === 'recover' ? new SessionRecovery(name, this) : null
    this.onCircuit = (replica, circuit) => this.circuitChanged(replica, circuit)
    this.places = { server: name, places: [], coming: true, reason: '' }
    this.byId = new Map()
    this.leaving = new Set()
    this.candidates = []
    this.inFlight = 0
    this.calls = 0
    this.toldInFlight = 0
    this.toldWaiting = 0
    this.isNew = true
    this.closed = false
  }

  /** Takes over what the fleet says: replicas come, drain and go; running calls go on. */
  update(places: ServerPlaces): void {
    if (this.closed) return
    const before = this.byId
    this.places = places
    this.byId = new Map(places.places.map(place => [place.id, this.replicaAt(place, before.get(place.id))]))
    for (const replica of before.values()) if (this.byId.get(replica.id) !== replica) this.leave(replica)
    this.isNew = false
    this.refresh()
    for (const replica of this.byId.values()) this.checkDrained(replica)
  }

  private leave(replica: Replica): void {
    if (replica.inFlight > 0) this.leaving.add(replica)
    void replica.retire()
  }

  private replicaAt(place: ServerPlaces['places'][number], known: Replica | undefined): Replica {
    if (known !== undefined && known.place.url === place.url && known.place.socketPath === place.socketPath) {
      known.place = place
      known.state = place.state
      if (place.state === 'ready') known.toldDrained = false
      return known
    }
    // The first ones are as warm as they will ever be; who comes later takes the load over slowly.
    const startedAt = this.isNew ? Number.NEGATIVE_INFINITY : this.chance.now()
    return new Replica(place, this.options, startedAt, this.onCircuit)
  }

  private circuitChanged(replica: Replica, circuit: Circuit | null): void {
    if (circuit !== null) reportCircuit(this.name, replica.id, circuit)
    this.refresh()
  }

  /** After a change of table or circuit. */
  private refresh(): void {
    this.candidates = [...this.byId.values()].filter(replica => replica.state === 'ready' && replica.open)
    if (this.waiting.anyForReplica) this.placeWaiting()
  }

  send(request: UpstreamRequest, sink: UpstreamSink): void {
    this.retries.earn()
    const heard = this.retries.listen(request, sink)
    if (this.recovery?.concerns(request) === true) this.recovery.send(request, heard)
    else this.sendFresh(request, heard)
  }

  private sendFresh(request: UpstreamRequest, sink: UpstreamSink): void {
    if (this.candidates.length > 1 && this.retries.mayHedge(request)) {
      const { afterMs } = this.options.settings.hedge ?? { afterMs: 0 }
      new HedgedCall(this, this.retries, request, sink, afterMs, this.name).start()
      return
    }
    this.sendOnce(request, sink, null)
  }

  /** @param not where it must not go; it fails when there is nowhere else */
  sendOnce(request: UpstreamRequest, sink: UpstreamSink, not: Replica | null): HttpCall {
    const call = new HttpCall(request, sink, this)
    sink.onFlow(call)
    if (this.closed) call.fail(new SluiceError('draining', 'the proxy is shutting down', undefined, RETRY_MS))
    else if (not !== null) this.placeElsewhere(call, not)
    else this.place(call)
    return call
  }

  private placeElsewhere(call: HttpCall, not: Replica): void {
    const replica = this.other(not)
    if (replica === null) call.fail(new SluiceError('upstream_unreachable', `${this.name} has no other replica`))
    else this.begin(call, replica)
  }

  /** Finds a replica for a call, or lets it wait, or refuses it. */
  private place(call: HttpCall): void {
    const { request } = call
    if (request.lane === 'call' && this.calls >= this.options.settings.maxInFlight) {
      this.wait(call, 'room')
    } else if (request.replica !== '') {
      this.placePinned(call)
    } else {
      const replica = this.choose(request)
      if (replica !== null) this.begin(call, replica)
      else this.withoutReplica(call)
    }
  }

  private placePinned(call: HttpCall): void {
    const replica = this.byId.get(call.request.replica)
    if (replica === undefined) call.fail(this.lostSession())
    else if (!replica.open) call.fail(this.circuitOpen([replica]))
    else this.begin(call, replica)
  }

  /** Where a request may go; `null` = nowhere now. */
  private choose(request: UpstreamRequest): Replica | null {
    const { candidates } = this
    if (candidates.length === 0) return null
    const replica = candidates.length === 1 ? (candidates[0] as Replica) : this.balancer.pick(candidates, request)
    // Nobody listened there, and the fleet is about to say so: what it brings is worth waiting for.
    if (replica.doubtful && this.places.coming && replica.isDown(this.chance.now())) return null
    return replica
  }

  private begin(call: HttpCall, replica: Replica): void {
    this.inFlight++
    if (call.request.lane === 'call') this.calls++
    call.counted = true
    this.dispatch(call, replica)
    if (this.link !== null) this.pulse.ask()
  }

  private dispatch(call: HttpCall, replica: Replica): void {
    if (replica.breaker?.mayProbe === true) {
      call.probing = true
      replica.breaker.beginProbe()
    }
    call.dispatch(replica)
  }

  private withoutReplica(call: HttpCall): void {
    const ready = [...this.byId.values()].filter(replica => replica.state === 'ready')
    const down = this.candidates.length > 0
    if (ready.length > 0 && !down) call.fail(this.circuitOpen(ready))
    else if (down || this.places.coming) this.wait(call, 'replica')
    else call.fail(this.unreachable())
  }

  private wait(call: HttpCall, what: 'replica' | 'room'): void {
    if (this.waiting.isFull) {
      count(this.name, 'shed')
      const text = `${this.name} is overloaded: too many requests wait already`
      call.fail(new SluiceError('overloaded', text, undefined, RETRY_MS))
      return
    }
    this.waiting.add(call, what, this.chance.now(), this.options.settings.acquireTimeoutMs)
    this.pulse.ask()
  }

  waitedTooLong(call: HttpCall): void {
    this.waiting.remove(call)
    count(this.name, 'acquire_timeout')
    // What keeps replicas from starting, where that is known.
    const why = this.candidates.length === 0 && this.places.reason !== '' ? `: ${this.places.reason}` : ''
    call.fail(new SluiceError('acquire_timeout', `Server acquisition timeout${why}`, undefined, RETRY_MS))
  }

  stoppedWaiting(call: HttpCall): void {
    this.waiting.remove(call)
  }

  private placeWaiting(): void {
    for (const call of this.waiting.takeForReplica()) this.place(call)
  }

  ended(call: HttpCall): void {
    this.release(call)
    if (call.replica !== null && call.replica.state !== 'ready') this.checkDrained(call.replica)
  }

  /** It does not run any more: there is room for one that waits. */
  private release(call: HttpCall): void {
    if (!call.counted) return
    call.counted = false
    this.inFlight--
    if (call.request.lane === 'call') this.calls--
    if (this.link !== null) this.pulse.ask()
    if (!this.waiting.anyForRoom || this.calls >= this.options.settings.maxInFlight) return
    const next = this.waiting.nextForRoom()
    if (next !== null) this.place(next)
  }

  private checkDrained(replica: Replica): void {
    if (replica.inFlight > 0) return
    if (replica.state === 'removed') this.leaving.delete(replica)
    if (replica.state !== 'draining' || replica.toldDrained) return
    replica.toldDrained = true
    this.link?.drained(this.name, replica.id)
  }

  /** Tells the fleet how much there is to do. @returns whether to come again although nothing changes */
  private beat(): boolean {
    const waiting = this.waiting.size
    if (this.link !== null) {
      if (this.waiting.anyForReplica) this.link.wanted(this.name)
      if (this.inFlight !== this.toldInFlight || waiting !== this.toldWaiting) {
        this.toldInFlight = this.inFlight
        this.toldWaiting = waiting
        this.link.load(this.name, this.inFlight, waiting)
      }
    }
    if (this.waiting.anyForReplica && this.candidates.length > 0) this.placeWaiting()
    return this.waiting.anyForReplica
  }

  declines(call: HttpCall, status: number): boolean {
    if (!this.retries.isElsewhere(status) || call.request.replica !== '') return false
    if (this.other(call.replica) === null || !this.retries.mayRepeat(call)) return false
    return true
  }

  failed(call: HttpCall, cause: unknown): void {
    const replica = call.replica as Replica
    const unsent = isUnsent(cause) && !call.headSeen
    if (this.link !== null && (unsent || cause instanceof SilenceError)) this.link.suspect(this.name, replica.id)
    if (!call.isAborted && this.triesAgain(call, cause, unsent)) {
      if (replica.state !== 'ready') this.checkDrained(replica)
      return
    }
    const error = this.isLost(call, cause) ? this.lostSession(cause) : toSluiceError(cause, this.name, call.headSeen)
    reportFailure(this.name, call, error, cause)
    call.fail(error)
  }

  /** Sends a call again, or lets it wait for another replica. A call that may have been processed only if harmless. */
  private triesAgain(call: HttpCall, cause: unknown, unsent: boolean): boolean {
    // A server that took too long once would take as long again.
    if (isOwn(cause) || cause instanceof SilenceError) return false
    // Its retry was granted when its answer was declined.
    const granted = cause instanceof StatusError
    const next = unsent || granted ? this.elsewhere(call) : this.afterSent(call)
    if (next !== null) {
      count(this.name, unsent ? 'retry_unsent' : 'retry')
      this.dispatch(call, next)
      return true
    }
    if (!unsent || call.request.replica !== '' || !this.places.coming) return false
    this.release(call)
    this.wait(call, 'replica')
    return true
  }

  private elsewhere(call: HttpCall): Replica | null {
    return call.request.replica !== '' || call.tries >= MAX_TRIES ? null : this.other(call.replica)
  }

  private afterSent(call: HttpCall): Replica | null {
    const replica = call.replica as Replica
    const other = call.request.replica === '' ? this.other(replica) : null
    // The same replica is worth one more try: it may just have closed an idle connection.
    const next = other ?? (call.tries === 1 && replica.open && replica.state !== 'removed' ? replica : null)
    return next !== null && this.retries.mayRepeat(call) ? next : null
  }

  /** The least busy of those that are not this one; `null` = there is none that takes requests. */
  private other(not: Replica | null): Replica | null {
    const now = this.chance.now()
    let best: Replica | null = null
    for (const replica of this.candidates) {
      if (replica === not || replica.isDown(now)) continue
      if (best === null || isBetter(replica, best, now)) best = replica
    }
    return best
  }

  /** Whether a session's replica is gone while another could serve a new session. */
  private isLost(call: HttpCall, cause: unknown): boolean {
    if (call.request.replica === '' || call.headSeen || !isGone(cause)) return false
    return this.byId.size > 1 || this.places.coming
  }

  private lostSession(cause?: unknown): SluiceError {
    const text = `the replica of this session is gone: start a new session with ${this.name}`
    return new SluiceError('session_not_found', text, cause)
  }

  private circuitOpen(replicas: readonly Replica[]): SluiceError {
    const now = performance.now()
    const waits = replicas.map(({ breaker }) => breaker?.retryAfterMs(now) ?? RETRY_MS)
    return new SluiceError('circuit_open', 'Circuit breaker is open', undefined, Math.min(...waits))
  }

  private unreachable(): SluiceError {
    const { reason } = this.places
    const text = `${this.name} is not reachable${reason === '' ? '' : `: ${reason}`}`
    return new SluiceError('upstream_unreachable', text, undefined, RETRY_MS)
  }

  get ready(): boolean {
    return this.candidates.some(replica => replica.failures === 0)
  }

  /** Whether nothing runs and nothing waits, on replicas that are gone from the table neither. */
  get isIdle(): boolean {
    return this.inFlight === 0 && this.waiting.size === 0
  }

  /** Replicas for the admin endpoint. */
  list(): ReplicaReport[] {
    const now = this.chance.now()
    return [...this.byId.values()].map(replica => describeReplica(replica, now))
  }

  /** For metrics. */
  states(): StateCounts {
    return countStates(this.name, this.byId.values(), this.waiting.size)
  }

  /** Takes nothing new; running exchanges finish, what waits is refused. */
  close(): Promise<void> {
    this.stop()
    return Promise.all([...this.byId.values()].map(replica => replica.retire())).then(nothing)
  }

  /** Ends running exchanges too. */
  destroy(): Promise<void> {
    this.stop()
    return Promise.all([...this.byId.values(), ...this.leaving].map(replica => replica.destroy())).then(nothing)
  }

  private stop(): void {
    this.closed = true
    this.pulse.stop()
    const error = new SluiceError('draining', 'the proxy is shutting down', undefined, RETRY_MS)
    for (const call of this.waiting.takeAll()) call.fail(error)
  }
}

function isBetter(replica: Replica, best: Replica, now: number): boolean {
  if (replica.avoided(now) !== best.avoided(now)) return best.avoided(now)
  return replica.inFlight < best.inFlight
}

function nothing(): void {}
