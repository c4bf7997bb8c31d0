/**
 * What a call to a server over stdio costs: against the same call to a server over HTTP, and against other gateways. See
 * docs/performance.md.
 *
 * Usage: node bench/bridge.ts [options]; `--help` tells them.
 */
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { machine } from './lib/machine.ts'
import { cpuMicros, freePorts, type Running, stop } from './lib/process.ts'
import { RpcLoad } from './lib/rpc-load.ts'
import { asProgram, NAME_WIDTH, readOptions } from './lib/run.ts'
import {
  CALL_BYTES,
  type Gateway,
  httpServer,
  mcpProxy,
  processesOf,
  sluiceHttp,
  sluiceLegacy,
  sluiceModern,
  supergateway,
} from './lib/stdio-systems.ts'

/** A call over stdio may cost this many times the call over HTTP. */
const HTTP_TARGET = 1.5
/** Other gateways cost at least this many times as much. */
const PEER_TARGET = 3
const WARM_UP_SECONDS = 2
const HELP = `node bench/bridge.ts [options]

CPU per call of Sluice with a server over stdio, with one over HTTP, and of mcp-proxy and supergateway.

  --rounds N        how often each is measured, at least 3 (default 5)
  --seconds N       seconds of load each time (default 1)
  --connections N   connections that send at a time (default 16)
  --json FILE       write all figures there too
`

/** One gateway under load. */
interface Sample {
  readonly gateway: string
  readonly calls: number
  /** Of the gateway's own processes, and of the servers it runs; microseconds per call. */
  readonly ownMicros: number
  readonly serverMicros: number
}

async function main(): Promise<void> {
  const options = readOptions({ rounds: 5, seconds: 1 })
  if (options === null) return console.log(HELP)
  const dir = mkdtempSync(join(tmpdir(), 'sluice-bench-'))
  const started: Running[] = []
  try {
    const gateways = await startAll(dir, started)
    console.log(`tools/call of ${CALL_BYTES} B -> ${CALL_BYTES} B, ${options.connections} connections; ${machine()}`)
    for (const { name, what } of gateways) console.log(`  ${name.padEnd(NAME_WIDTH)}${what}`)
    const samples = await measure(gateways, options)
    report(samples)
    if (options.json !== '')
      writeFileSync(options.json, JSON.stringify({ machine: machine(), options, samples }, null, 2))
  } finally {
    await Promise.all(started.map(stop))
    rmSync(dir, { recursive: true, force: true })
  }
}

async function startAll(dir: string, started: Running[]): Promise<Gateway[]> {
  const [upstream = 0, ...ports] = await freePorts(6)
  started.push(await httpServer(upstream))
  const overHttp = (home: string, port: number): Promise<Gateway> => sluiceHttp(home, port, upstream)
  const gateways: Gateway[] = []
  for (const [index, starter] of [overHttp, sluiceModern, sluiceLegacy, mcpProxy, supergateway].entries()) {
    const gateway = await starter(dir, ports[index] ?? 0)
    started.push(gateway.running)
    gateways.push(gateway)
  }
  return gateways
}

interface Measured {
  readonly rounds: number
  readonly seconds: number
  readonly connections: number
}

/** In turns, every second round backwards: a machine that gets slower or faster meets all alike. */
async function measure(gateways: readonly Gateway[], options: Measured): Promise<Sample[]> {
  const loads = new Map<Gateway, RpcLoad>()
  const samples: Sample[] = []
  try {
    for (const gateway of gateways) {
      loads.set(gateway, await RpcLoad.open(gateway, options.connections))
      await loads.get(gateway)?.run(options.connections, WARM_UP_SECONDS)
    }
    for (let round = 0; round < options.rounds; round++) {
      for (const gateway of round % 2 === 0 ? gateways : gateways.toReversed()) {
        const sample = await sampleOf(gateway, loads.get(gateway) as RpcLoad, options)
        samples.push(sample)
        const own = sample.ownMicros.toFixed(1).padStart(8)
        const rate = (sample.calls / options.seconds).toFixed(0)
        const text = `${own} us/call, server ${sample.serverMicros.toFixed(1)} us/call, ${rate} calls/s`
        console.log(`round ${round + 1}  ${gateway.name.padEnd(NAME_WIDTH)}${text}`)
      }
    }
  } finally {
    await Promise.all([...loads.values()].map(load => load.close()))
  }
  return samples
}

async function sampleOf(gateway: Gateway, load: RpcLoad, { connections, seconds }: Measured): Promise<Sample> {
  const { own, servers } = processesOf(gateway)
  const before = [cpuMicros(own), cpuMicros(servers)] as const
  const calls = await load.run(connections, seconds)
  const ownMicros = (cpuMicros(own) - before[0]) / calls
  const serverMicros = (cpuMicros(servers) - before[1]) / calls
  return { gateway: gateway.name, calls, ownMicros, serverMicros }
}

/** The ratios of the medians, and of the best rounds, which other programs disturbed least. */
function report(samples: readonly Sample[]): void {
  const line = (above: string, below: string, target: string): void => {
    const [median, best] = [middle, Math.min].map(pick => ratio(samples, above, below, pick))
    console.log(`${above} / ${below}: ${median?.toFixed(2)}, best rounds ${best?.toFixed(2)} (target ${target})`)
  }
  console.log()
  line('stdio-modern', 'http', `at most ${HTTP_TARGET}`)
  line('mcp-proxy', 'stdio-legacy', `at least ${PEER_TARGET}`)
  line('supergateway', 'stdio-legacy', `at least ${PEER_TARGET}`)
}

type Pick = (...values: number[]) => number

function ratio(samples: readonly Sample[], above: string, below: string, pick: Pick): number {
  const cost = (name: string): number => pick(...samples.filter(one => one.gateway === name).map(one => one.ownMicros))
  return cost(above) / cost(below)
}

function middle(...values: number[]): number {
  return values.toSorted((a, b) => a - b)[values.length >> 1] ?? 0
}

await asProgram('bench/bridge', main)
