import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import type { Workload } from './payload.ts'
import { cpuMicros, installed, start } from './process.ts'

/** What one run of the load generator did. */
export interface LoadResult {
  readonly requests: number
  /** Answers other than 200, broken connections and time-outs. */
  readonly errors: number
  readonly seconds: number
  readonly p50Ms: number
  readonly p99Ms: number
  /** The generator's own share of one core, 0 to 1. */
  readonly cpuShare: number
}

export interface LoadGenerator {
  readonly name: string
  run(url: string, workload: Workload, connections: number, seconds: number): Promise<LoadResult>
}

/** wrk where it is installed, else the generator in this folder. */
export function loadGenerator(dir: string): LoadGenerator {
  return installed('wrk') ? new Wrk(dir) : new OwnGenerator()
}

class Wrk implements LoadGenerator {
  readonly name = 'wrk'
  readonly dir: string

  constructor(dir: string) {
    this.dir = dir
  }

  run(url: string, workload: Workload, connections: number, seconds: number): Promise<LoadResult> {
    const script = join(this.dir, `${workload.tool}.lua`)
    writeFileSync(script, lua(workload))
    return collect('wrk', ['-t1', `-c${connections}`, `-d${Math.ceil(seconds)}s`, '-s', script, url])
  }
}

class OwnGenerator implements LoadGenerator {
  readonly name = 'bench/servers/load.ts'

  run(url: string, workload: Workload, connections: number, seconds: number): Promise<LoadResult> {
    const script = join(import.meta.dirname, '..', 'servers', 'load.ts')
    return collect(process.execPath, [script, url, String(connections), String(seconds), workload.tool])
  }
}

/** Runs a generator whose last line is a JSON object, and watches what it costs itself. */
async function collect(command: string, args: string[]): Promise<LoadResult> {
  const running = start(command, args)
  const startedAt = performance.now()
  let cpu = 0
  const watch = setInterval(() => {
    cpu = Math.max(cpu, cpuMicros([running.pid]))
  }, 100)
  const code = await new Promise(resolve => running.child.once('close', resolve))
  clearInterval(watch)
  const wallMicros = (performance.now() - startedAt) * 1e3
  if (code !== 0) throw new Error(`${command} ended with code ${code}:\n${running.output()}`)
  const last = running.output().trim().split('\n').at(-1) ?? ''
  return { ...(JSON.parse(last) as Omit<LoadResult, 'cpuShare'>), cpuShare: cpu / wallMicros }
}

function lua({ requestBody, requestHeaders }: Workload): string {
  const quoted = (text: string) => JSON.stringify(text)
  const headers = Object.entries(requestHeaders).map(
    ([name, value]) => `wrk.headers[${quoted(name)}] = ${quoted(value)}`,
  )
  return `wrk.method = "POST"
wrk.body = ${quoted(requestBody.toString())}
${headers.join('\n')}
function done(summary, latency)
  local e = summary.errors
  io.write(string.format('\\n{"requests":%d,"errors":%d,"seconds":%.6f,"p50Ms":%.4f,"p99Ms":%.4f}\\n',
    summary.requests, e.connect + e.read + e.write + e.status + e.timeout, summary.duration / 1e6,
    latency:percentile(50) / 1e3, latency:percentile(99) / 1e3))
end
`
}
