import type { SluiceError } from '../../proxy/api/index.ts'
import { UPSTREAM_DEFAULTS } from '../../proxy/config/servers/upstream-keys.ts'
import { type PoolOptions, ReplicaPool } from '../../proxy/upstream/pool.ts'
import type { ReplicaPlace } from '../../proxy/upstream/replica-table.ts'
import type { UpstreamSettings } from '../../proxy/upstream/settings.ts'
import type { Flow, UpstreamRequest, UpstreamSink } from '../../proxy/upstream/upstream.ts'
import type { Scope } from './scope.ts'

export interface TestPool {
  readonly pool: ReplicaPool
  /** Sets the table: URLs are ready replicas that have their URL as id. */
  places(...places: readonly (string | ReplicaPlace)[]): void
  /** As `places`, and more may come. */
  coming(...places: readonly (string | ReplicaPlace)[]): void
}

export type TestPoolOptions = Partial<UpstreamSettings> & Partial<Pick<PoolOptions, 'link' | 'chance' | 'connections'>>

/** A pool for a server named `s`, closed with `scope`. */
export function testPool(scope: Scope, options: TestPoolOptions = {}): TestPool {
  const { link = null, chance, connections = 128, ...settings } = options
  const pool = new ReplicaPool('s', {
    connections,
    connectTimeoutMs: 2_000,
    maxHeaderBytes: 32_768,
    settings: { ...UPSTREAM_DEFAULTS, ...settings },
    link,
    ...(chance !== undefined && { chance }),
  })
  scope.after(() => pool.destroy())
  const set = (coming: boolean, places: readonly (string | ReplicaPlace)[]): void =>
    pool.update({ server: 's', places: places.map(asPlace), coming, reason: '' })
  return { pool, places: (...places) => set(false, places), coming: (...places) => set(true, places) }
}

export function asPlace(place: string | ReplicaPlace): ReplicaPlace {
  return typeof place === 'string' ? { id: place, url: place, socketPath: '', state: 'ready' } : place
}

export function draining(url: string): ReplicaPlace {
  return { id: url, url, socketPath: '', state: 'draining' }
}

/** Everything that became of one request. */
export class Asked implements UpstreamSink {
  readonly over: Promise<this>
  flow: Flow | null = null
  status = 0
  replica = ''
  headers: readonly string[] = []
  error: SluiceError | null = null
  ended = false
  /** How often it ended, one way or the other: exactly once is right. */
  ends = 0
  readonly #chunks: Buffer[] = []
  readonly #settle: (self: this) => void
  readonly #head = Promise.withResolvers<void>()

  constructor() {
    const { promise, resolve } = Promise.withResolvers<this>()
    this.over = promise
    this.#settle = resolve
  }

  /** Settles when the head is there, or will never be. */
  get headed(): Promise<void> {
    return this.#head.promise
  }

  get text(): string {
    return Buffer.concat(this.#chunks).toString()
  }

  onFlow(flow: Flow): void {
    this.flow = flow
  }

  onHead(status: number, headers: string[], replica: string): void {
    this.status = status
    this.headers = headers
    this.replica = replica
    this.#head.resolve()
  }

  onData(chunk: Buffer): void {
    this.#chunks.push(chunk)
  }

  onEnd(): void {
    this.ended = true
    this.#end()
  }

  onFail(error: SluiceError): void {
    this.error = error
    this.#end()
  }

  #end(): void {
    this.ends++
    this.#head.resolve()
    this.#settle(this)
  }
}

export type AskOptions = Partial<Omit<UpstreamRequest, 'hashKey'>> & { key?: string }

/** Sends `{"id":1}` as a call that may not be repeated, unless the options say otherwise. */
export function ask(pool: { send: ReplicaPool['send'] }, options: AskOptions = {}): Asked {
  const { key = '', ...rest } = options
  const asked = new Asked()
  pool.send(
    {
      method: 'POST',
      headers: ['content-type', 'application/json'],
      body: Buffer.from('{"id":1}'),
      query: '',
      lane: 'call',
      replica: '',
      client: 'anonymous',
      idleTimeoutMs: 0,
      firstByteTimeoutMs: 0,
      repeatable: false,
      reads: false,
      rpc: '',
      tool: '',
      hashKey: () => key,
      ...rest,
    } as UpstreamRequest,
    asked,
  )
  return asked
}
