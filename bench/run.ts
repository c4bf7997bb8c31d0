/**
 * `npm run bench -- SCENARIO`: starts servers, Sluice and what it is compared with, puts them under load in turns, and tells
 * what each costs. See docs/benchmarking.md.
 */
import { writeFileSync } from 'node:fs'
import { against, readBaselines, saveBaselines } from './harness/baselines.ts'
import { compareSystems, lastLine } from './harness/comparison.ts'
import type { Sample } from './harness/figures.ts'
import { generatorFor } from './harness/generator.ts'
import { htmlPage } from './harness/html.ts'
import { type BenchOptions, readBenchOptions } from './harness/options.ts'
import { doubts, type Findings, sampleLine, textReport } from './harness/report.ts'
import { measure } from './harness/rounds.ts'
import { type BenchScenario, type Compare, scenarioNames } from './harness/scenario.ts'
import { BEFORE, onStage, type Stage } from './harness/stage.ts'
import { verify } from './harness/verify.ts'
import { machine } from './lib/machine.ts'
import { asProgram } from './lib/run.ts'

const HELP = `npm run bench -- SCENARIO [options]

SCENARIO is one of ${scenarioNames().join(', ')},
or a file. Everything it needs is started, and ended, by itself.

  --quick           fewer and shorter rounds
  --rounds N        how often each system is measured
  --seconds N       seconds of load each time
  --peers           other gateways, too
  --peer-file FILE  gateways of yours: how to start them, and where they are
  --before DIR      each Sluice of another checkout, too
  --only A,B        only these systems
  --json FILE       write all figures there
  --html FILE       write a page with charts there
  --against FILE    tell what has got worse since these baselines; the exit code does not change
  --save FILE       make these figures the baselines of the scenario
`

async function main(): Promise<void> {
  const options = readBenchOptions(process.argv.slice(2))
  if (options === null) {
    console.log(HELP)
    return
  }
  const stageOptions = { ...options, nodeArgs: () => [] }
  await onStage(options.scenario, stageOptions, async stage => conclude(await run(stage, options), options))
}

async function run(stage: Stage, { scenario, rounds }: BenchOptions): Promise<Findings> {
  const { name, description, connections, duration, bench } = scenario
  const load = stage.systems[0]?.load ?? scenario
  const generator = generatorFor(bench.generator, load, stage.dir).name
  console.log(`${name}: ${description}`)
  console.log(
    `${machine()}; ${rounds} rounds of ${duration / 1000} s, in turns; ${connections} connections, ${generator}`,
  )
  const systems = stage.systems.map(({ name: own, what }) => ({ name: own, what }))
  for (const system of systems) console.log(`  ${system.name.padEnd(24)}${system.what}`)
  for (const why of stage.absent) console.log(`note: ${why}`)
  console.log()
  // Faults would be taken for wrong answers.
  if (bench.allowed_failures === 0) await verify(stage)
  const onSample = (sample: Sample): void => console.log(sampleLine(sample))
  const { generator: kind, allowed_failures: allowedFailures } = bench
  const warmUpTool = bench.warm_up_tool ?? ''
  const samples = await measure(stage, { rounds, generator: kind, allowedFailures, warmUpTool, onSample })
  const comparisons = [...bench.compare, ...withBefore(bench)].flatMap(spec => compareSystems(samples, spec) ?? [])
  const at = new Date().toISOString()
  const found = { scenario: name, description, at, machine: machine(), generator, systems, comparisons }
  return { version: 1, ...found, doubts: [...stage.absent, ...doubts(samples)], samples }
}

function withBefore({ sluice }: BenchScenario['bench']): Compare[] {
  return Object.keys(sluice).map(of => ({ of, to: of + BEFORE, figure: 'cpu', how: 'ratio', per: 1 }))
}

function conclude(findings: Findings, options: BenchOptions): void {
  const { name, bench } = options.scenario
  console.log(`\n${textReport(findings)}`)
  if (options.json !== '') writeFileSync(options.json, `${JSON.stringify(findings, null, 2)}\n`)
  if (options.html !== '') writeFileSync(options.html, htmlPage(findings))
  if (options.against !== '')
    for (const line of against(readBaselines(options.against), name, findings.comparisons)) console.log(line)
  if (options.save !== '') saveBaselines(options.save, name, findings.comparisons)
  const last = lastLine(name, bench.compare, findings.comparisons)
  if (last !== '') console.log(last)
}

await asProgram('bench', main)
