import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { UPSTREAM_DEFAULTS } from '../../../proxy/config/servers/upstream-keys.ts'
import { type Balancer, type Chance, createBalancer } from '../../../proxy/upstream/balance.ts'
import { Replica } from '../../../proxy/upstream/replica.ts'
import type { Balance, UpstreamSettings } from '../../../proxy/upstream/settings.ts'
import type { UpstreamRequest } from '../../../proxy/upstream/upstream.ts'

/** Numbers that look random and are the same each time. */
class Still implements Chance {
  time = 1_000_000
  #state = 42

  now(): number {
    return this.time
  }

  random(): number {
    this.#state = (Math.imul(this.#state, 1_664_525) + 1_013_904_223) >>> 0
    return this.#state / 2 ** 32
  }
}

const ROUNDS = 10_000

function replicas(count: number, settings: Partial<UpstreamSettings> = {}, startedAt = -Infinity): Replica[] {
  const options = {
    connections: 1,
    connectTimeoutMs: 1,
    maxHeaderBytes: 1024,
    settings: { ...UPSTREAM_DEFAULTS, breaker: null, ...settings },
    pem: {},
  }
  return Array.from({ length: count }, (_, i) => {
    const url = `http://10.0.0.${i + 1}/mcp`
    return new Replica({ id: url, url, socketPath: '', state: 'ready' }, options, startedAt, () => {})
  })
}

function requestWith(key: string): UpstreamRequest {
  return { hashKey: () => key } as unknown as UpstreamRequest
}

/** How often each replica is picked. */
function tally(balancer: Balancer, among: readonly Replica[], keys: (i: number) => string = () => ''): number[] {
  const counts = new Map(among.map(replica => [replica, 0]))
  for (let i = 0; i < ROUNDS; i++) {
    const picked = balancer.pick(among, requestWith(keys(i)))
    counts.set(picked, (counts.get(picked) ?? 0) + 1)
  }
  return [...counts.values()]
}

const even = (counts: readonly number[], share: number): boolean =>
  counts.every(count => Math.abs(count / ROUNDS - share) < 0.1 * share)

const HASH: Balance = { from: 'header', name: 'x-user' }

describe('least in flight', () => {
  it('takes the less busy of two different ones', () => {
    const [a, b] = replicas(2) as [Replica, Replica]
    const balancer = createBalancer('least_in_flight', new Still())
    a.inFlight = 3
    assert.deepEqual(tally(balancer, [a, b]), [0, ROUNDS])
    assert.deepEqual(tally(balancer, [b, a]), [ROUNDS, 0])
  })

  it('is even over time when all are equally busy, and never takes the busiest', () => {
    const five = replicas(5)
    const balancer = createBalancer('least_in_flight', new Still())
    assert.ok(even(tally(balancer, five), 0.2))
    ;(five[2] as Replica).inFlight = 1
    assert.equal(tally(balancer, five)[2], 0)
  })

  it('keeps the load even while calls come and go', () => {
    const five = replicas(5)
    const balancer = createBalancer('least_in_flight', new Still())
    const running: Replica[] = []
    let worst = 0
    for (let i = 0; i < ROUNDS; i++) {
      const picked = balancer.pick(five, requestWith(''))
      picked.inFlight++
      running.push(picked)
      if (running.length > 50) (running.shift() as Replica).inFlight--
      worst = Math.max(worst, ...five.map(replica => replica.inFlight))
    }
    assert.ok(worst <= 15, `most on one replica: ${worst}, even would be 10`)
  })
})

describe('round robin', () => {
  it('takes turns', () => {
    assert.deepEqual(tally(createBalancer('round_robin', new Still()), replicas(4)), [2500, 2500, 2500, 2500])
  })
})

describe('hash', () => {
  const keys = (i: number): string => `user-${i}`

  it('sends a key to the same replica always, and keys evenly to all', () => {
    const five = replicas(5)
    const balancer = createBalancer(HASH, new Still())
    for (let i = 0; i < 100; i++) {
      const first = balancer.pick(five, requestWith(keys(i)))
      assert.equal(balancer.pick(five.toReversed(), requestWith(keys(i))), first)
    }
    assert.ok(even(tally(balancer, five, keys), 0.2), String(tally(balancer, five, keys)))
  })

  it('moves only the keys of a replica that is gone', () => {
    const five = replicas(5)
    const balancer = createBalancer(HASH, new Still())
    const gone = five[1] as Replica
    const rest = five.filter(replica => replica !== gone)
    for (let i = 0; i < 1000; i++) {
      const before = balancer.pick(five, requestWith(keys(i)))
      if (before !== gone) assert.equal(balancer.pick(rest, requestWith(keys(i))), before)
    }
  })

  it('goes by load without a key', () => {
    const [a, b] = replicas(2) as [Replica, Replica]
    a.inFlight = 1
    assert.deepEqual(tally(createBalancer(HASH, new Still()), [a, b]), [0, ROUNDS])
  })
})

for (const balance of ['least_in_flight', 'round_robin', HASH] as const) {
  const name = typeof balance === 'string' ? balance : 'hash'
  const keys = (i: number): string => `user-${i}`

  describe(`passive ejection: ${name}`, () => {
    it('passes over a replica that failed three times in a row, longer each time, and takes it back', () => {
      const chance = new Still()
      const [bad, good] = replicas(2, { slowStartMs: 0 }) as [Replica, Replica]
      const balancer = createBalancer(balance, chance)
      const share = (): number => (tally(balancer, [bad, good], keys)[0] as number) / ROUNDS
      for (let i = 0; i < 2; i++) bad.failed(chance.now(), false)
      assert.ok(share() > 0.4)
      bad.failed(chance.now(), false)
      assert.equal(share(), 0)
      chance.time += 1_001
      assert.ok(share() > 0.4)
      bad.failed(chance.now(), false)
      chance.time += 1_001
      assert.equal(share(), 0)
      chance.time += 1_000
      assert.ok(share() > 0.4)
    })

    it('uses all when all are passed over', () => {
      const chance = new Still()
      const both = replicas(2)
      for (const replica of both) replica.failed(chance.now(), true)
      const counts = tally(createBalancer(balance, chance), both, keys)
      assert.equal((counts[0] as number) + (counts[1] as number), ROUNDS)
    })
  })
}

for (const balance of ['least_in_flight', 'round_robin'] as const) {
  it(`slow start: ${balance} gives a new replica a growing share`, () => {
    const chance = new Still()
    const settings = { slowStartMs: 10_000 }
    const [old] = replicas(1, settings) as [Replica]
    const [, young] = replicas(2, settings, chance.now()) as [Replica, Replica]
    const balancer = createBalancer(balance, chance)
    const shares: number[] = []
    for (const seconds of [0, 5, 10]) {
      chance.time = 1_000_000 + seconds * 1000
      shares.push((tally(balancer, [old, young])[1] as number) / ROUNDS)
    }
    const [first, middle, last] = shares as [number, number, number]
    assert.ok(first < 0.15 && middle > first + 0.1 && last > 0.45 && last > middle + 0.05, String(shares))
  })
}
