import { mkdirSync, mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { freePorts, listening, type Running, start, stop } from '../lib/process.ts'
import { loadPeers, type PeerSpec } from './peers.ts'
import { type BenchScenario, isBuiltIn } from './scenario.ts'
import { startSluice } from './sluice-system.ts'
import { BENCH, missing, type Place, peer, type System, startBuiltIn } from './systems.ts'

const ROOT = join(BENCH, '..')
/** Behind the name of a Sluice of another checkout. */
export const BEFORE = '-before'

/** Everything that runs while something is measured. */
export interface Stage {
  readonly dir: string
  readonly systems: readonly System[]
  readonly upstreams: readonly Running[]
  readonly upstreamPorts: readonly number[]
  /** Why some systems of the scenario are not there. */
  readonly absent: readonly string[]
  /** Ends all systems now, so that they leave their profiles. */
  stop(): Promise<void>
}

export interface StageOptions {
  readonly peers: boolean
  /** `''` = none. */
  readonly peerFile: string
  /** Another checkout, whose Sluices are measured beside ours; `''` = none. */
  readonly before: string
  /** Only these; empty = all. */
  readonly only: readonly string[]
  /** Arguments of Node for a Sluice of this name. */
  nodeArgs(system: string, dir: string): readonly string[]
}

/** Starts upstreams and systems in a folder of their own; whatever happens, all of it is gone in the end. */
export async function onStage<T>(
  scenario: BenchScenario,
  options: StageOptions,
  act: (stage: Stage) => Promise<T>,
): Promise<T> {
  const dir = mkdtempSync(join(tmpdir(), 'sluice-bench-'))
  const started: Running[] = []
  const stopAll = async (): Promise<void> => {
    await Promise.all(started.map(stop))
  }
  process.setMaxListeners(100)
  process.once('exit', () => rmSync(dir, { recursive: true, force: true }))
  try {
    const upstreams = await startUpstreams(scenario, started)
    const { systems, absent } = await startSystems(scenario, options, { dir, upstreams, started })
    const upstreamPorts = upstreams.map(one => one.port)
    const running = upstreams.map(one => one.running)
    return await act({ dir, systems, upstreams: running, upstreamPorts, absent, stop: stopAll })
  } finally {
    await stopAll()
  }
}

interface Upstream {
  readonly port: number
  readonly running: Running
}

async function startUpstreams({ bench: { upstream } }: BenchScenario, started: Running[]): Promise<Upstream[]> {
  if (upstream.kind === 'stdio') return []
  const { kind, replicas, delay, faults, events, burst, bytes } = upstream
  const script = join(BENCH, 'servers', kind === 'sdk' ? 'sdk.ts' : 'raw.ts')
  const options = { delay, faults, events, burst, bytes }
  const args = kind === 'sdk' ? [] : Object.entries(options).map(([name, value]) => `--${name}=${value}`)
  const found: Upstream[] = []
  for (const port of await freePorts(replicas)) {
    const running = start(process.execPath, [script, String(port), ...args])
    started.push(running)
    await listening(running, port, 'the upstream')
    found.push({ port, running })
  }
  return found
}

interface Ground {
  readonly dir: string
  readonly upstreams: readonly Upstream[]
  readonly started: Running[]
}

async function startSystems(scenario: BenchScenario, options: StageOptions, { dir, upstreams, started }: Ground) {
  const extra = options.peerFile === '' ? new Map<string, PeerSpec>() : loadPeers(options.peerFile)
  const { bench, ...load } = scenario
  const wanted = [...bench.systems, ...(options.peers ? bench.peers : []), ...extra.keys()]
  const chosen = [...new Set(wanted)].filter(name => options.only.length === 0 || options.only.includes(name))
  const names =
    options.before === '' ? chosen : chosen.flatMap(name => (name in bench.sluice ? [name, name + BEFORE] : [name]))
  const ports = await freePorts(names.length)
  const systems: System[] = []
  const absent: string[] = []
  for (const [index, name] of names.entries()) {
    const why = isBuiltIn(name) ? missing(name) : ''
    if (why !== '') {
      absent.push(why)
      continue
    }
    mkdirSync(join(dir, name), { recursive: true })
    const port = ports[index] ?? 0
    const upstreamPorts = upstreams.map(one => one.port)
    const place: Place = { dir, port, upstreamPorts, load, buffering: bench.buffering }
    const system = await startOne(name, scenario, {
      place,
      spec: extra.get(name),
      nodeArgs: options.nodeArgs(name, dir),
      before: options.before,
    })
    if (system.running !== null) started.push(system.running)
    systems.push(system)
  }
  return { systems, absent }
}

interface One {
  readonly place: Place
  readonly spec: PeerSpec | undefined
  readonly nodeArgs: readonly string[]
  readonly before: string
}

function startOne(name: string, { bench }: BenchScenario, { place, spec, nodeArgs, before }: One): Promise<System> {
  const own = bench.sluice[name]
  if (own !== undefined) return startSluice(name, own, { ...place, nodeArgs, root: ROOT })
  const older = bench.sluice[name.slice(0, -BEFORE.length)]
  if (older !== undefined && name.endsWith(BEFORE)) {
    return startSluice(name, { ...older, what: `the same of ${before}` }, { ...place, nodeArgs, root: before })
  }
  if (spec !== undefined) return peer(name, spec, place)
  if (isBuiltIn(name)) return startBuiltIn(name, place)
  throw new Error(`there is no system "${name}"`)
}
