import cluster, { type Worker } from 'node:cluster'
import { extname } from 'node:path'
import { fileURLToPath } from 'node:url'
import type { Json } from '../../api/index.ts'
import { systemClock } from '../../base/clock.ts'
import type { Config } from '../../config/config.ts'
import type { ShownValues } from '../../credentials/shown.ts'
import { type Admin, createAdmin, type Readiness } from '../../observe/admin.ts'
import { Aggregate } from '../../observe/aggregate.ts'
import { type Control, type ControlAsk, openControl } from '../../observe/control.ts'
import { type ControlAnswer, type ControlRoute, ControlRoutes } from '../../observe/control-routes.ts'
import type { Log } from '../../observe/log.ts'
import { Metrics } from '../../observe/metrics.ts'
import { startNotices } from '../../observe/notices.ts'
import { Reachability } from '../../upstream/reachability.ts'
import type { PoolReports } from '../../wiring/server-report.ts'
import { controlPath, openOrSay } from '../control-place.ts'
import { ReportedError } from '../failure.ts'
import { configOf, type Settings } from '../settings.ts'
import { SMALL_START } from '../start-memory.ts'
import { ControlDesk } from './control.ts'
import { CredentialDesk } from './credentials.ts'
import { FleetDesk } from './fleet.ts'
import { LimitDesk } from './limits.ts'
import type { Order, Report } from './protocol.ts'

export interface SupervisorOptions {
  readonly config: Config
  readonly settings: Settings
  readonly sessionKey: Buffer
  readonly log: Log
  readonly version: string
}

/** The first restart after a crash comes after this, each further one after twice as long… */
const FIRST_BACKOFF_MS = 250
/** …but at most after this: so at most two tries a minute for a worker that cannot start at all. */
const MAX_BACKOFF_MS = 30_000
/** A worker that lived this long is healthy: its next crash counts as the first. */
const HEALTHY_MS = 60_000
/** How long a worker may take to answer a scrape; then its last figures are used. */
const SCRAPE_TIMEOUT_MS = 2000
/** What workers get beyond the drain limit before they are killed. */
const KILL_GRACE_MS = 5000

/** The place of one worker: the process in it changes when it crashes. */
class Slot {
  readonly name: string
  worker: Worker | null = null
  /** Whether the process was told to start: then it listens, or will. */
  isOrdered = false
  isServing = false
  startedAt = 0
  crashes = 0
  timer: NodeJS.Timeout | null = null

  constructor(name: string) {
    this.name = name
  }
}

/**
 * Several worker processes on one port, and this one above them: it hands connections out in turn, starts a crashed
 * worker again, sums up metrics, and passes reload and drain on. It handles no request itself.
 */
export class Supervisor {
  readonly #options: SupervisorOptions
  readonly #slots: readonly Slot[]
  readonly #aggregate = new Aggregate()
  readonly #limits = new LimitDesk(systemClock)
  readonly #desk = new ControlDesk((worker, id, order) => {
    for (const slot of this.#slots) if (slot.name === worker) send(slot, { type: 'control', id, order })
  })
  /** What is answered here; everything else by the workers. */
  #routes = new ControlRoutes([])
  readonly #own: Metrics
  readonly #reach = new Reachability(() => this.#fleet.targets)
  readonly #scrapes = new Map<number, (report: Extract<Report, { type: 'metrics' }>) => void>()
  readonly #started = Promise.withResolvers<void>()
  /** What workers ask for when they listen. */
  #port: number
  #scrapeId = 0
  #admin: Admin | null = null
  #control: Control | null = null
  #credentials!: CredentialDesk
  #fleet!: FleetDesk
  #stopNotices: () => void = () => {}
  #stopping: Promise<void> | null = null
  url = ''

  constructor(options: SupervisorOptions) {
    this.#options = options
    this.#port = options.config.listen.port
    this.#slots = Array.from({ length: options.config.workers }, (_, index) => new Slot(String(index + 1)))
    const fleet = (): ReturnType<FleetDesk['list']> => this.#fleet?.list() ?? []
    this.#own = new Metrics({ version: options.version, worker: 'supervisor', fleet })
  }

  /** Resolves when every worker serves. @throws ReportedError what the first worker that cannot start says */
  async start(): Promise<void> {
    const { config, log } = this.#options
    cluster.setupPrimary({
      exec: fileURLToPath(new URL(`./worker${extname(import.meta.filename)}`, import.meta.url)),
      args: [],
      execArgv: [...process.execArgv, SMALL_START],
    })
    this.#stopNotices = startNotices(log)
    this.#own.start()
    try {
      this.#credentials = await this.#openCredentials()
      this.#fleet = await this.#openFleet()
      const about: ControlRoute = { method: 'GET', path: '/', handler: () => this.#about() }
      this.#routes = new ControlRoutes([about, ...this.#fleet.routes(() => this.#pools())])
      if (config.admin !== null) this.#admin = await this.#openAdmin(config.admin)
      for (const slot of this.#slots) this.#fork(slot)
      await this.#started.promise
      await this.#openControl()
    } catch (error) {
      await this.close()
      throw error
    }
  }

  get adminUrl(): string | null {
    return this.#admin === null ? null : this.#admin.url
  }

  /** Passes it on; each worker says in the log what came of it. */
  reload(): Promise<void> {
    for (const slot of this.#slots) send(slot, { type: 'reload' })
    return this.#credentials.reload()
  }

  drain(timeoutMs: number = this.#options.config.timeouts.drainMs): Promise<void> {
    this.#stopping ??= this.#stop({ type: 'drain', timeoutMs }, timeoutMs + KILL_GRACE_MS)
    return this.#stopping
  }

  /** Kills the workers. */
  close(): Promise<void> {
    for (const slot of this.#slots) slot.worker?.process.kill('SIGKILL')
    this.#stopping ??= this.#stop(null, 0)
    return this.#stopping
  }

  #openCredentials(): Promise<CredentialDesk> {
    const { config, settings } = this.#options
    const publish = (all: readonly ShownValues[]): void => {
      for (const slot of this.#slots) if (slot.isOrdered) send(slot, { type: 'credentials', all })
    }
    return CredentialDesk.open({ config, publish, reread: () => configOf(settings, process.env) })
  }

  #openFleet(): Promise<FleetDesk> {
    const { config, settings } = this.#options
    return FleetDesk.open({
      config,
      secrets: this.#credentials,
      reread: () => configOf(settings, process.env),
      publish: table => {
        for (const slot of this.#slots) if (slot.isOrdered) send(slot, { type: 'places', table })
      },
    })
  }

  #openAdmin(place: { host: string; port: number }): Promise<Admin> {
    return createAdmin({
      ...place,
      live: () => this.#slots.some(slot => slot.isServing) || this.url === '',
      ready: () => this.#ready(),
      metrics: () => this.#metrics(),
      servers: () => this.#fleet.describe(),
    })
  }

  async #openControl(): Promise<void> {
    const { config } = this.#options
    const path = controlPath(config, this.url)
    this.#control = await openOrSay(config, path, () => openControl({ path, answer: ask => this.#answer(ask) }))
  }

  #answer(ask: ControlAsk): Promise<ControlAnswer> {
    if (this.#routes.knows(ask.path)) return this.#routes.answer(ask)
    return this.#desk.ask(this.#servingNames(), ask)
  }

  /** What only the workers know about replicas. One that does not answer in time is left out. */
  async #pools(): Promise<PoolReports[]> {
    const signal = AbortSignal.timeout(SCRAPE_TIMEOUT_MS)
    const names = this.#servingNames()
    if (names.length === 0) return []
    const answer = await this.#desk.ask(names, { method: 'GET', path: '/pools', query: {}, body: null, signal })
    const { workers } = answer as unknown as { workers: Record<string, PoolReports & { error?: unknown }> }
    return Object.values(workers).filter(reports => typeof reports.error !== 'string')
  }

  #servingNames(): string[] {
    return this.#slots.filter(slot => slot.isServing).map(slot => slot.name)
  }

  #about(): Json {
    const workers = this.#slots.map(slot => ({
      worker: slot.name,
      pid: slot.worker?.process.pid ?? null,
      serving: slot.isServing,
    }))
    return { version: this.#options.version, pid: process.pid, url: this.url, workers }
  }

  async #ready(): Promise<Readiness> {
    if (this.#stopping !== null) return { ready: false, reasons: ['shutting down'] }
    const down = this.#slots.filter(slot => !slot.isServing).map(slot => `worker ${slot.name} is not serving`)
    return down.length > 0 ? { ready: false, reasons: down } : this.#reach.ready()
  }

  async #metrics(): Promise<string> {
    await Promise.all(this.#slots.filter(slot => slot.isServing).map(slot => this.#scrape(slot)))
    return this.#aggregate.render(this.#own.snapshot())
  }

  #scrape(slot: Slot): Promise<void> {
    const id = ++this.#scrapeId
    return new Promise(resolve => {
      const done = (): void => {
        clearTimeout(timer)
        this.#scrapes.delete(id)
        resolve()
      }
      const timer = setTimeout(done, SCRAPE_TIMEOUT_MS)
      this.#scrapes.set(id, ({ snapshot }) => {
        this.#aggregate.update(snapshot)
        done()
      })
      send(slot, { type: 'metrics', id })
    })
  }

  #fork(slot: Slot): void {
    // For interceptors that write files: which of several workers this is, also after a restart.
    const worker = cluster.fork({ SLUICE_WORKER: slot.name })
    slot.worker = worker
    slot.startedAt = performance.now()
    worker.on('message', (report: Report) => this.#hear(slot, report))
    worker.on('exit', (code, signal) => this.#gone(slot, code, signal))
    // A worker that dies while it is spoken to: its exit says what there is to say.
    worker.on('error', () => {})
  }

  #hear(slot: Slot, report: Report): void {
    if (report.type === 'up') this.#order(slot)
    else if (report.type === 'serving') this.#serving(slot, report.url)
    else if (report.type === 'failed') this.#failed(slot, report.text, report.exitCode)
    else if (report.type === 'metrics') this.#scrapes.get(report.id)?.(report)
    else if (report.type === 'limit') {
      send(slot, { type: 'limit', id: report.id, answer: this.#limits.answer(slot.name, report.question) })
    } else if (report.type === 'control') this.#desk.heard(report.id, report.report)
    else if (report.type === 'fleet') this.#fleet.heard(slot.name, report.word)
    else if (report.type === 'config') void this.#fleet.reload()
    else if (report.type === 'renew') this.#credentials.renew(report.server, report.client, report.version)
  }

  #order(slot: Slot): void {
    const { settings, sessionKey } = this.#options
    // Workers share a socket if they ask for it by the same number, be it 0. It lives as long as one of them; when all
    // have died, its successor must have the port that clients know.
    if (this.url !== '' && !this.#slots.some(one => one.isOrdered)) this.#port = Number(new URL(this.url).port)
    slot.isOrdered = true
    const port = this.#port
    const key = sessionKey.toString('base64')
    const credentials = this.#credentials.values
    const tables = this.#fleet.begin(slot.name)
    send(slot, { type: 'start', worker: slot.name, settings, sessionKey: key, credentials, tables, port })
  }

  #serving(slot: Slot, url: string): void {
    slot.isServing = true
    this.#options.log.info({ worker: slot.name, pid: slot.worker?.process.pid }, 'worker serves')
    if (this.url === '') this.url = url
    if (this.#slots.every(one => one.isServing)) this.#started.resolve()
  }

  #failed(slot: Slot, text: string, exitCode: number): void {
    // At the first start the command itself says it.
    if (this.url !== '') this.#options.log.error({ worker: slot.name, error: text }, 'a worker cannot start')
    this.#started.reject(new ReportedError(text, exitCode))
  }

  #gone(slot: Slot, code: number | null, signal: string | null): void {
    slot.worker = null
    slot.isOrdered = false
    slot.isServing = false
    this.#aggregate.retire(slot.name)
    this.#limits.gone(slot.name)
    this.#desk.gone(slot.name)
    this.#fleet.gone(slot.name)
    if (this.#stopping !== null) return
    const text = `worker ${slot.name} ended before it served (${signal ?? `exit code ${code}`})`
    this.#started.reject(new ReportedError(`sluice: ${text}`, 1))
    slot.crashes = performance.now() - slot.startedAt > HEALTHY_MS ? 1 : slot.crashes + 1
    const delayMs = Math.min(MAX_BACKOFF_MS, FIRST_BACKOFF_MS * 2 ** (slot.crashes - 1))
    const fields = { worker: slot.name, code, signal, crashes: slot.crashes, restart_in_ms: delayMs }
    this.#options.log.error(fields, 'a worker ended unexpectedly')
    slot.timer = setTimeout(() => this.#fork(slot), delayMs)
  }

  async #stop(order: Order | null, limitMs: number): Promise<void> {
    void this.#control?.close()
    this.#credentials?.close()
    const living = this.#slots.flatMap(slot => (slot.worker === null ? [] : [slot.worker]))
    for (const slot of this.#slots) {
      if (slot.timer !== null) clearTimeout(slot.timer)
      if (order !== null) send(slot, order)
    }
    const kill = setTimeout(() => {
      for (const worker of living) worker.process.kill('SIGKILL')
    }, limitMs)
    await Promise.all(living.map(ended))
    clearTimeout(kill)
    // Not there when it could not be opened.
    await (this.#fleet as FleetDesk | undefined)?.close()
    await this.#admin?.close()
    this.#own.stop()
    this.#stopNotices()
  }
}

function send(slot: Slot, order: Order): void {
  // A channel that just broke is no news: the worker's exit follows.
  if (slot.worker?.isConnected()) slot.worker.send(order, () => {})
}

function ended(worker: Worker): Promise<void> {
  if (worker.isDead()) return Promise.resolve()
  return new Promise(resolve => worker.once('exit', () => resolve()))
}
