import type { Json } from '../../api/index.ts'
import { LoadError } from '../../base/diagnostic.ts'
import type { Config } from '../../config/config.ts'
import type { ServerStatus } from '../../fleet/status.ts'
import { channels } from '../../observe/channels.ts'
import type { ControlRoute } from '../../observe/control-routes.ts'
import { type Target, targetOf } from '../../upstream/reachability.ts'
import type { FleetLink, ServerPlaces } from '../../upstream/replica-table.ts'
import { FleetRunner, type SecretSource } from '../../wiring/fleet-runner.ts'
import type { PoolReports } from '../../wiring/server-report.ts'
import { serverRoutes } from '../../wiring/server-routes.ts'
import { staticTable } from '../../wiring/server-set.ts'

/** What a worker tells the fleet: one call of its `FleetLink`. */
export type FleetWord =
  | { readonly what: 'wanted'; readonly server: string }
  | { readonly what: 'load'; readonly server: string; readonly inFlight: number; readonly waiting: number }
  | { readonly what: 'suspect' | 'drained'; readonly server: string; readonly replica: string }

export interface FleetDeskOptions {
  readonly config: Config
  readonly secrets: SecretSource
  /** Reads the configuration afresh; throws a LoadError. */
  reread(): Config
  /** Tells every worker. */
  publish(table: ServerPlaces): void
}

/** The supervisor's side: runs and finds replicas for all workers. */
export class FleetDesk {
  readonly #options: FleetDeskOptions
  readonly #runner: FleetRunner
  readonly #links = new Map<string, FleetLink>()
  #config: Config

  private constructor(options: FleetDeskOptions, runner: FleetRunner) {
    this.#options = options
    this.#runner = runner
    this.#config = options.config
  }

  static async open(options: FleetDeskOptions): Promise<FleetDesk> {
    const { config, secrets, publish } = options
    return new FleetDesk(options, await FleetRunner.open({ config, secrets, onPlaces: publish }))
  }

  /** A worker is about to begin. @returns what it has to know */
  begin(worker: string): ServerPlaces[] {
    this.#links.set(worker, this.#runner.fleet.link(worker))
    return this.#runner.fleet.tables
  }

  heard(worker: string, word: FleetWord): void {
    const link = this.#links.get(worker)
    if (link === undefined) return
    if (word.what === 'wanted') link.wanted(word.server)
    else if (word.what === 'load') link.load(word.server, word.inFlight, word.waiting)
    else link[word.what](word.server, word.replica)
  }

  gone(worker: string): void {
    if (this.#links.delete(worker)) this.#runner.fleet.workerGone(worker)
  }

  /** A worker has taken another configuration into use: so it is a good one. */
  async reload(): Promise<void> {
    try {
      const config = this.#options.reread()
      await this.#runner.apply(config)
      this.#config = config
    } catch (error) {
      // It has been changed again since; who reads that says what is wrong with it.
      if (error instanceof LoadError) return
      const fields = { error: error instanceof Error ? error.message : String(error) }
      channels.notice.publish({ level: 'error', text: 'replicas stay as they were', fields })
    }
  }

  get targets(): Target[] {
    const tables = new Map(this.#runner.fleet.tables.map(table => [table.server, table]))
    return this.#config.servers.map(server => targetOf(tables.get(server.name) ?? staticTable(server)))
  }

  /** What `sluice server` asks for. @param pools what those of every worker say */
  routes(pools: () => Promise<readonly PoolReports[]>): ControlRoute[] {
    return serverRoutes({ fleet: this.#runner.fleet, pools, config: () => this.#config })
  }

  list(): ServerStatus[] {
    return this.#runner.fleet.list()
  }

  /** For the admin listener, in the shape that one process alone has there. */
  describe(): Json[] {
    return this.list().map(status => {
      const ready = status.replicas.some(({ state }) => state === 'ready')
      return { name: status.name, ready, fleet: status as unknown as Json }
    })
  }

  close(): Promise<void> {
    return this.#runner.close()
  }
}

/** The worker's side. */
export function fleetLink(tell: (word: FleetWord) => void): FleetLink {
  return {
    wanted: server => tell({ what: 'wanted', server }),
    load: (server, inFlight, waiting) => tell({ what: 'load', server, inFlight, waiting }),
    suspect: (server, replica) => tell({ what: 'suspect', server, replica }),
    drained: (server, replica) => tell({ what: 'drained', server, replica }),
  }
}
