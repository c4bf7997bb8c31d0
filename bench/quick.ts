/**
 * `npm run bench:quick`: CPU per request of Sluice beside nginx, in under a minute. See docs/performance.md for the method.
 */
import { machine } from './lib/machine.ts'
import { measure, type Sample } from './lib/measure.ts'
import { findNginx } from './lib/nginx.ts'
import { BODY_BYTES } from './lib/payload.ts'
import { doubts, type Ratio, ratio, ratioLine, table, writeFigures } from './lib/report.ts'
import { asProgram, introduce, type Options, onStage, readOptions, show } from './lib/run.ts'
import { bare, chain, fullChain, nginx, passThrough, type System } from './lib/systems.ts'

const PASS_TARGET = 2.6
const CHAIN_TARGET = 1.4
const FULL_TARGET = 1.8
const FULL_NGINX_TARGET = 3.2
const HELP = `npm run bench:quick [-- options]

CPU per request of nginx, of a bare node:http + undici proxy, and of Sluice without interceptors, with four and with all
that a hardened installation has.

  --rounds N        how often each is measured, at least 3 (default 3)
  --seconds N       seconds of load each time (default 2)
  --connections N   connections that send at a time (default 16)
  --json FILE       write all figures there too

Needs nginx and wrk (Debian: apt-get install nginx-light wrk). Without wrk a slower generator of our own is used.
`

async function main(): Promise<void> {
  const options = readOptions({ rounds: 3, seconds: 2 })
  if (options === null) {
    console.log(HELP)
    return
  }
  const ours = [bare, passThrough, chain, fullChain]
  await onStage(findNginx() !== null ? [nginx, ...ours] : ours, async stage => {
    introduce(`POST ${BODY_BYTES} B -> ${BODY_BYTES} B JSON`, stage.systems, stage.load.name, options)
    conclude(stage.systems, await measure({ ...stage, ...options, onSample: show }), options)
  })
}

function conclude(systems: readonly System[], samples: Sample[], options: Options): void {
  const hasNginx = systems.some(system => system.name === 'nginx')
  const pass = ratio(samples, 'pass-through', 'nginx', PASS_TARGET)
  const chained = ratio(samples, 'chain', 'pass-through', CHAIN_TARGET)
  const full = ratio(samples, 'full-chain', 'pass-through', FULL_TARGET)
  const fullToNginx = ratio(samples, 'full-chain', 'nginx', FULL_NGINX_TARGET)
  const floor = ratio(samples, 'pass-through', 'bare', Number.NaN)
  const ratios = hasNginx ? [pass, chained, full, fullToNginx] : [chained, full]
  console.log(`\n${table(systems, samples)}\n`)
  for (const doubt of doubts(samples)) console.log(`note: ${doubt}`)
  console.log(`pass-through = ${floor.median.toFixed(2)} x bare (the floor of node:http + undici)`)
  if (!hasNginx)
    console.log('note: nginx is not installed, so there is nothing to compare with: apt-get install nginx-light')
  for (const one of ratios) console.log(ratioLine(one))
  if (options.json !== '') writeFigures(options.json, machine(), ratios, samples)
  const times = (one: Ratio): string => (hasNginx ? one.median.toFixed(2) : '-')
  console.log(`${lastLine(times(pass), chained.median.toFixed(2))}`)
  console.log(`overhead: pass-through ${times(pass)} x nginx, full chain ${times(fullToNginx)} x nginx`)
}

function lastLine(pass: string, chained: string): string {
  const first = `pass-through ${pass} x nginx (target ${PASS_TARGET.toFixed(2)})`
  return `bench:quick: ${first}, chain ${chained} x pass-through (target ${CHAIN_TARGET.toFixed(2)})`
}

await asProgram('bench:quick', main)
