/**
 * `npm run profile -- SCENARIO`: where Sluice spends its time and what it allocates under the load of a scenario, as flame
 * graphs in one page. See docs/benchmarking.md.
 */
import { readdirSync, readFileSync, writeFileSync } from 'node:fs'
import { join, resolve } from 'node:path'
import { parseArgs } from 'node:util'
import { type CpuProfile, cpuTree, type Frame, type HeapProfile, heapTree, topFrames } from './harness/flame.ts'
import { type FlameChart, flamePage } from './harness/flame-page.ts'
import { generatorFor } from './harness/generator.ts'
import { findScenario, OptionError } from './harness/options.ts'
import { type BenchScenario, scenarioNames } from './harness/scenario.ts'
import { onStage, type Stage } from './harness/stage.ts'
import type { System } from './harness/systems.ts'
import { asProgram } from './lib/run.ts'

const HELP = `npm run profile -- SCENARIO [options]

SCENARIO is one of ${scenarioNames().join(', ')}, or a file.

  --system NAME   which Sluice of the scenario; default: the last one
  --seconds N     seconds of load (default 8)
  --html FILE     the page (default profile-SCENARIO.html)

The figures of a Sluice that is profiled mean nothing; its shares do.
`
/** Microseconds between two looks at the stack. */
const INTERVAL_MICROS = 300
const TOP = 12

async function main(): Promise<void> {
  const text = { type: 'string' } as const
  const { values, positionals } = parseArgs({
    allowPositionals: true,
    options: { system: text, seconds: text, html: text, help: { type: 'boolean', short: 'h' } },
  })
  const [name] = positionals
  if (values.help === true || name === undefined) return console.log(HELP)
  const scenario = findScenario(name)
  const system = values.system ?? lastSluice(scenario)
  if (scenario.bench.sluice[system] === undefined) {
    throw new OptionError(`the scenario has no Sluice "${system}": ${Object.keys(scenario.bench.sluice).join(', ')}`)
  }
  const charts = await record(scenario, system, Number(values.seconds ?? 8))
  const file = resolve(values.html ?? `profile-${scenario.name}.html`)
  writeFileSync(file, flamePage(`${scenario.name}: ${system}`, charts))
  console.log(`open ${file} in a browser`)
}

function lastSluice({ bench }: BenchScenario): string {
  const names = bench.systems.filter(name => bench.sluice[name] !== undefined)
  const last = names.at(-1)
  if (last === undefined) throw new OptionError('the scenario has no Sluice')
  return last
}

/** Twice, as each kind of profile shows up in the other. */
async function record(scenario: BenchScenario, system: string, seconds: number): Promise<FlameChart[]> {
  const interval = ['--cpu-prof', '--cpu-prof-interval', String(INTERVAL_MICROS)]
  const cpu = cpuTree(largest<CpuProfile>(await profiled(scenario, { system, seconds, flags: interval, kind: 'cpu' })))
  const flags = ['--heap-prof', '--heap-prof-interval', '16384']
  const heap = heapTree(largest<HeapProfile>(await profiled(scenario, { system, seconds, flags, kind: 'heap' })))
  const ms = (value: number): string => `${(value / 1000).toFixed(0)} ms`
  const kib = (value: number): string => `${(value / 1024).toFixed(0)} KiB`
  say('on the processor', cpu, ms)
  say('allocated and alive', heap, kib)
  return [
    { title: 'On the processor', root: cpu, format: ms },
    { title: 'Allocated and alive at the end', root: heap, format: kib },
  ]
}

function say(what: string, root: Frame, format: (value: number) => string): void {
  console.log(`${what}: ${format(root.total)}`)
  for (const { name, own } of topFrames(root, TOP))
    console.log(`  ${((own / root.total) * 100).toFixed(1).padStart(5)} %  ${name}`)
}

interface Recording {
  readonly system: string
  readonly seconds: number
  readonly flags: readonly string[]
  readonly kind: 'cpu' | 'heap'
}

/** The texts of the profiles that a run of one system has left. */
async function profiled(scenario: BenchScenario, { system, seconds, flags, kind }: Recording): Promise<string[]> {
  const act = async (stage: Stage): Promise<string[]> => {
    const [only] = stage.systems as [System]
    const load = { ...only.load, duration: seconds * 1000 }
    const generator = generatorFor(scenario.bench.generator, load, stage.dir)
    await generator.run(only.url, load, { begin: () => {}, end: () => {} })
    await stage.stop()
    const files = readdirSync(join(stage.dir, system)).filter(file => file.endsWith(`.${kind}profile`))
    return files.map(file => readFileSync(join(stage.dir, system, file), 'utf8'))
  }
  const nodeArgs = (name: string, dir: string): string[] =>
    name === system ? [...flags, `--${kind}-prof-dir`, join(dir, name)] : []
  return onStage(scenario, { peers: false, peerFile: '', before: '', only: [system], nodeArgs }, act)
}

/** That of the process which did the work. */
function largest<T>(texts: readonly string[]): T {
  const [found] = texts.toSorted((a, b) => b.length - a.length)
  if (found === undefined) throw new Error('Sluice left no profile: did it end by itself?')
  return JSON.parse(found) as T
}

await asProgram('profile', main)
