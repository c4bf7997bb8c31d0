import assert from 'node:assert/strict'
import { describe, it, type TestContext } from 'node:test'
import type { BreakerSettings } from '../../../proxy/upstream/settings.ts'
import { TICK_MS, watchdog } from '../../../proxy/upstream/watchdog.ts'
import { type Asked, type AskOptions, ask, testPool } from '../../helpers/pool.ts'
import { until } from '../../helpers/scope.ts'
import {
  refusedPort,
  type Script,
  type ScriptedUpstream,
  startScriptedUpstream,
} from '../../helpers/scripted-upstream.ts'

const FIVE: BreakerSettings = {
  failures: 5,
  errorThresholdPercentage: 50,
  volumeThreshold: 10,
  rollingWindowMs: 10_000,
  resetTimeoutMs: 60_000,
}
const READ: AskOptions = { repeatable: true, reads: true }

/** Faults of a server that are its own, and what a client is told of each. */
const FAULTS: readonly [name: string, script: Script, told: string][] = [
  ['an answer 500', (_, answer) => void answer.status(500), '500'],
  ['an answer 503', (_, answer) => void answer.status(503), '503'],
  ['a reset', (_, answer) => answer.reset(), 'upstream_broken'],
  ['a connection that closes', (_, answer) => answer.destroy(), 'upstream_broken'],
  [
    'a stream that breaks off',
    async (_, answer) => {
      const stream = answer.sse()
      await stream.write('data: {"jsonrpc":"2.0","method":"notifications/x"}\n\n')
      stream.destroy()
    },
    'upstream_broken',
  ],
]

const told = ({ error, status }: Asked): string => error?.code ?? String(status)

/** A server that does nothing with a request until the test ends. */
function hang(request: { socket: { once(event: 'close', done: () => void): unknown } }): Promise<void> {
  return new Promise(resolve => request.socket.once('close', () => resolve()))
}

describe('the circuit of a replica', () => {
  for (const [name, script, code] of FAULTS) {
    it(`opens after ${name}, five times`, async t => {
      const upstream = await startScriptedUpstream(t, script)
      const { pool, places } = testPool(t, { breaker: FIVE })
      places(upstream.url)
      for (let i = 0; i < 5; i++) assert.equal(told(await ask(pool).over), code)
      const { error } = await ask(pool).over
      assert.deepEqual([error?.code, error?.message], ['circuit_open', 'Circuit breaker is open'])
      const wait = error?.retryAfterMs ?? 0
      assert.ok(wait > 50_000 && wait <= 60_000, String(wait))
      assert.equal(upstream.requests.length, 5)
      assert.deepEqual(
        pool.list().map(({ state, circuit }) => [state, circuit]),
        [['ready', 'open']],
      )
      assert.deepEqual(pool.states(), { server: 's', ready: 0, draining: 0, open: 1, half_open: 0, waiting: 0 })
      assert.equal((await ask(pool, { replica: upstream.url }).over).error?.code, 'circuit_open')
    })
  }

  it('opens after connections that are refused', async t => {
    const { pool, places } = testPool(t, { breaker: FIVE })
    places(`http://127.0.0.1:${await refusedPort()}/mcp`)
    for (let i = 0; i < 5; i++) assert.equal(told(await ask(pool).over), 'upstream_unreachable')
    assert.equal(told(await ask(pool).over), 'circuit_open')
  })

  it('opens after time-outs', async t => {
    const upstream = await startScriptedUpstream(t, hang)
    const { pool, places } = testPool(t, { breaker: { ...FIVE, failures: 2 } })
    places(upstream.url)
    const asked = [ask(pool, { firstByteTimeoutMs: TICK_MS }), ask(pool, { firstByteTimeoutMs: TICK_MS })]
    await upstream.received(2)
    for (let i = 0; i < 3; i++) watchdog.sweep()
    for (const one of asked) assert.equal(told(await one.over), 'upstream_timeout')
    assert.equal(told(await ask(pool).over), 'circuit_open')
  })

  it('stays closed for 4xx, JSON-RPC errors, and clients that leave', async t => {
    const upstream = await startScriptedUpstream(t, (request, answer) => {
      if (request.index % 2 === 0) answer.status(404)
      else answer.json({ jsonrpc: '2.0', id: 1, error: { code: -32603, message: 'no' } })
    })
    const { pool, places } = testPool(t, { breaker: { ...FIVE, failures: 1 } })
    places(upstream.url)
    for (let i = 0; i < 10; i++) assert.equal((await ask(pool).over).error, null)
    upstream.script = hang
    const left = ask(pool)
    await upstream.received(11)
    left.flow?.abort()
    await until(() => upstream.sockets.size === 0, 'the call is cancelled')
    assert.deepEqual(pool.list()[0]?.circuit, 'closed')
  })

  it('half open, one call decides while others are refused', async t => {
    const upstream = await startScriptedUpstream(t, (_, answer) => answer.destroy())
    const { pool, places } = testPool(t, { breaker: { ...FIVE, failures: 1, resetTimeoutMs: 20 } })
    places(upstream.url)
    await ask(pool).over
    assert.equal(told(await ask(pool).over), 'circuit_open')
    await until(() => pool.list()[0]?.circuit === 'half_open', 'it is half open')
    const gate = Promise.withResolvers<void>()
    upstream.script = async (_, answer) => {
      await gate.promise
      answer.json({})
    }
    const probe = ask(pool)
    await upstream.received(2)
    const { error } = await ask(pool).over
    assert.deepEqual([error?.code, error?.retryAfterMs], ['circuit_open', 1000])
    gate.resolve()
    assert.equal(told(await probe.over), '200')
    await until(() => pool.list()[0]?.circuit === 'closed', 'it is closed')
    assert.equal(told(await ask(pool).over), '200')
  })

  it('half open, a call that its client gives up leaves room for another one', async t => {
    const upstream = await startScriptedUpstream(t, (_, answer) => answer.destroy())
    const { pool, places } = testPool(t, { breaker: { ...FIVE, failures: 1, resetTimeoutMs: 20 } })
    places(upstream.url)
    await ask(pool).over
    await until(() => pool.list()[0]?.circuit === 'half_open', 'it is half open')
    upstream.script = hang
    const given = ask(pool)
    await upstream.received(2)
    given.flow?.abort()
    upstream.script = (_, answer) => void answer.json({})
    await until(() => pool.list()[0]?.inFlight === 0, 'it is cancelled')
    assert.equal(told(await ask(pool).over), '200')
  })

  it('of one replica leaves the others to serve', async t => {
    const [bad, good] = [await startScriptedUpstream(t, (_, a) => a.status(500)), await startScriptedUpstream(t)]
    const { pool, places } = testPool(t, { breaker: { ...FIVE, failures: 1 }, balance: 'round_robin' })
    places(bad.url, good.url)
    const answers: string[] = []
    for (let i = 0; i < 10; i++) answers.push(told(await ask(pool).over))
    assert.deepEqual(answers.filter(answer => answer !== '200').length <= 1, true, String(answers))
    assert.ok(bad.requests.length <= 1)
  })
})

describe('tries', () => {
  async function two(t: TestContext, script: Script): Promise<[ScriptedUpstream, ScriptedUpstream]> {
    return [await startScriptedUpstream(t, script), await startScriptedUpstream(t)]
  }

  for (const [name, script, code] of FAULTS.slice(1, 4)) {
    it(`a read goes to another replica after ${name}; a write does not`, async t => {
      const [bad, good] = await two(t, script)
      const { pool, places } = testPool(t, { balance: 'round_robin', breaker: null })
      places(bad.url, good.url)
      assert.equal((await ask(pool, READ).over).replica, good.url)
      assert.deepEqual([bad.requests.length, good.requests.length], [1, 1])
      const writes: string[] = []
      for (let i = 0; i < 2; i++) writes.push(told(await ask(pool).over))
      assert.deepEqual(new Set(writes), new Set(['200', code]))
    })
  }

  it('an answer 500 is an answer: it passes', async t => {
    const [bad, good] = await two(t, (_, answer) => void answer.status(500))
    const { pool, places } = testPool(t, { balance: 'round_robin' })
    places(bad.url, good.url)
    assert.equal((await ask(pool, READ).over).status, 500)
    assert.equal(good.requests.length, 0)
  })

  it('a tool that the operator names counts as repeatable', async t => {
    const [bad, good] = await two(t, (_, answer) => answer.reset())
    const { pool, places } = testPool(t, { balance: 'round_robin', retry: { budget: 0.2, tools: ['get_*'] } })
    places(bad.url, good.url)
    assert.equal((await ask(pool, { tool: 'get_time' }).over).replica, good.url)
    places(bad.url, good.url)
    const answers = [told(await ask(pool, { tool: 'set_time' }).over), told(await ask(pool, { tool: 'set_time' }).over)]
    assert.deepEqual(new Set(answers), new Set(['upstream_broken', '200']))
  })

  it('what was never sent is tried elsewhere whatever it does, also without retries', async t => {
    const good = await startScriptedUpstream(t)
    const { pool, places } = testPool(t, { balance: 'round_robin', retry: null })
    places(`http://127.0.0.1:${await refusedPort()}/mcp`, good.url)
    for (let i = 0; i < 6; i++) assert.equal((await ask(pool).over).replica, good.url)
    assert.equal(good.requests.length, 6)
  })

  it('retry: off means one try of what was sent', async t => {
    const [bad, good] = await two(t, (_, answer) => answer.reset())
    const { pool, places } = testPool(t, { balance: 'round_robin', retry: null })
    places(bad.url, good.url)
    assert.equal(told(await ask(pool, READ).over), 'upstream_broken')
  })

  it('a budget that is spent means no retries, so a failing server is not asked three times as often', async t => {
    const upstreams = [
      await startScriptedUpstream(t, (_, a) => a.reset()),
      await startScriptedUpstream(t, (_, a) => a.reset()),
    ]
    const { pool, places } = testPool(t, { breaker: null, retry: { budget: 0.2, tools: [] } })
    places(...upstreams.map(({ url }) => url))
    const calls = 400
    for (let i = 0; i < calls; i += 20) await Promise.all(Array.from({ length: 20 }, () => ask(pool, READ).over))
    const tries = upstreams.reduce((sum, { requests }) => sum + requests.length, 0)
    assert.ok(tries <= calls * 1.2 + 100 + 1, `${tries} tries`)
    assert.ok(tries > calls + 100, `${tries} tries`)
  })

  it('a session has no other replica: it gets one more try on its own', async t => {
    const [bad, good] = await two(t, (request, answer) => {
      if (request.index === 0) answer.reset()
      else answer.json({})
    })
    const { pool, places } = testPool(t)
    places(bad.url, good.url)
    assert.equal((await ask(pool, { ...READ, replica: bad.url }).over).replica, bad.url)
    assert.deepEqual([bad.requests.length, good.requests.length], [2, 0])
  })
})

describe('hedging', () => {
  const hedge = { afterMs: 20, tools: ['find_*'] }

  for (const [name, options] of [
    ['a method that reads', READ],
    ['a tool that the operator names', { tool: 'find_it' }],
  ] as const) {
    it(`${name}: the second replica answers, the first try is cancelled`, async t => {
      const slow = await startScriptedUpstream(t, hang)
      const quick = await startScriptedUpstream(t)
      const { pool, places } = testPool(t, { hedge, balance: 'round_robin', breaker: { ...FIVE, failures: 1 } })
      places(slow.url, quick.url)
      const asked = await ask(pool, options).over
      assert.deepEqual([asked.status, asked.replica, asked.ends], [200, quick.url, 1])
      await until(() => slow.sockets.size === 0, 'the slow try is cancelled')
      assert.deepEqual(
        pool.list().map(({ circuit, inFlight }) => [circuit, inFlight]),
        [
          ['closed', 0],
          ['closed', 0],
        ],
      )
    })
  }

  it('a write, or a tool that may only be repeated, is never sent twice', async t => {
    const slow = await startScriptedUpstream(t, hang)
    const quick = await startScriptedUpstream(t)
    const { pool, places } = testPool(t, { hedge, balance: 'round_robin' })
    places(slow.url, quick.url)
    const asked = [ask(pool), ask(pool), ask(pool, { repeatable: true })]
    await slow.received(2)
    await new Promise(resolve => setTimeout(resolve, 60))
    assert.equal(slow.requests.length + quick.requests.length, 3)
    for (const one of asked) one.flow?.abort()
  })

  it('a quick answer needs no second try; a slow stream that has begun is not hedged', async t => {
    const gate = Promise.withResolvers<void>()
    const streaming: Script = async (_, answer) => {
      const stream = answer.sse()
      await stream.write(': begun\n\n')
      await gate.promise
      stream.end('data: {}\n\n')
    }
    const [a, b] = [await startScriptedUpstream(t, streaming), await startScriptedUpstream(t, streaming)]
    const { pool, places } = testPool(t, { hedge })
    places(a.url, b.url)
    const asked = ask(pool, READ)
    await asked.headed
    await new Promise(resolve => setTimeout(resolve, 60))
    gate.resolve()
    await asked.over
    assert.equal(asked.text, ': begun\n\ndata: {}\n\n')
    assert.equal(a.requests.length + b.requests.length, 1)
  })

  it('a client that leaves takes both tries with it', async t => {
    const [a, b] = [await startScriptedUpstream(t, hang), await startScriptedUpstream(t, hang)]
    const { pool, places } = testPool(t, { hedge })
    places(a.url, b.url)
    const asked = ask(pool, READ)
    await a.received(1)
    await b.received(1)
    asked.flow?.abort()
    await until(() => a.sockets.size + b.sockets.size === 0, 'both are cancelled')
    assert.equal(asked.ends, 0)
  })

  it('both failing is one failure', async t => {
    const fail: Script = async (_, answer) => {
      await new Promise(resolve => setTimeout(resolve, 40))
      answer.reset()
    }
    const [a, b] = [await startScriptedUpstream(t, fail), await startScriptedUpstream(t, fail)]
    const { pool, places } = testPool(t, { hedge, retry: { budget: 0.2, tools: [] } })
    places(a.url, b.url)
    const asked = await ask(pool, { ...READ, repeatable: false }).over
    assert.deepEqual([told(asked), asked.ends], ['upstream_broken', 1])
    assert.deepEqual([a.requests.length, b.requests.length], [1, 1])
  })
})
