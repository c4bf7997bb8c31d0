import { randomBytes } from 'node:crypto'
import type { Clock } from '../api/index.ts'
import { channels } from '../observe/channels.ts'
import type { FleetLink, ServerPlaces } from '../upstream/replica-table.ts'
import { FoundServer } from './found-server.ts'
import { createChecker } from './health/checker.ts'
import { claimInstance, type InstanceClaim } from './instance-claim.ts'
import type { Launcher } from './launcher.ts'
import { ManagedServer, type ServerHost } from './managed-server.ts'
import { type LoggedLine, OutputLog } from './output-log.ts'
import type { ReplicaSource } from './source.ts'
import type { ServerSpec } from './spec.ts'
import { describeFound, describeManaged, describeStatic, type ServerStatus } from './status.ts'

/** Makes what runs or finds the replicas of a server. */
export interface FleetMakers {
  /** For a `process` or an `image`. @param instance the name of this proxy. May throw: then the server is left as it was */
  launcher(spec: ServerSpec, instance: string): Launcher
  /** For `dns` and `docker`. */
  source(spec: ServerSpec): ReplicaSource
}

export interface FleetOptions {
  readonly makers: FleetMakers
  readonly clock: Clock
  /** Takes the replicas of a server at each change; not called for static ones. Must not throw. */
  onPlaces(places: ServerPlaces): void
  readonly stateDir: string
  /** `''` = made of `key`. */
  readonly instance: string
  /** Tells this proxy's configuration from others' that share the state folder: letters, digits and `-`. */
  readonly key: string
  /** How long what runs on a replica that is to go may take. */
  readonly drainMs: number
}

/** How often replicas are asked what they use. */
const MEASURE_MS = 10_000
/** Servers that were asked for before the fleet knew them. */
const MAX_EARLY = 64
const MAX_TIMER_MS = 2 ** 31 - 1
/** How long a start waits for what dead proxies left behind to be removed; after that it goes on beside. */
const REAP_LIMIT_MS = 5_000

/** One server of the fleet, by who runs its replicas. */
type Member = ManagedServer | FoundServer | null

/**
 * All servers of this proxy: starts and stops their replicas or finds them, and tells workers where they are. There is one
 * for all workers.
 */
export class Fleet implements ServerHost {
  readonly clock: Clock
  readonly drainMs: number
  readonly #options: FleetOptions
  readonly #output = new OutputLog()
  readonly #workers = new Set<string>()
  #specs = new Map<string, ServerSpec>()
  /** `null` = static: nothing to do for it. */
  readonly #members = new Map<string, Member>()
  /** Servers that are no longer configured, until their last replica is gone. */
  readonly #leaving = new Set<ManagedServer>()
  readonly #timers = new Map<ManagedServer, { at: number; timer: NodeJS.Timeout }>()
  readonly #told = new Map<string, string>()
  readonly #early = new Set<string>()
  #claim: InstanceClaim | null = null
  #measuring: NodeJS.Timeout | null = null
  #applying: Promise<void> = Promise.resolve()
  #count = 0
  #closed: Promise<void> | null = null

  private constructor(options: FleetOptions) {
    this.#options = options
    this.clock = options.clock
    this.drainMs = options.drainMs
  }

  /**
   * Reaps what dead proxies left behind, then starts what is to run from the beginning.
   * @throws Error when `instance` belongs to a living proxy, or a launcher cannot be made
   */
  static async create(specs: readonly ServerSpec[], options: FleetOptions): Promise<Fleet> {
    const fleet = new Fleet(options)
    fleet.#output.start()
    try {
      await fleet.#apply(specs, true)
    } catch (error) {
      await fleet.close()
      throw error
    }
    return fleet
  }

  /** Takes another configuration into use: servers come, go and change. One at a time. Rejects as `create` does. */
  apply(specs: readonly ServerSpec[]): Promise<void> {
    const applied = this.#applying.then(() => (this.#closed === null ? this.#apply(specs, false) : undefined))
    this.#applying = applied.catch(() => {})
    return applied
  }

  /** Ends every replica, all at once, each within its `stop_grace`. */
  close(): Promise<void> {
    this.#closed ??= this.#close()
    return this.#closed
  }

  // For workers.

  /** What one worker talks to. It counts from now on, until `workerGone`. */
  link(worker: string): FleetLink {
    this.#workers.add(worker)
    return {
      wanted: server => this.#wanted(server),
      load: (server, inFlight, waiting) => this.#managed(server)?.load(worker, inFlight, waiting),
      suspect: (server, replica) => this.#suspect(server, replica),
      drained: (server, replica) => this.#drained(worker, server, replica),
    }
  }

  workerGone(worker: string): void {
    this.#workers.delete(worker)
    for (const server of this.#allManaged()) server.workerGone(worker)
  }

  /** What a worker that begins has to know. */
  get tables(): ServerPlaces[] {
    return [...this.#members.values()].filter(member => member !== null).map(member => member.places)
  }

  /** Whether requests for a server make sense: it has replicas, or will start one. `null` = static: nobody here knows. */
  isUsable(name: string): boolean | null {
    const member = this.#members.get(name)
    if (member === undefined || member === null) return null
    const { places, coming } = member.places
    return coming || places.length > 0
  }

  // For people.

  list(): ServerStatus[] {
    return [...this.#specs.keys()].map(name => this.status(name)).filter(status => status !== null)
  }

  /** `null` = there is no such server. */
  status(name: string): ServerStatus | null {
    const spec = this.#specs.get(name)
    const member = this.#members.get(name)
    if (spec === undefined || member === undefined) return null
    if (member === null) return describeStatic(spec)
    return member instanceof ManagedServer ? describeManaged(spec, member) : describeFound(spec, member)
  }

  /** Replaces replicas one after the other, without dropping a call. @returns whether there is such a managed server */
  restart(name: string): boolean {
    return this.#tell(name, server => server.restart())
  }

  stop(name: string): boolean {
    return this.#tell(name, server => server.stop())
  }

  start(name: string): boolean {
    return this.#tell(name, server => server.start())
  }

  /** The last lines that its replicas wrote, the oldest first; `null` = there is no such server. */
  logs(name: string): LoggedLine[] | null {
    return this.#specs.has(name) ? this.#output.of(name) : null
  }

  /** Asks every replica now what it uses; never rejects. */
  async measure(): Promise<void> {
    await Promise.all([...this.#allManaged()].map(server => server.measure()))
  }

  /** The name of this proxy among those that share its state folder; `''` = it runs no replicas. */
  get instance(): string {
    return this.#claim?.id ?? ''
  }

  // For servers.

  checker = createChecker

  newId(server: string): string {
    const slug = server.replaceAll(/[^a-z0-9]+/g, '-').slice(0, 32)
    return `${slug}-${++this.#count}-${randomBytes(3).toString('hex')}`
  }

  workers(): readonly string[] {
    return [...this.#workers]
  }

  changed(server: ManagedServer): void {
    this.#schedule(server)
    if (this.#members.get(server.name) === server) this.#publish(server.name)
  }

  started(server: string, seconds: number): void {
    channels.fleet.publish({ server, what: 'started', seconds })
  }

  lost(server: string, replica: string, reason: string): void {
    channels.fleet.publish({ server, what: 'lost', seconds: 0 })
    channels.notice.publish({ level: 'warn', text: 'replica lost', fields: { server, replica, reason } })
  }

  // The rest.

  async #apply(specs: readonly ServerSpec[], isFirst: boolean): Promise<void> {
    if (this.#claim === null && specs.some(isManaged)) await this.#claimName()
    const before = this.#specs
    const launchers = this.#makeLaunchers(specs)
    if (isFirst) await within(reapAll(launchers), REAP_LIMIT_MS)
    this.#specs = new Map(specs.map(spec => [spec.name, spec]))
    for (const name of before.keys()) if (!this.#specs.has(name)) this.#remove(name)
    for (const spec of specs) this.#put(spec, before.get(spec.name), launchers.get(spec.name))
  }

  async #claimName(): Promise<void> {
    const { stateDir, instance, key } = this.#options
    this.#claim = await claimInstance({ stateDir, wanted: instance, key })
    this.#measuring = setInterval(() => void this.measure(), MEASURE_MS).unref()
    if (this.#claim.reaped === 0) return
    const fields = { instance: this.#claim.id, processes: this.#claim.reaped }
    channels.notice.publish({ level: 'warn', text: 'ended what a dead proxy had left behind', fields })
  }

  /** All of them before anything changes: a configuration that cannot be had changes nothing. */
  #makeLaunchers(specs: readonly ServerSpec[]): Map<string, Launcher> {
    // Made again even where the spec is the same: what else belongs to the server may be another one now.
    return new Map(specs.filter(isManaged).map(spec => [spec.name, this.#options.makers.launcher(spec, this.instance)]))
  }

  #put(spec: ServerSpec, before: ServerSpec | undefined, launcher: Launcher | undefined): void {
    const { name } = spec
    const member = this.#members.get(name)
    if (member instanceof ManagedServer && launcher !== undefined) {
      member.update(spec.life, launcher)
      return
    }
    if (before !== undefined && same(spec.source, before.source)) return
    if (before !== undefined) this.#remove(name)
    if (launcher !== undefined) this.#members.set(name, new ManagedServer(name, spec.life, launcher, this))
    else if (spec.source.kind === 'static') this.#members.set(name, null)
    else this.#members.set(name, this.#find(spec))
    this.#managed(name)?.tick()
    this.#publish(name)
    if (this.#early.delete(name)) this.#wanted(name)
  }

  #find(spec: ServerSpec): FoundServer {
    const { name } = spec
    return new FoundServer(name, this.#options.makers.source(spec), () => this.#publish(name))
  }

  #remove(name: string): void {
    const member = this.#members.get(name)
    this.#members.delete(name)
    this.#told.delete(name)
    if (member instanceof FoundServer) void member.close().catch(() => {})
    if (!(member instanceof ManagedServer)) return
    this.#leaving.add(member)
    void member.retire().then(() => this.#forget(member))
    // Workers that still have calls on them are to say when these are over.
    this.#options.onPlaces(member.places)
  }

  #forget(server: ManagedServer): void {
    this.#leaving.delete(server)
    this.#unschedule(server)
    if (!this.#members.has(server.name)) this.#output.forget(server.name)
  }

  #publish(name: string): void {
    const places = this.#members.get(name)?.places
    if (places === undefined) return
    const text = JSON.stringify(places)
    if (this.#told.get(name) === text) return
    this.#told.set(name, text)
    this.#options.onPlaces(places)
  }

  #wanted(name: string): void {
    const member = this.#members.get(name)
    if (member instanceof ManagedServer) member.wanted()
    else if (member instanceof FoundServer) member.refresh()
    else if (member === undefined && this.#early.size < MAX_EARLY) this.#early.add(name)
  }

  #suspect(name: string, replica: string): void {
    const member = this.#members.get(name)
    if (member instanceof ManagedServer) member.suspect(replica)
    else member?.refresh()
  }

  #drained(worker: string, name: string, replica: string): void {
    for (const server of this.#allManaged()) if (server.name === name) server.drained(worker, replica)
  }

  #managed(name: string): ManagedServer | null {
    const member = this.#members.get(name)
    return member instanceof ManagedServer ? member : null
  }

  *#allManaged(): Generator<ManagedServer> {
    for (const member of this.#members.values()) if (member instanceof ManagedServer) yield member
    yield* this.#leaving
  }

  #tell(name: string, what: (server: ManagedServer) => void): boolean {
    const server = this.#managed(name)
    if (server !== null) what(server)
    return server !== null
  }

  #schedule(server: ManagedServer): void {
    const at = server.dueAt
    const known = this.#timers.get(server)
    if (known?.at === at) return
    this.#unschedule(server)
    if (at === Number.POSITIVE_INFINITY) return
    const delayMs = Math.min(MAX_TIMER_MS, Math.max(0, Math.ceil(at - this.clock.monotonic())))
    const timer = setTimeout(() => {
      this.#timers.delete(server)
      server.tick()
    }, delayMs)
    this.#timers.set(server, { at, timer })
  }

  #unschedule(server: ManagedServer): void {
    clearTimeout(this.#timers.get(server)?.timer)
    this.#timers.delete(server)
  }

  async #close(): Promise<void> {
    await this.#applying
    if (this.#measuring !== null) clearInterval(this.#measuring)
    const found = [...this.#members.values()].filter(member => member instanceof FoundServer)
    const managed = [...this.#allManaged()]
    await Promise.allSettled([...found.map(one => one.close()), ...managed.map(one => one.close())])
    for (const server of managed) this.#unschedule(server)
    this.#output.stop()
    await this.#claim?.close()
  }
}

function isManaged({ source }: ServerSpec): boolean {
  return source.kind === 'process' || source.kind === 'image'
}

async function within(promise: Promise<void>, limitMs: number): Promise<void> {
  const limit = Promise.withResolvers<void>()
  const timer = setTimeout(limit.resolve, limitMs)
  await Promise.race([promise, limit.promise])
  clearTimeout(timer)
}

/** What cannot be reaped now (the engine is away) is no reason not to serve. */
async function reapAll(launchers: ReadonlyMap<string, Launcher>): Promise<void> {
  await Promise.all(
    [...launchers].map(async ([server, launcher]) => {
      try {
        const removed = await launcher.reap()
        if (removed === 0) return
        const fields = { server, removed }
        channels.notice.publish({ level: 'warn', text: 'removed what a dead proxy had left behind', fields })
      } catch (error) {
        const fields = { server, error: error instanceof Error ? error.message : String(error) }
        channels.notice.publish({ level: 'warn', text: 'cannot look for what dead proxies left behind', fields })
      }
    }),
  )
}

function same(a: unknown, b: unknown): boolean {
  return JSON.stringify(a) === JSON.stringify(b)
}
