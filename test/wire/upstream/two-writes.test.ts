import assert from 'node:assert/strict'
import { describe, it, type TestContext } from 'node:test'
import fc from 'fast-check'
import { type Asked, ask, testPool } from '../../helpers/pool.ts'
import { until } from '../../helpers/scope.ts'
import { type Script, type ScriptedUpstream, startScriptedUpstream } from '../../helpers/scripted-upstream.ts'

/** What a replica does with a request whose body it has, which is: executed. */
type Fate = 'ok' | 'reset' | 'close' | '503' | '500' | 'half' | 'slow'
const FATES: readonly Fate[] = ['ok', 'ok', 'ok', 'reset', 'close', '503', '500', 'half', 'slow']

/** Tools and what the counting server may be made to do by one call of each. */
const WRITE = { tool: 'transfer', repeatable: false, reads: false }
const IDEMPOTENT = { tool: 'put', repeatable: true, reads: false }
const READ = { tool: 'get_balance', repeatable: true, reads: true }

const step = fc.record({
  fate: fc.constantFrom(...FATES),
  kind: fc.constantFrom(WRITE, WRITE, IDEMPOTENT, READ),
  /** Which replicas are in the table from now on; none = no change. */
  table: fc.constantFrom([], [], [], [0], [1], [0, 1], [0, 1, 2]),
  abort: fc.nat(9).map(n => n === 0),
  pinned: fc.nat(4).map(n => n === 0),
})

/**
 * Counts what it executes, by the id of the request, then meets the fate that the id's step says. An id never comes
 * again: a replica may still execute what lost a hedge, or was given up, when the next list of steps begins.
 */
class Counter {
  readonly executed = new Map<number, number>()
  readonly running = new Map<number, number>()
  private readonly fates: Fate[] = []
  /** Most executions of one id that ran at the same time. */
  readonly atOnce = new Map<number, number>()

  /** Takes the fates of the next requests, and returns the id of the first of them. */
  next(fates: readonly Fate[]): number {
    return this.fates.push(...fates) - fates.length
  }

  readonly script: Script = async (request, answer) => {
    const { id } = request.json()
    this.executed.set(id, (this.executed.get(id) ?? 0) + 1)
    this.running.set(id, (this.running.get(id) ?? 0) + 1)
    this.atOnce.set(id, Math.max(this.atOnce.get(id) ?? 0, this.running.get(id) ?? 0))
    const fate = this.fates[id] ?? 'ok'
    if (fate === 'slow') await new Promise(resolve => setTimeout(resolve, 8))
    this.running.set(id, (this.running.get(id) ?? 0) - 1)
    if (fate === 'reset') answer.reset()
    else if (fate === 'close') answer.destroy()
    else if (fate === '503' || fate === '500') answer.status(Number(fate))
    else if (fate === 'half') await this.half(answer)
    else answer.json({ jsonrpc: '2.0', id, result: {} })
  }

  private async half(answer: Parameters<Script>[1]): Promise<void> {
    const stream = answer.stream(200, { 'content-type': 'application/json', 'content-length': '100' })
    await stream.write('{"jsonrpc"')
    stream.destroy()
  }
}

async function startAll(t: TestContext, counter: Counter): Promise<ScriptedUpstream[]> {
  return Promise.all([0, 1, 2].map(() => startScriptedUpstream(t, counter.script)))
}

describe('whatever replicas do', () => {
  it('a write is executed once at most, and every request ends exactly once', { timeout: 60_000 }, async t => {
    const counter = new Counter()
    const upstreams = await startAll(t, counter)
    const run = async (steps: readonly (typeof step extends fc.Arbitrary<infer S> ? S : never)[]): Promise<void> => {
      const { pool, places } = testPool(t, {
        breaker: null,
        slowStartMs: 0,
        hedge: { afterMs: 2, tools: [] },
        retry: { budget: 1, tools: [] },
        maxInFlight: 5,
        maxWaiting: 50,
      })
      const first = counter.next(steps.map(({ fate }) => fate))
      places(...upstreams.map(({ url }) => url))
      const asked: Asked[] = []
      for (const [at, { kind, table, abort, pinned }] of steps.entries()) {
        const id = first + at
        if (table.length > 0) places(...table.map(n => (upstreams[n] as ScriptedUpstream).url))
        const replica = pinned ? (upstreams[at % 3] as ScriptedUpstream).url : ''
        const one = ask(pool, { ...kind, replica, body: Buffer.from(`{"jsonrpc":"2.0","id":${id}}`) })
        if (abort) one.flow?.abort()
        else asked.push(one)
        if (at % 4 === 3 && !abort) await one.headed
      }
      await Promise.all(asked.map(({ over }) => over))
      for (const one of asked) assert.equal(one.ends, 1)
      for (const [at, { kind }] of steps.entries()) {
        const id = first + at
        const times = counter.executed.get(id) ?? 0
        if (kind === WRITE) assert.ok(times <= 1, `write ${id} was executed ${times} times`)
        if (kind === IDEMPOTENT) assert.ok((counter.atOnce.get(id) ?? 0) <= 1, `${id} ran twice at the same time`)
      }
      await until(() => pool.list().every(({ inFlight }) => inFlight === 0), 'nothing runs any more')
      assert.equal(pool.states().waiting, 0)
      await pool.destroy()
    }
    await fc.assert(fc.asyncProperty(fc.array(step, { minLength: 1, maxLength: 40 }), run), { numRuns: 60 })
  })

  it('the counting server counts: a read is tried again, so it can be executed twice', async t => {
    const counter = new Counter()
    counter.next(['reset'])
    const upstreams = await startAll(t, counter)
    const { pool, places } = testPool(t)
    places(...upstreams.map(({ url }) => url))
    await ask(pool, { ...READ, body: Buffer.from('{"id":0}') }).over
    const executed = counter.executed.get(0) ?? 0
    assert.ok(executed > 1, `executed ${executed} times`)
  })
})
