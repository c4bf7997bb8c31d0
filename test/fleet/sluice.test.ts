import assert from 'node:assert/strict'
import { readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { describe, it, type TestContext } from 'node:test'
import { type RunningSluice, startSluice } from '../helpers/program.ts'
import { until } from '../helpers/scope.ts'
import { post, type Said } from './ask.ts'
import { CHILD, isRunning, lastFirst, tempDir } from './kit.ts'

interface Life {
  readonly env?: Record<string, string>
  readonly [key: string]: unknown
}

/** A configuration file whose servers are children of `child.ts`. */
class Setup {
  readonly dir: string
  readonly file: string

  constructor(dir: string) {
    this.dir = dir
    this.file = join(dir, 'sluice.yaml')
  }

  static async create(t: TestContext): Promise<Setup> {
    return new Setup(await tempDir(t))
  }

  write(servers: Record<string, Life>, more: object = {}): void {
    const child = { command: [process.execPath, CHILD], transport: 'http', port_env: 'PORT', stop_grace: '2s' }
    const full = Object.fromEntries(
      Object.entries(servers).map(([name, life]) => [name, 'url' in life ? life : { ...child, ...life }]),
    )
    const config = { state_dir: this.dir, timeouts: { drain: '5s' }, ...more, servers: full }
    writeFileSync(this.file, JSON.stringify(config))
  }

  /** Appends its pid to a file when it starts. */
  get started(): { STARTED: string } {
    return { STARTED: join(this.dir, 'pids') }
  }

  get pids(): number[] {
    try {
      return readFileSync(this.started.STARTED, 'utf8').trim().split('\n').map(Number)
    } catch {
      return []
    }
  }

  async run(
    t: TestContext,
    ...args: string[]
  ): Promise<RunningSluice & { call: (ms?: number, server?: string) => Promise<Said> }> {
    const sluice = await startSluice(lastFirst(t), ['-c', this.file, ...args])
    const base = new URL(sluice.url).origin
    const call = (ms = 0, server = 'kb'): Promise<Said> => post(`${base}/servers/${server}/mcp`, { ms })
    return Object.assign(Object.create(sluice) as RunningSluice, { call })
  }
}

/** Calls without a pause, in `width` lanes, until it is told to stop. */
function load(
  call: () => Promise<Said>,
  width = 4,
): { readonly errors: string[]; readonly done: number; stop(): Promise<void> } {
  const state = { errors: [] as string[], done: 0, isOver: false, stop: async () => {} }
  const lane = async (): Promise<void> => {
    while (!state.isOver) {
      await call().catch((error: Error) => state.errors.push(error.message))
      state.done++
    }
  }
  const lanes = Promise.all(Array.from({ length: width }, lane))
  state.stop = async () => {
    state.isOver = true
    await lanes
  }
  return state
}

describe('sluice run with replicas of its own', () => {
  it('starts one for the first call, and leaves none behind', async t => {
    const setup = await Setup.create(t)
    setup.write({ kb: { env: setup.started } })
    const sluice = await setup.run(t)
    assert.deepEqual(setup.pids, [])
    const { pid } = await sluice.call()
    assert.deepEqual(setup.pids, [pid])
    assert.equal(await sluice.stop(), 0)
    assert.equal(isRunning(pid), false)
  })

  it('says why a server failed', async t => {
    const setup = await Setup.create(t)
    setup.write(
      { kb: { env: { MODE: 'exit' }, restart: { delay: '10ms', max_attempts: 1 } } },
      { admin: '127.0.0.1:0' },
    )
    const sluice = await setup.run(t, '--admin', '127.0.0.1:0')
    await assert.rejects(sluice.call(), /HTTP 503: .*kb is not reachable: ended with exit code 7/)
    const admin = /"metrics":"([^"]+)\/metrics"/.exec(sluice.output)?.[1]
    const [server] = (await (await fetch(`${admin}/servers`)).json()) as { fleet: { state: string; reason: string } }[]
    assert.deepEqual([server?.fleet.state, server?.fleet.reason], ['failed', 'ended with exit code 7'])
    const ready = await fetch(`${admin}/ready`)
    assert.equal(ready.status, 503)
  })

  it('leaves orphans for a moment only when it is killed, and never touches those of a living one', async t => {
    const setup = await Setup.create(t)
    const other = await Setup.create(t)
    setup.write({ kb: { env: setup.started, replicas: 2 } })
    // The same state folder, another proxy.
    other.write({ kb: { env: other.started, replicas: 1 } }, { state_dir: setup.dir })
    const [first] = await Promise.all([setup.run(t), other.run(t)])
    await until(() => setup.pids.length === 2 && other.pids.length === 1, 'replicas', 20_000)
    await first.call()
    first.child.kill('SIGKILL')
    await until(() => first.child.signalCode !== null, 'its death')
    const orphans = setup.pids
    assert.ok(orphans.every(isRunning), 'nobody ends them yet')
    const next = await setup.run(t)
    assert.ok(
      orphans.every(pid => !isRunning(pid)),
      'they are gone before it serves',
    )
    assert.ok(other.pids.every(isRunning))
    assert.match(next.output, /ended what a dead proxy had left behind/)
    const { pid } = await next.call()
    assert.ok(!orphans.includes(pid))
  })

  it('replaces a killed replica under load: only what ran on it may fail', async t => {
    const setup = await Setup.create(t)
    setup.write({ kb: { env: setup.started, replicas: 2 } })
    const sluice = await setup.run(t)
    await until(() => setup.pids.length === 2, 'two replicas', 20_000)
    await sluice.call()
    const calls = load(() => sluice.call(5), 4)
    await until(() => calls.done > 20, 'some calls')
    process.kill((await sluice.call()).pid, 'SIGKILL')
    await until(() => setup.pids.length === 3, 'another replica', 20_000)
    const before = calls.done
    await until(() => calls.done > before + 20, 'some more calls')
    await calls.stop()
    assert.ok(calls.errors.length <= 4, calls.errors.join('\n'))
  })

  it('updates replicas under load without one failed call', async t => {
    const setup = await Setup.create(t)
    setup.write({ kb: { env: { ...setup.started, VERSION: '1' }, replicas: 2 } })
    const sluice = await setup.run(t)
    await until(() => setup.pids.length === 2, 'two replicas', 20_000)
    const versions = new Set<string>()
    const calls = load(async () => {
      const said = await sluice.call(20)
      versions.add(said.version)
      return said
    })
    await until(() => calls.done > 20, 'some calls')
    const old = setup.pids
    setup.write({ kb: { env: { ...setup.started, VERSION: '2' }, replicas: 2 } })
    await until(() => old.every(pid => !isRunning(pid)), 'the old ones to be gone', 30_000)
    const before = calls.done
    await until(() => calls.done > before + 20, 'some more calls')
    await calls.stop()
    assert.deepEqual(calls.errors, [])
    assert.deepEqual([...versions], ['1', '2'])
    assert.equal((await sluice.call()).version, '2')
  })

  it('grows with the load and shrinks to nothing', async t => {
    const setup = await Setup.create(t)
    const life = { replicas: { min: 0, max: 3 }, target_in_flight: 2, idle_timeout: '400ms' }
    setup.write({ kb: { env: setup.started, ...life } })
    const sluice = await setup.run(t)
    await sluice.call()
    assert.equal(setup.pids.length, 1)
    const calls = load(() => sluice.call(50), 8)
    await until(() => setup.pids.length === 3, 'three replicas', 20_000)
    await calls.stop()
    assert.deepEqual(calls.errors, [])
    await until(() => setup.pids.every(pid => !isRunning(pid)), 'all to be gone', 20_000)
    assert.ok((await sluice.call()).pid > 0, 'the next call starts one again')
  })

  it('takes changed servers over under an open stream', async t => {
    const setup = await Setup.create(t)
    setup.write({ kb: { env: setup.started } })
    const sluice = await setup.run(t)
    const { pid } = await sluice.call()
    const base = new URL(sluice.url).origin
    const stream = await fetch(`${base}/servers/kb/mcp`, { headers: { accept: 'text/event-stream' } })
    const chunks = stream.body?.getReader()
    assert.match(Buffer.from((await chunks?.read())?.value ?? []).toString(), /open/)
    let isCut = false
    const cut = chunks?.read().then(
      () => (isCut = true),
      () => (isCut = true),
    )
    // Added, and one whose pool is made anew.
    setup.write({ kb: { env: setup.started, max_in_flight: 7 }, two: { env: { VERSION: 'two' } } })
    await until(() => /policy is in use/.test(sluice.output), 'the reload', 20_000)
    assert.equal((await sluice.call(0, 'two')).version, 'two')
    assert.equal((await sluice.call()).pid, pid, 'the same replica serves')
    assert.equal(isCut, false)
    // Removed: no new calls, and its stream for the time of a drain.
    setup.write({ two: { env: { VERSION: 'two' } } })
    await assert.rejects(async () => {
      for (;;) await sluice.call()
    }, /404/)
    assert.equal((await sluice.call(0, 'two')).version, 'two')
    await until(() => !isRunning(pid), 'the removed one to be gone', 20_000)
    await cut
    assert.equal(sluice.output.match(/need a restart/), null)
  })

  it('serves several workers from one fleet, also one that starts again', async t => {
    const setup = await Setup.create(t)
    setup.write({ kb: { env: setup.started } }, { workers: 2 })
    const sluice = await setup.run(t)
    const said = await Promise.all(Array.from({ length: 8 }, () => sluice.call()))
    assert.equal(new Set(said.map(({ pid }) => pid)).size, 1)
    const [worker] = [...sluice.output.matchAll(/"worker":"\d","pid":(\d+),"message":"worker serves"/g)].map(
      ([, pid]) => Number(pid),
    )
    process.kill(worker ?? 0, 'SIGKILL')
    await until(() => (sluice.output.match(/worker serves/g) ?? []).length === 3, 'a new worker', 20_000)
    for (let i = 0; i < 8; i++) assert.equal((await sluice.call()).pid, said[0]?.pid)
    setup.write({ kb: { env: { ...setup.started, VERSION: '2' } } }, { workers: 2 })
    await until(() => setup.pids.length === 2 && !isRunning(said[0]?.pid ?? 0), 'the update', 20_000)
    assert.equal((await sluice.call()).version, '2')
    assert.equal(await sluice.stop(), 0)
    assert.ok(setup.pids.every(pid => !isRunning(pid)))
  })
})
