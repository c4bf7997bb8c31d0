import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import type { Exchange } from '#api'
import { ToolTable } from '../../../proxy/chain/tool-table.ts'
import type { Recording } from '../../../proxy/shadow/recording.ts'
import { Sampler } from '../../../proxy/shadow/sampler.ts'
import { Shadow, type ShadowSettings } from '../../../proxy/shadow/shadow.ts'
import { FrozenClock } from '../../../proxy/testing/frozen-clock.ts'
import { tableOf } from '../../helpers/memory-exchange.ts'
import { OUTCOME, sampleRecording } from './samples.ts'

const EXCHANGE = {} as Exchange
const recording = (bytes = 100): Recording => sampleRecording({ name: 'get' }, bytes)

/** A shadow whose one entry takes so many milliseconds, and what it puts off. */
function shadowOf(settings: Partial<ShadowSettings>, costMs = 0) {
  const clock = new FrozenClock(0)
  const later: (() => void)[] = []
  const shadow = new Shadow({
    plans: { current: tableOf([{ hooks: { request: () => clock.advance(costMs) } }]) },
    settings: { maxCpu: 1, sample: 1, maxQueue: 10, maxBytes: 1000, ...settings },
    clock,
    tools: new ToolTable(),
    maxDepth: 100,
    maxEventBytes: 1000,
    later: run => void later.push(run),
  })
  const work = (): void => {
    for (let run = later.shift(); run !== undefined; run = later.shift()) run()
  }
  return { shadow, clock, later, work, exchanges: () => (shadow.about() as { exchanges: unknown }).exchanges }
}

describe('the shadow of a policy', () => {
  it('does nothing while the exchange ends', () => {
    const { shadow, later, work, exchanges } = shadowOf({})
    shadow.take(recording())
    assert.deepEqual(exchanges(), {})
    assert.equal(later.length, 1)
    work()
    assert.deepEqual(exchanges(), { same: 1 })
  })

  it('stays within its share of the processor', () => {
    const { shadow, clock, work, exchanges } = shadowOf({ maxCpu: 0.1 }, 40)
    for (let i = 0; i < 5; i++) {
      if (shadow.wants(EXCHANGE)) shadow.take(recording())
      work()
    }
    // 100 ms of the first second: the third run began while there were 20 left.
    assert.deepEqual(exchanges(), { same: 3, skipped: 2 })
    clock.advance(1000 - 120)
    // What was too much is missing in the next second: 80 ms.
    for (let i = 0; i < 3; i++) {
      if (shadow.wants(EXCHANGE)) shadow.take(recording())
      work()
    }
    assert.deepEqual(exchanges(), { same: 5, skipped: 3 })
    // What was not used is not saved up.
    clock.advance(60_000)
    for (let i = 0; i < 5; i++) {
      if (shadow.wants(EXCHANGE)) shadow.take(recording())
      work()
    }
    assert.deepEqual(exchanges(), { same: 8, skipped: 5 })
  })

  it('holds no more than it may', () => {
    const few = shadowOf({ maxQueue: 2 })
    for (let i = 0; i < 4; i++) few.shadow.take(recording())
    few.work()
    assert.deepEqual(few.exchanges(), { skipped: 2, same: 2 })
    const small = shadowOf({ maxBytes: 250 })
    for (let i = 0; i < 3; i++) small.shadow.take(recording())
    small.work()
    assert.deepEqual(small.exchanges(), { skipped: 1, same: 2 })
    // What it has done is room again.
    small.shadow.take(recording())
    small.work()
    assert.deepEqual(small.exchanges(), { skipped: 1, same: 3 })
  })

  it('does not run what a client left, a batch nobody took apart, or what was too large to be kept', () => {
    const { shadow, work, exchanges } = shadowOf({})
    shadow.take({ ...recording(), outcome: { ...OUTCOME, status: 'aborted' } })
    shadow.take({ ...recording(), request: Buffer.from('[]') })
    shadow.take(null)
    work()
    assert.deepEqual(exchanges(), { skipped: 3 })
  })

  it('tells of what it cannot run', () => {
    const { shadow, work, exchanges } = shadowOf({})
    const answer = { ...recording().answer, headers: ['content-encoding', 'gzip'] } as Recording['answer']
    shadow.take({ ...recording(), answer })
    work()
    assert.deepEqual(exchanges(), { failed: 1 })
  })
})

describe('a sample', () => {
  it('is spread evenly', () => {
    const sampler = new Sampler(0.1)
    const taken = Array.from({ length: 100 }, () => sampler.next())
    assert.equal(taken.filter(Boolean).length, 10)
    assert.equal(taken.indexOf(true), 9)
  })
})
