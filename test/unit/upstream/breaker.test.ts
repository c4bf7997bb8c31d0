import assert from 'node:assert/strict'
import { afterEach, beforeEach, describe, it, mock } from 'node:test'
import { Breaker, type Circuit } from '../../../proxy/upstream/breaker.ts'
import type { BreakerSettings } from '../../../proxy/upstream/settings.ts'

const WINDOW: BreakerSettings = {
  failures: 0,
  errorThresholdPercentage: 50,
  volumeThreshold: 10,
  rollingWindowMs: 10_000,
  resetTimeoutMs: 60_000,
}
const SIMPLE: BreakerSettings = { ...WINDOW, failures: 5 }

interface Made {
  breaker: Breaker
  seen: (Circuit | null)[]
}

function make(settings: BreakerSettings): Made {
  const seen: (Circuit | null)[] = []
  return { breaker: new Breaker(settings, circuit => void seen.push(circuit)), seen }
}

function feed(breaker: Breaker, good: number, bad: number): void {
  for (let i = 0; i < good; i++) breaker.succeeded()
  for (let i = 0; i < bad; i++) breaker.failed()
}

/** Lets the promises of opossum settle. */
async function settled(): Promise<void> {
  for (let i = 0; i < 10; i++) await Promise.resolve()
}

async function probe(breaker: Breaker, outcome: 'good' | 'bad' | 'unknown'): Promise<void> {
  assert.equal(breaker.mayProbe, true)
  breaker.beginProbe()
  assert.equal(breaker.mayProbe, false)
  breaker.endProbe(outcome)
  await settled()
}

describe('the circuit breaker of a replica', () => {
  beforeEach(() => mock.timers.enable({ apis: ['setTimeout', 'setInterval', 'Date'] }))
  afterEach(() => mock.timers.reset())

  it('opens when more than half of at least ten calls of the window failed', () => {
    const few = make(WINDOW).breaker
    feed(few, 0, 9)
    assert.equal(few.circuit, 'closed')
    feed(few, 0, 1)
    assert.equal(few.circuit, 'open')
    const half = make(WINDOW).breaker
    feed(half, 100, 100)
    assert.equal(half.circuit, 'closed')
    feed(half, 0, 1)
    assert.equal(half.circuit, 'open')
    few.close()
    half.close()
  })

  it('forgets what is older than its window', () => {
    const { breaker } = make(WINDOW)
    feed(breaker, 0, 9)
    mock.timers.tick(11_000)
    feed(breaker, 0, 9)
    assert.equal(breaker.circuit, 'closed')
    feed(breaker, 0, 1)
    assert.equal(breaker.circuit, 'open')
    breaker.close()
  })

  for (const [name, settings] of [
    ['window', WINDOW],
    ['failures: 5', SIMPLE],
  ] as const) {
    it(`${name}: half open after the reset time, lets one call through, and closes when that went well`, async () => {
      const { breaker, seen } = make(settings)
      feed(breaker, 0, 10)
      assert.equal(breaker.circuit, 'open')
      assert.equal(breaker.mayProbe, false)
      mock.timers.tick(59_999)
      assert.equal(breaker.circuit, 'open')
      mock.timers.tick(1)
      assert.equal(breaker.circuit, 'half_open')
      await probe(breaker, 'good')
      assert.equal(breaker.circuit, 'closed')
      assert.deepEqual(seen, ['open', 'half_open', null, 'closed'])
      breaker.close()
    })

    it(`${name}: opens again, for as long, when that failed`, async () => {
      const { breaker } = make(settings)
      feed(breaker, 0, 10)
      mock.timers.tick(60_000)
      await probe(breaker, 'bad')
      assert.equal(breaker.circuit, 'open')
      mock.timers.tick(59_999)
      assert.equal(breaker.circuit, 'open')
      mock.timers.tick(1)
      assert.equal(breaker.circuit, 'half_open')
      breaker.close()
    })

    it(`${name}: lets another call through when that was given up`, async () => {
      const { breaker } = make(settings)
      feed(breaker, 0, 10)
      mock.timers.tick(60_000)
      for (let i = 0; i < 3; i++) {
        await probe(breaker, 'unknown')
        assert.equal(breaker.circuit, 'half_open')
      }
      await probe(breaker, 'good')
      assert.equal(breaker.circuit, 'closed')
      breaker.close()
    })
  }

  it('failures: 5 counts failures in a row', () => {
    const { breaker } = make(SIMPLE)
    for (let i = 0; i < 20; i++) feed(breaker, 1, 4)
    assert.equal(breaker.circuit, 'closed')
    feed(breaker, 0, 1)
    assert.equal(breaker.circuit, 'open')
    breaker.close()
  })

  it('what began before it opened neither takes the place of the probe nor decides for it', async () => {
    const { breaker } = make(WINDOW)
    feed(breaker, 0, 10)
    feed(breaker, 3, 3)
    mock.timers.tick(60_000)
    feed(breaker, 3, 3)
    await settled()
    assert.equal(breaker.circuit, 'half_open')
    assert.equal(breaker.mayProbe, true)
    breaker.close()
  })

  it('says how long to wait, and runs no timer when closed', () => {
    const { breaker } = make(WINDOW)
    feed(breaker, 0, 10)
    const wait = breaker.retryAfterMs(performance.now())
    assert.ok(wait > 50_000 && wait <= 60_000, String(wait))
    breaker.close()
    mock.timers.tick(120_000)
    assert.equal(breaker.circuit, 'open')
    assert.equal(breaker.mayProbe, false)
  })
})
