import type { Scenario } from '../../proxy/load/scenario.ts'
import { cpuMicros, machineCpuMicros, type Running } from '../lib/process.ts'
import { drift, most, type Sample } from './figures.ts'
import { type GeneratorKind, generatorFor, type LoadFigures } from './generator.ts'
import { openSockets, rssBytes } from './memory.ts'
import type { Stage } from './stage.ts'
import type { System } from './systems.ts'

/** Until the compilers have seen enough, however slow the machine is at the moment. */
const WARM_UP_REQUESTS = 40_000
const WARM_UP_RUNS = 3
const RSS_EVERY_MS = 100
/** Runs as long as this one are looked at for what they leave behind. */
const LONG_MS = 60_000
/** Longer than connections to servers are kept. */
const SETTLE_MS = 10_000

export interface Rounds {
  readonly rounds: number
  readonly generator: GeneratorKind
  readonly allowedFailures: number
  /** Called before memory is looked at for the first time; `''` = none. */
  readonly warmUpTool: string
  /** Called after each sample. */
  onSample(sample: Sample): void
}

/**
 * Warms up, then measures the systems one after the other. Every second round runs backwards, so that a machine that gets
 * slower or faster meets all alike. Throws when more requests failed than may.
 */
export async function measure(stage: Stage, options: Rounds): Promise<Sample[]> {
  if (options.warmUpTool !== '') {
    const mix = [{ weight: 1, call: options.warmUpTool, progress: false, think_time: 0, arguments: { text: 'x' } }]
    for (const system of stage.systems)
      await warmUp({ ...system, load: { ...system.load, mix, connections: 16 } }, stage, 'auto')
  }
  const idle = new Map(
    stage.systems.map(system => [system.name, { bytes: rssBytes(system.pids()), sockets: openSockets(system.pids()) }]),
  )
  for (const system of stage.systems) await warmUp(system, stage, options.generator)
  const samples: Sample[] = []
  for (let round = 0; round < options.rounds; round++) {
    for (const system of round % 2 === 0 ? stage.systems : stage.systems.toReversed()) {
      const probe = new Probe(system, stage.upstreams, idle.get(system.name) ?? { bytes: 0, sockets: 0 })
      const generator = generatorFor(options.generator, system.load, stage.dir)
      const load = await generator.run(system.url, system.load, probe)
      if (system.load.duration >= LONG_MS) await probe.settle()
      const sample = probe.sample(load, round)
      if (load.requests === 0 || load.failed / load.requests > options.allowedFailures) throw failure(system, load)
      samples.push(sample)
      options.onSample(sample)
    }
  }
  return samples
}

async function warmUp(system: System, { dir }: Stage, kind: GeneratorKind): Promise<void> {
  // As fast as it goes, whatever the rate of the rounds: at a few hundred a second the compilers would still be at work in them.
  const load: Scenario = { ...system.load, rate: null, duration: 1000, idle_streams: 0 }
  const nothing = { begin: () => {}, end: () => {} }
  const generator = generatorFor(kind, load, dir)
  let requests = 0
  // Our own generator runs for three seconds at least.
  const runs = generator.name === 'wrk' ? WARM_UP_RUNS : 1
  for (let run = 0; run < runs && requests < WARM_UP_REQUESTS; run++) {
    requests += (await generator.run(system.url, load, nothing)).requests
  }
}

function failure(system: System, load: LoadFigures): Error {
  const kinds = Object.entries(load.errors).filter(([, count]) => count > 0)
  const text = kinds.map(([kind, count]) => `${count} x ${kind}`).join(', ')
  const said = system.running?.output() ?? ''
  return new Error(
    `${system.name}: ${load.requests} answers, ${load.failed} failed (${text}); it said:\n${said || '(nothing)'}`,
  )
}

/** Watches a system from outside while it is under load. */
class Probe {
  readonly #system: System
  readonly #upstreams: readonly number[]
  readonly #idle: Idle
  /** Of each look. */
  readonly #bytes: number[] = []
  #leaked = Number.NaN
  #timer: NodeJS.Timeout | null = null
  #from: Snapshot
  #to: Snapshot | null = null

  constructor(system: System, upstreams: readonly Running[], idle: Idle) {
    this.#system = system
    this.#upstreams = upstreams.map(({ pid }) => pid)
    this.#idle = idle
    this.#from = this.#snapshot()
  }

  begin(): void {
    this.#from = this.#snapshot()
    this.#timer = setInterval(() => this.#look(), RSS_EVERY_MS)
  }

  end(): void {
    this.#look()
    this.#to = this.#snapshot()
    if (this.#timer !== null) clearInterval(this.#timer)
  }

  /** Waits until nothing needs to be open any more, and counts what is. */
  async settle(): Promise<void> {
    await new Promise(resolve => setTimeout(resolve, SETTLE_MS))
    this.#leaked = openSockets(this.#system.pids()) - this.#idle.sockets
  }

  sample(load: LoadFigures, round: number): Sample {
    if (this.#to === null) this.end()
    const [from, to] = [this.#from, this.#to ?? this.#snapshot()]
    const cpu = to.own - from.own
    const upstream = to.upstream - from.upstream
    const wall = to.at - from.at
    const seconds = wall / 1e6
    const own = this.#system.running !== null
    const peak = most(this.#bytes)
    const known = (value: number): number => (own ? value : Number.NaN)
    return {
      system: this.#system.name,
      round,
      requests: load.requests,
      failed: load.failed,
      errors: load.errors,
      figures: {
        cpu: known(cpu / load.requests),
        rate: load.requests / load.seconds,
        megabytes: load.bytes / 1e6 / load.seconds,
        p50: load.p50,
        p90: load.p90,
        p99: load.p99,
        p999: load.p999,
        first: load.first,
        rss: known(peak / 1e6),
        growth: known((peak - this.#idle.bytes) / 1e6),
        drift: known(drift(this.#bytes)),
        leaked: known(this.#leaked),
        share: known((cpu / wall) * 100),
        failures: (load.failed / load.requests) * 100,
      },
      loadCpuShare: load.cpuShare,
      isPaced: load.isPaced === true,
      upstreamCpuShare: upstream / 1e6 / seconds,
      otherCpuShare: Math.max(0, (to.machine - from.machine - cpu - upstream - load.cpuShare * wall) / wall),
    }
  }

  #look(): void {
    this.#bytes.push(rssBytes(this.#system.pids()))
  }

  #snapshot(): Snapshot {
    const own = cpuMicros(this.#system.pids())
    return { at: performance.now() * 1e3, own, upstream: cpuMicros(this.#upstreams), machine: machineCpuMicros() }
  }
}

/** Before anything was asked. */
interface Idle {
  readonly bytes: number
  readonly sockets: number
}

/** All in microseconds. */
interface Snapshot {
  readonly at: number
  readonly own: number
  readonly upstream: number
  readonly machine: number
}
