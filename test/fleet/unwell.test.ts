import assert from 'node:assert/strict'
import { readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { describe, it, type TestContext } from 'node:test'
import { startSluice } from '../helpers/program.ts'
import { until } from '../helpers/scope.ts'
import { post, type Said } from './ask.ts'
import { CHILD, isRunning, lastFirst, tempDir } from './kit.ts'

interface House {
  call(ms?: number): Promise<Said>
  /** Pids of all replicas that were ever started, the oldest first. */
  pids(): number[]
}

/** Sluice in front of replicas of `child.ts`. */
async function start(t: TestContext, life: object, more: object = {}): Promise<House> {
  const dir = await tempDir(t)
  const started = join(dir, 'pids')
  writeFileSync(started, '')
  const kb = { command: [process.execPath, CHILD], transport: 'http', port_env: 'PORT', stop_grace: '500ms', ...life }
  const env = { STARTED: started, ...('env' in life ? (life.env as object) : {}) }
  const config = { state_dir: dir, ...more, servers: { kb: { ...kb, env } } }
  writeFileSync(join(dir, 'sluice.yaml'), JSON.stringify(config))
  const sluice = await startSluice(lastFirst(t), ['-c', join(dir, 'sluice.yaml')])
  const pids = (): number[] => readFileSync(started, 'utf8').split('\n').filter(Boolean).map(Number)
  return { call: (ms = 0) => post(sluice.url, { ms }), pids }
}

/** Waits until each of so many replicas has answered. */
async function allServe(house: House, count: number): Promise<number[]> {
  const seen = new Set<number>()
  while (seen.size < count) seen.add((await house.call()).pid)
  return [...seen]
}

describe('a replica that is not well', () => {
  it('hangs: only what ran on it fails, by name, and another one takes its place', async t => {
    const health = { interval: '100ms', timeout: '300ms', retries: 2 }
    const house = await start(t, { replicas: 2, health, timeouts: { first_byte: '2s' } })
    const [hung = 0] = await allServe(house, 2)
    process.kill(hung, 'SIGUSR2')
    const answers = await Promise.allSettled(Array.from({ length: 12 }, () => house.call()))
    const failed = answers.filter(answer => answer.status === 'rejected')
    assert.ok(failed.length < answers.length, 'the other one serves')
    for (const { reason } of failed) assert.match(String(reason), /kb (did not begin to answer|closed the connection)/)
    await until(() => !isRunning(hung) && house.pids().length >= 3, 'another replica', 20_000)
    const now = await allServe(house, 2)
    assert.ok(!now.includes(hung))
  })

  it('is slow: it gets less than the others', async t => {
    const house = await start(t, { replicas: 2 })
    const [slow = 0] = await allServe(house, 2)
    process.kill(slow, 'SIGHUP')
    const counts = new Map<number, number>()
    let left = 120
    const lane = async (): Promise<void> => {
      while (left-- > 0) {
        const { pid } = await house.call(5)
        counts.set(pid, (counts.get(pid) ?? 0) + 1)
      }
    }
    await Promise.all(Array.from({ length: 8 }, lane))
    const [ofSlow = 0, all] = [counts.get(slow), 120]
    assert.ok(ofSlow < all / 3, `${ofSlow} of ${all} calls went to the slow one`)
  })

  it('comes and goes: its server says why, and is not started over and over', async t => {
    const restart = { delay: '20ms', max_attempts: 3 }
    const house = await start(t, { replicas: 1, restart, env: { MODE: 'exit' } })
    await assert.rejects(house.call(), /kb is not reachable: ended with exit code 7|timeout: ended with exit code 7/)
    await until(() => house.pids().length === 4, 'all attempts', 20_000)
    await assert.rejects(house.call(), /kb is not reachable: ended with exit code 7/)
    assert.equal(house.pids().length, 4, 'one start, and max_attempts after it')
  })
})
