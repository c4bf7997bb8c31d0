import assert from 'node:assert/strict'
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { describe, it } from 'node:test'
import { LaunchError } from '../../proxy/fleet/launcher.ts'
import { spawnChild } from '../../proxy/fleet/process/spawn.ts'
import { channels, type Output } from '../../proxy/observe/channels.ts'
import { until, within } from '../helpers/scope.ts'
import { post } from './ask.ts'
import { childServer, isRunning, startFleet, tempDir } from './kit.ts'

const pidsOf = ({
  fleet,
}: {
  fleet: { status: (name: string) => { replicas: readonly { handle: string }[] } | null }
}) => fleet.status('kb')?.replicas.map(({ handle }) => Number(handle)) ?? []

describe('child processes as replicas', () => {
  it('start on first use, answer, and are gone after close', async t => {
    const test = await startFleet(t, [childServer()])
    assert.deepEqual([test.places.places, test.places.coming], [[], true])
    const link = test.fleet.link('1')
    link.wanted('kb')
    link.wanted('nobody')
    await test.ready(1)
    const [place] = test.places.places
    const said = await post(place?.url ?? '', {})
    const [pid = 0] = pidsOf(test)
    assert.equal(said.pid, pid)
    assert.match(place?.id ?? '', /^kb-1-[0-9a-f]{6}$/)
    await test.fleet.close()
    assert.equal(isRunning(pid), false)
  })

  it('get nothing of our environment but four names, what is configured, and their marks', async t => {
    process.env['A_SECRET_OF_OURS'] = 'x'
    t.after(() => delete process.env['A_SECRET_OF_OURS'])
    const test = await startFleet(t, [childServer({ min: 1 }, { MINE: 'yes' })])
    await test.ready(1)
    const { env } = await post(test.places.places[0]?.url ?? '', {})
    const inherited = ['PATH', 'HOME', 'LANG', 'TZ'].filter(name => process.env[name] !== undefined)
    assert.deepEqual(env, [...inherited, 'MINE', 'PORT', 'SLUICE_OWNER', 'SLUICE_REPLICA'].toSorted())
  })

  it('are replaced when they are killed', async t => {
    const test = await startFleet(t, [childServer({ min: 2, max: 2 })])
    await test.ready(2)
    const [first = 0] = pidsOf(test)
    process.kill(first, 'SIGKILL')
    await until(() => !pidsOf(test).includes(first), 'the dead one to be gone')
    await test.ready(2)
    assert.equal(test.fleet.status('kb')?.restarts, 1)
  })

  it('are replaced when they hang', async t => {
    const health = {
      kind: 'auto',
      path: '',
      startPeriodMs: 10_000,
      intervalMs: 100,
      timeoutMs: 200,
      retries: 2,
    } as const
    const test = await startFleet(t, [childServer({ min: 1, health, stopGraceMs: 100 })])
    await test.ready(1)
    const [first = 0] = pidsOf(test)
    process.kill(first, 'SIGUSR2')
    await until(() => (test.fleet.status('kb')?.restarts ?? 0) > 0, 'the hung one to be given up')
    await test.ready(1)
    await until(() => !isRunning(first), 'the hung one to be killed')
  })

  it('that flap make their server failed, which says why', async t => {
    const restart = { delayMs: 10, maxAttempts: 2, windowMs: 60_000 }
    const test = await startFleet(t, [childServer({ min: 1, restart }, { MODE: 'exit' })])
    await until(() => test.fleet.status('kb')?.state === 'failed', 'failed', 20_000)
    assert.deepEqual(test.places, { server: 'kb', places: [], coming: false, reason: 'ended with exit code 7' })
    assert.equal(test.fleet.status('kb')?.restarts, 3)
    // What they said before they ended can be read.
    assert.deepEqual(new Set(test.fleet.logs('kb')?.map(({ line }) => line)), new Set(['version 1 starts']))
  })

  it('say in the log what they write', async t => {
    const lines: Output[] = []
    const listen = (message: unknown): void => void lines.push(message as Output)
    channels.output.subscribe(listen)
    t.after(() => void channels.output.unsubscribe(listen))
    const test = await startFleet(t, [childServer({ min: 1 }, { VERSION: '9' })])
    await test.ready(1)
    const replica = test.places.places[0]?.id
    assert.deepEqual(
      lines.filter(({ line }) => line.startsWith('version')),
      [{ server: 'kb', replica, line: 'version 9 starts' }],
    )
  })

  it('go from none to one to three to none', async t => {
    const test = await startFleet(t, [childServer({ min: 0, max: 3, targetInFlight: 2, idleTimeoutMs: 200 })])
    const link = test.fleet.link('1')
    link.load('kb', 0, 1)
    await test.ready(1)
    link.load('kb', 6, 0)
    await test.ready(3)
    const pids = pidsOf(test)
    link.load('kb', 0, 0)
    await until(() => test.places.places.some(({ state }) => state === 'draining'), 'draining')
    await until(() => {
      for (const { id, state } of test.places.places) if (state === 'draining') link.drained('kb', id)
      return pids.every(pid => !isRunning(pid))
    }, 'all to be gone')
    assert.deepEqual([test.places.places, test.places.coming], [[], true])
  })

  it('are updated one by one, and removed when their server is', async t => {
    const test = await startFleet(t, [childServer({ min: 2, max: 2 })])
    const link = test.fleet.link('1')
    const drain = (): boolean => {
      for (const { id, state } of test.places.places) if (state === 'draining') link.drained('kb', id)
      return true
    }
    await test.ready(2)
    const old = pidsOf(test)
    await test.fleet.apply([childServer({ min: 2, max: 2 }, { VERSION: '2' })])
    let least = 2
    await until(() => {
      drain()
      least = Math.min(least, test.places.places.filter(({ state }) => state === 'ready').length)
      return test.fleet.status('kb')?.state === 'ready' && old.every(pid => !isRunning(pid))
    }, 'the update')
    assert.equal(least, 2, 'there were always as many as before')
    const { version } = await post(test.places.places[0]?.url ?? '', {})
    assert.equal(version, '2')
    const pids = pidsOf(test)
    await test.fleet.apply([])
    await until(() => drain() && pids.every(pid => !isRunning(pid)), 'them to be gone')
    assert.deepEqual(test.fleet.list(), [])
  })

  it('take the processes they started with them, also those that left their group', async t => {
    const dir = await tempDir(t)
    const file = join(dir, 'pids')
    const script = `setsid sleep 300 & echo $! > ${file}; sleep 300 & echo $! >> ${file}; exec sleep 300`
    const child = await spawnChild(['sh', '-c', script], { cwd: dir, env: {}, stdin: 'ignore', id: 'tree-1' })
    await until(() => readable(file).length === 2, 'the grandchildren')
    assert.ok(((await child.usage())?.memoryBytes ?? 0) > 0)
    await within(child.stop(1_000), 'the end')
    await until(() => readable(file).every(pid => !isRunning(pid)), 'the grandchildren to be gone')
  })

  it('that cannot be started fail for good where another try is in vain', async t => {
    const dir = await tempDir(t)
    const options = { cwd: dir, env: {}, stdin: 'ignore', id: 'x-1' } as const
    await assert.rejects(
      spawnChild(['no-such-program'], options),
      isPermanent('the command "no-such-program" is not there'),
    )
    const gone = join(dir, 'gone')
    await assert.rejects(
      spawnChild(['true'], { ...options, cwd: gone }),
      isPermanent(`the working directory ${gone} is not there`),
    )
  })
})

describe('the state folder', () => {
  it('gives instances side by side names of their own, and one that was chosen to one only', async t => {
    const stateDir = await tempDir(t)
    const first = await startFleet(t, [childServer({ min: 1 })], { stateDir })
    const second = await startFleet(t, [childServer({ min: 1 })], { stateDir })
    await Promise.all([first.ready(1), second.ready(1)])
    assert.deepEqual([first.fleet.instance, second.fleet.instance], ['test', 'test-2'])
    await second.fleet.close()
    assert.ok(isRunning(pidsOf(first)[0] ?? 0))
    const named = await startFleet(t, [childServer()], { stateDir, instance: 'blue' })
    assert.equal(named.fleet.instance, 'blue')
    await assert.rejects(
      startFleet(t, [childServer()], { stateDir, instance: 'blue' }),
      /another sluice \(pid \d+\) runs as instance "blue"/,
    )
  })

  it('stays empty without replicas of ours', async t => {
    const stateDir = await tempDir(t)
    const source = { kind: 'static', places: [{ id: 'http://a/', url: 'http://a/', socketPath: '' }] } as const
    const { fleet } = await startFleet(t, [{ ...childServer(), source }], { stateDir })
    assert.equal(fleet.instance, '')
    assert.deepEqual(
      fleet.list().map(({ name, source, state }) => [name, source, state]),
      [['kb', 'static', 'ready']],
    )
    assert.throws(() => readFileSync(join(stateDir, 'fleet')), { code: 'ENOENT' })
  })
})

function readable(file: string): number[] {
  try {
    return readFileSync(file, 'utf8').trim().split('\n').map(Number)
  } catch {
    return []
  }
}

function isPermanent(text: string): (error: Error) => boolean {
  return error => {
    assert.equal(error.message, text)
    return error instanceof LaunchError && error.permanent
  }
}
