import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { parseArgs } from 'node:util'
import { type LoadGenerator, loadGenerator } from './load.ts'
import { machine } from './machine.ts'
import type { Sample } from './measure.ts'
import { freePorts, listening, type Running, start, stop } from './process.ts'
import type { Starter, System } from './systems.ts'

/** What all benchmarks can be told. */
export interface Options {
  readonly rounds: number
  readonly seconds: number
  readonly connections: number
  /** File for all figures; `''` = none. */
  readonly json: string
}

/** Everything that runs while something is measured. */
export interface Stage {
  readonly systems: readonly System[]
  readonly upstream: Running
  readonly load: LoadGenerator
}

/** Starts the upstream and all systems in a folder of their own; whatever happens, all of it is gone in the end. */
export async function onStage(starters: readonly Starter[], act: (stage: Stage) => Promise<void>): Promise<void> {
  const dir = mkdtempSync(join(tmpdir(), 'sluice-bench-'))
  const started: Running[] = []
  // Each program that is started wants to hear of the end.
  process.setMaxListeners(starters.length + 10)
  process.once('exit', () => rmSync(dir, { recursive: true, force: true }))
  try {
    const { systems, upstream } = await startAll(starters, dir, started)
    await act({ systems, upstream, load: loadGenerator(dir) })
  } finally {
    await Promise.all(started.map(stop))
  }
}

async function startAll(starters: readonly Starter[], dir: string, started: Running[]) {
  const [upstreamPort = 0, ...ports] = await freePorts(starters.length + 1)
  const upstream = start(process.execPath, [
    join(import.meta.dirname, '..', 'servers', 'fast.ts'),
    String(upstreamPort),
  ])
  started.push(upstream)
  await listening(upstream, upstreamPort, 'the upstream')
  const systems: System[] = []
  for (const [index, starter] of starters.entries()) {
    const system = await starter(dir, ports[index] ?? 0, upstreamPort)
    started.push(system.running)
    systems.push(system)
  }
  return { systems, upstream }
}

/** Says what will be measured. */
export function introduce(what: string, systems: readonly System[], load: string, options: Options): void {
  const { rounds, seconds, connections } = options
  console.log(`${what} (tools/call, 2026-07-28), ${connections} connections, ${load}`)
  console.log(`${machine()}; ${rounds} rounds of ${seconds} s each, alternating`)
  for (const system of systems) console.log(`  ${system.name.padEnd(NAME_WIDTH)}${system.what}`)
  console.log('  Sluice: 1 worker, access log off, metrics on, all limits and checks at their defaults')
  if (load !== 'wrk') console.log('note: wrk is not installed, so a heavier generator runs: apt-get install wrk')
  console.log()
}

export function show(sample: Sample, round: number): void {
  const { system, cpuMicrosPerRequest: cpu, requestsPerSecond: rate, cpuShare, loadCpuShare, upstreamCpuShare } = sample
  const shares = [cpuShare, loadCpuShare, upstreamCpuShare].map(share => `${(share * 100).toFixed(0)} %`)
  const name = system.padEnd(NAME_WIDTH)
  const text = `round ${round + 1}  ${name}${cpu.toFixed(1).padStart(6)} us/req  ${rate.toFixed(0)} req/s`
  console.log(`${text}  (of a core: it ${shares[0]}, load ${shares[1]}, upstream ${shares[2]})`)
}

/** Width of the column of names. */
export const NAME_WIDTH = 35

/** @returns the options, and the texts of those in `more`; `null` = help was asked for. @throws Error that says what is wrong */
export function readOptions<K extends string>(defaults: { rounds: number; seconds: number }, more: readonly K[] = []) {
  const text = { type: 'string' } as const
  const known = { rounds: text, seconds: text, connections: text, json: text }
  const extra = Object.fromEntries(more.map(name => [name, text]))
  const { values } = parseArgs({ options: { ...known, ...extra, help: { type: 'boolean', short: 'h' } } })
  if (values.help === true) return null
  const given = values as Readonly<Record<string, string | undefined>>
  return {
    rounds: whole('rounds', given['rounds'] ?? String(defaults.rounds), 3),
    seconds: whole('seconds', given['seconds'] ?? String(defaults.seconds), 1),
    connections: whole('connections', given['connections'] ?? '16', 1),
    json: given['json'] ?? '',
    more: Object.fromEntries(more.map(name => [name, given[name] ?? ''])) as Record<K, string>,
  }
}

function whole(name: string, text: string, least: number): number {
  const value = Number(text)
  if (!Number.isInteger(value) || value < least) {
    throw new Error(`--${name}: expected a whole number of at least ${least}, got "${text}"`)
  }
  return value
}

/** Runs a benchmark as a program: errors in one line, and nothing left behind after ^C. */
export async function asProgram(name: string, run: () => Promise<void>): Promise<void> {
  for (const signal of ['SIGINT', 'SIGTERM']) process.once(signal, () => process.exit(130))
  try {
    await run()
  } catch (error) {
    console.error(`${name}: ${(error as Error).message}`)
    process.exitCode = 1
  }
}
