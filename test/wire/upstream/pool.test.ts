import assert from 'node:assert/strict'
import { describe, it, type TestContext } from 'node:test'
import { PULSE_MS } from '../../../proxy/upstream/pulse.ts'
import type { FleetLink } from '../../../proxy/upstream/replica-table.ts'
import { watchdog } from '../../../proxy/upstream/watchdog.ts'
import { ask, draining, testPool } from '../../helpers/pool.ts'
import { until } from '../../helpers/scope.ts'
import type { ScriptedAnswer } from '../../helpers/scripted-answer.ts'
import { refusedPort, type ScriptedUpstream, startScriptedUpstream } from '../../helpers/scripted-upstream.ts'

/** A server whose answers are held until they are let go. */
interface Holder {
  readonly upstream: ScriptedUpstream
  /** Waits until it holds so many. */
  holds(count: number): Promise<void>
  /** Answers everything that is held. */
  answer(): void
}

async function startHolder(t: TestContext): Promise<Holder> {
  const held: { answer: ScriptedAnswer; done: () => void }[] = []
  const upstream = await startScriptedUpstream(t, (_, answer) => {
    return new Promise(done => void held.push({ answer, done }))
  })
  return {
    upstream,
    holds: count => until(() => held.length === count, `${count} requests are held, not ${held.length}`),
    answer() {
      for (const { answer, done } of held.splice(0)) {
        answer.json({ jsonrpc: '2.0', id: 1, result: {} })
        done()
      }
    },
  }
}

/** A fleet that notes what it is told. */
class Notebook implements FleetLink {
  readonly wants: string[] = []
  readonly loads: [number, number][] = []
  readonly suspects: string[] = []
  readonly drains: string[] = []

  wanted(server: string): void {
    this.wants.push(server)
  }

  load(_server: string, inFlight: number, waiting: number): void {
    this.loads.push([inFlight, waiting])
  }

  suspect(_server: string, replica: string): void {
    this.suspects.push(replica)
  }

  drained(_server: string, replica: string): void {
    this.drains.push(replica)
  }
}

describe('a table that changes', () => {
  it('a replica that comes gets requests, one that is gone gets none', async t => {
    const [a, b] = [await startScriptedUpstream(t), await startScriptedUpstream(t)]
    const { pool, places } = testPool(t, { balance: 'round_robin', slowStartMs: 0 })
    places(a.url)
    for (let i = 0; i < 4; i++) assert.equal((await ask(pool).over).replica, a.url)
    places(a.url, b.url)
    const seen = new Set<string>()
    for (let i = 0; i < 4; i++) seen.add((await ask(pool).over).replica)
    assert.deepEqual(seen, new Set([a.url, b.url]))
    places(b.url)
    for (let i = 0; i < 4; i++) assert.equal((await ask(pool).over).replica, b.url)
    await until(() => a.sockets.size === 0, 'the connections to the replica that is gone are closed')
  })

  it('calls on a replica that is removed end as they would have; then its connections close', async t => {
    const { upstream, holds, answer } = await startHolder(t)
    const { pool, places } = testPool(t)
    places(upstream.url)
    const running = ask(pool)
    await holds(1)
    places()
    const late = await ask(pool).over
    assert.equal(late.error?.code, 'upstream_unreachable')
    await holds(1)
    answer()
    assert.equal((await running.over).status, 200)
    await until(() => upstream.sockets.size === 0, 'the connection closes')
  })

  it('closing the pool at once ends what runs on replicas that are gone, too', async t => {
    const { upstream, holds } = await startHolder(t)
    const { pool, places } = testPool(t)
    places(upstream.url)
    const running = ask(pool)
    await holds(1)
    places()
    assert.equal(pool.isIdle, false)
    await pool.destroy()
    assert.equal((await running.over).error?.code, 'upstream_broken')
    assert.equal(pool.isIdle, true)
  })

  it('a draining replica serves its sessions and running calls, nothing new, and is told to be drained once', async t => {
    const old = await startHolder(t)
    const young = await startScriptedUpstream(t)
    const link = new Notebook()
    const { pool, places } = testPool(t, { link })
    const url = old.upstream.url
    places(url)
    const running = ask(pool)
    await old.holds(1)
    places(draining(url), young.url)
    assert.deepEqual(link.drains, [])
    for (let i = 0; i < 5; i++) assert.equal((await ask(pool).over).replica, young.url)
    const pinned = ask(pool, { replica: url })
    await old.holds(2)
    old.answer()
    assert.deepEqual([(await running.over).status, (await pinned.over).replica], [200, url])
    assert.deepEqual(link.drains, [url])
    places(draining(url), young.url)
    assert.deepEqual(link.drains, [url])
  })

  it('a replica that is idle is drained at once', async t => {
    const upstream = await startScriptedUpstream(t)
    const link = new Notebook()
    const { pool, places } = testPool(t, { link })
    places(upstream.url)
    await ask(pool).over
    places(draining(upstream.url))
    assert.deepEqual(link.drains, [upstream.url])
  })

  it('a session whose replica is gone is lost: 404 for the client', async t => {
    const [a, b] = [await startScriptedUpstream(t), await startScriptedUpstream(t)]
    const { pool, places } = testPool(t)
    places(a.url, b.url)
    assert.equal((await ask(pool, { replica: a.url }).over).replica, a.url)
    places(b.url)
    assert.equal((await ask(pool, { replica: a.url }).over).error?.code, 'session_not_found')
  })
})

describe('no replica is ready', () => {
  it('requests wait in order, the fleet is told, and they go when one comes', async t => {
    const order: unknown[] = []
    const upstream = await startScriptedUpstream(t, (request, answer) => {
      order.push(request.json().id)
      answer.json({})
    })
    const link = new Notebook()
    const { pool, coming } = testPool(t, { link, connections: 1 })
    coming()
    const asked = [1, 2, 3].map(id => ask(pool, { body: Buffer.from(`{"id":${id}}`) }))
    assert.deepEqual(link.wants, ['s'])
    assert.equal(pool.states().waiting, 3)
    coming(upstream.url)
    for (const one of asked) assert.equal((await one.over).status, 200)
    assert.deepEqual(order, [1, 2, 3])
    await until(() => link.loads.at(-1)?.join() === '0,0', 'the fleet knows that all is quiet')
  })

  it('they wait for acquire_timeout at most', async t => {
    const { pool, coming } = testPool(t, { acquireTimeoutMs: 100 })
    coming()
    const asked = ask(pool)
    for (let i = 0; i < 3; i++) watchdog.sweep()
    const { error, ends } = await asked.over
    assert.deepEqual(
      [error?.code, error?.message, error?.retryAfterMs],
      ['acquire_timeout', 'Server acquisition timeout', 1000],
    )
    assert.equal(ends, 1)
    assert.equal(pool.states().waiting, 0)
  })

  it('and are told what keeps replicas from starting, where the fleet knows', async t => {
    const { pool } = testPool(t, { acquireTimeoutMs: 100 })
    pool.update({ server: 's', places: [], coming: true, reason: 'ended with exit code 7' })
    const asked = ask(pool)
    for (let i = 0; i < 3; i++) watchdog.sweep()
    const { error } = await asked.over
    assert.equal(error?.message, 'Server acquisition timeout: ended with exit code 7')
  })

  it('no more than max_waiting wait: the next is refused at once', async t => {
    const { pool, coming } = testPool(t, { maxWaiting: 2 })
    coming()
    const asked = [ask(pool), ask(pool)]
    const { error } = await ask(pool).over
    assert.deepEqual([error?.code, error?.retryAfterMs], ['overloaded', 1000])
    asked[0]?.flow?.abort()
    assert.equal(pool.states().waiting, 1)
    const again = ask(pool)
    assert.equal(pool.states().waiting, 2)
    await pool.close()
    assert.equal((await again.over).error?.code, 'draining')
    assert.deepEqual([asked[0]?.ends, asked[1]?.ends], [0, 1])
  })

  it('where none will come, the answer says why', async t => {
    const { pool } = testPool(t)
    pool.update({ server: 's', places: [], coming: false, reason: 'its image cannot be pulled' })
    const { error } = await ask(pool).over
    assert.deepEqual(
      [error?.code, error?.message],
      ['upstream_unreachable', 's is not reachable: its image cannot be pulled'],
    )
  })

  it('a replica that refuses connections is suspected; its requests wait for the next one', async t => {
    const dead = `http://127.0.0.1:${await refusedPort()}/mcp`
    const upstream = await startScriptedUpstream(t)
    const link = new Notebook()
    const { pool, coming } = testPool(t, { link })
    coming(dead)
    const asked = ask(pool)
    await until(() => link.suspects.length > 0, 'the fleet hears of it')
    assert.deepEqual(new Set(link.suspects), new Set([dead]))
    await until(() => pool.states().waiting === 1, 'the request waits')
    coming(upstream.url)
    assert.equal((await asked.over).replica, upstream.url)
    assert.equal(upstream.requests.length, 1)
  })

  it('load is told at most every 200 ms, the last state always', async t => {
    const upstream = await startScriptedUpstream(t)
    const link = new Notebook()
    const { pool, places } = testPool(t, { link })
    places(upstream.url)
    const began = performance.now()
    for (let i = 0; i < 50; i++) await ask(pool).over
    await until(() => link.loads.at(-1)?.[0] === 0, 'the last state is told')
    const beats = Math.ceil((performance.now() - began) / PULSE_MS) + 1
    assert.ok(link.loads.length <= beats, `${link.loads.length} times in ${beats} beats`)
  })
})

describe('max_in_flight', () => {
  it('further calls wait in order; beyond max_waiting they are shed', async t => {
    const { upstream, holds, answer } = await startHolder(t)
    const { pool, places } = testPool(t, { maxInFlight: 2, maxWaiting: 1 })
    places(upstream.url)
    const asked = [ask(pool), ask(pool), ask(pool)]
    assert.equal((await ask(pool).over).error?.code, 'overloaded')
    await holds(2)
    answer()
    await holds(1)
    answer()
    for (const one of asked) assert.equal((await one.over).status, 200)
  })

  it('streams and answers of clients go past calls that wait', async t => {
    const { upstream, holds, answer } = await startHolder(t)
    const { pool, places } = testPool(t, { maxInFlight: 1 })
    places(upstream.url)
    const [first, second] = [ask(pool), ask(pool)]
    await holds(1)
    const stream = ask(pool, { lane: 'stream' })
    await holds(2)
    answer()
    await stream.over
    await first.over
    await holds(1)
    answer()
    assert.equal((await second.over).status, 200)
  })

  it('a call that is given up while it waits leaves its place', async t => {
    const { upstream, holds, answer } = await startHolder(t)
    const { pool, places } = testPool(t, { maxInFlight: 1, maxWaiting: 1 })
    places(upstream.url)
    const first = ask(pool)
    const given = ask(pool)
    given.flow?.abort()
    const second = ask(pool)
    await holds(1)
    answer()
    await first.over
    await holds(1)
    answer()
    assert.equal((await second.over).status, 200)
    assert.equal(given.ends, 0)
    assert.equal(upstream.requests.length, 2)
  })
})
