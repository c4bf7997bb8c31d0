import type { LoadGenerator } from './load.ts'
import { cpuMicros, machineCpuMicros, type Running } from './process.ts'
import type { System } from './systems.ts'
import { verify } from './verify.ts'

const WARM_UP_REQUESTS = 50_000
const WARM_UP_MAX_SECONDS = 3

/** One system under load for a few seconds. */
export interface Sample {
  readonly system: string
  readonly requests: number
  readonly errors: number
  /** CPU time of all its processes, divided by the requests answered; microseconds. */
  readonly cpuMicrosPerRequest: number
  readonly requestsPerSecond: number
  readonly p50Ms: number
  readonly p99Ms: number
  /** Shares of one core, 0 to 1. */
  readonly cpuShare: number
  readonly loadCpuShare: number
  readonly upstreamCpuShare: number
  /** What programs that are no part of the benchmark used, in cores. */
  readonly otherCpuShare: number
}

export interface Plan {
  readonly systems: readonly System[]
  readonly upstream: Running
  readonly load: LoadGenerator
  readonly connections: number
  readonly rounds: number
  readonly seconds: number
  /** Called after each sample. */
  onSample(sample: Sample, round: number): void
}

/**
 * Checks, warms up, then measures the systems one after the other, `rounds` times. Every second round runs backwards, so
 * that a machine that gets slower or faster meets all alike. Throws when an answer was wrong or missing.
 */
export async function measure(plan: Plan): Promise<Sample[]> {
  for (const system of plan.systems) await verify(system.url, system.workload, system.name)
  for (const system of plan.systems) await warmUp(system, plan)
  const samples: Sample[] = []
  for (let round = 0; round < plan.rounds; round++) {
    const order = round % 2 === 0 ? plan.systems : [...plan.systems].reverse()
    for (const system of order) {
      const sample = await sampleOf(system, plan)
      samples.push(sample)
      plan.onSample(sample, round)
    }
  }
  for (const system of plan.systems) await verify(system.url, system.workload, system.name)
  return samples
}

/** Until the compilers have seen enough, however slow the machine is at the moment. */
async function warmUp(system: System, plan: Plan): Promise<void> {
  let requests = 0
  for (let second = 0; second < WARM_UP_MAX_SECONDS && requests < WARM_UP_REQUESTS; second++) {
    requests += (await plan.load.run(system.url, system.workload, plan.connections, 1)).requests
  }
}

async function sampleOf(system: System, plan: Plan): Promise<Sample> {
  const pids = system.pids()
  const before = [cpuMicros(pids), cpuMicros([plan.upstream.pid]), machineCpuMicros()] as const
  const startedAt = performance.now()
  const result = await plan.load.run(system.url, system.workload, plan.connections, plan.seconds)
  const cpu = cpuMicros(pids) - before[0]
  const upstreamCpu = cpuMicros([plan.upstream.pid]) - before[1]
  const wallMicros = (performance.now() - startedAt) * 1e3
  const otherCpu = machineCpuMicros() - before[2] - cpu - upstreamCpu - result.cpuShare * wallMicros
  if (result.errors > 0 || result.requests === 0) {
    const text = `${system.name}: ${result.requests} answers, ${result.errors} errors; it said:`
    throw new Error(`${text}\n${system.running.output() || '(nothing)'}`)
  }
  return {
    system: system.name,
    requests: result.requests,
    errors: result.errors,
    cpuMicrosPerRequest: cpu / result.requests,
    requestsPerSecond: result.requests / result.seconds,
    p50Ms: result.p50Ms,
    p99Ms: result.p99Ms,
    cpuShare: cpu / 1e6 / result.seconds,
    loadCpuShare: result.cpuShare,
    upstreamCpuShare: upstreamCpu / 1e6 / result.seconds,
    otherCpuShare: Math.max(0, otherCpu / wallMicros),
  }
}
