import { readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import type { LoadResult } from '../../proxy/load/load-result.ts'
import { RequestMaker } from '../../proxy/load/request-maker.ts'
import type { Scenario } from '../../proxy/load/scenario.ts'
import { cpuMicros, installed, start } from '../lib/process.ts'

/** What one run of a load generator did; times in milliseconds. */
export interface LoadFigures {
  readonly requests: number
  readonly failed: number
  readonly errors: Readonly<Record<string, number>>
  readonly seconds: number
  readonly bytes: number
  readonly p50: number
  readonly p90: number
  readonly p99: number
  readonly p999: number
  /** Median until the first event or byte; `NaN` = not known. */
  readonly first: number
  /** Share of one core, 0 to 1. */
  readonly cpuShare: number
  /** Whether it looked at the clock between requests that were due: then its share says nothing. */
  readonly isPaced?: boolean
}

/** When the part of a run that is counted begins and ends. */
export interface Window {
  begin(): void
  end(): void
}

export interface Generator {
  readonly name: string
  run(url: string, load: Scenario, window: Window): Promise<LoadFigures>
}

export type GeneratorKind = 'auto' | 'own' | 'slow-reader'

/** wrk where it is installed and can do it: it costs a third of ours. `dir` is for files of theirs. */
export function generatorFor(kind: GeneratorKind, load: Scenario, dir: string): Generator {
  if (kind === 'slow-reader') return new SlowReader()
  return kind === 'auto' && isPlain(load) && installed('wrk') ? new Wrk(dir) : new Own(dir)
}

/** The same request over and over. */
function isPlain({ era, rate, idle_streams: streams, mix, headers }: Scenario): boolean {
  const simple = era === 'modern' && rate === null && streams === 0 && mix.length === 1
  return simple && mix[0]?.think_time === 0 && Object.keys(headers).length <= 20
}

/** The one request of a plain load, with the id 1. */
export function plainRequest(load: Scenario): { readonly body: string; readonly headers: readonly string[] } {
  const step = load.mix[0] ?? { weight: 1, method: 'tools/list', progress: false, think_time: 0 }
  const { parts, headers } = new RequestMaker('modern', load.headers).step(step, 0, '')
  return { body: parts.join('1'), headers }
}

class Wrk implements Generator {
  readonly name = 'wrk'
  readonly #dir: string

  constructor(dir: string) {
    this.#dir = dir
  }

  async run(url: string, load: Scenario, window: Window): Promise<LoadFigures> {
    const script = join(this.#dir, 'load.lua')
    writeFileSync(script, lua(load))
    const seconds = Math.max(1, Math.ceil(load.duration / 1000))
    window.begin()
    const { last, cpuShare } = await collect('wrk', [
      '-t1',
      `-c${load.connections}`,
      `-d${seconds}s`,
      `--timeout=${Math.ceil(load.timeout / 1000)}s`,
      '-s',
      script,
      url,
    ])
    window.end()
    return { ...(JSON.parse(last) as LoadFigures), first: Number.NaN, cpuShare }
  }
}

function lua(load: Scenario): string {
  const quoted = (text: string): string => JSON.stringify(text)
  const { body, headers } = plainRequest(load)
  const fields = headers.flatMap((name, index) =>
    index % 2 === 0 ? [`wrk.headers[${quoted(name)}] = ${quoted(headers[index + 1] ?? '')}`] : [],
  )
  return `wrk.method = "POST"
wrk.body = ${quoted(body)}
${fields.join('\n')}
function done(summary, latency)
  local e = summary.errors
  local at = function(share) return latency:percentile(share) / 1e3 end
  io.write(string.format('\\n{"requests":%d,"failed":%d,"errors":{"connect":%d,"read":%d,"write":%d,"status":%d,"timeout":%d},'
    .. '"seconds":%.6f,"bytes":%.0f,"p50":%.4f,"p90":%.4f,"p99":%.4f,"p999":%.4f}\\n',
    summary.requests, e.connect + e.read + e.write + e.status + e.timeout, e.connect, e.read, e.write, e.status, e.timeout,
    summary.duration / 1e6, summary.bytes, at(50), at(90), at(99), at(99.9)))
end
`
}

/** The generator of `sluice bench`, in a process of its own. */
class Own implements Generator {
  readonly name = 'the generator of sluice bench'
  readonly #dir: string

  constructor(dir: string) {
    this.#dir = dir
  }

  async run(url: string, load: Scenario, window: Window): Promise<LoadFigures> {
    const duration = Math.max(MIN_OWN_MS, load.duration)
    if (load.idle_streams === 0) return this.#calls(url, { ...load, duration }, window)
    // Ten thousand streams make a process slow that has to measure beside them: another one holds them.
    const { opened, held } = this.#hold(url, { ...load, duration: HOLD_BEFORE_MS + duration + HOLD_AFTER_MS })
    const failed = held.then(() => Promise.reject(new Error('the streams ended before the calls did')))
    await Promise.race([opened, failed])
    const figures = await Promise.race([this.#calls(url, { ...load, duration, idle_streams: 0 }, window), failed])
    const { open, broken } = (await held).idle_streams
    if (broken > 0)
      throw new Error(`${broken} of ${load.idle_streams} idle streams broke, ${open} were open at the end`)
    return figures
  }

  async #calls(url: string, load: Scenario, window: Window): Promise<LoadFigures> {
    let seconds = 0
    const result = await this.#load('load', url, load, () => {
      seconds++
      if (seconds === 1) window.begin()
      if (seconds === lastSecond(load)) window.end()
    })
    return figuresOf(result, lastSecond(load))
  }

  /** Opens the idle streams of a load, and little else. */
  #hold(url: string, load: Scenario): { opened: Promise<void>; held: Promise<LoadResult> } {
    const { promise: opened, resolve } = Promise.withResolvers<void>()
    let seconds = 0
    const held = this.#load('hold', url, { ...load, rate: HOLD_RATE, connections: 1 }, () => {
      seconds++
      if (seconds * 1000 >= HOLD_BEFORE_MS) resolve()
    })
    held.catch(() => {})
    return { opened, held }
  }

  async #load(name: string, url: string, load: Scenario, onSecond: () => void): Promise<LoadResult> {
    const files = [`${name}.json`, `${name}-result.json`].map(file => join(this.#dir, file)) as [string, string]
    writeFileSync(files[0], JSON.stringify(load))
    await collect(process.execPath, [join(import.meta.dirname, 'own-load.ts'), url, ...files], onSecond)
    return JSON.parse(readFileSync(files[1], 'utf8')) as LoadResult
  }
}

/** How long idle streams are open before calls beside them are measured, and at least how long afterwards. */
const HOLD_BEFORE_MS = 4000
const HOLD_AFTER_MS = 4000
/** Calls a second of the process that holds them. */
const HOLD_RATE = 1

const MIN_OWN_MS = 3000

/** The first second is left to connections that open; what is measured lies between the ends of two seconds. */
function lastSecond({ duration }: Scenario): number {
  return Math.floor(Math.max(MIN_OWN_MS, duration) / 1000) - 1
}

function figuresOf(result: LoadResult, last: number): LoadFigures {
  const counted = result.timeline.slice(1, last)
  const requests = counted.reduce((sum, one) => sum + one.requests, 0)
  const { p50, p90, p99, p999 } = result.latency_ms
  const share = requests / Math.max(1, result.requests)
  return {
    requests,
    failed: counted.reduce((sum, one) => sum + one.errors, 0),
    errors: result.errors,
    seconds: counted.length,
    bytes: result.bytes_received * share,
    p50,
    p90,
    p99,
    p999,
    first: result.first_byte_ms.p50,
    cpuShare: result.generator.cpu_share,
    isPaced: result.rate !== null,
  }
}

/** Clients that read slowly: what they leave must not pile up in the proxy. */
class SlowReader implements Generator {
  readonly name = 'clients that read 1 MB/s'

  async run(url: string, load: Scenario, window: Window): Promise<LoadFigures> {
    const script = join(import.meta.dirname, '..', 'servers', 'slow-reader.ts')
    const { body, headers } = plainRequest(load)
    const args = [script, url, String(load.connections), String(load.duration), body, JSON.stringify(headers)]
    window.begin()
    const { last, cpuShare } = await collect(process.execPath, args)
    window.end()
    return { ...(JSON.parse(last) as LoadFigures), errors: {}, first: Number.NaN, cpuShare }
  }
}

/** Runs a program until it ends, and watches what it costs itself. @throws Error with its output when it fails */
async function collect(command: string, args: string[], onLine: () => void = () => {}) {
  const running = start(command, args)
  const startedAt = performance.now()
  let cpu = 0
  const watch = setInterval(() => {
    cpu = Math.max(cpu, cpuMicros([running.pid]))
  }, 100)
  running.child.stdout?.on('data', (data: Buffer) => {
    for (const byte of data) if (byte === 10) onLine()
  })
  const code = await new Promise(resolve => running.child.once('close', resolve))
  clearInterval(watch)
  const wallMicros = (performance.now() - startedAt) * 1e3
  if (code !== 0) throw new Error(`the load generator (${command}) ended with code ${code}:\n${running.output()}`)
  return { last: running.output().trim().split('\n').at(-1) ?? '', cpuShare: cpu / wallMicros }
}
