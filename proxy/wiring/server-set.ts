import type { Config, ServerConfig } from '../config/config.ts'
import type { CredentialTable } from '../credentials/shown.ts'
import type { ServerRoute } from '../downstream/services.ts'
import { CredentialedUpstream } from '../upstream/credentialed.ts'
import { ReplicaPool } from '../upstream/pool.ts'
import { type Target, targetOf } from '../upstream/reachability.ts'
import type { FleetLink, ReplicaPlace, ServerPlaces } from '../upstream/replica-table.ts'

/** How often it is looked whether a pool that was replaced has become idle. */
const IDLE_POLL_MS = 500

export interface ServerSetOptions {
  readonly config: Config
  /** Told what the fleet needs to know. */
  readonly link: FleetLink
  readonly credentials: CredentialTable
}

/** A server and what its pool is made of: another text needs another pool. */
interface Entry {
  readonly server: ServerConfig
  readonly pool: ReplicaPool
  readonly made: string
}

/** The servers of the configuration in use: a pool and a route for each. Follows the configuration and the fleet. */
export class ServerSet {
  readonly #options: ServerSetOptions
  #entries = new Map<string, Entry>()
  /** What the fleet said last, for servers that are not static. */
  readonly #tables = new Map<string, ServerPlaces>()
  /** Pools that get nothing new, until they are idle. */
  readonly #leaving = new Set<ReplicaPool>()
  readonly #timers = new Set<NodeJS.Timeout>()
  readonly #link: FleetLink

  constructor(options: ServerSetOptions) {
    this.#options = options
    const { link } = options
    this.#link = {
      wanted: server => link.wanted(server),
      load: (server, inFlight, waiting) => link.load(server, inFlight, waiting),
      suspect: (server, replica) => link.suspect(server, replica),
      drained: (server, replica) => this.#drained(server, replica),
    }
    this.apply(options.config)
  }

  get pools(): ReplicaPool[] {
    return [...this.#entries.values()].map(({ pool }) => pool)
  }

  get routes(): ServerRoute[] {
    return [...this.#entries.values()].map(({ server, pool }) => this.#route(server, pool))
  }

  /** How to find out whether servers can be asked. One that will be started is there. */
  get targets(): Target[] {
    return [...this.#entries.values()].map(({ server }) => targetOf(this.#tableOf(server)))
  }

  /** What the fleet says about a server. */
  take(table: ServerPlaces): void {
    const entry = this.#entries.get(table.server)
    const isOurs = entry !== undefined && entry.server.source.kind !== 'static'
    if (isOurs) {
      this.#tables.set(table.server, table)
      entry.pool.update(table)
    }
    const left = [...this.#leaving].filter(pool => pool.name === table.server)
    for (const pool of left) pool.update(table)
    if (!isOurs && left.length === 0) this.#nothingRuns(table)
  }

  /** Takes another configuration into use. Exchanges that run go on; those of a removed server for `timeouts.drain`. */
  apply(config: Config): void {
    const before = this.#entries
    this.#entries = new Map(config.servers.map(server => [server.name, this.#entry(server, config)]))
    for (const [name, { pool }] of before) {
      const now = this.#entries.get(name)
      if (now?.pool === pool) continue
      if (now === undefined) this.#tables.delete(name)
      this.#leave(pool, now === undefined ? config.timeouts.drainMs : Number.POSITIVE_INFINITY)
    }
  }

  /** Ends everything now. */
  async destroy(): Promise<void> {
    for (const timer of this.#timers) clearInterval(timer)
    await Promise.all([...this.pools, ...this.#leaving].map(pool => pool.destroy()))
  }

  #entry(server: ServerConfig, config: Config): Entry {
    const made = recipe(server, config)
    const known = this.#entries.get(server.name)
    if (known?.made === made) {
      if (server.source.kind === 'static') known.pool.update(staticTable(server))
      return { ...known, server }
    }
    const pool = new ReplicaPool(server.name, {
      connections: server.connections,
      connectTimeoutMs: config.timeouts.connectMs,
      maxHeaderBytes: config.limits.maxHeaderBytes,
      settings: server.upstream,
      link: server.source.kind === 'static' ? null : this.#link,
    })
    // Not with an empty table: the first replicas that come take their full share at once.
    if (server.source.kind === 'static' || this.#tables.has(server.name)) pool.update(this.#tableOf(server))
    return { server, pool, made }
  }

  /** Until the fleet has said something, replicas may come. */
  #tableOf(server: ServerConfig): ServerPlaces {
    const { name, source } = server
    if (source.kind === 'static') return staticTable(server)
    return this.#tables.get(name) ?? { server: name, places: [], coming: true, reason: '' }
  }

  #route(server: ServerConfig, pool: ReplicaPool): ServerRoute {
    const { name, forwardAuthorization, headers } = server
    const upstream = new CredentialedUpstream(pool, name, this.#options.credentials.server(name))
    return { name, upstream, forwardAuthorization, headers }
  }

  /** Lets a pool end what it has begun, for so long at most. */
  #leave(pool: ReplicaPool, limitMs: number): void {
    this.#leaving.add(pool)
    const until = performance.now() + limitMs
    const timer = setInterval(() => {
      if (!pool.isIdle && performance.now() < until) return
      clearInterval(timer)
      this.#timers.delete(timer)
      this.#leaving.delete(pool)
      void pool.destroy()
    }, IDLE_POLL_MS).unref()
    this.#timers.add(timer)
  }

  /** A pool has nothing left on a replica; one that was replaced may have. It will say so, too. */
  #drained(server: string, replica: string): void {
    const pools = [...this.pools, ...this.#leaving].filter(pool => pool.name === server)
    const isBusy = pools.some(pool => pool.list().some(one => one.id === replica && one.inFlight > 0))
    if (!isBusy) this.#options.link.drained(server, replica)
  }

  #nothingRuns({ server, places }: ServerPlaces): void {
    for (const { id, state } of places) if (state === 'draining') this.#options.link.drained(server, id)
  }
}

/** What cannot be changed in a pool that runs. */
function recipe({ source, upstream, connections }: ServerConfig, { timeouts, limits }: Config): string {
  const isStatic = source.kind === 'static'
  return JSON.stringify([isStatic, upstream, connections, timeouts.connectMs, limits.maxHeaderBytes])
}

/** The table of a server that is static; for others it is empty. */
export function staticTable({ name, source }: ServerConfig): ServerPlaces {
  const places = source.kind === 'static' ? source.places : []
  const ready = places.map((place): ReplicaPlace => ({ ...place, state: 'ready' }))
  return { server: name, places: ready, coming: false, reason: '' }
}
