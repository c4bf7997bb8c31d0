import type { Json } from './api/index.ts'
import { systemClock } from './base/clock.ts'
import { formatDiagnostic } from './base/diagnostic.ts'
import { PendingRequests } from './chain/pending.ts'
import type { RelayServices } from './chain/ports.ts'
import { ToolTable } from './chain/tool-table.ts'
import type { Config } from './config/config.ts'
import { LocalCredentials } from './credentials/local-credentials.ts'
import type { CredentialTable } from './credentials/shown.ts'
import { Downstream } from './downstream/http.ts'
import { Identity, type IdentityOptions } from './downstream/identity.ts'
import { createListener, type Listener } from './downstream/listener.ts'
import { isLoopbackHost, OriginGuard } from './downstream/origin-guard.ts'
import { loadSessionKey, SessionSealer } from './downstream/session.ts'
import { startAccessLog } from './observe/access-log.ts'
import { type Admin, createAdmin, type Readiness } from './observe/admin.ts'
import { channels, type Reload } from './observe/channels.ts'
import type { ControlAsk } from './observe/control.ts'
import { type ControlAnswer, type ControlRoute, ControlRoutes } from './observe/control-routes.ts'
import type { MetricsSnapshot } from './observe/exposition.ts'
import { createLog, type Log } from './observe/log.ts'
import { Metrics } from './observe/metrics.ts'
import { startNotices } from './observe/notices.ts'
import type { PolicyInput } from './policy/compile.ts'
import { Registry } from './policy/registry.ts'
import { PolicyReloader } from './policy/reload.ts'
import { Onlookers } from './shadow/onlookers.ts'
import { type OwnStore, openStore } from './store/open.ts'
import type { ReplicaPool } from './upstream/pool.ts'
import { Reachability } from './upstream/reachability.ts'
import type { FleetLink, ServerPlaces } from './upstream/replica-table.ts'
import { FleetRunner } from './wiring/fleet-runner.ts'
import { forwardingLink, SILENT_LINK } from './wiring/links.ts'
import { type PoolReports, poolReports } from './wiring/server-report.ts'
import { serverRoutes } from './wiring/server-routes.ts'
import { ServerSet } from './wiring/server-set.ts'

export interface SluiceOptions {
  readonly config: Config
  /** Default: silent. */
  readonly log?: Log
  /** Shown in `sluice_build_info`. Default `''`. */
  readonly version?: string
  /** Whether warnings about policies are errors. Default false. */
  readonly strict?: boolean
  readonly env?: NodeJS.ProcessEnv
  /** Reads the configuration afresh for a reload; throws a LoadError. Default: the same one again. */
  readonly reread?: () => Config
  /** Key of the session tokens, 32 bytes. Default: what `loadSessionKey` gives for the configuration. */
  readonly sessionKey?: Buffer
  /** Whether files are watched for changes. Default true. */
  readonly watch?: boolean
  /** Tells one worker's metrics from another's. Default: one process, no admin listener elsewhere. */
  readonly worker?: string
  /** What servers are shown, kept by another process. Default: kept here, as the configuration says. */
  readonly credentials?: CredentialTable
  /** In place of the configuration's: what workers share without Redis. */
  readonly store?: OwnStore
  /** Replicas that another process runs or finds. Default: this one does. */
  readonly fleet?: { readonly link: FleetLink; readonly tables: readonly ServerPlaces[] }
  /** Told when a configuration that was read again is in use. */
  readonly onConfig?: (config: Config) => void
  /** Told when streams that never end by themselves become many (1,000), and when they are few again (500). */
  readonly onManyStreams?: (areMany: boolean) => void
}

/** A running proxy. */
export interface Sluice {
  /** `http://127.0.0.1:8080`: append `/mcp` or `/servers/NAME/mcp`. */
  readonly url: string
  /** `http://127.0.0.1:8081`; `null` = off. */
  readonly adminUrl: string | null
  /** Whether clients may be sent here: not shutting down, and some server can be reached. */
  ready(): Promise<Readiness>
  metrics(): MetricsSnapshot
  /** Reads configuration, policies and certificate again. Resolves to whether the policy is in use; never rejects. */
  reload(): Promise<boolean>
  reloadPolicy(): Promise<boolean>
  /** Takes no new requests, lets running ones end within the limit (default: `timeouts.drain`), then closes. */
  drain(timeoutMs?: number): Promise<void>
  /** Takes what another process says about the replicas of a server. */
  replicas(table: ServerPlaces): void
  /** Answers somebody at the control socket, whoever holds that. Bound to this proxy. */
  readonly control: (ask: ControlAsk) => Promise<ControlAnswer>
  /** Ends everything now. */
  close(): Promise<void>
}

/**
 * Starts the proxy in this process: the one place where the rooms meet. What was opened before a failure is closed.
 * @throws LoadError for what is wrong in files, Error for an address that cannot be had
 */
export async function startSluice(options: SluiceOptions): Promise<Sluice> {
  const stack = new AsyncDisposableStack()
  try {
    const sluice = new RunningSluice(options, stack)
    await sluice.start()
    return sluice
  } catch (error) {
    await stack.disposeAsync()
    throw error
  }
}

/** How long interceptors may take to close. */
const CLOSE_LIMIT_MS = 5000
const FIRST_WORKER = '1'
const NO_SECRETS = { replicaSecrets: () => ({ env: {}, files: new Map() }), onReplicaChange: () => () => {} }
const DRAINING: Readiness = { ready: false, reasons: ['shutting down'] }

class RunningSluice implements Sluice {
  readonly #options: SluiceOptions
  readonly #stack: AsyncDisposableStack
  readonly #log: Log
  readonly #tools = new ToolTable()
  readonly #identity: Identity
  readonly #metrics: Metrics
  readonly #reach = new Reachability(() => this.#servers.targets)
  #servers!: ServerSet
  #fleet: FleetRunner | null = null
  /** What the last compilation read; in use once it succeeded. */
  #candidate: Config
  #store!: OwnStore
  #credentials!: CredentialTable
  #ownCredentials: LocalCredentials | null = null
  #reloader!: PolicyReloader
  #listener!: Listener
  #downstream!: Downstream
  #onlookers!: Onlookers
  #admin: Admin | null = null
  #routes!: ControlRoutes
  readonly control = (ask: ControlAsk): Promise<ControlAnswer> => this.#routes.answer(ask)
  #draining = false
  #closed: Promise<void> | null = null

  constructor(options: SluiceOptions, stack: AsyncDisposableStack) {
    const { config } = options
    this.#options = options
    this.#stack = stack
    this.#log = options.log ?? silentLog()
    this.#candidate = config
    this.#identity = new Identity(identityOptions(config))
    this.#metrics = new Metrics({
      version: options.version ?? '',
      worker: options.worker ?? '',
      replicas: () => this.#servers.pools.map(pool => pool.states()),
      activeServers: () => this.#servers.pools.filter(pool => pool.ready).length,
      fleet: () => this.#fleet?.fleet.list() ?? [],
      policyGeneration: () => this.#reloader.source.current.generation,
    })
  }

  async start(): Promise<void> {
    const { config } = this.#options
    this.#startObservers()
    const key = this.#options.sessionKey ?? loadSessionKey(config)
    this.#store = this.#options.store ?? (await openStore(config.store, config.workers))
    // After the policy, whose interceptors may have something to keep to the last.
    this.#stack.defer(() => this.#store.close())
    this.#credentials = await this.#openCredentials()
    const watch = [config.file, ...config.valueFiles, ...config.interceptorDirs].filter(path => path !== '')
    this.#reloader = await PolicyReloader.open({ input: () => this.#policyInput(), watch })
    this.#stack.defer(() => within(this.#reloader.close(), CLOSE_LIMIT_MS))
    this.#onlookers = await this.#openOnlookers(watch)
    // After the listener and before the policy, which waits for the last exchange to end.
    await this.#openServers()
    const about: ControlRoute = { method: 'GET', path: '/', handler: () => this.#about() }
    this.#routes = new ControlRoutes([about, ...this.#serverRoutes(), ...this.#onlookers.routes])
    this.#admin = await this.#openAdmin()
    const downstream = this.#createDownstream(new SessionSealer(key))
    this.#downstream = downstream
    this.#listener = await createListener({
      ...listenerOptions(config),
      onRequest: (request, response) => downstream.handle(request, response),
    })
    this.#stack.defer(() => this.#listener.close())
    this.#tellWarnings()
    if (this.#options.watch === false) return
    this.#reloader.watch()
    this.#onlookers.watch()
  }

  get url(): string {
    return this.#listener.url
  }

  get adminUrl(): string | null {
    return this.#admin === null ? null : this.#admin.url
  }

  ready(): Promise<Readiness> {
    return this.#draining ? Promise.resolve(DRAINING) : this.#reach.ready()
  }

  metrics(): MetricsSnapshot {
    return this.#metrics.snapshot()
  }

  async reload(): Promise<boolean> {
    this.#listener.reloadTls()
    const inUse = await this.reloadPolicy()
    await this.#ownCredentials?.look()
    return inUse
  }

  async reloadPolicy(): Promise<boolean> {
    const isLoaded = await this.#reloader.reload()
    await this.#onlookers.reload()
    return isLoaded
  }

  async drain(timeoutMs: number = this.#options.config.timeouts.drainMs): Promise<void> {
    this.#draining = true
    const drained = this.#listener.drain(timeoutMs)
    this.#downstream.cutStanding()
    await drained
    await this.close()
  }

  close(): Promise<void> {
    this.#draining = true
    this.#closed ??= this.#stack.disposeAsync()
    return this.#closed
  }

  #about(): Json {
    const { worker = '', version = '' } = this.#options
    return { version, pid: process.pid, url: this.url, worker, generation: this.#reloader.source.current.generation }
  }

  #startObservers(): void {
    const stopNotices = startNotices(this.#log)
    this.#stack.defer(stopNotices)
    if (this.#options.config.accessLog && this.#log.enabled('warn')) this.#stack.defer(startAccessLog(this.#log))
    this.#metrics.start()
    this.#stack.defer(() => this.#metrics.stop())
    const onReload = (message: unknown): void => this.#afterReload(message as Reload)
    channels.reload.subscribe(onReload)
    this.#stack.defer(() => void channels.reload.unsubscribe(onReload))
  }

  #policyInput(): Omit<PolicyInput, 'generation'> {
    const { reread } = this.#options
    const config = this.#reloader === undefined || reread === undefined ? this.#candidate : reread()
    this.#candidate = config
    return this.#inputOf(config, {})
  }

  #inputOf(config: Config, fields: Readonly<Record<string, unknown>>): Omit<PolicyInput, 'generation'> {
    const { env = process.env, strict = false } = this.#options
    const { interceptorDirs, interceptorModules, baseDir } = config
    const origins = { dirs: interceptorDirs, modules: interceptorModules, baseDir }
    return {
      files: config.policies,
      inline: config.inlinePolicies,
      servers: config.servers.map(server => server.name),
      // What no policy uses is not loaded: a third of the time of a start, and 15 MB.
      registry: used => Registry.load({ ...origins, builtIns: used }),
      services: {
        clock: systemClock,
        logger: entry => this.#log.child({ entry, ...fields }),
        store: this.#store,
        tools: server => this.#tools.get(server),
      },
      env,
      strict,
    }
  }

  async #openOnlookers(watch: readonly string[]): Promise<Onlookers> {
    const { config, reread } = this.#options
    const { shadow: settings, limits } = config
    const onlookers = await Onlookers.open({
      settings,
      watch,
      clock: systemClock,
      tools: this.#tools,
      maxDepth: limits.maxDepth,
      maxEventBytes: limits.maxEventBytes,
      input: async () => {
        const now = this.#onlookers === undefined || reread === undefined ? config : reread()
        // Whether there is a shadow policy is settled at start; which files it is made of is not.
        const policies = (now.shadow ?? settings)?.policies ?? []
        return this.#inputOf({ ...now, policies, inlinePolicies: [] }, { shadow: true })
      },
    })
    this.#stack.defer(() => within(onlookers.close(), CLOSE_LIMIT_MS))
    return onlookers
  }

  /** After a reload: what may change while running is taken over, what needs a restart is named. */
  #afterReload({ what, ok, generation }: Reload): void {
    const before = this.#options.config
    const now = this.#candidate
    // The channel is the process's: only a generation that is ours now is ours.
    const isOurs = what === 'policy' && ok && this.#reloader?.source.current.generation === generation
    if (!isOurs) return
    this.#tellWarnings()
    if (now === before) return
    void this.#changeServers(now)
    this.#options.onConfig?.(now)
    this.#identity.replace(identityOptions({ ...now, listen: before.listen }))
    const fixed = restartKeys(before, now)
    if (fixed.length === 0) return
    const text = 'the configuration has changes that need a restart'
    channels.notice.publish({ level: 'warn', text, fields: { keys: fixed.join(', ') } })
  }

  /** What the policy in use will probably not do; said once, not by each worker. */
  #tellWarnings(): void {
    const { worker = FIRST_WORKER } = this.#options
    if (worker !== FIRST_WORKER) return
    for (const warning of this.#reloader.policy.warnings) this.#log.warn({}, formatDiagnostic(warning))
  }

  /** Pools for all servers, and what runs their replicas where that is done here. Replicas end after the pools. */
  async #openServers(): Promise<void> {
    const { config, fleet: elsewhere } = this.#options
    const link = forwardingLink(elsewhere?.link ?? SILENT_LINK)
    const servers = new ServerSet({ config, link, credentials: this.#credentials })
    this.#servers = servers
    for (const table of elsewhere?.tables ?? []) servers.take(table)
    if (elsewhere === undefined) {
      const secrets = this.#ownCredentials ?? NO_SECRETS
      const fleet = await FleetRunner.open({ config, secrets, onPlaces: table => servers.take(table) })
      this.#stack.defer(() => fleet.close())
      link.target = fleet.fleet.link(FIRST_WORKER)
      this.#fleet = fleet
    }
    this.#stack.defer(() => servers.destroy())
  }

  /** Where another process has the fleet, that asks for what only the pools here know. */
  #serverRoutes(): ControlRoute[] {
    const pools = (): PoolReports => poolReports(this.#servers.pools)
    const own: ControlRoute = { method: 'GET', path: '/pools', handler: () => pools() as unknown as Json }
    if (this.#fleet === null) return [own]
    const { fleet } = this.#fleet
    return [own, ...serverRoutes({ fleet, pools: async () => [pools()], config: () => this.#candidate })]
  }

  replicas(table: ServerPlaces): void {
    this.#servers.take(table)
  }

  /** What has changed is taken over, server by server; what runs goes on. */
  async #changeServers(config: Config): Promise<void> {
    await this.#ownCredentials?.apply(config.credentials)
    if (this.#closed !== null) return
    try {
      // A certificate of `tls` that cannot be read leaves all servers as they were.
      this.#servers.apply(config)
      this.#downstream.setRoutes(this.#servers.routes)
      await this.#fleet?.apply(config)
    } catch (error) {
      const text = 'replicas stay as they were'
      channels.notice.publish({ level: 'error', text, fields: { error: error instanceof Error ? error.message : '' } })
    }
  }

  #createDownstream(sessions: SessionSealer): Downstream {
    const { config } = this.#options
    const relay: RelayServices = {
      plans: this.#reloader.source,
      pending: new PendingRequests(),
      tools: this.#tools,
      firstByteTimeoutMs: config.timeouts.firstByteMs,
      idleTimeoutMs: config.timeouts.idleMs,
      maxDepth: config.limits.maxDepth,
      maxEventBytes: config.limits.maxEventBytes,
      sealSession: (server, replica, upstreamId, principal) =>
        sessions.seal(server, replica, upstreamId, principal, ''),
    }
    this.#onlookers.attach(relay)
    const { allowedHosts, allowedOrigins, limits, timeouts } = config
    const guard = new OriginGuard({ loopback: isLoopbackHost(config.listen.host), allowedHosts, allowedOrigins })
    const { onManyStreams = () => {} } = this.#options
    const { stallMs } = timeouts
    const services = { relay, sessions, identity: this.#identity, guard, limits, stallMs, onManyStreams }
    return new Downstream(services, this.#servers.routes)
  }

  async #openCredentials(): Promise<CredentialTable> {
    const { config, credentials, watch = true } = this.#options
    if (credentials !== undefined) return credentials
    const watching = watch ? {} : { pollMs: 0 }
    const own = await LocalCredentials.open({ spec: config.credentials, clock: systemClock, ...watching })
    this.#stack.defer(() => own.close())
    this.#ownCredentials = own
    return own.table
  }

  async #openAdmin(): Promise<Admin | null> {
    const { admin } = this.#options.config
    if (admin === null) return null
    const opened = await createAdmin({
      ...admin,
      live: () => true,
      ready: () => this.ready(),
      metrics: () => this.#metrics.render(),
      servers: () => this.#servers.pools.map(pool => describeServer(pool, this.#fleet)),
    })
    this.#stack.defer(() => opened.close())
    return opened
  }
}

/** Waits for `promise`, but no longer than this. */
async function within(promise: Promise<void>, limitMs: number): Promise<void> {
  const limit = Promise.withResolvers<void>()
  const timer = setTimeout(limit.resolve, limitMs)
  await Promise.race([promise, limit.promise])
  clearTimeout(timer)
}

function silentLog(): Log {
  return createLog({ level: 'silent', format: 'json', destination: { write: () => true } })
}

/** What the pool sees, and, where this process runs the replicas, what the fleet knows. */
function describeServer(pool: ReplicaPool, runner: FleetRunner | null): Json {
  const status = runner?.fleet.status(pool.name) ?? null
  const seen = { name: pool.name, ready: pool.ready, replicas: pool.list() as unknown as Json }
  return status === null || status.source === 'static' ? seen : { ...seen, fleet: status as unknown as Json }
}

function identityOptions(config: Config): IdentityOptions {
  return {
    clients: config.clients,
    anonymous: config.anonymous === 'allow',
    // Again here, because --listen may have come on top of what the file's own check saw.
    trustClientId: config.trustClientId && isLoopbackHost(config.listen.host),
  }
}

function listenerOptions(config: Config): Omit<Parameters<typeof createListener>[0], 'onRequest'> {
  const { listen, tls, limits, timeouts } = config
  return {
    host: listen.host,
    port: listen.port,
    tls: tls === null ? null : { certFile: tls.cert, keyFile: tls.key },
    limits,
    timeouts: {
      headersMs: timeouts.headerMs,
      requestMs: timeouts.headerMs + timeouts.bodyMs,
      keepAliveMs: timeouts.keepAliveMs,
    },
  }
}

/** Keys of the configuration that are read only at start, and how to compare them. */
const AT_START: Readonly<Record<string, (config: Config) => unknown>> = {
  listen: config => config.listen,
  admin: config => config.admin,
  workers: config => config.workers,
  log_level: config => config.logLevel,
  access_log: config => config.accessLog,
  tls: config => config.tls,
  session_key: config => config.sessionKey,
  control_socket: config => config.controlSocket,
  allowed_hosts: config => config.allowedHosts,
  allowed_origins: config => config.allowedOrigins,
  limits: config => config.limits,
  store: config => config.store,
  timeouts: config => config.timeouts,
  shadow: config => config.shadow && { ...config.shadow, policies: [] },
  fleet: config => config.fleet,
}

function restartKeys(before: Config, now: Config): string[] {
  const differs = (key: string): boolean =>
    JSON.stringify(AT_START[key]?.(before)) !== JSON.stringify(AT_START[key]?.(now))
  return Object.keys(AT_START).filter(differs)
}
