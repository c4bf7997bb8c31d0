import assert from 'node:assert/strict'
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { readdirSync, readFileSync, utimesSync, writeFileSync } from 'node:fs'
import { mkdir } from 'node:fs/promises'
import { join } from 'node:path'
import { describe, it, type TestContext } from 'node:test'
import { claimInstance } from '../../proxy/fleet/instance-claim.ts'
import { nameProcess, type ProcessName, startOf } from '../../proxy/fleet/process/process-table.ts'
import { until } from '../helpers/scope.ts'
import { isRunning, lastFirst, tempDir } from './kit.ts'

/** A process in a group of its own, with a mark in its environment; it is killed with the test. */
async function sleeper(t: TestContext, token = ''): Promise<number> {
  const child = spawn('sleep', ['300'], {
    detached: true,
    stdio: 'ignore',
    env: { ...process.env, SLUICE_OWNER: token },
  })
  await once(child, 'spawn')
  lastFirst(t).after(() => void child.kill('SIGKILL'))
  return child.pid as number
}

async function own(): Promise<ProcessName> {
  return (await nameProcess(process.pid)) as ProcessName
}

/** A state folder in which somebody has written what it says. */
async function folder(
  t: TestContext,
  owner: ProcessName,
  children: readonly object[],
  token = 'gone',
): Promise<string> {
  const stateDir = await tempDir(t)
  await mkdir(join(stateDir, 'fleet'))
  const state = { version: 1, instance: 'test', owner, token, children }
  writeFileSync(join(stateDir, 'fleet', 'test.json'), JSON.stringify(state))
  return stateDir
}

async function claim(t: TestContext, stateDir: string) {
  const made = await claimInstance({ stateDir, wanted: '', key: 'test' })
  lastFirst(t).after(() => made.close())
  return made
}

/** One may just be written anew. */
function statesIn(stateDir: string): string[] {
  const names = readdirSync(join(stateDir, 'fleet'))
  return names.filter(name => !name.endsWith('.next')).toSorted()
}

describe('the claim of an instance', () => {
  it('ends the processes of a dead one, and takes its name', async t => {
    const pid = await sleeper(t)
    const dead = { ...(await own()), startTicks: 1 }
    const stateDir = await folder(t, dead, [{ pid, startTicks: await startOf(pid) }])
    const { id, reaped } = await claim(t, stateDir)
    assert.deepEqual([id, reaped], ['test', 1])
    await until(() => !isRunning(pid), 'its end')
    assert.deepEqual(statesIn(stateDir), ['test.json'])
  })

  it('finds those that were not written down in time by their mark', async t => {
    const token = `t-${process.pid}-${Date.now()}`
    const pid = await sleeper(t, token)
    const stateDir = await folder(t, { ...(await own()), startTicks: 1 }, [], token)
    assert.equal((await claim(t, stateDir)).reaped, 1)
    await until(() => !isRunning(pid), 'its end')
  })

  it('touches nobody who has the pid of a process that is gone', async t => {
    const pid = await sleeper(t)
    const stateDir = await folder(t, { ...(await own()), startTicks: 1 }, [{ pid, startTicks: 12345 }])
    assert.equal((await claim(t, stateDir)).reaped, 0)
    assert.ok(isRunning(pid))
  })

  it('touches nobody from before the last boot', async t => {
    const pid = await sleeper(t)
    const owner = { ...(await own()), bootId: 'another boot' }
    const stateDir = await folder(t, owner, [{ pid, startTicks: await startOf(pid) }])
    const { id, reaped } = await claim(t, stateDir)
    assert.deepEqual([id, reaped], ['test', 0])
    assert.ok(isRunning(pid))
  })

  it('leaves a living one alone, and one in another pid namespace, where nobody can look', async t => {
    const pid = await sleeper(t)
    for (const owner of [await own(), { ...(await own()), pid: 1, startTicks: 1, namespace: 'pid:[1]' }]) {
      const stateDir = await folder(t, owner, [{ pid, startTicks: await startOf(pid) }])
      const { id, reaped } = await claim(t, stateDir)
      assert.deepEqual([id, reaped], ['test-2', 0])
      assert.ok(isRunning(pid))
      assert.deepEqual(statesIn(stateDir), ['test-2.json', 'test.json'])
    }
  })

  it('takes the name of one in another pid namespace that shows no life, or that was chosen', async t => {
    const pid = await sleeper(t)
    const owner = { ...(await own()), pid: 1, startTicks: 1, namespace: 'pid:[1]' }
    const children = [{ pid, startTicks: await startOf(pid) }]
    const stale = await folder(t, owner, children)
    const old = new Date(Date.now() - 121_000)
    utimesSync(join(stale, 'fleet', 'test.json'), old, old)
    const { id, reaped } = await claim(t, stale)
    assert.deepEqual([id, reaped], ['test', 0], 'its pids mean nothing here')
    assert.ok(isRunning(pid))
    const chosen = await claimInstance({ stateDir: await folder(t, owner, children), wanted: 'test', key: 'other' })
    lastFirst(t).after(() => chosen.close())
    assert.equal(chosen.id, 'test')
  })

  it('survives a file that is none of its own', async t => {
    const stateDir = await tempDir(t)
    await mkdir(join(stateDir, 'fleet'))
    writeFileSync(join(stateDir, 'fleet', 'test.json'), '{ half')
    writeFileSync(
      join(stateDir, 'fleet', 'evil.json'),
      '{"version":1,"instance":"../..","owner":{"pid":1},"token":"","children":[]}',
    )
    assert.equal((await claim(t, stateDir)).id, 'test-2')
    assert.equal(readFileSync(join(stateDir, 'fleet', 'test.json'), 'utf8'), '{ half')
  })

  it('is forgotten when it is closed', async t => {
    const stateDir = await tempDir(t)
    const made = await claimInstance({ stateDir, wanted: 'blue', key: 'test' })
    assert.equal(made.id, 'blue')
    await made.close()
    assert.deepEqual(readdirSync(join(stateDir, 'fleet')), [])
  })
})
