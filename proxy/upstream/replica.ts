import type { buildConnector, Client } from 'undici'
import { undici } from '../base/undici.ts'
import type { Chance } from './balance.ts'
import { Breaker, type Circuit } from './breaker.ts'
import { type ConnectionMaker, Connections, type Lender } from './connections.ts'
import { PlainConnection, type PlainOptions } from './http1/plain-connection.ts'
import { keyHash } from './rendezvous.ts'
import type { ReplicaPlace } from './replica-table.ts'
import type { UpstreamSettings, UpstreamTimeouts } from './settings.ts'
import { SharedConnections } from './shared-connections.ts'
import type { Pem } from './tls-files.ts'
import type { UpstreamRequest } from './upstream.ts'

/** How to reach the replicas of one server. */
export interface ReplicaOptions {
  /** Most connections for calls to one replica; streams and client answers have their own and never queue. */
  readonly connections: number
  readonly connectTimeoutMs: number
  /** Largest head of an answer, in bytes. */
  readonly maxHeaderBytes: number
  readonly settings: UpstreamSettings
  /** What `settings.tls` names, read. */
  readonly pem: Pem
}

/** `removed` is in no table any more: its calls end, nothing new comes. */
export type ReplicaState = 'ready' | 'draining' | 'removed'

/** Told of a new circuit of a replica; `null` = it is the same, but may let through more, or less, than before. */
export type CircuitListener = (replica: Replica, circuit: Circuit | null) => void

/** How long a replica that failed is passed over while there are others: doubled each time, up to the longest. */
const AVOID_MS = 1_000
const MAX_AVOID_MS = 30_000

/** Failures in a row after which a replica is passed over. One is enough where it takes no connections. */
const EJECT_AFTER = 3

/** The part of its share that a replica gets when its slow start begins. */
const FIRST_SHARE = 0.1

/** One running instance of a server, with the connections to it. */
export class Replica {
  /** Sessions name it by this. */
  readonly id: string
  /** Its hash, for `balance: { hash: … }`. */
  readonly seed: number
  place: ReplicaPlace
  state: ReplicaState
  inFlight: number
  /** Failed calls in a row, 0 after any answer. */
  failures: number
  /** Whether it may need a closer look before it gets a request: see `accepts`. Kept cheap for those that do not. */
  doubtful: boolean
  /** Whether the fleet knows that nothing runs here any more. */
  toldDrained: boolean
  readonly breaker: Breaker | null
  /** Whether the last failure was that it takes no connections. */
  private refuses: boolean
  private avoidUntil: number
  private ejections: number
  private warmAt: number
  private readonly slowStartMs: number
  private readonly timeouts: UpstreamTimeouts
  private readonly path: string
  private readonly calls: Lender
  private readonly streams: Lender

  /**
   * @param startedAt when its slow start began; -Infinity = long ago
   */
  constructor(place: ReplicaPlace, options: ReplicaOptions, startedAt: number, onChange: CircuitListener) {
    const { settings } = options
    const { origin, pathname, search } = new URL(place.url)
    this.id = place.id
    this.seed = keyHash(place.id)
    this.place = place
    this.state = place.state
    this.inFlight = 0
    this.failures = 0
    this.toldDrained = false
    this.breaker = settings.breaker === null ? null : new Breaker(settings.breaker, circuit => onChange(this, circuit))
    this.refuses = false
    this.avoidUntil = 0
    this.ejections = 0
    this.slowStartMs = settings.slowStartMs
    this.timeouts = settings.timeouts
    this.warmAt = startedAt + settings.slowStartMs
    this.doubtful = this.warmAt > 0
    this.path = pathname + search
    this.calls = createLender(origin, place, options, options.connections)
    // A stream holds its connection for hours, and a client's answer may be what a waiting call waits for: neither may
    // queue behind calls. Their number is bounded by the listener's `max_connections` and `max_in_flight`.
    this.streams = createLender(origin, place, options, Number.POSITIVE_INFINITY)
  }

  get circuit(): Circuit {
    return this.breaker === null ? 'closed' : this.breaker.circuit
  }

  /** Whether its circuit lets a call through now. */
  get open(): boolean {
    const { breaker } = this
    return breaker === null || breaker.circuit === 'closed' || breaker.mayProbe
  }

  /** The connections a request goes over. */
  connectionsFor(request: UpstreamRequest): Lender {
    return request.lane === 'call' ? this.calls : this.streams
  }

  /** How long it may take until the head of its answer; 0 = as long as it likes. */
  firstByteMs(request: UpstreamRequest): number {
    const own = this.timeouts.firstByteMs
    return own === -1 ? request.firstByteTimeoutMs : own
  }

  /** How long it may keep silent in an answer; 0 = as long as it likes. */
  idleMs(request: UpstreamRequest): number {
    const own = this.timeouts.idleMs
    return own === -1 ? request.idleTimeoutMs : own
  }

  /** The request target, with the client's query (without `?`) added. */
  pathFor(query: string): string {
    if (query === '') return this.path
    return `${this.path}${this.path.includes('?') ? '&' : '?'}${query}`
  }

  /** It answers. */
  answered(): void {
    if (this.failures === 0) return
    this.failures = 0
    this.ejections = 0
    this.refuses = false
    this.avoidUntil = 0
  }

  /**
   * Notes a failure that is the replica's own: after some in a row it is passed over for a while.
   * @param refused whether no connection could be made
   */
  failed(now: number, refused: boolean): void {
    this.failures++
    this.refuses = refused
    if (!refused && this.failures < EJECT_AFTER) return
    this.avoidUntil = now + Math.min(AVOID_MS * 2 ** this.ejections, MAX_AVOID_MS)
    this.ejections++
    this.warmAt = this.avoidUntil + this.slowStartMs
    this.doubtful = true
  }

  /** Whether requests go elsewhere while there is elsewhere. */
  avoided(now: number): boolean {
    return this.avoidUntil > now
  }

  /** Whether nobody listened there a moment ago. */
  isDown(now: number): boolean {
    return this.refuses && this.avoidUntil > now
  }

  /** Whether it should get this request: not while it is passed over, and not always during its slow start. */
  accepts(now: number, chance: Chance): boolean {
    if (this.avoidUntil > now) return false
    const left = this.warmAt - now
    if (left > 0) return chance.random() < Math.max(FIRST_SHARE, 1 - left / this.slowStartMs)
    this.doubtful = false
    return true
  }

  /** It is gone from the table: calls that run end, and its connections with them. */
  retire(): Promise<void> {
    this.state = 'removed'
    this.breaker?.close()
    return Promise.all([this.calls.close(), this.streams.close()]).then(nothing)
  }

  destroy(): Promise<void> {
    this.state = 'removed'
    this.breaker?.close()
    return Promise.all([this.calls.destroy(), this.streams.destroy()]).then(nothing)
  }
}

function plainOptions(origin: string, { socketPath }: ReplicaPlace, options: ReplicaOptions): PlainOptions {
  const { maxHeaderBytes: maxHeadBytes, settings } = options
  const { keepAliveMs } = settings.timeouts
  return { origin, socketPath, connectMs: connectMsOf(options), maxHeadBytes, keepAliveMs }
}

function connectMsOf({ settings, connectTimeoutMs }: ReplicaOptions): number {
  const { connectMs } = settings.timeouts
  return connectMs === -1 ? connectTimeoutMs : connectMs
}

function clientOptions(place: ReplicaPlace, options: ReplicaOptions): Client.Options {
  const { settings, maxHeaderBytes } = options
  return {
    connect: connectOptions(place, options),
    maxHeaderSize: maxHeaderBytes,
    keepAliveTimeout: settings.timeouts.keepAliveMs,
    pipelining: 1,
    allowH2: settings.http2,
  }
}

function connectOptions({ socketPath }: ReplicaPlace, options: ReplicaOptions): buildConnector.BuildOptions {
  const { settings, pem } = options
  return {
    timeout: connectMsOf(options),
    allowH2: settings.http2,
    preferH2: settings.http2,
    ...(socketPath !== '' && { socketPath }),
    ...pem,
  }
}

function createLender(origin: string, place: ReplicaPlace, options: ReplicaOptions, max: number): Lender {
  if (origin.startsWith('http:')) {
    const plain = plainOptions(origin, place, options)
    return new Connections(onGone => new PlainConnection(plain, onGone), max)
  }
  const client = clientOptions(place, options)
  if (options.settings.http2) {
    const connector = undici().buildConnector(client.connect as buildConnector.BuildOptions)
    return new SharedConnections(origin, client, connector, max)
  }
  return new Connections(secureMaker(origin, client), max)
}

function secureMaker(origin: string, options: Client.Options): ConnectionMaker {
  return onGone => {
    const client = new (undici().Client)(origin, options)
    return client.on('disconnect', () => onGone(client))
  }
}

function nothing(): void {}
