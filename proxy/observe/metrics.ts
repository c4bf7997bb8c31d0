import { type Counted, channels, type ExchangeEnd, type Guarded, type Refusal, type Reload } from './channels.ts'
import { ExchangeMetrics } from './exchange-metrics.ts'
import {
  type FamilySnapshot,
  type MetricsSnapshot,
  mergeSnapshots,
  renderSnapshot,
  snapshotFamily,
} from './exposition.ts'
import { createFamilies, type Families } from './families.ts'
import { type FleetFigures, FleetMetrics } from './fleet-metrics.ts'
import { OwnCounters } from './own-counters.ts'
import { ProcessMetrics } from './process-metrics.ts'
import { labelText } from './series.ts'

export interface MetricsOptions {
  /** Sluice's version, for `sluice_build_info`. */
  readonly version: string
  /** Tells the workers' process metrics apart; `''` = no `worker` label (one process). Default `''`. */
  readonly worker?: string
  /** Series a metric may have; new label values beyond it become `other`. Per process. Default 2000. */
  readonly maxSeriesPerMetric?: number
  /** Asked at each scrape: how many MCP servers have a reachable replica. Without it the metric is absent. */
  readonly activeServers?: () => number
  /** Asked at each scrape: the replicas of each server. */
  readonly replicas?: () => readonly ReplicaStates[]
  /** Asked at each scrape: servers whose replicas run here. */
  readonly fleet?: () => readonly FleetFigures[]
  /** Asked at each scrape: the generation of the policy in use. Default: what the last good reload said. */
  readonly policyGeneration?: () => number
}

const REPLICA_STATES = ['ready', 'draining', 'open', 'half_open'] as const

/** How it stands with the replicas of a server, as one worker sees them. */
export interface ReplicaStates {
  readonly server: string
  readonly ready: number
  readonly draining: number
  /** Those whose circuit is not closed count as that only. */
  readonly open: number
  readonly half_open: number
  /** Requests that wait for a replica, or for room. */
  readonly waiting: number
}

type Listener = (message: unknown) => void

/**
 * The process's own metrics. `start` subscribes to the channels, until then nothing costs anything; `render` gives
 * Prometheus text 0.0.4. Where there are several workers the primary process asks each for its `snapshot`, and renders
 * what `Metrics.merge` makes of them (or keeps them in an `Aggregate`, which also remembers workers that are gone).
 */
export class Metrics {
  readonly #options: MetricsOptions
  readonly #families: Families
  readonly #exchanges: ExchangeMetrics
  readonly #process = new ProcessMetrics()
  readonly #fleet = new FleetMetrics()
  readonly #own: OwnCounters
  readonly #onStart: Listener
  readonly #onEnd: Listener
  readonly #onRefusal: Listener
  readonly #onReload: Listener
  readonly #onCounted: Listener
  readonly #onGuarded: Listener

  constructor(options: MetricsOptions) {
    this.#options = options
    this.#families = createFamilies(options.maxSeriesPerMetric ?? 2000)
    this.#exchanges = new ExchangeMetrics(this.#families)
    this.#own = new OwnCounters(options.maxSeriesPerMetric ?? 2000)
    for (const result of ['success', 'failure']) this.#families.policyReloads.get(result)
    this.#onStart = server => this.#exchanges.start(server as string)
    this.#onEnd = end => this.#exchanges.end(end as ExchangeEnd)
    this.#onRefusal = refusal => this.#families.refusals.get((refusal as Refusal).code).value++
    this.#onReload = reload => this.#reload(reload as Reload)
    this.#onCounted = counted => this.#own.count(counted as Counted)
    this.#onGuarded = guarded => this.#guarded(guarded as Guarded)
  }

  /** Subscribes. A second call does nothing new. */
  start(): void {
    this.stop()
    this.#process.start()
    this.#fleet.start()
    channels.exchangeStart.subscribe(this.#onStart)
    channels.exchangeEnd.subscribe(this.#onEnd)
    channels.refusal.subscribe(this.#onRefusal)
    channels.reload.subscribe(this.#onReload)
    channels.counted.subscribe(this.#onCounted)
    channels.guarded.subscribe(this.#onGuarded)
  }

  /** Unsubscribes; what was counted stays. */
  stop(): void {
    this.#process.stop()
    this.#fleet.stop()
    channels.exchangeStart.unsubscribe(this.#onStart)
    channels.exchangeEnd.unsubscribe(this.#onEnd)
    channels.refusal.unsubscribe(this.#onRefusal)
    channels.reload.unsubscribe(this.#onReload)
    channels.counted.unsubscribe(this.#onCounted)
    channels.guarded.unsubscribe(this.#onGuarded)
  }

  snapshot(): MetricsSnapshot {
    const { activeServers, replicas, policyGeneration, worker = '' } = this.#options
    if (replicas !== undefined) for (const states of replicas()) this.#replicas(states)
    if (activeServers !== undefined) this.#families.activeServers.get().value = activeServers()
    if (policyGeneration !== undefined) this.#families.generation.get().value = policyGeneration()
    const families = Object.values(this.#families).map(snapshotFamily)
    families.push(...this.#fleet.snapshot(this.#options.fleet?.() ?? []))
    return { worker, families: [...families, ...this.#own.snapshot(), ...this.#process.snapshot(), this.#buildInfo()] }
  }

  render(): string {
    return renderSnapshot(this.snapshot())
  }

  static merge(snapshots: readonly MetricsSnapshot[]): MetricsSnapshot {
    return mergeSnapshots(snapshots)
  }

  static render(snapshot: MetricsSnapshot): string {
    return renderSnapshot(snapshot)
  }

  #reload(reload: Reload): void {
    const result = reload.ok ? 'success' : 'failure'
    if (reload.what !== 'policy') {
      this.#families.configReloads.get(reload.what, result).value++
      return
    }
    this.#families.policyReloads.get(result).value++
    if (reload.ok) this.#families.generation.get().value = reload.generation
  }

  #guarded({ server, event }: Guarded): void {
    this.#families.guarded.get(server, event).value++
  }

  #replicas(states: ReplicaStates): void {
    const { server, waiting } = states
    for (const state of REPLICA_STATES) this.#families.replicas.get(server, state).value = states[state]
    this.#families.waiting.get(server).value = waiting
  }

  #buildInfo(): FamilySnapshot {
    const labels = labelText(['version', 'node'], [this.#options.version, process.version])
    const series = [{ labels, value: 1, counts: null }]
    return {
      name: 'sluice_build_info',
      help: 'Always 1; the labels say what runs.',
      type: 'gauge',
      merge: 'max',
      series,
    }
  }
}
