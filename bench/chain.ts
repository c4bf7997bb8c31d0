/**
 * What each interceptor of the full chain costs: alone, all together, and on answers of 20 KB. See docs/performance.md.
 *
 * Usage: node bench/chain.ts [options]; `--help` tells them.
 */
import { machine } from './lib/machine.ts'
import { measure, type Sample } from './lib/measure.ts'
import { findNginx } from './lib/nginx.ts'
import { BODY_BYTES, LARGE_BYTES, page, records, type Workload, workloads } from './lib/payload.ts'
import { addedTable, doubts, type Ratio, ratio, ratioLine, table, writeFigures } from './lib/report.ts'
import { asProgram, introduce, type Options, onStage, readOptions, show } from './lib/run.ts'
import { asked, fullChain, fullChainOf, nginx, only, passThrough, type Starter, type System } from './lib/systems.ts'

const FULL_TARGET = 1.8
const FULL_NGINX_TARGET = 3.2
const LARGE_TARGET = 2.2
const LARGE = [page, records]
const ALONE = ['audit', 'access', 'rate-limit', 'schema', 'secret-scan']
const SCANS = ['schema', 'secret-scan']
const HELP = `node bench/chain.ts [options]

CPU per request of Sluice with the full chain, with each of its interceptors alone, and on answers of ${LARGE_BYTES / 1024} KB.

  --rounds N        how often each is measured, at least 3 (default 6)
  --seconds N       seconds of load each time (default 1)
  --connections N   connections that send at a time (default 16)
  --json FILE       write all figures there too
  --only NAMES      only these, besides pass-through: full-chain, an interceptor, or some joined by "+"; separated by commas
  --size SIZE       only answers of this size: small or large
  --before DIR      measure the full chain of another checkout, too
`

async function main(): Promise<void> {
  const options = readOptions({ rounds: 6, seconds: 1 }, ['only', 'size', 'before'])
  if (options === null) {
    console.log(HELP)
    return
  }
  const { only: names, size, before } = options.more
  await onStage(starters(names, before), async stage => {
    const bigger = size === 'small' ? [] : [...withLarge(stage.systems, page), ...withLarge(stage.systems, records)]
    const systems = [...(size === 'large' ? [] : stage.systems), ...bigger]
    introduce(`POST ${BODY_BYTES} B -> JSON of 300 B or 20 KB`, systems, stage.load.name, options)
    conclude(systems, await measure({ ...stage, systems, ...options, onSample: show }), options)
  })
}

function starters(names: string, before: string): Starter[] {
  const chosen = names === '' ? ['full-chain', ...ALONE, SCANS.join('+')] : names.split(',')
  return [
    ...(findNginx() === null ? [] : [nginx]),
    passThrough,
    ...chosen.map(name => (name === 'full-chain' ? fullChain : only(...name.split('+')))),
    ...(before === '' ? [] : [fullChainOf(before)]),
  ]
}

/** Those whose cost grows with the answer. */
function withLarge(systems: readonly System[], workload: Workload): System[] {
  const isFixed = ({ name }: System): boolean => ['audit', 'access', 'rate-limit'].includes(name)
  return systems.filter(system => !isFixed(system)).map(system => asked(system, workload))
}

function conclude(systems: readonly System[], samples: Sample[], options: Options): void {
  const measured = new Set(systems.map(({ name }) => name))
  const wanted: readonly (readonly [string, string, number])[] = [
    ['full-chain', 'pass-through', FULL_TARGET],
    ['full-chain', 'nginx', FULL_NGINX_TARGET],
    ...LARGE.map(({ name }) => [`${SCANS.join('+')} ${name}`, `pass-through ${name}`, LARGE_TARGET] as const),
    ...LARGE.map(({ name }) => [`full-chain ${name}`, `pass-through ${name}`, Number.NaN] as const),
    ['full-chain', 'before', Number.NaN],
    ...LARGE.map(({ name }) => [`full-chain ${name}`, `before ${name}`, Number.NaN] as const),
  ]
  const ratios: Ratio[] = wanted
    .filter(([of, to]) => measured.has(of) && measured.has(to))
    .map(([of, to, target]) => ratio(samples, of, to, target))
  console.log(`\n${table(systems, samples)}\n`)
  for (const workload of workloads) {
    const same = systems.filter(system => system.workload === workload).map(({ name }) => name)
    const base = same.find(name => name.startsWith('pass-through'))
    if (base !== undefined) console.log(`${addedTable(samples, base, same)}\n`)
  }
  for (const doubt of doubts(samples)) console.log(`note: ${doubt}`)
  for (const one of ratios) console.log(ratioLine(one))
  if (options.json !== '') writeFigures(options.json, machine(), ratios, samples)
}

await asProgram('bench/chain.ts', main)
