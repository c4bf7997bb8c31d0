import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { parseArgs } from 'node:util'
import { startProgram, startSluice } from '../helpers/program.ts'
import { Closers, type Scope } from '../helpers/scope.ts'
import { type Checks, type Difference, differences, readChecks, score } from './checks.ts'
import { type Column, explain, table } from './report.ts'

/**
 * `npm run conformance`: the official MCP conformance suite against our fixture server, directly and then through Sluice with each of
 * these policies, and with the same server over stdio. Fails unless every check says behind the proxy what it says directly.
 *
 * Options: `--set 2026-07-28` (repeatable), `--leg direct|pass-through|chain|edits|stdio` (repeatable; direct always runs),
 * `--keep DIR` (keeps the runner's results).
 */
const SETS = ['2025-11-25', '2026-07-28']
const LEGS = ['pass-through', 'chain', 'edits', 'stdio']
/**
 * Scenarios that ask for what a bridge to a server over stdio does not have: streams that can be resumed, and a stream for
 * an answer that nothing comes before.
 */
const NOT_OVER_STDIO = ['server-sse-polling', 'server-sse-multiple-streams']
const RUN_MS = 120_000
const HERE = fileURLToPath(new URL('.', import.meta.url))
const RUNNER = fileURLToPath(new URL('../../node_modules/.bin/conformance', import.meta.url))

const { values } = parseArgs({
  options: {
    set: { type: 'string', multiple: true, default: SETS },
    leg: { type: 'string', multiple: true, default: LEGS },
    keep: { type: 'string' },
  },
})
const results = values.keep ?? mkdtempSync(join(tmpdir(), 'sluice-conformance-'))

let failed = false
for (const set of values.set) if (!(await runSet(set))) failed = true
if (values.keep === undefined) rmSync(results, { recursive: true, force: true })
process.exitCode = failed ? 1 : 0

async function runSet(set: string): Promise<boolean> {
  console.log(`\nRequirements of ${set}`)
  const direct = await runLeg(set, 'direct')
  const columns: Column[] = [{ title: 'direct', checks: direct, differences: [] }]
  for (const leg of LEGS.filter(name => values.leg.includes(name))) {
    const checks = await runLeg(set, leg)
    const found = differences(direct, checks)
    const isExpected = ({ direct: before, proxied }: Difference): boolean =>
      leg === 'stdio' && NOT_OVER_STDIO.includes((before ?? proxied)?.scenario ?? '')
    columns.push({ title: leg, checks, differences: found.filter(one => !isExpected(one)) })
  }
  console.log(`\n${table(columns)}\n`)
  return judge(set, columns)
}

function judge(set: string, columns: readonly Column[]): boolean {
  const { passed, total } = score(columns[0]?.checks ?? new Map())
  console.log(`${set}: ${passed} of ${total} checks pass directly`)
  let isEqual = total > 0
  for (const { title, differences } of columns.slice(1)) {
    if (differences.length > 0) isEqual = false
    console.log(`${set}: ${title} ${differences.length === 0 ? '= direct, check by check' : '!= direct'}`)
    if (differences.length > 0) console.log(explain(title, differences))
  }
  return isEqual
}

/** Each run gets a fixture and a proxy of its own, so that none sees what another one left behind. */
async function runLeg(set: string, leg: string): Promise<Checks> {
  const scope = new Closers()
  try {
    const url = leg === 'stdio' ? await overStdio(scope, join(results, set)) : await overHttp(scope, leg)
    return await runSuite(set, url, join(results, set, leg))
  } finally {
    await scope.close()
  }
}

async function overHttp(scope: Scope, leg: string): Promise<string> {
  const fixture = await startProgram(scope, ['node', join(HERE, 'server.ts')], { ready: /listening on (\S+)/ })
  return leg === 'direct' ? fixture.ready : (await startSluice(scope, proxyArguments(leg, fixture.ready))).url
}

/** Sluice starts the fixture itself. */
async function overStdio(scope: Scope, dir: string): Promise<string> {
  mkdirSync(dir, { recursive: true })
  const file = join(dir, 'sluice.yaml')
  const command = [process.execPath, join(HERE, 'stdio-server.ts')]
  writeFileSync(file, JSON.stringify({ state_dir: join(dir, 'state'), servers: { fixture: { command } } }))
  return (await startSluice(scope, ['-c', file])).url
}

function proxyArguments(leg: string, url: string): string[] {
  if (leg === 'pass-through') return [url]
  return [url, '--policy', join(HERE, `${leg}.yaml`), '--interceptors', join(HERE, 'interceptors')]
}

/** Runs the official runner. Its exit code counts failed checks, which is not what is asked here: its results are read. */
async function runSuite(set: string, url: string, dir: string): Promise<Checks> {
  const child = spawn(process.execPath, [RUNNER, 'server', '--url', url, '--requirements', set, '-o', dir], {
    stdio: ['ignore', 'ignore', 'pipe'],
    timeout: RUN_MS,
    killSignal: 'SIGKILL',
  })
  let complaint = ''
  child.stderr.setEncoding('utf8').on('data', text => {
    complaint = (complaint + text).slice(-4096)
  })
  const [, signal] = await once(child, 'exit')
  if (signal !== null) throw new Error(`the conformance runner did not end within ${RUN_MS} ms\n${complaint}`)
  return readChecks(dir)
}
