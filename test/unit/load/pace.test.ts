import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import fc from 'fast-check'
import { Latencies } from '../../../proxy/load/latencies.ts'
import { Mix, Pace } from '../../../proxy/load/pace.ts'

describe('the pace of an open loop', () => {
  it('is even: as many a second as asked for, each at its time', () => {
    const pace = new Pace(200, 'even', 1000)
    assert.deepEqual([pace.take(), pace.take(), pace.take(), pace.next], [1000, 1005, 1010, 1015])
  })

  it('is random around the same mean', () => {
    const pace = new Pace(100, 'random', 0)
    let last = 0
    for (let i = 0; i < 20_000; i++) {
      const next = pace.take()
      assert.ok(next >= last)
      last = next
    }
    // Twenty thousand exponential gaps of 10 ms: six standard deviations are 4 %.
    assert.ok(Math.abs(last / 20_000 - 10) < 0.5, String(last))
  })
})

describe('the mix of steps', () => {
  it('follows the weights closely, in every stretch', () => {
    const weights = fc.array(fc.integer({ min: 1, max: 100 }), { minLength: 1, maxLength: 8 })
    fc.assert(
      fc.property(weights, fc.nat(500), (weights, skipped) => {
        const mix = new Mix(weights)
        for (let i = 0; i < skipped; i++) mix.next()
        const counts = weights.map(() => 0)
        for (let i = 0; i < 1000; i++) counts[mix.next()]!++
        const total = weights.reduce((sum, one) => sum + one, 0)
        for (const [at, weight] of weights.entries()) {
          // The golden ratio's multiples miss the share of any range by a few in a thousand.
          assert.ok(Math.abs(counts[at]! - (1000 * weight) / total) <= 8, `${counts} for ${weights}`)
        }
      }),
      { numRuns: 200 },
    )
  })
})

describe('latencies', () => {
  it('are told with three digits, and never beyond the largest', () => {
    const latencies = new Latencies()
    for (let i = 1; i <= 1000; i++) latencies.record(i / 10)
    const { count, min, p50, p99, p999, max, mean } = latencies.summary()
    assert.deepEqual([count, min], [1000, 0.1])
    for (const [found, expected] of [
      [p50, 50],
      [p99, 99],
      [p999, 99.9],
      [max, 100],
      [mean, 50.05],
    ] as const) {
      assert.ok(Math.abs(found - expected) <= expected * 0.001 + 0.001, `${found} for ${expected}`)
    }
    assert.ok(p999 <= max)
    assert.deepEqual(new Latencies().summary(), { count: 0, min: 0, mean: 0, p50: 0, p90: 0, p99: 0, p999: 0, max: 0 })
  })
})
