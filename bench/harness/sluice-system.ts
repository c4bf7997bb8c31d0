import { createHash } from 'node:crypto'
import { mkdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { stringify } from 'yaml'
import type { Scenario } from '../../proxy/load/scenario.ts'
import { family, listening, start } from '../lib/process.ts'
import { withoutServers } from './peers.ts'
import { readPolicy, type Tree } from './policy.ts'
import type { SluiceSpec } from './scenario.ts'
import { BENCH, type Place, STDIO_SERVER, type System, urlOf } from './systems.ts'

const CLI = join('proxy', 'cli', 'sluice.ts')
const KEY = 'bench-key-0'

export interface SluicePlace extends Place {
  /** Arguments of Node, such as those that record a profile. */
  readonly nodeArgs: readonly string[]
  /** The checkout that runs. */
  readonly root: string
}

/** Starts Sluice as a scenario describes it. */
export async function startSluice(name: string, spec: SluiceSpec, place: SluicePlace): Promise<System> {
  const home = join(place.dir, name)
  mkdirSync(home, { recursive: true })
  const policy = policyOf(spec)
  if (policy !== null) writeFileSync(join(home, 'policy.yaml'), stringify(policy))
  const file = join(home, 'sluice.yaml')
  writeFileSync(file, stringify(configOf(spec, home, place, policy === null ? [] : ['policy.yaml'])))
  const args = ['run', '-c', file, '--listen', `127.0.0.1:${place.port}`, '--log-level', 'error']
  const running = start(process.execPath, [...place.nodeArgs, ...spec.node, join(place.root, CLI), ...args])
  await listening(running, place.port, `sluice (${name})`)
  const pids = (): number[] => withoutServers(family(running.pid))
  const url = spec.grow.servers === undefined ? urlOf(place.port) : `http://127.0.0.1:${place.port}/servers/bench/mcp`
  return {
    name,
    what: `Sluice, ${spec.what}`,
    url,
    load: loadOf(spec, place.load),
    running,
    hasUpstream: !spec.stdio && place.upstreamPorts.length > 0,
    pids,
  }
}

/** The load of the scenario with what is different for this one. */
export function loadOf({ load: over, grow }: SluiceSpec, load: Scenario): Scenario {
  const { tool, arguments: given, ...rest } = over
  const mix =
    tool === undefined ? load.mix : load.mix.slice(0, 1).map(step => ({ ...step, call: tool, arguments: given ?? {} }))
  const key = grow.clients === undefined ? {} : { authorization: `Bearer ${KEY}` }
  return { ...load, ...rest, mix, headers: { ...load.headers, ...key } } as Scenario
}

function configOf(spec: SluiceSpec, home: string, place: Place, policies: readonly string[]): Tree {
  const base = {
    version: 1,
    access_log: 'off',
    admin: 'off',
    workers: spec.workers,
    state_dir: home,
    servers: serversOf(spec, place),
    policies,
    interceptor_dirs: [join(BENCH, 'interceptors')],
    ...(spec.grow.clients !== undefined && { clients: clientsOf(spec.grow.clients) }),
  }
  return { ...base, ...spec.config }
}

function serversOf({ grow, server, replicas, stdio }: SluiceSpec, { upstreamPorts }: Place): Tree {
  const query = grow.tools === undefined ? '' : `?tools=${grow.tools}`
  const urls = upstreamPorts.slice(0, replicas).map(port => urlOf(port) + query)
  const source = stdio || urls.length === 0 ? { command: [process.execPath, STDIO_SERVER], replicas: 1 } : { urls }
  const others = Array.from({ length: (grow.servers ?? 1) - 1 }, (_, index) => [`other-${index}`, { urls }] as const)
  return { bench: { ...source, ...server }, ...Object.fromEntries(others) }
}

function clientsOf(count: number): Tree {
  const hash = (index: number): string => createHash('sha256').update(`bench-key-${index}`).digest('hex')
  return Object.fromEntries(
    Array.from({ length: count }, (_, index) => [`client-${index}`, { api_key_sha256: hash(index) }]),
  )
}

/** `null` = none, so bytes pass. */
function policyOf({ policy: file, only, grow }: SluiceSpec): Tree | null {
  const base = file === undefined ? null : readPolicy(file, only)
  if (grow.entries === undefined) return base
  // Three that match, and all the others that do not.
  const entries = Array.from({ length: grow.entries }, (_, index) => ({
    use: 'noop-json-one',
    name: `entry-${index}`,
    match: { name: index < 3 ? '*' : `other_${index}` },
  }))
  return { version: 1, ...base, interceptors: entries }
}
