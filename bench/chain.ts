/**
 * What each interceptor of the full chain costs: alone, all together, and on answers of 20 KB. See docs/performance.md.
 *
 * Usage: node bench/chain.ts [options]; `--help` tells them.
 */
import { machine } from './lib/machine.ts'
import { measure, type Sample } from './lib/measure.ts'
import { findNginx } from './lib/nginx.ts'
import { BODY_BYTES, LARGE_BYTES, large } from './lib/payload.ts'
import { addedTable, doubts, type Ratio, ratio, ratioLine, table, writeFigures } from './lib/report.ts'
import { asProgram, introduce, type Options, onStage, readOptions, show } from './lib/run.ts'
import { asked, fullChain, fullChainOf, nginx, only, passThrough, type Starter, type System } from './lib/systems.ts'

const FULL_TARGET = 1.8
const FULL_NGINX_TARGET = 3.2
const LARGE_TARGET = 2.2
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
    const systems = [...(size === 'large' ? [] : stage.systems), ...(size === 'small' ? [] : withLarge(stage.systems))]
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
function withLarge(systems: readonly System[]): System[] {
  const isFixed = ({ name }: System): boolean => ['audit', 'access', 'rate-limit'].includes(name)
  return systems.filter(system => !isFixed(system)).map(system => asked(system, large))
}

function conclude(systems: readonly System[], samples: Sample[], options: Options): void {
  const measured = new Set(systems.map(({ name }) => name))
  const big = (name: string): string => `${name} ${large.name}`
  const wanted: readonly (readonly [string, string, number])[] = [
    ['full-chain', 'pass-through', FULL_TARGET],
    ['full-chain', 'nginx', FULL_NGINX_TARGET],
    [big(SCANS.join('+')), big('pass-through'), LARGE_TARGET],
    [big('full-chain'), big('pass-through'), Number.NaN],
    ['full-chain', 'before', Number.NaN],
    [big('full-chain'), big('before'), Number.NaN],
  ]
  const ratios: Ratio[] = wanted
    .filter(([of, to]) => measured.has(of) && measured.has(to))
    .map(([of, to, target]) => ratio(samples, of, to, target))
  console.log(`\n${table(systems, samples)}\n`)
  for (const [base, isLarge] of [
    ['pass-through', false],
    [big('pass-through'), true],
  ] as const) {
    const others = systems.map(({ name }) => name).filter(name => name.endsWith(large.name) === isLarge)
    if (measured.has(base)) console.log(`${addedTable(samples, base, others)}\n`)
  }
  for (const doubt of doubts(samples)) console.log(`note: ${doubt}`)
  for (const one of ratios) console.log(ratioLine(one))
  if (options.json !== '') writeFigures(options.json, machine(), ratios, samples)
}

await asProgram('bench/chain.ts', main)
