import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { LaunchError } from '../../../proxy/fleet/launcher.ts'
import { FakeLauncher, LIFE, Stage, settle } from './kit.ts'

const states = (stage: Stage): string => stage.picture

describe('a managed server', () => {
  it('runs nothing until a request waits, and then one', async () => {
    const stage = new Stage()
    assert.equal(states(stage), 'idle')
    assert.deepEqual(stage.server.places, { server: 'kb', places: [], coming: true, reason: '' })
    stage.server.wanted()
    stage.server.wanted()
    await settle()
    assert.equal(states(stage), 'ready 1:ready')
    assert.deepEqual(stage.server.places.places, [
      { id: 'kb-1', url: 'http://127.0.0.1:1/kb-1', socketPath: '', state: 'ready' },
    ])
    assert.deepEqual(stage.startedAfter, [0])
  })

  it('keeps the last replica while sessions live on it', async () => {
    const stage = new Stage({ min: 0, max: 3 })
    stage.server.load('1', 20, 0)
    await stage.pass(100)
    assert.equal(stage.launcher.living.length, 3)
    for (const instance of stage.launcher.all) instance.sessions = 1
    stage.server.load('1', 0, 0)
    await stage.pass(60_100)
    await stage.pass(600_000)
    assert.equal(states(stage), 'ready 3:ready')
    for (const instance of stage.launcher.all) instance.sessions = 0
    await stage.pass(60_100)
    stage.server.drained('1', 'kb-3')
    await settle()
    assert.equal(states(stage), 'idle')
  })

  it('starts min by itself, and keeps it', async () => {
    const stage = new Stage({ min: 2, max: 2 })
    await stage.pass(1)
    assert.equal(states(stage), 'ready 1:ready 2:ready')
    await stage.pass(600_000)
    assert.equal(states(stage), 'ready 1:ready 2:ready')
  })

  it('shows no replica before its first good check, and asks again soon', async () => {
    const launcher = new FakeLauncher()
    launcher.problem = 'connection refused'
    const stage = new Stage({}, launcher)
    stage.server.wanted()
    await stage.pass(300)
    assert.equal(states(stage), 'starting 1:warming')
    assert.deepEqual(stage.server.places.places, [])
    assert.ok(launcher.last.checks > 2)
    launcher.last.problem = ''
    await stage.pass(1_000)
    assert.equal(states(stage), 'ready 1:ready')
  })

  it('scales up with what runs and waits, down after idle_timeout, to nothing', async () => {
    const stage = new Stage({ min: 0, max: 3, targetInFlight: 8 })
    stage.server.load('1', 3, 0)
    await stage.pass(100)
    assert.equal(stage.launcher.living.length, 1)
    stage.server.load('1', 8, 1)
    await stage.pass(100)
    assert.equal(stage.launcher.living.length, 2)
    stage.server.load('1', 100, 50)
    await stage.pass(100)
    assert.equal(stage.launcher.living.length, 3)
    // A short lull with a busy moment in it, then less and less.
    stage.server.load('1', 0, 0)
    await stage.pass(30_000)
    stage.server.load('1', 9, 0)
    stage.server.load('1', 0, 0)
    await stage.pass(30_100)
    assert.equal(states(stage), 'ready 1:ready 2:ready 3:draining')
    for (const replica of stage.server.places.places) stage.server.drained('1', replica.id)
    await settle()
    assert.equal(states(stage), 'ready 1:ready 2:ready')
    await stage.pass(60_100)
    stage.server.drained('1', 'kb-2')
    stage.server.drained('1', 'kb-1')
    await stage.pass(1)
    assert.equal(states(stage), 'idle')
    assert.equal(stage.launcher.living.length, 0)
    assert.equal(stage.server.places.coming, true)
  })

  it('adds the loads of workers up, and forgets one that ended', async () => {
    const stage = new Stage({ max: 4, targetInFlight: 2 })
    stage.workers.push('2')
    stage.server.load('1', 2, 0)
    stage.server.load('2', 3, 1)
    await stage.pass(1)
    assert.equal(stage.launcher.living.length, 3)
    assert.deepEqual([stage.server.inFlight, stage.server.waiting], [5, 1])
    stage.server.workerGone('2')
    assert.deepEqual([stage.server.inFlight, stage.server.waiting], [2, 0])
  })

  it('keeps all it has with idle_timeout 0', async () => {
    const stage = new Stage({ max: 2, targetInFlight: 1, idleTimeoutMs: 0 })
    stage.server.load('1', 2, 0)
    stage.server.load('1', 0, 0)
    await stage.pass(10_000_000)
    assert.equal(stage.launcher.living.length, 2)
  })

  it('replaces one that served for a while and ended at once', async () => {
    const stage = new Stage({ min: 1 })
    await stage.pass(20_000)
    stage.launcher.last.die('killed by SIGKILL')
    await settle()
    assert.equal(states(stage), 'ready 2:ready')
    assert.deepEqual(stage.lost, ['kb-1: killed by SIGKILL'])
    assert.equal(stage.server.restarts, 1)
  })

  it('fails after max_attempts further starts, each later than the one before, and says why', async () => {
    const stage = new Stage({ min: 1 })
    const died: number[] = []
    const begin = stage.clock.ms
    while (stage.server.state !== 'failed') {
      await stage.pass(1)
      if (stage.launcher.living.length === 0) {
        await stage.pass(100)
        continue
      }
      died.push(Math.round((stage.clock.ms - begin) / 1000))
      stage.launcher.last.die('ended with exit code 7')
      await settle()
    }
    assert.deepEqual(died, [0, 0, 5, 15])
    assert.deepEqual(stage.server.places, { server: 'kb', places: [], coming: false, reason: 'ended with exit code 7' })
    stage.server.wanted()
    await stage.pass(1_000)
    assert.equal(states(stage), 'failed')
    // The window moves on; min is 1.
    await stage.pass(600_000)
    assert.equal(states(stage), 'ready 5:ready')
    await stage.pass(10_000)
    assert.equal(stage.server.places.reason, '')
  })

  it('leaves failed by a request after the window, by start, and by another configuration', async () => {
    for (const leave of ['window', 'start', 'restart', 'update'] as const) {
      const launcher = new FakeLauncher()
      launcher.error = new LaunchError('the command "nope" is not there', true)
      const stage = new Stage({}, launcher)
      stage.server.wanted()
      await stage.pass(1)
      assert.equal(states(stage), 'failed', 'one permanent error is enough')
      assert.equal(stage.server.places.reason, 'the command "nope" is not there')
      launcher.error = null
      if (leave === 'window') await stage.pass(600_000)
      assert.equal(states(stage), 'failed')
      if (leave === 'window') stage.server.wanted()
      else if (leave === 'update') stage.server.update(LIFE, new FakeLauncher('two'))
      else stage.server[leave]()
      stage.server.wanted()
      await stage.pass(1)
      assert.match(states(stage), /^ready/)
    }
  })

  it('is not failed while another replica serves', async () => {
    const stage = new Stage({ min: 2, max: 2 })
    await stage.pass(20_000)
    const [, second] = stage.launcher.all
    stage.launcher.error = new LaunchError('no memory', false)
    second?.die()
    await stage.pass(120_000)
    assert.equal(states(stage), 'ready 1:ready')
    stage.launcher.error = null
    await stage.pass(600_000)
    assert.match(states(stage), /^ready 1:ready \d:ready$/)
  })

  it('counts replicas that were started together and failed together once', async () => {
    const stage = new Stage({ min: 4, max: 4, restart: { delayMs: 5_000, maxAttempts: 1, windowMs: 600_000 } })
    await stage.pass(1)
    stage.launcher.hold()
    for (const instance of stage.launcher.living) instance.die()
    await stage.pass(1)
    assert.equal(states(stage), 'starting 5:starting', 'the first one is replaced at once')
    stage.launcher.release()
    await stage.pass(1)
    // One shows that it can be done, then the others follow.
    assert.equal(stage.launcher.living.length, 4)
    assert.equal(stage.server.state, 'ready')
  })

  it('gives one that is never ready up after start_period, with what the last check said', async () => {
    const launcher = new FakeLauncher()
    launcher.problem = 'connection refused'
    const stage = new Stage({ min: 1 }, launcher)
    await stage.pass(40_001)
    assert.equal(states(stage), 'waiting')
    assert.deepEqual(stage.lost, ['kb-1: was not ready within 40 s (start_period): connection refused'])
  })

  it('replaces one that hangs after so many failed checks', async () => {
    const stage = new Stage({ min: 1 })
    await stage.pass(20_000)
    stage.launcher.last.problem = 'no answer within 10000 ms'
    await stage.pass(65_000)
    assert.equal(states(stage), 'ready 1:ready')
    stage.launcher.last.isSlowToStop = true
    await stage.pass(30_000)
    assert.equal(states(stage), 'ready 1:stopping 2:ready')
    assert.deepEqual(stage.lost, ['kb-1: health check failed 3 times: no answer within 10000 ms'])
    assert.deepEqual(
      stage.server.places.places.map(({ id }) => id),
      ['kb-2'],
    )
  })

  it('forgets failed checks after a good one', async () => {
    const stage = new Stage({ min: 1 })
    await stage.pass(1)
    for (let i = 0; i < 5; i++) {
      stage.launcher.last.problem = 'slow'
      await stage.pass(59_000)
      stage.launcher.last.problem = ''
      await stage.pass(31_000)
    }
    assert.equal(states(stage), 'ready 1:ready')
  })

  it('looks at a suspect at once, and again every second', async () => {
    const stage = new Stage({ min: 1 })
    await stage.pass(20_000)
    stage.launcher.last.problem = 'connection refused'
    const before = stage.launcher.last.checks
    stage.server.suspect('kb-1')
    stage.server.suspect('kb-1')
    stage.server.suspect('nobody')
    await settle()
    assert.equal(stage.launcher.last.checks, before + 1)
    await stage.pass(2_100)
    assert.equal(states(stage), 'ready 2:ready')
  })

  it('replaces replicas one after the other when the configuration is another one', async () => {
    const stage = new Stage({ min: 2, max: 2 })
    await stage.pass(20_000)
    const next = new FakeLauncher('two')
    next.problem = 'not yet'
    stage.server.update({ ...LIFE, min: 2, max: 2 }, next)
    await stage.pass(1_000)
    assert.equal(states(stage), 'updating 1:ready 2:ready 3:warming')
    next.last.problem = next.problem = ''
    await stage.pass(1_000)
    assert.equal(states(stage), 'updating 1:draining 2:ready 3:ready')
    // Nothing more happens until the first is gone.
    await stage.pass(5_000)
    assert.equal(states(stage), 'updating 1:draining 2:ready 3:ready')
    stage.server.drained('1', 'kb-1')
    await stage.pass(1)
    assert.equal(states(stage), 'ready 2:draining 3:ready 4:ready')
    // A call that never ends is cut.
    await stage.pass(20_001)
    assert.equal(states(stage), 'ready 3:ready 4:ready')
    assert.equal(stage.server.restarts, 0)
  })

  it('keeps the old ones when the new ones do not start', async () => {
    const stage = new Stage({ min: 1 })
    await stage.pass(20_000)
    const next = new FakeLauncher('two')
    next.error = new LaunchError('no such image', true)
    stage.server.update({ ...LIFE, min: 1 }, next)
    await stage.pass(60_000)
    assert.equal(states(stage), 'updating 1:ready')
    assert.equal(stage.server.reason, 'no such image')
    // The third configuration is good.
    stage.server.update({ ...LIFE, min: 1 }, new FakeLauncher('three'))
    await stage.pass(1)
    stage.server.drained('1', 'kb-1')
    await stage.pass(1)
    assert.equal(states(stage), 'ready 3:ready')
  })

  it('changes bounds without touching replicas', async () => {
    const stage = new Stage({ min: 1, max: 1 })
    await stage.pass(20_000)
    stage.server.update({ ...LIFE, min: 3, max: 3 }, stage.launcher)
    await stage.pass(1)
    assert.equal(states(stage), 'ready 1:ready 2:ready 3:ready')
    stage.server.update({ ...LIFE, min: 1, max: 1 }, stage.launcher)
    await stage.pass(1)
    assert.equal(states(stage), 'ready 1:ready 2:draining 3:draining')
  })

  it('stops and starts for the operator', async () => {
    const stage = new Stage({ min: 1 })
    await stage.pass(20_000)
    stage.server.stop()
    stage.server.wanted()
    assert.equal(states(stage), 'stopped 1:draining')
    stage.server.drained('1', 'kb-1')
    await stage.pass(1)
    assert.equal(states(stage), 'stopped')
    assert.deepEqual(stage.server.places, {
      server: 'kb',
      places: [],
      coming: false,
      reason: 'stopped by the operator',
    })
    stage.server.start()
    await stage.pass(1)
    assert.equal(states(stage), 'ready 2:ready')
    stage.server.restart()
    await stage.pass(1)
    assert.equal(states(stage), 'ready 2:draining 3:ready')
  })

  it('waits for every worker before it ends a draining replica', async () => {
    const stage = new Stage({ min: 1 })
    await stage.pass(1)
    stage.workers.push('2')
    void stage.server.retire()
    stage.server.drained('1', 'kb-1')
    await stage.pass(1)
    assert.equal(states(stage), 'closed 1:draining')
    stage.server.drained('2', 'kb-1')
    await stage.pass(1)
    assert.equal(states(stage), 'closed')
  })

  it('closes also while a launch runs, and ends what comes of it', async () => {
    const stage = new Stage({ min: 1 })
    stage.launcher.hold()
    stage.server.restart()
    const late = new Stage({ min: 1 }, Object.assign(new FakeLauncher(), {}))
    late.launcher.hold()
    const closed = Promise.all([stage.server.close(), late.server.close()])
    late.launcher.release()
    await closed
    assert.equal(stage.launcher.living.length + late.launcher.living.length, 0)
    assert.equal(states(stage), 'closed')
  })
})
