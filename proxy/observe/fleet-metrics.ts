import { channels, type FleetEvent } from './channels.ts'
import { type FamilySnapshot, type SeriesSnapshot, snapshotFamily } from './exposition.ts'
import { Family, Histogram, labelText, Value } from './series.ts'

/** A server with replicas, as the fleet tells of it. */
export interface FleetFigures {
  readonly name: string
  /** -1 = others decide. */
  readonly desired: number
  readonly replicas: readonly { readonly state: string; readonly memoryBytes: number; readonly cpuCores: number }[]
}

const STATES = ['starting', 'warming', 'ready', 'draining', 'stopping'] as const
const MAX_SERIES = 2000

/** The metrics of the process that holds the fleet. */
export class FleetMetrics {
  readonly #restarts = new Family(
    {
      name: 'sluice_fleet_restarts_total',
      help: 'Replicas that were lost, by a crash or a failed check, and replaced.',
      type: 'counter',
      labels: ['server'],
    },
    () => new Value(),
    MAX_SERIES,
  )
  readonly #starts = new Family(
    {
      name: 'sluice_fleet_start_duration_seconds',
      help: 'From the decision to start a replica until it was ready.',
      type: 'histogram',
      labels: ['server'],
    },
    () => new Histogram(),
    MAX_SERIES,
  )
  readonly #onEvent = (message: unknown): void => this.#take(message as FleetEvent)

  start(): void {
    channels.fleet.subscribe(this.#onEvent)
  }

  stop(): void {
    channels.fleet.unsubscribe(this.#onEvent)
  }

  /** @param servers those whose replicas run here; none = no gauges */
  snapshot(servers: readonly FleetFigures[]): FamilySnapshot[] {
    const run = servers.filter(server => server.desired !== -1)
    return [
      gauge('sluice_fleet_replicas', 'Replicas that Sluice runs, by state.', run.flatMap(byState)),
      gauge(
        'sluice_fleet_desired_replicas',
        'How many there should be.',
        run.map(({ name, desired }) => series(['server'], [name], desired)),
      ),
      gauge('sluice_server_memory_usage_bytes', 'Memory of all replicas of a server.', run.flatMap(memory)),
      gauge('sluice_server_cpu_usage_cores', 'Processors that all replicas of a server use.', run.flatMap(cpu)),
      snapshotFamily(this.#restarts),
      snapshotFamily(this.#starts),
    ]
  }

  #take({ server, what, seconds }: FleetEvent): void {
    if (what === 'lost') this.#restarts.get(server).value++
    else this.#starts.get(server).observe(seconds)
  }
}

function byState({ name, replicas }: FleetFigures): SeriesSnapshot[] {
  return STATES.map(state => {
    const count = replicas.filter(replica => replica.state === state).length
    return series(['server', 'state'], [name, state], count)
  })
}

/** Absent where nothing is known, which is not the same as 0. */
function memory({ name, replicas }: FleetFigures): SeriesSnapshot[] {
  return sum(
    name,
    replicas.map(one => one.memoryBytes),
  )
}

function cpu({ name, replicas }: FleetFigures): SeriesSnapshot[] {
  return sum(
    name,
    replicas.map(one => one.cpuCores),
  )
}

function sum(name: string, values: readonly number[]): SeriesSnapshot[] {
  const known = values.filter(value => value >= 0)
  if (known.length === 0) return []
  return [
    series(
      ['server'],
      [name],
      known.reduce((a, b) => a + b, 0),
    ),
  ]
}

function series(names: readonly string[], values: readonly string[], value: number): SeriesSnapshot {
  return { labels: labelText(names, values), value, counts: null }
}

function gauge(name: string, help: string, all: readonly SeriesSnapshot[]): FamilySnapshot {
  return { name, help, type: 'gauge', merge: 'sum', series: all }
}
