/**
 * `npm run bench:quick`: CPU per request of Sluice beside nginx, in under a minute. See docs/performance.md for the method.
 */
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { parseArgs } from 'node:util'
import { loadGenerator } from './lib/load.ts'
import { machine } from './lib/machine.ts'
import { measure, type Sample } from './lib/measure.ts'
import { findNginx } from './lib/nginx.ts'
import { BODY_BYTES } from './lib/payload.ts'
import { freePorts, listening, type Running, start, stop } from './lib/process.ts'
import { doubts, type Ratio, ratio, ratioLine, table } from './lib/report.ts'
import { bare, chain, nginx, passThrough, type Starter, type System } from './lib/systems.ts'

const PASS_TARGET = 2.6
const CHAIN_TARGET = 1.4
const HELP = `npm run bench:quick [-- options]

CPU per request of nginx, of a bare node:http + undici proxy, and of Sluice without and with a chain of interceptors.

  --rounds N        how often each is measured, at least 3 (default 3)
  --seconds N       seconds of load each time (default 3)
  --connections N   connections that send at a time (default 16)
  --json FILE       write all figures there too

Needs nginx and wrk (Debian: apt-get install nginx-light wrk). Without wrk a slower generator of our own is used.
`

interface Options {
  readonly rounds: number
  readonly seconds: number
  readonly connections: number
  readonly json: string
}

async function main(options: Options): Promise<void> {
  const dir = mkdtempSync(join(tmpdir(), 'sluice-bench-'))
  const started: Running[] = []
  process.once('exit', () => rmSync(dir, { recursive: true, force: true }))
  try {
    const starters = findNginx() !== null ? [nginx, bare, passThrough, chain] : [bare, passThrough, chain]
    const { systems, upstream } = await startAll(starters, dir, started)
    const load = loadGenerator(dir)
    introduce(systems, load.name, options)
    const plan = { ...options, systems, upstream, load, onSample: show }
    conclude(systems, await measure(plan), options)
  } finally {
    await Promise.all(started.map(stop))
  }
}

async function startAll(starters: readonly Starter[], dir: string, started: Running[]) {
  const [upstreamPort = 0, ...ports] = await freePorts(starters.length + 1)
  const upstream = start(process.execPath, [join(import.meta.dirname, 'servers', 'fast.ts'), String(upstreamPort)])
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

function introduce(systems: readonly System[], load: string, options: Options): void {
  const { rounds, seconds, connections } = options
  console.log(
    `POST ${BODY_BYTES} B -> ${BODY_BYTES} B JSON (tools/call, 2026-07-28), ${connections} connections, ${load}`,
  )
  console.log(`${machine()}; ${rounds} rounds of ${seconds} s each, alternating`)
  for (const system of systems) console.log(`  ${system.name.padEnd(14)}${system.what}`)
  console.log('  Sluice: 1 worker, access log off, metrics on, all limits and checks at their defaults')
  if (load !== 'wrk') console.log('note: wrk is not installed, so a heavier generator runs: apt-get install wrk')
  console.log()
}

function show(sample: Sample, round: number): void {
  const { system, cpuMicrosPerRequest: cpu, requestsPerSecond: rate, cpuShare, loadCpuShare, upstreamCpuShare } = sample
  const shares = [cpuShare, loadCpuShare, upstreamCpuShare].map(share => `${(share * 100).toFixed(0)} %`)
  const text = `round ${round + 1}  ${system.padEnd(14)}${cpu.toFixed(1).padStart(6)} us/req  ${rate.toFixed(0)} req/s`
  console.log(`${text}  (of a core: it ${shares[0]}, load ${shares[1]}, upstream ${shares[2]})`)
}

function conclude(systems: readonly System[], samples: Sample[], options: Options): void {
  const hasNginx = systems.some(system => system.name === 'nginx')
  const pass = ratio(samples, 'pass-through', 'nginx', PASS_TARGET)
  const chained = ratio(samples, 'chain', 'pass-through', CHAIN_TARGET)
  const floor = ratio(samples, 'pass-through', 'bare', Number.NaN)
  console.log(`\n${table(systems, samples)}\n`)
  for (const doubt of doubts(samples)) console.log(`note: ${doubt}`)
  console.log(`pass-through = ${floor.median.toFixed(2)} x bare (the floor of node:http + undici)`)
  if (hasNginx) console.log(ratioLine(pass))
  else console.log('note: nginx is not installed, so there is nothing to compare with: apt-get install nginx-light')
  console.log(ratioLine(chained))
  if (options.json !== '') writeJson(options.json, samples, hasNginx ? [pass, chained] : [chained])
  console.log(lastLine(hasNginx ? pass.median.toFixed(2) : '-', chained.median.toFixed(2)))
}

function lastLine(pass: string, chained: string): string {
  const first = `pass-through ${pass} x nginx (target ${PASS_TARGET.toFixed(2)})`
  return `bench:quick: ${first}, chain ${chained} x pass-through (target ${CHAIN_TARGET.toFixed(2)})`
}

function writeJson(file: string, samples: readonly Sample[], ratios: readonly Ratio[]): void {
  const at = new Date().toISOString()
  writeFileSync(file, `${JSON.stringify({ at, machine: machine(), ratios, samples }, null, 2)}\n`)
}

function readOptions(): Options | null {
  const text = { type: 'string' } as const
  const { values } = parseArgs({
    options: { rounds: text, seconds: text, connections: text, json: text, help: { type: 'boolean', short: 'h' } },
  })
  if (values.help === true) return null
  return {
    rounds: whole('rounds', values.rounds ?? '3', 3),
    seconds: whole('seconds', values.seconds ?? '3', 1),
    connections: whole('connections', values.connections ?? '16', 1),
    json: values.json ?? '',
  }
}

function whole(name: string, text: string, least: number): number {
  const value = Number(text)
  if (!Number.isInteger(value) || value < least) {
    throw new Error(`--${name}: expected a whole number of at least ${least}, got "${text}"`)
  }
  return value
}

for (const signal of ['SIGINT', 'SIGTERM']) process.once(signal, () => process.exit(130))
try {
  const options = readOptions()
  if (options === null) console.log(HELP)
  else await main(options)
} catch (error) {
  console.error(`bench:quick: ${(error as Error).message}`)
  process.exitCode = 1
}
