import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { type Probe, type ProbeContext, type ProbeOptions, probe } from '#testing'
import { parseRate } from '../../interceptors/rate-limit/rate.ts'
import rateLimit from '../../interceptors/rate-limit/rate-limit.ts'
import { type Grant, type Hold, SluiceError, type Store } from '../../proxy/api/index.ts'

const call = (name = 'search', args: object = {}): object => ({
  method: 'tools/call',
  params: { name, arguments: args },
})

/** How many of `times` such requests go on. */
async function pass(p: Probe, times: number, message: object = call(), context: ProbeContext = { client: 'ada' }) {
  let passed = 0
  for (let i = 0; i < times; i++) if ((await p.request(message as never, context)).verdict === undefined) passed++
  return passed
}

const limits = (...list: object[]): ProbeOptions => ({ options: { limits: list } })

describe('the refusal', () => {
  it('reads as users know it, and says when to come back', async () => {
    const p = await probe(rateLimit, limits({ limit: '2/minute' }))
    assert.equal(await pass(p, 2), 2)
    p.clock.advance(15_500)
    const { verdict, notes } = await p.request(call() as never, { client: 'ada' })
    assert.equal(verdict?.code, 'rate_limited')
    assert.equal(verdict?.reason, 'Rate limit exceeded: 2 requests per 60000ms')
    const data = { rule: 'requests-client', limit: 2, window_ms: 60_000, retry_after_ms: 44_500 }
    assert.deepEqual(verdict?.data, data)
    assert.deepEqual(verdict?.headers, {
      'ratelimit-policy': '"requests-client";q=2;qu="requests";w=60',
      ratelimit: '"requests-client";r=0;t=45',
    })
    assert.deepEqual(notes, { rate_limit: 'requests-client' })
    p.clock.advance(44_500)
    assert.equal(await pass(p, 3), 2)
  })
})

describe('limits of access_control', () => {
  const accessControl = {
    clients: {
      ada: { rateLimit: '3/minute' },
      bob: { requestsPerMinute: 5, rateLimit: '100/hour' },
      eve: { tokensPerDay: 100 },
      '*': { rateLimit: '1/second' },
    },
  }

  it('hold for each client by itself', async () => {
    const p = await probe(rateLimit, { accessControl })
    assert.equal(await pass(p, 9), 3)
    assert.equal(await pass(p, 9, call(), { client: 'bob' }), 5)
    assert.equal(await pass(p, 9, call(), { client: 'someone' }), 1)
    assert.equal(await pass(p, 9, call(), { client: 'someone-else' }), 1)
  })

  it('count tokens by days in UTC, four bytes each', async () => {
    const p = await probe(rateLimit, { accessControl, now: '2026-01-05T23:00:00Z' })
    const run = async (bytesToClient: number): Promise<string | undefined> => {
      const exchange = p.exchange(call() as never, { client: 'eve' })
      const { verdict } = await exchange.request()
      exchange.end(verdict === undefined ? { bytesToClient, status: 'ok' } : { status: 'denied', bytesToClient })
      return verdict?.reason
    }
    assert.equal(await run(399), undefined)
    assert.equal(await run(1), 'Rate limit exceeded: 100 tokens per 86400000ms')
    p.clock.advance(3_600_000 - 1)
    assert.notEqual(await run(1), undefined)
    p.clock.advance(1)
    assert.equal(await run(4000), undefined)
    assert.notEqual(await run(1), undefined)
  })

  it('can be left out', async () => {
    const options = { access_control: false, limits: [{ limit: '7/minute' }] }
    const p = await probe(rateLimit, { accessControl, options })
    assert.equal(await pass(p, 9), 7)
  })
})

describe('what a limit is for', () => {
  it('every request but pings, and nothing else', async () => {
    const p = await probe(rateLimit, limits({ limit: '2/minute' }))
    assert.equal(await pass(p, 5, { method: 'ping' }), 5)
    assert.equal(await pass(p, 1, { method: 'initialize' }), 1)
    assert.equal(await pass(p, 5, { method: 'tools/list' }), 1)
    const { ran } = await p.notification({ method: 'notifications/initialized' }, { client: 'ada' })
    assert.equal(ran, false)
  })

  it('keys: each value has the limit for itself', async () => {
    const p = await probe(rateLimit, limits({ limit: '2/minute', key: ['client', 'server', 'tool'] }))
    assert.equal(await pass(p, 3, call('a')), 2)
    assert.equal(await pass(p, 3, call('b')), 2)
    assert.equal(await pass(p, 3, call('a'), { client: 'bob' }), 2)
    assert.equal(await pass(p, 3, call('a'), { client: 'ada', server: 'other' }), 2)
    assert.equal(await pass(p, 3, { method: 'tools/list' }), 3)
  })

  it('an argument, at any depth; calls without it share one', async () => {
    const p = await probe(rateLimit, limits({ limit: '1/minute', key: 'argument.repo.owner' }))
    assert.equal(await pass(p, 2, call('x', { repo: { owner: 'a' } })), 1)
    assert.equal(await pass(p, 2, call('y', { repo: { owner: 'b' } })), 1)
    assert.equal(await pass(p, 2, call('x', { repo: { owner: { deep: 1 } } })), 1)
    assert.equal(await pass(p, 1, call('x', { repo: 'a' })), 1)
    assert.equal(await pass(p, 2, call('x')), 0)
  })

  it('tools by globs, methods by globs, all together without a key', async () => {
    const p = await probe(
      rateLimit,
      limits(
        { limit: '3/minute', tools: ['get_*', '!get_time'], key: [] },
        { limit: '1/minute', methods: 'prompts/*' },
      ),
    )
    assert.equal(await pass(p, 2, call('get_a')), 2)
    assert.equal(await pass(p, 2, call('get_b'), { client: 'bob' }), 1)
    assert.equal(await pass(p, 9, call('get_time')), 9)
    assert.equal(await pass(p, 9, { method: 'prompts/get', params: { name: 'p' } }), 1)
  })

  it('a burst, then one after the other', async () => {
    const p = await probe(rateLimit, limits({ limit: '60/minute', burst: 3 }))
    assert.equal(await pass(p, 9), 3)
    p.clock.advance(2000)
    assert.equal(await pass(p, 9), 2)
  })

  it('bytes of results: what was too large is given, the next ones wait', async () => {
    const p = await probe(rateLimit, limits({ limit: '1KiB/minute', what: 'result_bytes' }))
    const one = p.exchange(call() as never, { client: 'ada' })
    assert.equal((await one.request()).verdict, undefined)
    one.end({ status: 'ok', bytesToClient: 5000 })
    assert.equal(await pass(p, 1), 0)
    assert.equal(await pass(p, 1, { method: 'tools/list' }), 1)
    p.clock.advance(60_000)
    assert.equal(await pass(p, 1), 1)
  })
})

describe('several limits', () => {
  it('all hold, and one that refuses costs the others nothing', async () => {
    const p = await probe(
      rateLimit,
      limits({ limit: '10/minute', name: 'all' }, { limit: '2/minute', tools: 'slow', name: 'slow' }),
    )
    assert.equal(await pass(p, 8, call('slow')), 2)
    assert.equal(await pass(p, 20, call('quick')), 8)
  })
})

describe('concurrent calls', () => {
  it('are freed exactly once, at the end, however it ends', async () => {
    const p = await probe(rateLimit, limits({ limit: 2, what: 'concurrent', tools: '*' }))
    const [a, b, c] = [1, 2, 3].map(() => p.exchange(call() as never, { client: 'ada' }))
    assert.equal((await a?.request())?.verdict, undefined)
    assert.equal((await b?.request())?.verdict, undefined)
    const refused = (await c?.request())?.verdict
    assert.equal(refused?.reason, 'Rate limit exceeded: 2 requests at a time')
    c?.end({ status: 'denied' })
    assert.equal((await p.request(call() as never, { client: 'ada' })).verdict?.code, 'rate_limited')
    a?.end({ status: 'aborted' })
    const d = p.exchange(call() as never, { client: 'ada' })
    assert.equal((await d.request()).verdict, undefined)
    assert.equal((await p.request(call() as never, { client: 'ada' })).verdict?.code, 'rate_limited')
  })

  it('are freed when the end came before the place', async () => {
    const asked = Promise.withResolvers<Hold | null>()
    let released = 0
    const store = storeThat({ hold: () => asked.promise })
    const p = await probe(rateLimit, { ...limits({ limit: 1, what: 'concurrent' }), store })
    const exchange = p.exchange(call() as never, { client: 'ada' })
    void exchange.request()
    exchange.end({ status: 'aborted' })
    asked.resolve({ release: () => void released++ })
    await new Promise(resolve => setImmediate(resolve))
    assert.equal(released, 1)
  })
})

describe('a store that answers later, or not at all', () => {
  const granted: Grant = { granted: true, remaining: 1, retryMs: 0, local: false }

  it('is waited for, and given back what was for nothing', async () => {
    const spent: [string, number][] = []
    const store = storeThat({
      take: key => Promise.resolve(key.startsWith('b') ? { ...granted, granted: false, retryMs: 5 } : granted),
      spend: (key, amount) => void spent.push([key, amount]),
    })
    const p = await probe(rateLimit, {
      ...limits({ limit: '9/minute', name: 'a' }, { limit: '9/minute', name: 'b' }),
      store,
    })
    assert.equal(await pass(p, 1), 0)
    assert.deepEqual(spent, [['a/ada', -1]])
  })

  it('refuses where the policy says so', async () => {
    const store = storeThat({ take: () => Promise.reject(new SluiceError('store_unreachable', 'down')) })
    const p = await probe(rateLimit, { options: { limits: [{ limit: '9/minute' }], store_down: 'refuse' }, store })
    const { verdict } = await p.request(call() as never)
    assert.equal(verdict?.code, 'store_unreachable')
    assert.deepEqual(verdict?.data, { retry_after_ms: 1000 })
  })
})

describe('keys of the store', () => {
  it('never hold an argument, nor a name that could be mistaken', async () => {
    const keys: string[] = []
    const store = storeThat({
      take: key => {
        keys.push(key)
        return { granted: true, remaining: 1, retryMs: 0, local: false }
      },
    })
    const p = await probe(rateLimit, {
      ...limits({ limit: '9/minute', key: ['client', 'tool', 'argument.token'], name: 'r' }),
      store,
    })
    await p.request(call('a/b', { token: 'sk-secret' }) as never, { client: 'ada' })
    assert.match(keys[0] ?? '', /^r\/ada\/=[\w-]{22}\/=[\w-]{22}$/)
  })
})

describe('options', () => {
  const bad: [object, RegExp][] = [
    [{ limits: [{ limit: '100' }] }, /expected a rate/],
    [{ limits: [{ limit: '0/minute' }] }, /expected a rate/],
    [{ limits: [{ limit: '5/40d' }] }, /at most 31 days/],
    [{ limits: [{ limit: 5 }] }, /expected a rate such as/],
    [{ limits: [{ limit: '5/s', what: 'concurrent' }] }, /expected a number of calls/],
    [{ limits: [{ limit: '5/s', key: ['user'] }] }, /expected client, server, tool/],
    [{ limits: [{ limit: '5/s', burst: 2, window: 'fixed' }] }, /no burst/],
    [{ limits: [{ limit: '5/s', tools: 'a', methods: 'b' }] }, /leave "methods" out/],
    [
      {
        limits: [
          { limit: '5/s', name: 'x' },
          { limit: '6/s', name: 'x' },
        ],
      },
      /two limits are named "x"/,
    ],
    [{}, /no limit/],
  ]
  for (const [options, message] of bad) {
    it(`${JSON.stringify(options)}: ${message.source}`, async () => {
      await assert.rejects(probe(rateLimit, { options }), message)
    })
  }

  it('read rates', () => {
    assert.deepEqual(parseRate('100/minute'), { limit: 100, windowMs: 60_000 })
    assert.deepEqual(parseRate('10 / 15s'), { limit: 10, windowMs: 15_000 })
    assert.deepEqual(parseRate('2M/day'), { limit: 2_000_000, windowMs: 86_400_000 })
    assert.deepEqual(parseRate('50MiB/hour'), { limit: 50 * 1024 ** 2, windowMs: 3_600_000 })
    assert.equal(parseRate('-1/minute'), null)
  })
})

/** A store of which only this much is used. */
function storeThat(parts: Partial<Store>): Store {
  const unused = (): never => assert.fail('not used here')
  return {
    get: unused,
    set: unused,
    delete: unused,
    increment: unused,
    take: unused,
    spend: unused,
    hold: unused,
    ...parts,
  }
}
