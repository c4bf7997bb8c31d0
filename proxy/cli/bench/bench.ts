import { lookup } from 'node:dns/promises'
import { writeFileSync } from 'node:fs'
import { HandshakeError } from '../../load/handshake.ts'
import type { LoadResult } from '../../load/load-result.ts'
import { runLoad } from '../../load/load-run.ts'
import { type LoadTarget, parseTarget } from '../../load/load-target.ts'
import { loadScenario, type Scenario, scenarioSchema } from '../../load/scenario.ts'
import type { Second } from '../../load/tally.ts'
import { FAILED, OK, ReportedError } from '../failure.ts'
import { UsageError } from '../usage-error.ts'
import { compareResults, readResult } from './compare.ts'
import { htmlReport } from './html-report.ts'
import { ms, textReport } from './text-report.ts'

export interface BenchFlags {
  readonly scenario?: string
  readonly tool?: string
  readonly args?: string
  readonly era?: Scenario['era']
  readonly connections?: number
  readonly rate?: number
  readonly duration?: number
  readonly warmUp?: number
  readonly sessions?: number
  readonly idleStreams?: number
  readonly header: readonly string[]
  readonly json?: string
  readonly html?: string
  readonly compare?: readonly string[]
  readonly iOwnThisTarget?: boolean
}

/** `sluice bench URL`: puts an MCP endpoint under load. Gives the exit code: 1 when requests failed. */
export async function bench(url: string | undefined, flags: BenchFlags): Promise<number> {
  if (flags.compare !== undefined) return compare(flags.compare)
  if (url === undefined) throw new UsageError('give the URL of an MCP endpoint, such as http://127.0.0.1:8080/mcp')
  const target = await findTarget(url, flags.iOwnThisTarget === true)
  const scenario = scenarioOf(flags)
  const stop = new AbortController()
  const onSignal = (): void => stop.abort()
  process.once('SIGINT', onSignal)
  const progress = new Progress(scenario)
  try {
    const result = await runLoad({
      url: target.url,
      scenario,
      signal: stop.signal,
      onSecond: one => progress.show(one),
    })
    progress.clear()
    report(result, flags)
    return result.failed > 0 || result.requests === 0 ? FAILED : OK
  } catch (error) {
    progress.clear()
    if (error instanceof HandshakeError) throw new ReportedError(`sluice bench: ${error.message}`, FAILED)
    throw error
  } finally {
    process.off('SIGINT', onSignal)
  }
}

function compare(files: readonly string[]): number {
  const [a, b, ...rest] = files
  if (a === undefined || b === undefined || rest.length > 0) throw new UsageError('--compare: expected two files')
  process.stdout.write(compareResults(readResult(a), readResult(b)))
  return OK
}

/** @throws UsageError when the target is no endpoint, or one that may belong to somebody else */
async function findTarget(text: string, owned: boolean): Promise<LoadTarget> {
  const host = URL.parse(text)?.hostname ?? ''
  const found = host === '' ? [] : await lookup(host.replace(/^\[|\]$/g, ''), { all: true }).catch(() => [])
  const target = parseTarget(
    text,
    found.map(({ address }) => address),
  )
  if (target === null) throw new UsageError(`expected the URL of an MCP endpoint, such as http://127.0.0.1:8080/mcp`)
  if (target.isNear || owned) return target
  throw new UsageError(
    `${target.host} is neither this machine nor in a private network: load tests are only for what is yours. If it is, say so with --i-own-this-target`,
  )
}

/** What the file says, and the flags over it. */
function scenarioOf(flags: BenchFlags): Scenario {
  if (flags.scenario !== undefined && flags.tool !== undefined) {
    throw new UsageError('--scenario says what to ask for: leave out --tool')
  }
  if (flags.args !== undefined && flags.tool === undefined) throw new UsageError('--args are those of --tool: name one')
  const base = flags.scenario === undefined ? scenarioSchema.parse({}) : loadScenario(flags.scenario, process.env)
  const mix =
    flags.tool === undefined ? {} : { mix: [{ call: flags.tool, arguments: argumentsOf(flags.args ?? '{}') }] }
  const over = {
    ...mix,
    era: flags.era,
    connections: flags.connections,
    rate: flags.rate,
    duration: flags.duration,
    warm_up: flags.warmUp,
    sessions: flags.sessions,
    idle_streams: flags.idleStreams,
    headers: { ...base.headers, ...headersOf(flags.header) },
  }
  const given = Object.fromEntries(Object.entries(over).filter(([, value]) => value !== undefined))
  const checked = scenarioSchema.safeParse({ ...base, ...given })
  if (checked.success) return checked.data
  const [issue] = checked.error.issues
  throw new UsageError(`${issue?.path.join('.')}: ${issue?.message}`)
}

function argumentsOf(text: string): Record<string, unknown> {
  try {
    const value: unknown = JSON.parse(text)
    if (typeof value === 'object' && value !== null && !Array.isArray(value)) return value as Record<string, unknown>
  } catch {
    // Said below.
  }
  throw new UsageError('--args: expected a JSON object, such as \'{"query":"docker"}\'')
}

function headersOf(lines: readonly string[]): Record<string, string> {
  return Object.fromEntries(
    lines.map(line => {
      const at = line.indexOf(':')
      if (at < 1) throw new UsageError('--header: expected "Name: value"')
      return [line.slice(0, at).trim().toLowerCase(), line.slice(at + 1).trim()]
    }),
  )
}

function report(result: LoadResult, flags: BenchFlags): void {
  const json = `${JSON.stringify(result, null, 2)}\n`
  if (flags.json === '-') process.stdout.write(json)
  else {
    process.stdout.write(textReport(result))
    if (flags.json !== undefined) writeFileSync(flags.json, json)
  }
  if (flags.html !== undefined) writeFileSync(flags.html, htmlReport(result))
}

/** One line that is written over and over, on a terminal only. */
class Progress {
  readonly #isTerminal = process.stderr.isTTY === true
  readonly #seconds: number

  constructor(scenario: Scenario) {
    this.#seconds = Math.round(scenario.duration / 1000)
    if (this.#isTerminal) process.stderr.write(`warming up for ${scenario.warm_up / 1000} s …`)
  }

  show({ second, requests, errors, p50, p99 }: Second): void {
    if (!this.#isTerminal) return
    const text = `${second}/${this.#seconds} s  ${requests} requests/s  ${errors} failed  p50 ${ms(p50)} ms  p99 ${ms(p99)} ms`
    process.stderr.write(`\r\u001b[K${text}`)
  }

  clear(): void {
    if (this.#isTerminal) process.stderr.write('\r\u001b[K')
  }
}
