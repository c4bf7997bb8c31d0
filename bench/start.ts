/**
 * How long `sluice run` takes until it has answered its first call, and what memory it has then. See docs/performance.md.
 *
 * Usage: node bench/start.ts [--rounds N] [--built]; --built = the package in dist (`npm run build`), not the sources.
 */
import { existsSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { parseArgs } from 'node:util'
import { scenarioSchema } from '../proxy/load/scenario.ts'
import { median } from './harness/figures.ts'
import { plainRequest } from './harness/generator.ts'
import { rssBytes } from './harness/memory.ts'
import { BENCH, urlOf } from './harness/systems.ts'
import { machine } from './lib/machine.ts'
import { family, freePorts, listening, start, stop } from './lib/process.ts'
import { asProgram } from './lib/run.ts'

const TARGET_MS = 400
const TARGET_MB = 90
const LIMIT_MS = 15_000
/** Until it is idle: what a start leaves to do is done by then. */
const SETTLE_MS = 3_000

async function main(): Promise<void> {
  const { values } = parseArgs({ options: { rounds: { type: 'string', default: '10' }, built: { type: 'boolean' } } })
  const program = join(BENCH, '..', values.built === true ? 'dist/proxy/cli/sluice.js' : 'proxy/cli/sluice.ts')
  if (!existsSync(program)) throw new Error('there is no dist: npm run build')
  const dir = mkdtempSync(join(tmpdir(), 'sluice-start-'))
  const [upstreamPort = 0] = await freePorts(1)
  const upstream = start(process.execPath, [join(BENCH, 'servers', 'raw.ts'), String(upstreamPort)])
  try {
    await listening(upstream, upstreamPort, 'the upstream')
    const servers = { bench: { url: urlOf(upstreamPort) } }
    const file = join(dir, 'sluice.yaml')
    writeFileSync(file, JSON.stringify({ version: 1, admin: 'off', workers: 1, state_dir: dir, servers }))
    console.log(
      `${machine()}; ${values.rounds} starts of ${values.built === true ? 'the built package' : 'the sources'}`,
    )
    const all: Start[] = []
    for (let round = 0; round < Number(values.rounds); round++) all.push(await startOnce(program, file))
    tell(
      'first call answered',
      'ms',
      TARGET_MS,
      all.map(one => one.ms),
    )
    tell(
      'memory when idle',
      'MB',
      TARGET_MB,
      all.map(one => one.rssMb),
    )
  } finally {
    await stop(upstream)
    rmSync(dir, { recursive: true, force: true })
  }
}

interface Start {
  readonly ms: number
  readonly rssMb: number
}

async function startOnce(program: string, file: string): Promise<Start> {
  const [port = 0] = await freePorts(1)
  const startedAt = performance.now()
  const running = start(process.execPath, [program, 'run', '-c', file, '--listen', `127.0.0.1:${port}`])
  try {
    while (!(await isAnswered(urlOf(port)))) {
      const waited = performance.now() - startedAt
      if (running.child.exitCode !== null || waited > LIMIT_MS)
        throw new Error(`it does not answer:\n${running.output()}`)
      await sleep(2)
    }
    const ms = performance.now() - startedAt
    await sleep(SETTLE_MS)
    return { ms, rssMb: rssBytes(family(running.pid)) / 1e6 }
  } finally {
    await stop(running)
  }
}

const { body, headers } = plainRequest(
  scenarioSchema.parse({ era: 'modern', mix: [{ call: 'echo', arguments: { text: 'x' } }] }),
)
const fields = headers.flatMap((name, index): [string, string][] =>
  index % 2 === 0 ? [[name, headers[index + 1] ?? '']] : [],
)

async function isAnswered(url: string): Promise<boolean> {
  try {
    const answer = await fetch(url, { method: 'POST', body, headers: fields })
    return (await answer.text()).includes('"result"')
  } catch {
    return false
  }
}

function tell(what: string, unit: string, target: number, values: readonly number[]): void {
  const best = Math.min(...values).toFixed(0)
  console.log(
    `${what}: ${median(values).toFixed(0)} ${unit} (target at most ${target}; best ${best}, worst ${Math.max(...values).toFixed(0)})`,
  )
}

await asProgram('bench/start', main)
