import assert from 'node:assert/strict'
import { afterEach, beforeEach, describe, it, mock } from 'node:test'
import { PULSE_MS, Pulse } from '../../../proxy/upstream/pulse.ts'
import { RESERVE, RetryBudget } from '../../../proxy/upstream/retry-budget.ts'

describe('the retry budget', () => {
  it('has a reserve, and then one retry for five requests at 20 %', () => {
    const budget = new RetryBudget(0.2)
    let retries = 0
    while (budget.spend()) retries++
    assert.equal(retries, RESERVE)
    for (let i = 0; i < 1000; i++) {
      budget.earn()
      if (budget.spend()) retries++
    }
    assert.ok(Math.abs(retries - RESERVE - 200) <= 1, String(retries))
  })

  it('saves no more than the reserve, and has nothing at 0 %', () => {
    const budget = new RetryBudget(1)
    for (let i = 0; i < 10_000; i++) budget.earn()
    let retries = 0
    while (budget.spend()) retries++
    assert.ok(retries <= RESERVE + 1)
    assert.equal(new RetryBudget(0).spend(), false)
  })
})

describe('a pulse', () => {
  beforeEach(() => mock.timers.enable({ apis: ['setTimeout'] }))
  afterEach(() => mock.timers.reset())

  it('beats at once, then at most once in 200 ms, and stops when nobody asks', () => {
    let beats = 0
    const pulse = new Pulse(() => {
      beats++
      return false
    })
    pulse.ask()
    assert.equal(beats, 1)
    for (let i = 0; i < 100; i++) pulse.ask()
    assert.equal(beats, 1)
    mock.timers.tick(PULSE_MS)
    assert.equal(beats, 2)
    mock.timers.tick(10 * PULSE_MS)
    assert.equal(beats, 2)
    pulse.ask()
    assert.equal(beats, 3)
    pulse.stop()
  })

  it('goes on while its work says so, also when that asks again', () => {
    let left = 5
    const pulse = new Pulse(() => {
      pulse.ask()
      return --left > 0
    })
    pulse.ask()
    for (let i = 0; i < 4; i++) mock.timers.tick(PULSE_MS)
    assert.equal(left, 0)
    pulse.stop()
  })
})
