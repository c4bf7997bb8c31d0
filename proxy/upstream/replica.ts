import { Connections } from './connections.ts'
import type { UpstreamRequest } from './upstream.ts'

/** How to reach the replicas of one server. */
export interface ReplicaOptions {
  /** Most connections for calls to one replica; streams and client answers have their own and never queue. */
  readonly connections: number
  readonly connectTimeoutMs: number
  /** Largest head of an answer, in bytes. */
  readonly maxHeaderBytes: number
}

/** How long a replica that refused a connection is passed over while there are others, in milliseconds. */
const AVOID_MS = 1_000

/** One running instance of a server, with the connections to it. */
export class Replica {
  /** Stable over restarts, because sessions name it: its URL. */
  readonly id: string
  inFlight: number
  /** Failed connects in a row, 0 after any answer. */
  failures: number
  private avoidUntil: number
  private readonly path: string
  private readonly calls: Connections
  private readonly streams: Connections

  constructor(url: string, options: ReplicaOptions) {
    const { origin, pathname, search } = new URL(url)
    this.id = url
    this.inFlight = 0
    this.failures = 0
    this.avoidUntil = 0
    this.path = pathname + search
    const shared = {
      connect: { timeout: options.connectTimeoutMs },
      maxHeaderSize: options.maxHeaderBytes,
      pipelining: 1,
    }
    this.calls = new Connections(origin, shared, options.connections)
    // A stream holds its connection for hours, and a client's answer may be what a waiting call waits for: neither may
    // queue behind calls. Their number is bounded by the listener's `max_connections` and `max_in_flight`.
    this.streams = new Connections(origin, shared, Number.POSITIVE_INFINITY)
  }

  /** The connections a request goes over. */
  connectionsFor(request: UpstreamRequest): Connections {
    return request.lane === 'call' ? this.calls : this.streams
  }

  /** The request target, with the client's query (without `?`) added. */
  pathFor(query: string): string {
    if (query === '') return this.path
    return `${this.path}${this.path.includes('?') ? '&' : '?'}${query}`
  }

  succeeded(): void {
    this.failures = 0
    this.avoidUntil = 0
  }

  /** Notes that no connection could be made. */
  unreachable(now: number): void {
    this.failures++
    this.avoidUntil = now + AVOID_MS
  }

  avoided(now: number): boolean {
    return this.avoidUntil > now
  }

  close(): Promise<void> {
    return Promise.all([this.calls.close(), this.streams.close()]).then(nothing)
  }

  destroy(): Promise<void> {
    return Promise.all([this.calls.destroy(), this.streams.destroy()]).then(nothing)
  }
}

function nothing(): void {}
