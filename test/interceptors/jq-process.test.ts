import assert from 'node:assert/strict'
import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { describe, it, type TestContext } from 'node:test'
import { type Exchange, SluiceError } from '#api'
import { findBinary } from '../../interceptors/jq/binary.ts'
import { compileFilters } from '../../interceptors/jq/check-filter.ts'
import { limitedCommand } from '../../interceptors/jq/limits.ts'
import { Pool, type PoolOptions } from '../../interceptors/jq/pool.ts'
import { asArgument } from '../../interceptors/jq/program.ts'
import { noJq } from '../helpers/jq.ts'
import { until, within } from '../helpers/scope.ts'

const ROOT = join(import.meta.dirname, '../..')
const LIMITS = { maxMemoryBytes: 64 * 1024 * 1024 }

async function open(t: TestContext, filter: string, more: Partial<PoolOptions> = {}): Promise<Pool> {
  const binary = findBinary(process.env)
  const program = await compileFilters(binary, [filter], LIMITS)
  const pool = new Pool({
    command: limitedCommand(binary, ['-c', '--unbuffered', asArgument(program)], LIMITS),
    deadlineMs: 2000,
    maxOutputBytes: 100_000,
    processes: 1,
    queue: 10,
    onTrouble() {},
    ...more,
  })
  t.after(() => pool.close())
  return pool
}

let count = 0

/** One message of one input. */
async function ask(pool: Pool, input: unknown, exchange: Exchange | null = null): Promise<unknown> {
  const number = count++
  const line = await pool.ask(`${JSON.stringify([number, ['c', 's', 't', 'm'], [input]])}\n`, exchange)
  const [answered, outcomes] = JSON.parse(line.toString()) as [number, { o: unknown }[]]
  assert.equal(answered, number)
  return outcomes[0]?.o
}

/** Whether a process is there; one that has ended and that nobody has waited for (a zombie) is. */
function exists(pid: number): boolean {
  try {
    process.kill(pid, 0)
    return true
  } catch {
    return false
  }
}

const [FOREVER, BOMB] = ['last(repeat(1))', '[range(1e9)]']
const BY_INPUT = `if . == "forever" then ${FOREVER} elif . == "bomb" then ${BOMB} elif . == "long" then "x" * 200000 else . end`

describe('the processes of a filter', { skip: noJq }, () => {
  it('stay, and start only when there is work', async t => {
    const pool = await open(t, '.', { processes: 3 })
    assert.deepEqual(pool.pids, [])
    await pool.start()
    const [pid] = pool.pids
    for (let n = 0; n < 50; n++) assert.deepEqual(await ask(pool, n), [n])
    assert.deepEqual(pool.pids, [pid])
    await Promise.all(Array.from({ length: 9 }, (_, n) => ask(pool, n)))
    assert.ok(pool.pids.length <= 3 && pool.pids[0] === pid)
  })

  it('are killed at the deadline, and another one serves who waited', async t => {
    const pool = await open(t, BY_INPUT, { deadlineMs: 100 })
    await pool.start()
    const [pid = 0] = pool.pids
    const late = ask(pool, 'forever')
    const waiting = ask(pool, 'next')
    await assert.rejects(late, (error: unknown) => error instanceof SluiceError && error.code === 'interceptor_timeout')
    assert.deepEqual(await waiting, ['next'])
    await until(() => !exists(pid), 'the end of the one that was late')
    assert.ok(!pool.pids.includes(pid))
  })

  it('end when they want too much memory, or give too much', async t => {
    const pool = await open(t, BY_INPUT)
    await assert.rejects(ask(pool, 'bomb'), /jq (ended with code|was ended by) .*max_memory/)
    assert.deepEqual(await ask(pool, 1), [1])
    await assert.rejects(ask(pool, 'long'), /more than max_output/)
    assert.deepEqual(await ask(pool, 2), [2])
  })

  it('survive what they cannot parse as deep as it is', async t => {
    const pool = await open(t, 'type')
    const deep = `[0,["c","s","t","m"],[${'['.repeat(20_000)}${']'.repeat(20_000)}]]\n`
    await pool.ask(deep, null).then(
      () => {},
      (error: Error) => assert.match(error.message, /an input it cannot read/),
    )
    assert.deepEqual(await ask(pool, {}), ['object'])
  })

  it('refuse more than may wait, and forget who has left', async t => {
    const pool = await open(t, BY_INPUT, { queue: 2, deadlineMs: 300 })
    await pool.start()
    const gone = { signal: AbortSignal.abort() } as Exchange
    const first = ask(pool, 'forever')
    const second = ask(pool, 2, gone)
    const third = ask(pool, 3)
    await assert.rejects(ask(pool, 4), (error: unknown) => error instanceof SluiceError && error.code === 'overloaded')
    await assert.rejects(first, /took longer than 300 ms/)
    await assert.rejects(second, /exchange has ended/)
    assert.deepEqual(await third, [3])
    assert.equal(pool.waiting, 0)
  })

  it('are started ever more slowly where each message ends one', async t => {
    // In place of jq: it says that it is there, and the first message is its end.
    const command = { file: '/bin/sh', args: ['-c', 'read a; echo null; read b; exit 5'], options: {} }
    const pool = await open(t, '.', { command })
    const pauses: number[] = []
    for (let n = 0; n < 6; n++) {
      const began = performance.now()
      await assert.rejects(ask(pool, n), /jq ended with code 5/)
      pauses.push(performance.now() - began)
    }
    // The first three are free.
    for (const [n, least] of [50, 100, 200].entries()) assert.ok((pauses[n + 3] ?? 0) >= least - 1, String(pauses))
  })

  it('tell everybody who waits when none can be started any more', async t => {
    const troubles: Error[] = []
    const command = { file: '/bin/sh', args: ['-c', 'exit 3'], options: {} }
    const pool = await open(t, '.', { command, onTrouble: error => troubles.push(error) })
    await assert.rejects(pool.start(), /jq ended with code 3/)
    await assert.rejects(ask(pool, 1), /jq ended with code 3/)
    const missing = await open(t, '.', { command: { ...command, file: '/no/such/shell' } })
    await assert.rejects(missing.start(), /does not start: .*ENOENT/)
    assert.equal(troubles.length, 2)
  })

  it('have no environment, no core dumps, and a limit of memory', { skip: process.platform !== 'linux' }, async t => {
    const pool = await open(t, '.')
    await pool.start()
    const [pid] = pool.pids
    assert.equal(readFileSync(`/proc/${pid}/environ`, 'utf8'), 'HOME=/nonexistent\0')
    const limits = readFileSync(`/proc/${pid}/limits`, 'utf8')
    assert.match(limits, /^Max core file size\s+0\s/m)
    assert.match(limits, new RegExp(`^Max address space\\s+${LIMITS.maxMemoryBytes}\\s`, 'm'))
    assert.match(limits, /^Max cpu time\s+120\s/m)
  })
})

describe('the end of the processes', { skip: noJq }, () => {
  it('comes with close(), also for one that is busy, and leaves no zombie', async t => {
    const pool = await open(t, BY_INPUT, { processes: 2, deadlineMs: 30_000 })
    await Promise.all([ask(pool, 1), ask(pool, 2), ask(pool, 3)])
    const busy = ask(pool, 'forever')
    const { pids } = pool
    await Promise.all([assert.rejects(busy, /policy was replaced/), within(pool.close(), 'the end of the pool')])
    await until(() => !pids.some(exists), 'the end of the processes')
    await assert.rejects(ask(pool, 1), /policy was replaced/)
    assert.deepEqual(pool.pids, [])
  })

  /** A process with a pool of its own that prints the ids of its jq. */
  function parent(t: TestContext, then: string): ChildProcess {
    const script = `
      import { findBinary } from './interceptors/jq/binary.ts'
      import { limitedCommand } from './interceptors/jq/limits.ts'
      import { Pool } from './interceptors/jq/pool.ts'
      import { wrap } from './interceptors/jq/program.ts'
      const command = limitedCommand(findBinary(process.env), ['-c', '--unbuffered', wrap(${JSON.stringify(BY_INPUT)})], { maxMemoryBytes: 2 ** 26 })
      const pool = new Pool({ command, deadlineMs: 30000, maxOutputBytes: 1e5, processes: 1, queue: 10, onTrouble() {} })
      await pool.start()
      const forever = () => pool.ask('[0,["c","s","t","m"],["forever"]]\\n', null).catch(() => {})
      console.log(pool.pids[0])
      ${then}`
    const child = spawn(process.execPath, ['--input-type=module', '-e', script], {
      cwd: ROOT,
      stdio: ['ignore', 'pipe', 'inherit'],
    })
    t.after(() => void child.kill('SIGKILL'))
    return child
  }

  async function pidOf(child: ChildProcess): Promise<number> {
    const stdout = child.stdout
    if (stdout === null) throw new Error('stdout is a pipe')
    const [line] = (await within(once(stdout, 'data'), 'the id of a jq')) as [Buffer]
    return Number(line.toString())
  }

  it('is no reason for the parent to stay, and comes when that has nothing more to do', async t => {
    const child = parent(t, '')
    const ended = once(child, 'exit')
    const pid = await pidOf(child)
    assert.deepEqual(await within(ended, 'the end of the parent'), [0, null])
    await until(() => !exists(pid), 'the end of jq')
  })

  it('comes when the parent exits while a filter runs for ever', async t => {
    const child = parent(t, 'forever(); setTimeout(() => process.exit(0), 50)')
    const ended = once(child, 'exit')
    const pid = await pidOf(child)
    await within(ended, 'the end of the parent')
    await until(() => !exists(pid), 'the end of jq')
  })

  it('comes when the parent is killed', async t => {
    const child = parent(t, 'setInterval(() => {}, 1000)')
    const pid = await pidOf(child)
    assert.ok(exists(pid))
    child.kill('SIGKILL')
    await until(() => !exists(pid), 'the end of jq')
  })
})
