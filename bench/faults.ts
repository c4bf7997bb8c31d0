/**
 * `node bench/faults.ts`: three replicas under a steady load, one of them killed every few seconds. Tells how many of the
 * calls that may be repeated succeed, how long the slowest take, whether a write was done twice, and whether anything is
 * left behind. See docs/performance.md.
 */
import { writeFileSync } from 'node:fs'
import { parseArgs } from 'node:util'
import { containers } from './lib/fault-containers.ts'
import { type FaultFigures, type FaultOptions, type Leg, PROCESSES, runFaults } from './lib/faults.ts'
import { machine } from './lib/machine.ts'
import { asProgram } from './lib/run.ts'

const WELL_TARGET = 99.5
const P99_TARGET_MS = 1_000
const HELP = `node bench/faults.ts [options]

3 replicas, 200 calls a second (open loop, one of ten writes), one replica killed every 5 s for 60 s.

  --seconds N     how long (default 60)
  --kill-every N  seconds between two kills (default 5)
  --rate N        calls a second (default 200)
  --leg NAME      only "processes" or "containers" (default: both; containers need a Docker engine)
  --json FILE     write all figures there too
`

async function main(): Promise<void> {
  const { values } = parseArgs({
    options: {
      seconds: { type: 'string', default: '60' },
      'kill-every': { type: 'string', default: '5' },
      rate: { type: 'string', default: '200' },
      leg: { type: 'string', default: '' },
      json: { type: 'string', default: '' },
      help: { type: 'boolean', default: false },
    },
  })
  if (values.help) {
    console.log(HELP)
    return
  }
  const options: FaultOptions = {
    seconds: Number(values.seconds),
    killEveryMs: Number(values['kill-every']) * 1000,
    rate: Number(values.rate),
    replicas: 3,
    onKill: id => console.log(`  killed ${id.slice(0, 12)}`),
  }
  console.log(`${options.replicas} replicas, ${options.rate} calls/s, a kill every ${values['kill-every']} s`)
  console.log(machine())
  const all: FaultFigures[] = []
  for (const leg of await legs(values.leg)) {
    console.log(`${leg.name}, ${options.seconds} s`)
    all.push(await runFaults(leg, options))
    say(all.at(-1) as FaultFigures)
  }
  if (values.json !== '') writeFileSync(values.json, `${JSON.stringify(all, null, 2)}\n`)
  if (!all.every(isGood)) process.exitCode = 1
}

async function legs(only: string): Promise<Leg[]> {
  if (only === 'processes') return [PROCESSES]
  const found = await containers()
  if (typeof found !== 'string') return only === 'containers' ? [found] : [PROCESSES, found]
  console.log(`note: no containers: ${found}`)
  return only === 'containers' ? [] : [PROCESSES]
}

function isGood({ readsWell, readP99Ms, duplicates, lostWrites, orphans }: FaultFigures): boolean {
  return readsWell >= WELL_TARGET && readP99Ms < P99_TARGET_MS && duplicates + lostWrites + orphans === 0
}

function say(figures: FaultFigures): void {
  const { reads, readsWell, readP99Ms, writes, writesFailed, duplicates, lostWrites, orphans, kills } = figures
  console.log(`  kills                      ${kills}`)
  console.log(`  idempotent calls           ${reads}, ${readsWell.toFixed(3)} % succeeded (target ${WELL_TARGET} %)`)
  console.log(`  their p99                  ${readP99Ms.toFixed(1)} ms (target ${P99_TARGET_MS} ms)`)
  console.log(`  writes                     ${writes}, ${writesFailed} failed (each told to its client)`)
  console.log(`  writes done twice          ${duplicates} (target 0)`)
  console.log(`  writes said done, not done ${lostWrites} (target 0)`)
  console.log(`  orphans                    ${orphans} (target 0)`)
  for (const [error, count] of Object.entries(figures.errors)) console.log(`  ${count} x ${error}`)
  if (!isGood(figures)) console.log(`what the proxy said last:\n${figures.output}`)
  const short = `${readsWell.toFixed(2)} % of idempotent calls, p99 ${readP99Ms.toFixed(0)} ms`
  console.log(`bench:faults: ${figures.leg} ${short}, ${duplicates} duplicated writes, ${orphans} orphans`)
}

await asProgram('bench:faults', main)
