/**
 * The jq interceptor: `node bench/micro/jq.ts`. Processor time for one result, in this process and in jq, the best of several rounds,
 * and what this process allocates; Linux only. `ask` is the co-process alone (stringify, pipe, parse); `whole` adds what the
 * interceptor does around it: reading the message and editing it.
 */
import { readFileSync } from 'node:fs'
import type { Exchange, Message } from '#api'
import { probe } from '#testing'
import { findBinary } from '../../interceptors/jq/binary.ts'
import { compileFilters } from '../../interceptors/jq/check-filter.ts'
import { Filter } from '../../interceptors/jq/filter.ts'
import jq from '../../interceptors/jq/jq.ts'
import { limitedCommand } from '../../interceptors/jq/limits.ts'
import { Pool } from '../../interceptors/jq/pool.ts'
import { asArgument } from '../../interceptors/jq/program.ts'
import { allocatedByAsync } from '../lib/micro.ts'

const ROUNDS = 7
/** `/proc/PID/stat` counts hundredths of a second: a round must be long against that. */
const ROUND_MS = 400
const TICK_US = 10_000
const LIMITS = { maxMemoryBytes: 256 * 1024 * 1024 }

interface Cost {
  readonly ours: number
  readonly theirs: number
  /** Bytes allocated here. */
  readonly bytes: number
}

function jqMicros(pids: readonly number[]): number {
  return pids.reduce((sum, pid) => {
    const [, rest = ''] = readFileSync(`/proc/${pid}/stat`, 'utf8').split(') ')
    const fields = rest.split(' ')
    return sum + (Number(fields[11]) + Number(fields[12])) * TICK_US
  }, 0)
}

function ourMicros(): number {
  const { user, system } = process.cpuUsage()
  return user + system
}

/** The round that cost least, both processes counted. */
async function measure(pids: () => readonly number[], run: () => Promise<unknown>): Promise<Cost> {
  let best = { ours: Number.POSITIVE_INFINITY, theirs: Number.POSITIVE_INFINITY }
  for (let round = 0; round < ROUNDS; round++) {
    const [ours, theirs, until] = [ourMicros(), jqMicros(pids()), performance.now() + ROUND_MS]
    let calls = 0
    for (; performance.now() < until; calls++) await run()
    const cost = { ours: (ourMicros() - ours) / calls, theirs: (jqMicros(pids()) - theirs) / calls }
    if (cost.ours + cost.theirs < best.ours + best.theirs) best = cost
  }
  return { ...best, bytes: await allocatedByAsync(run) }
}

function report(label: string, { ours, theirs, bytes }: Cost): void {
  const [a, b, sum] = [ours, theirs, ours + theirs].map(micros => (micros * 1000).toFixed(0).padStart(9))
  console.log(`${label.padEnd(34)}${a} ns here${b} ns in jq${sum} ns/op${bytes.toFixed(0).padStart(10)} B/op`)
}

/** Issues as a tracker lists them, about 200 bytes each. */
function issues(bytes: number): object[] {
  return Array.from({ length: Math.max(1, Math.round(bytes / 205)) }, (_, n) => ({
    id: 1000 + n,
    title: `The export of report ${n} stops half-way`,
    state: n % 3 === 0 ? 'closed' : 'open',
    user: { login: 'somebody', url: 'https://example.org/users/somebody' },
    labels: ['bug', 'export'],
    comments: n,
  }))
}

async function askOnly(filter: string, items: object[]): Promise<Cost> {
  const binary = findBinary(process.env)
  const program = await compileFilters(binary, [filter], LIMITS)
  const command = limitedCommand(binary, ['-c', '--unbuffered', asArgument(program)], LIMITS)
  const limits = { deadlineMs: 10_000, maxOutputBytes: 1e8, processes: 1, queue: 1 }
  const pool = new Pool({ command, ...limits, onTrouble() {} })
  await pool.start()
  const made = new Filter(pool)
  const message = { method: 'tools/call', name: 'search' } as Message
  const exchange = { principal: { id: 'ci' }, server: 'github' } as Exchange
  const cost = await measure(
    () => pool.pids,
    () => made.run([items as never], message, exchange),
  )
  await pool.close()
  return cost
}

/** What jq has used cannot be told apart here: only this process is measured. */
async function whole(filter: string, items: object[]): Promise<Cost> {
  const probed = await probe(jq, { options: { filter, source: 'structured' } })
  const answer = JSON.stringify({ jsonrpc: '2.0', id: 1, result: { content: [], structuredContent: { items } } })
  const call = { method: 'tools/call', params: { name: 'search' } }
  const cost = await measure(
    () => [],
    () => probed.response(answer, call),
  )
  await probed.close()
  return cost
}

for (const bytes of [1024, 20 * 1024, 500 * 1024]) {
  const items = issues(bytes)
  const size = `${(JSON.stringify(items).length / 1024).toFixed(1)} KB`
  report(`ask ., ${size}`, await askOnly('.', items))
  report(`ask map({id, title}), ${size}`, await askOnly('map({id, title})', items))
  report(`ask @csv, ${size}`, await askOnly('map([.id, .title, .state] | @csv)', items))
  report(`whole map({id, title}), ${size}`, await whole('.items | map({id, title})', items))
}
