import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { type JsonObject, SluiceError } from '#api'
import { asks, type Cache, call, get, LIST, make, TEXT } from './cache-kit.ts'

describe('cache: single flight', () => {
  it('equal requests wait for the first one, and get what it got', async () => {
    const p = await make()
    const [first, ...others] = [1, 2, 3].map(() => p.exchange(call()))
    assert.equal((await first?.request())?.verdict, undefined)
    const waiting = others.map(x => x.request())
    await first?.response({ result: TEXT })
    const got = await Promise.all(waiting)
    assert.deepEqual(
      got.map(seen => seen.notes.cache),
      ['joined', 'joined'],
    )
    assert.deepEqual(JSON.parse(String(got[0]?.verdict?.result)), TEXT)
  })

  it('when the first one leaves, fails or is cancelled, another takes over', async () => {
    const enders: ((p: Cache, x: ReturnType<Cache['exchange']>) => unknown)[] = [
      (_, x) => x.end({ status: 'aborted' }),
      (_, x) => x.end({ status: 'failed' }),
      (_, x) => x.response({ error: { code: -32603, message: 'no' } }),
      (_, x) => x.response({ result: { ...TEXT, isError: true } }),
      p => p.notification({ method: 'notifications/cancelled', params: { requestId: 1 } }, { session: 's' }),
    ]
    for (const end of enders) {
      const p = await make()
      const [first, second, third] = [1, 2, 3].map(id => p.exchange({ ...call(), id }, { session: 's' }))
      await first?.request()
      const waiting = [second?.request(), third?.request()]
      await end(p, first as ReturnType<Cache['exchange']>)
      assert.equal((await waiting[0])?.verdict, undefined)
      await second?.response({ result: TEXT })
      assert.equal((await waiting[1])?.notes.cache, 'joined')
    }
  })

  it('who waits and leaves only ends itself', async () => {
    const p = await make()
    const [first, second, third] = [1, 2, 3].map(() => p.exchange(call()))
    await first?.request()
    const waiting = [second?.request(), third?.request()]
    second?.end({ status: 'aborted' })
    await first?.response({ result: TEXT })
    assert.equal((await waiting[1])?.notes.cache, 'joined')
  })

  it('when the answer may not be kept, all go on at once, and later ones do not wait', async () => {
    const p = await make({})
    const [first, second, third, later] = [1, 2, 3, 4].map(() => p.exchange(LIST))
    await first?.request()
    const waiting = [second?.request(), third?.request()]
    await first?.response({ result: { tools: [], ttlMs: 0 } })
    assert.deepEqual(
      (await Promise.all(waiting)).map(seen => seen?.verdict),
      [undefined, undefined],
    )
    assert.equal((await later?.request())?.verdict, undefined)
    assert.equal((await p.exchange(LIST).request()).verdict, undefined)
  })

  it('can be switched off', async () => {
    const p = await make({ tools: ['get'], single_flight: false })
    await p.exchange(call()).request()
    assert.equal((await p.exchange(call()).request()).verdict, undefined)
  })
})

describe('cache: old answers', () => {
  const old = { tools: ['get'], ttl: '10s', stale_while_revalidate: '10s' }

  it('are given while a new one is fetched through the rest of the chain', async () => {
    const calls: unknown[] = []
    const answer = Promise.withResolvers<JsonObject>()
    const p = await make(old, {
      call: (message, options) => {
        calls.push(message, options.below, options.signal?.aborted)
        return answer.promise
      },
    })
    const request =
      '{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"get","_meta":{"progressToken":1},"arguments":{"n":9007199254740993}}}'
    const ask = async () => {
      const x = p.exchange(request)
      const seen = await x.request()
      if (seen.verdict === undefined) await x.response({ result: TEXT })
      x.end()
      return seen
    }
    await ask()
    p.clock.advance(15_000)
    for (let i = 0; i < 2; i++) assert.equal((await ask()).notes.cache, 'stale')
    assert.equal(calls.length, 3)
    assert.equal(
      JSON.stringify(calls[0]),
      '{"method":"tools/call","params":{"name":"get","_meta":{},"arguments":{"n":9007199254740993}}}',
    )
    assert.deepEqual(calls.slice(1), ['cache', false])
    answer.resolve({ result: { fresh: 1 } })
    await new Promise(setImmediate)
    const seen = await ask()
    assert.deepEqual([seen.notes.cache, JSON.parse(String(seen.verdict?.result))], ['hit', { fresh: 1 }])
  })

  it('are not given for longer than that', async () => {
    const p = await make(old)
    await asks(p, call())
    p.clock.advance(20_000)
    assert.equal(await asks(p, call()), true)
  })

  it('stay when the new one fails, and go when it is no answer any more', async () => {
    for (const [answer, after] of [
      [{ error: { code: -32603, message: 'internal' } }, 'stale'],
      [{ error: { code: -32602, message: 'not found' } }, 'miss'],
      [{ result: { ...TEXT, isError: true } }, 'miss'],
    ] as const) {
      const p = await make(old, { call: () => answer as JsonObject })
      await asks(p, call())
      p.clock.advance(15_000)
      await asks(p, call())
      await new Promise(setImmediate)
      assert.equal((await get(p, call(), TEXT)).note, after)
    }
  })

  it('end with the policy', async () => {
    let signal: AbortSignal | undefined
    const p = await make(old, {
      call: (_message, options) => {
        signal = options.signal
        return new Promise(() => {})
      },
    })
    await asks(p, call())
    p.clock.advance(15_000)
    await asks(p, call())
    await p.close()
    assert.equal(signal?.aborted, true)
  })

  it('stand in for a server that fails, and for no other refusal', async () => {
    const failing = { tools: ['get'], ttl: '10s', stale_on_error: '1h' }
    const cases: [() => JsonObject, unknown][] = [
      [
        () => {
          throw new SluiceError('upstream_unreachable', 'gone')
        },
        'stale',
      ],
      [
        () => {
          throw new SluiceError('upstream_timeout', 'slow')
        },
        'stale',
      ],
      [
        () => {
          throw new SluiceError('upstream_unauthorized', 'who?')
        },
        'miss',
      ],
      [
        () => {
          throw new SluiceError('access_denied', 'no')
        },
        'miss',
      ],
      [() => ({ error: { code: -32603, message: 'internal' } }), 'stale'],
      [() => ({ error: { code: -32602, message: 'not found' } }), 'miss'],
    ]
    for (const [answer, note] of cases) {
      const p = await make(failing, { call: answer })
      await asks(p, call())
      p.clock.advance(11_000)
      assert.equal((await get(p, call(), TEXT)).note, note, String(answer))
    }
    const p = await make(failing, { call: () => ({ result: { fresh: 1 } }) })
    await asks(p, call())
    p.clock.advance(11_000)
    assert.equal((await get(p, call(), TEXT)).result, '{"fresh":1}')
    assert.equal((await get(p, call(), TEXT)).note, 'hit')
  })

  it('have no time left', async () => {
    const p = await make({ stale_while_revalidate: '1m' }, { call: () => new Promise<JsonObject>(() => {}) })
    await asks(p, LIST, { ttlMs: 1000, tools: [] })
    p.clock.advance(5000)
    assert.equal((await get(p, LIST, {})).result, '{"ttlMs":0,"tools":[]}')
  })
})
