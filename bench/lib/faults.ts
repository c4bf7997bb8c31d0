import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { stringify } from 'yaml'
import type { LoadResult } from '../../proxy/load/load-result.ts'
import { runLoad } from '../../proxy/load/load-run.ts'
import { RequestMaker } from '../../proxy/load/request-maker.ts'
import { type Scenario, scenarioSchema } from '../../proxy/load/scenario.ts'
import { freePorts, listening, type Running, start, stop, stopWithin } from './process.ts'

const ROOT = join(import.meta.dirname, '..', '..')
export const COUNTING = join(import.meta.dirname, '..', 'servers', 'counting.ts')

/** What the replicas of a leg are, and how one of them is killed. */
export interface Leg {
  readonly name: string
  /** `servers.kb` of sluice.yaml, but for what all legs share. @param dir where the server counts */
  server(dir: string): object
  /** `fleet` of sluice.yaml. */
  readonly fleet?: (dir: string) => object
  /** Ids of those that run now. */
  alive(home: Home): Promise<string[]>
  kill(id: string): Promise<void>
}

/** One run's folder, and the program in it. */
export interface Home {
  readonly dir: string
  /** Names the proxy on the engine. */
  readonly instance: string
}

export interface FaultOptions {
  readonly seconds: number
  readonly killEveryMs: number
  /** Calls per second. */
  readonly rate: number
  readonly replicas: number
  readonly onKill?: (id: string) => void
}

export interface FaultFigures {
  readonly leg: string
  readonly kills: number
  readonly reads: number
  /** Of 100: reads that succeeded. */
  readonly readsWell: number
  readonly readP99Ms: number
  readonly writes: number
  readonly writesFailed: number
  /** Writes that the server counted more than once. */
  readonly duplicates: number
  /** Writes that a client was told are done, and that the server does not know. */
  readonly lostWrites: number
  /** Replicas that live on after the proxy has ended. */
  readonly orphans: number
  readonly errors: Readonly<Record<string, number>>
  /** p99 in milliseconds of each second, all calls. */
  readonly p99BySecond: readonly number[]
  /** Of the proxy, the last of what it printed. */
  readonly output: string
}

const START_LIMIT_MS = 60_000
/** What the proxy may take to end its replicas. */
const STOP_LIMIT_MS = 30_000
/** Of ten calls, one writes. */
const MIX = [
  { name: 'read', weight: 9, call: 'look' },
  { name: 'write', weight: 1, call: 'book' },
]

/** Puts replicas under load while one after the other is killed, and counts what clients saw of it. */
export async function runFaults(leg: Leg, options: FaultOptions): Promise<FaultFigures> {
  const dir = mkdtempSync(join(tmpdir(), 'sluice-faults-'))
  const home = { dir, instance: `faults-${process.pid}-${leg.name}` }
  const [port = 0] = await freePorts(1)
  for (const name of ['started', 'written']) writeFileSync(join(dir, name), '', { mode: 0o666 })
  writeFileSync(join(dir, 'sluice.yaml'), configText(leg, home, port, options))
  const sluice = start(process.execPath, [
    join(ROOT, 'proxy/cli/sluice.ts'),
    'run',
    '-c',
    join(dir, 'sluice.yaml'),
    '--log-level',
    'warn',
  ])
  try {
    await listening(sluice, port, 'sluice')
    const url = new URL(`http://127.0.0.1:${port}/mcp`)
    await warm(leg, home, url, options)
    const { result, kills } = await underFire(leg, home, url, options)
    await stopWithin(sluice, STOP_LIMIT_MS)
    return figures(leg, home, { result, kills, orphans: (await leg.alive(home)).length, output: sluice.output() })
  } finally {
    await endAll(leg, home, sluice)
    rmSync(dir, { recursive: true, force: true })
  }
}

function configText(leg: Leg, home: Home, port: number, { replicas }: FaultOptions): string {
  const { dir, instance } = home
  return stringify({
    version: 1,
    listen: `127.0.0.1:${port}`,
    admin: 'off',
    access_log: false,
    state_dir: join(dir, 'state'),
    fleet: { ...leg.fleet?.(dir), instance },
    servers: { kb: { ...leg.server(dir), replicas, path: '/mcp' } },
  })
}

/** All replicas run, and the proxy has seen what the tools say about themselves. */
async function warm(leg: Leg, home: Home, url: URL, { replicas }: FaultOptions): Promise<void> {
  const until = Date.now() + START_LIMIT_MS
  while ((await leg.alive(home)).length < replicas) {
    if (Date.now() > until) throw new Error(`${leg.name}: not all replicas run after ${START_LIMIT_MS} ms`)
    await new Promise(resolve => setTimeout(resolve, 100))
  }
  const maker = new RequestMaker('modern', {})
  const fields = maker.headers('tools/list', '', '')
  const headers: Record<string, string> = {}
  for (let i = 0; i < fields.length; i += 2) headers[fields[i] as string] = fields[i + 1] as string
  const body = JSON.stringify({ jsonrpc: '2.0', id: 'tools', method: 'tools/list', params: { _meta: maker.meta() } })
  const answer = await fetch(url, { method: 'POST', headers, body })
  const text = await answer.text()
  if (!text.includes('readOnlyHint')) throw new Error(`tools/list was answered with ${answer.status}: ${text}`)
}

async function underFire(
  leg: Leg,
  home: Home,
  url: URL,
  options: FaultOptions,
): Promise<{ result: LoadResult; kills: number }> {
  const { seconds, rate, killEveryMs, onKill } = options
  const scenario: Scenario = scenarioSchema.parse({
    era: 'modern',
    rate,
    duration: seconds * 1000,
    warm_up: 1000,
    connections: 256,
    timeout: 15_000,
    mix: MIX,
  })
  let kills = 0
  const killOne = async (): Promise<void> => {
    // The one that has run longest: each gets its turn.
    const [id] = await leg.alive(home)
    if (id === undefined) return
    await leg.kill(id)
    kills++
    onKill?.(id)
  }
  // One that was about to end by itself cannot be killed, and does not count.
  const killing = setInterval(() => void killOne().catch(() => {}), killEveryMs)
  const result = await runLoad({ url, scenario, signal: new AbortController().signal })
  clearInterval(killing)
  return { result, kills }
}

interface Found {
  readonly result: LoadResult
  readonly kills: number
  readonly orphans: number
  readonly output: string
}

function figures({ name }: Leg, { dir }: Home, { result, kills, orphans, output }: Found): FaultFigures {
  const [read, write] = result.steps
  if (read === undefined || write === undefined) throw new TypeError('the load has two steps')
  const lines = readFileSync(join(dir, 'written'), 'utf8').trim().split('\n')
  const written = lines.filter(line => line !== '')
  const distinct = new Set(written).size
  return {
    leg: name,
    kills,
    reads: read.requests,
    readsWell: (100 * (read.requests - read.errors)) / Math.max(1, read.requests),
    readP99Ms: read.latency_ms.p99,
    writes: write.requests,
    writesFailed: write.errors,
    duplicates: written.length - distinct,
    lostWrites: Math.max(0, write.requests - write.errors - distinct),
    orphans,
    errors: result.errors,
    p99BySecond: result.timeline.map(({ p99 }) => p99),
    output,
  }
}

async function endAll(leg: Leg, home: Home, sluice: Running): Promise<void> {
  await stop(sluice)
  for (const id of await leg.alive(home)) await leg.kill(id).catch(() => {})
}

/** Child processes. */
export const PROCESSES: Leg = {
  name: 'processes',
  server: dir => ({
    command: [process.execPath, COUNTING],
    transport: 'http',
    port_env: 'PORT',
    env: { COUNT_DIR: dir },
  }),
  alive: async ({ dir }) =>
    readFileSync(join(dir, 'started'), 'utf8')
      .split('\n')
      .filter(pid => pid !== '' && isRunning(pid)),
  kill: async id => {
    process.kill(Number(id), 'SIGKILL')
  },
}

function isRunning(pid: string): boolean {
  try {
    const stat = readFileSync(`/proc/${pid}/stat`, 'utf8')
    return stat.slice(stat.lastIndexOf(')') + 2)[0] !== 'Z'
  } catch {
    return false
  }
}
