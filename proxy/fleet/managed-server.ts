import type { Clock } from '../api/index.ts'
import { channels } from '../observe/channels.ts'
import type { ServerPlaces } from '../upstream/replica-table.ts'
import { Attempts } from './attempts.ts'
import { Demand } from './demand.ts'
import type { Instance, Launcher } from './launcher.ts'
import { type Checker, Replica, type ReplicaHost } from './replica.ts'
import type { HealthSpec, LifeSpec } from './spec.ts'
import { describeReplica, type ReplicaStatus, type ServerState } from './status.ts'

/** What a server needs of the fleet. */
export interface ServerHost {
  readonly clock: Clock
  checker(instance: Instance, health: HealthSpec): Checker
  /** A name for the next instance that nobody else has or will have. */
  newId(server: string): string
  /** How long calls that run on a replica may take when it is to go. */
  readonly drainMs: number
  /** Names of the workers that send requests now. */
  workers(): readonly string[]
  /** `places`, `dueAt` or the status may be others now. Never calls back into the server. */
  changed(server: ManagedServer): void
  /** A replica became ready, so long after it was asked for. */
  started(server: string, seconds: number): void
  /** A replica that served or was to serve is replaced. */
  lost(server: string, replica: string, reason: string): void
}

/** A replica that served so long has shown that its server can run, in milliseconds. */
export const STABLE_MS = 10_000
const NEVER = Number.POSITIVE_INFINITY

/**
 * The replicas of one server: as many as are needed, in good health, of the configuration in use. A state machine without
 * timers: whoever holds it calls `tick` at `dueAt`. Every call does all that is due now.
 */
export class ManagedServer implements ReplicaHost {
  readonly name: string
  readonly clock: Clock
  readonly #host: ServerHost
  #life: LifeSpec
  #launcher: Launcher
  /** Replicas of an older generation are replaced. */
  #generation = 1
  #replicas: Replica[] = []
  readonly #demand: Demand
  readonly #attempts: Attempts
  readonly #loads = new Map<string, { inFlight: number; waiting: number }>()
  /** What the operator or too many failures made of it. */
  #mode: 'active' | 'failed' | 'stopped' | 'closed' = 'active'
  /** Why the last start failed or the last replica was lost; `''` since one has become stable. */
  #reason = ''
  #restarts = 0
  #isWorking = false
  #isWaitingForAttempt = false

  constructor(name: string, life: LifeSpec, launcher: Launcher, host: ServerHost) {
    this.name = name
    this.clock = host.clock
    this.#host = host
    this.#life = life
    this.#launcher = launcher
    this.#demand = new Demand(boundsOf(life))
    this.#attempts = new Attempts(life.restart)
  }

  // What is asked of it.

  /** A request waits for a replica. */
  wanted(): void {
    const now = this.clock.monotonic()
    this.#demand.want(now)
    if (this.#mode === 'failed' && now >= this.#attempts.forgottenAt) this.#revive()
    this.tick()
  }

  load(worker: string, inFlight: number, waiting: number): void {
    this.#loads.set(worker, { inFlight, waiting })
    this.#weigh()
  }

  /** A worker has ended: its load and its word do not count any more. */
  workerGone(worker: string): void {
    this.#loads.delete(worker)
    this.#weigh()
  }

  suspect(id: string): void {
    this.#find(id)?.suspect()
    this.tick()
  }

  drained(worker: string, id: string): void {
    this.#find(id)?.drainedBy.add(worker)
    this.tick()
  }

  /** Takes another configuration into use. Replicas are replaced, one after the other, where they would be others now. */
  update(life: LifeSpec, launcher: Launcher): void {
    const isOther = launcher.fingerprint !== this.#launcher.fingerprint
    this.#life = life
    this.#launcher = launcher
    this.#demand.setBounds(boundsOf(life), this.clock.monotonic())
    this.#attempts.setSpec(life.restart)
    if (isOther) this.#renew()
    this.tick()
  }

  /** Replaces every replica, one after the other; a failed or stopped server starts afresh. */
  restart(): void {
    if (this.#mode === 'active') this.#renew()
    else this.start()
    this.tick()
  }

  start(): void {
    if (this.#mode === 'closed') return
    this.#revive()
    this.#demand.want(this.clock.monotonic())
    this.tick()
  }

  /** Runs nothing until `start`. */
  stop(): void {
    if (this.#mode === 'closed') return
    this.#mode = 'stopped'
    this.tick()
  }

  /** Lets what runs end, then ends every replica for good. Resolves when they are gone. */
  async retire(): Promise<void> {
    this.#mode = 'closed'
    this.tick()
    await Promise.all(this.#replicas.map(replica => replica.gone))
  }

  /** Ends every replica now. Resolves when they are gone. */
  async close(): Promise<void> {
    this.#mode = 'closed'
    await Promise.all(this.#replicas.map(replica => replica.stop()))
  }

  // What it tells.

  get places(): ServerPlaces {
    const places = this.#replicas.map(replica => replica.place).filter(place => place !== null)
    return { server: this.name, places, coming: this.#mode === 'active', reason: this.#shownReason() }
  }

  /** When `tick` has something to do; Infinity = not before something happens. */
  get dueAt(): number {
    let due = this.#mode === 'active' ? this.#demand.dueAt : NEVER
    if (this.#isWaitingForAttempt) due = Math.min(due, this.#nextAttemptAt())
    if (this.#mode === 'failed' && this.#life.min > 0) due = Math.min(due, this.#attempts.forgottenAt)
    for (const replica of this.#replicas) due = Math.min(due, replica.dueAt, this.#stableAt(replica))
    return due
  }

  get state(): ServerState {
    if (this.#mode !== 'active') return this.#mode
    const live = this.#replicas.filter(replica => replica.isLive)
    if (live.some(replica => replica.state === 'ready')) {
      return live.some(replica => this.#isOld(replica)) ? 'updating' : 'ready'
    }
    if (live.length > 0) return 'starting'
    return this.#isWaitingForAttempt ? 'waiting' : 'idle'
  }

  get reason(): string {
    return this.#shownReason()
  }

  get desired(): number {
    return this.#mode === 'active' ? this.#demand.level : 0
  }

  get restarts(): number {
    return this.#restarts
  }

  get inFlight(): number {
    return this.#sum('inFlight')
  }

  get waiting(): number {
    return this.#sum('waiting')
  }

  get life(): LifeSpec {
    return this.#life
  }

  describeReplicas(): ReplicaStatus[] {
    const { clock } = this
    return this.#replicas.map(replica => describeReplica(replica, this.#isOld(replica), clock))
  }

  /** Asks each instance what it uses; what is known stays with the replica. */
  async measure(): Promise<void> {
    await Promise.all(this.#replicas.map(replica => replica.measure()))
  }

  // What replicas ask of it.

  checker(instance: Instance): Checker {
    return this.#host.checker(instance, this.#life.health)
  }

  health(): HealthSpec {
    return this.#life.health
  }

  stopGraceMs(): number {
    return this.#life.stopGraceMs
  }

  changed(): void {
    this.tick()
  }

  failed(replica: Replica, reason: string, isPermanent: boolean): void {
    const now = this.clock.monotonic()
    this.#restarts++
    this.#reason = reason
    // One that has served for a while is replaced at once, and no sign that the next one could not serve.
    if (!replica.isStable) this.#attempts.failed(replica.startedAt, now, replica.readyAt > 0, isPermanent)
    this.#host.lost(this.name, replica.id, reason)
    this.tick()
  }

  // What it does.

  tick(): void {
    // What happens while something is done is seen at its end.
    if (this.#isWorking) return
    this.#isWorking = true
    const now = this.clock.monotonic()
    if (this.#mode === 'failed' && this.#life.min > 0 && now >= this.#attempts.forgottenAt) this.#revive()
    if (now >= this.#demand.dueAt && this.#hasSessions) this.#demand.want(now)
    this.#demand.tick(now)
    for (const replica of this.#replicas) this.#watch(replica, now)
    this.#replicas = this.#replicas.filter(replica => replica.state !== 'gone')
    this.#isWaitingForAttempt = false
    if (this.#mode === 'active') this.#reconcile(now)
    else this.#drainAll()
    this.#isWorking = false
    this.#host.changed(this)
  }

  /** Clients between two calls: what they wait for dies with a replica. */
  get #hasSessions(): boolean {
    return this.#replicas.some(({ instance }) => (instance?.sessions ?? 0) > 0)
  }

  #watch(replica: Replica, now: number): void {
    replica.tick(now)
    if (replica.state === 'draining' && this.#isDrained(replica)) void replica.stop()
    if (now >= this.#stableAt(replica)) this.#provenBy(replica)
    if (replica.readyAt > 0 && !replica.isAnnounced) this.#announce(replica)
  }

  #reconcile(now: number): void {
    const live = this.#replicas.filter(replica => replica.isLive)
    const old = live.filter(replica => this.#isOld(replica))
    // One that never served is not worth waiting for.
    for (const replica of old) if (replica.state !== 'ready') void replica.stop()
    const serving = live.filter(replica => replica.isLive)
    const missing = this.desired - serving.length
    if (missing > 0) this.#startSome(missing, now)
    else if (missing < 0 && old.length === 0) this.#dropSome(-missing, serving)
    else if (old.length > 0) this.#renewOne(serving, now)
  }

  /** Rolling update: one more than needed, then one old one less, until none is old. */
  #renewOne(serving: readonly Replica[], now: number): void {
    if (this.#replicas.some(replica => replica.state === 'draining')) return
    const fresh = serving.filter(replica => !this.#isOld(replica))
    if (fresh.some(replica => replica.state !== 'ready')) return
    const old = serving.find(replica => this.#isOld(replica))
    if (serving.length > this.desired) old?.drain(this.#host.drainMs)
    else this.#startSome(1, now)
  }

  #startSome(count: number, now: number): void {
    if (this.#attempts.isExhausted && now >= this.#attempts.forgottenAt) this.#attempts.reset()
    if (this.#attempts.isExhausted) {
      this.#giveUp()
      return
    }
    const isTrial = this.#attempts.count > 0
    const isTrying = isTrial && this.#replicas.some(one => one.state === 'starting' || one.state === 'warming')
    if (isTrying) return
    if (now < this.#attempts.nextAt) {
      this.#isWaitingForAttempt = true
      return
    }
    // After a failure one has to show that it can be done.
    for (let i = isTrial ? 1 : count; i > 0; i--) this.#startOne()
  }

  #startOne(): void {
    const id = this.#host.newId(this.name)
    this.#replicas.push(new Replica(id, this.#generation, this.#launcher, this))
  }

  /** No more starts for now. While others serve, that is no failure of the server. */
  #giveUp(): void {
    if (this.#replicas.some(replica => replica.isLive)) this.#isWaitingForAttempt = true
    else this.#fail()
  }

  #fail(): void {
    this.#mode = 'failed'
    this.#demand.rest()
    const fields = { server: this.name, reason: this.#reason, attempts: this.#attempts.count }
    channels.notice.publish({ level: 'error', text: 'server failed: no more starts for now', fields })
  }

  /** The newest first: the older ones are known to be good, and have the sessions. */
  #dropSome(count: number, serving: readonly Replica[]): void {
    const order = [...serving].sort(
      (a, b) => Number(b.state !== 'ready') - Number(a.state !== 'ready') || b.startedAt - a.startedAt,
    )
    for (const replica of order.slice(0, count)) replica.drain(this.#host.drainMs)
  }

  #drainAll(): void {
    for (const replica of this.#replicas) replica.drain(this.#host.drainMs)
    for (const replica of this.#replicas) {
      if (replica.state === 'draining' && this.#isDrained(replica)) void replica.stop()
    }
  }

  #isDrained(replica: Replica): boolean {
    return this.#host.workers().every(worker => replica.drainedBy.has(worker))
  }

  #renew(): void {
    this.#generation++
    this.#attempts.reset()
    if (this.#mode === 'failed') this.#mode = 'active'
  }

  #revive(): void {
    this.#mode = 'active'
    this.#attempts.reset()
  }

  #announce(replica: Replica): void {
    replica.isAnnounced = true
    this.#host.started(this.name, (replica.readyAt - replica.startedAt) / 1000)
  }

  /** It has served long enough: the server can run. */
  #provenBy(replica: Replica): void {
    replica.isStable = true
    this.#attempts.reset()
    this.#reason = ''
  }

  #stableAt(replica: Replica): number {
    return replica.state === 'ready' && !replica.isStable ? replica.readyAt + STABLE_MS : NEVER
  }

  #nextAttemptAt(): number {
    return this.#attempts.isExhausted ? this.#attempts.forgottenAt : this.#attempts.nextAt
  }

  #weigh(): void {
    this.#demand.load(this.inFlight + this.waiting, this.clock.monotonic())
    this.tick()
  }

  #sum(what: 'inFlight' | 'waiting'): number {
    let sum = 0
    for (const load of this.#loads.values()) sum += load[what]
    return sum
  }

  #isOld(replica: Replica): boolean {
    return replica.generation !== this.#generation
  }

  #find(id: string): Replica | undefined {
    return this.#replicas.find(replica => replica.id === id)
  }

  #shownReason(): string {
    if (this.#mode === 'stopped') return 'stopped by the operator'
    if (this.#mode === 'closed') return 'removed from the configuration'
    return this.#reason
  }
}

function boundsOf({ min, max, targetInFlight, idleTimeoutMs }: LifeSpec) {
  return { min, max, targetInFlight, idleTimeoutMs }
}
