import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import fc from 'fast-check'
import { type CallOptions, type JsonObject, SluiceError } from '#api'
import { type ProbeContext, type ProbeOptions, probe } from '#testing'
import batch from '../../interceptors/batch/batch.ts'
import { split } from '../../interceptors/batch/split.ts'

const call = (name: string, args: JsonObject, more: JsonObject = {}): JsonObject => ({
  method: 'tools/call',
  params: { name, arguments: args, ...more },
})
const USERS = {
  tool: 'get_user',
  into: 'get_users',
  collect: { from: 'id', to: 'ids' },
  split: { path: 'users', key: 'id' },
}

function make(options: object, more: Omit<ProbeOptions, 'options'> = {}) {
  return probe(batch, { options, ...more })
}

/** A server with `get_users`: knows the users 1 to 9. */
function users(calls: JsonObject[] = []): (message: JsonObject) => JsonObject {
  return message => {
    calls.push(message)
    const { ids } = (message.params as JsonObject).arguments as { ids: number[] }
    const found = ids.filter(id => id < 10).map(id => ({ id, name: `user ${id}` }))
    // In an order of its own.
    return { result: { content: [], structuredContent: { users: found.reverse() } } }
  }
}

/** Sends calls that wait for each other; `max_size` ends the wait. */
async function together(
  options: object,
  requests: readonly JsonObject[],
  more: Omit<ProbeOptions, 'options'>,
  contexts: readonly ProbeContext[] = [],
) {
  const p = await make({ merge: [USERS], window: '1h', max_size: Math.max(2, requests.length), ...options }, more)
  const waiting = requests.map((request, i) => p.exchange(request, contexts[i] ?? {}).request())
  return (await Promise.all(waiting)).map(seen => ({
    note: seen.notes.batch,
    result: seen.verdict?.action === 'reply' ? JSON.parse(String(seen.verdict.result)) : (seen.verdict?.code ?? null),
  }))
}

const user = (id: number): JsonObject => ({
  content: [{ type: 'text', text: `{"id":${id},"name":"user ${id}"}` }],
  structuredContent: { id, name: `user ${id}` },
})

describe('batch: calls that become one', () => {
  it('each gets its own, whatever the order; the merged call has every thing once', async () => {
    const calls: JsonObject[] = []
    let how: CallOptions = {}
    const answer = users(calls)
    const got = await together(
      {},
      [3, 1, 2, 3].map(id => call('get_user', { id, fields: 'all' })),
      {
        call: (message, options) => {
          how = options
          return answer(message)
        },
      },
    )
    assert.deepEqual(
      got.map(one => one.result),
      [3, 1, 2, 3].map(user),
    )
    assert.deepEqual(
      got.map(one => one.note),
      Array(4).fill('merged'),
    )
    assert.deepEqual(calls, [
      { method: 'tools/call', params: { name: 'get_users', arguments: { fields: 'all', ids: [3, 1, 2] } } },
    ])
    assert.equal(how.below, 'batch')
  })

  it('what is not in the answer is asked for by itself', async () => {
    const got = await together(
      {},
      [1, 99, 2].map(id => call('get_user', { id })),
      { call: users() },
    )
    assert.deepEqual(
      got.map(one => one.result),
      [user(1), null, user(2)],
    )
  })

  it('when the merged call fails, each asks for its own', async () => {
    const failures: (() => JsonObject)[] = [
      () => ({ error: { code: -32602, message: 'no' } }),
      () => ({ result: { content: [], isError: true } }),
      () => ({ result: { resultType: 'input_required', inputRequests: {} } }),
      () => ({ result: { content: [{ type: 'text', text: 'no JSON' }] } }),
      () => {
        throw new SluiceError('upstream_broken', 'gone')
      },
      () => {
        throw new SluiceError('denied', 'not that tool')
      },
    ]
    for (const fail of failures) {
      const got = await together(
        {},
        [1, 2].map(id => call('get_user', { id })),
        { call: fail },
      )
      assert.deepEqual(
        got.map(one => one.result),
        [null, null],
      )
    }
  })

  it('a server that is too slow for one call is not asked by many', async () => {
    const got = await together(
      {},
      [1, 2].map(id => call('get_user', { id })),
      {
        call: () => {
          throw new SluiceError('upstream_timeout', 'slow')
        },
      },
    )
    assert.deepEqual(
      got.map(one => one.result),
      ['upstream_timeout', 'upstream_timeout'],
    )
  })

  it('one that leaves takes nobody with it; when all have left, the call ends', async () => {
    const answer = Promise.withResolvers<JsonObject>()
    let signal: AbortSignal | undefined
    const p = await make(
      { merge: [USERS], window: '1h', max_size: 3 },
      {
        call: (_message, options) => {
          signal = options.signal
          return answer.promise
        },
      },
    )
    const [one, two, three] = [1, 2, 3].map(id => p.exchange(call('get_user', { id })))
    const waiting = [one?.request(), two?.request(), three?.request()]
    await new Promise(setImmediate)
    one?.end({ status: 'aborted' })
    two?.end({ status: 'aborted' })
    assert.equal(signal?.aborted, false)
    answer.resolve(users()({ params: { arguments: { ids: [1, 2, 3] } } }))
    assert.equal((await waiting[2])?.notes.batch, 'merged')
    const q = await make(
      { merge: [USERS], window: '1h', max_size: 2 },
      {
        call: (_message, options) => {
          signal = options.signal
          return new Promise(() => {})
        },
      },
    )
    const both = [1, 2].map(id => q.exchange(call('get_user', { id })))
    for (const x of both) void x.request()
    await new Promise(setImmediate)
    for (const x of both) x.end({ status: 'aborted' })
    assert.equal(signal?.aborted, true)
  })

  it('one that leaves before is not asked for', async () => {
    const calls: JsonObject[] = []
    const p = await make({ merge: [USERS], window: '1h', max_size: 3 }, { call: users(calls) })
    const leaves = p.exchange(call('get_user', { id: 7 }))
    void leaves.request()
    leaves.end({ status: 'aborted' })
    const others = [1, 2, 3].map(id => p.exchange(call('get_user', { id })).request())
    await Promise.all(others)
    assert.deepEqual(
      calls.map(message => ((message.params as JsonObject).arguments as JsonObject).ids),
      [[1, 2, 3]],
    )
  })

  it('one alone stays what it is', async t => {
    t.mock.timers.enable({ apis: ['setTimeout'] })
    const p = await make({ merge: [USERS] })
    const waiting = p.exchange(call('get_user', { id: 1 })).request()
    await Promise.resolve()
    t.mock.timers.tick(50)
    const seen = await waiting
    assert.deepEqual([seen.verdict, seen.edited, seen.notes], [undefined, false, {}])
  })

  it('only what has everything else in common', async () => {
    const pairs: [JsonObject, JsonObject, ProbeContext?, ProbeContext?][] = [
      [call('get_user', { id: 1 }), call('get_user', { id: 2, deep: true })],
      [call('get_user', { id: 1 }), call('get_user', { id: 2 }), { client: 'a' }, { client: 'b' }],
      [call('get_user', { id: 1 }), call('get_user', { id: 2 }), { session: 'a' }, { session: 'b' }],
      [call('get_user', { id: 1 }), call('get_user', { id: 2 }), { server: 'demo' }, { server: 'else' }],
      [
        call('get_user', { id: 1 }, { _meta: { 'io.modelcontextprotocol/clientCapabilities': {} } }),
        call('get_user', { id: 2 }, { _meta: { 'io.modelcontextprotocol/clientCapabilities': { sampling: {} } } }),
      ],
    ]
    for (const [one, two, first, second] of pairs) {
      const calls: JsonObject[] = []
      const p = await make(
        { merge: [USERS], window: 1, max_size: 2 },
        { call: users(calls), servers: ['demo', 'else'] },
      )
      const seen = await Promise.all([p.exchange(one, first).request(), p.exchange(two, second).request()])
      assert.deepEqual([seen[0]?.verdict, seen[1]?.verdict, calls.length], [undefined, undefined, 0])
    }
    const got = await together(
      { share_clients: ['demo'], share_sessions: ['demo'] },
      [1, 2].map(id => call('get_user', { id })),
      { call: users() },
      [
        { client: 'a', session: 'a' },
        { client: 'b', session: 'b' },
      ],
    )
    assert.deepEqual(
      got.map(one => one.result),
      [user(1), user(2)],
    )
  })

  it('no call that lacks the argument, or is a step of something longer, waits at all', async () => {
    const p = await make({ merge: [USERS], window: '1h' })
    for (const request of [
      call('get_user', {}),
      call('get_user', { id: null }),
      call('get_user', { id: [1] }),
      call('get_user', { id: 1, ids: [] }),
      call('get_user', { id: 1 }, { requestState: 'x' }),
      call('other', { id: 1 }),
      { method: 'tools/call', params: { name: 'get_user' } },
    ]) {
      assert.equal((await p.request(request)).verdict, undefined)
    }
  })

  it('numbers keep their digits both ways', async () => {
    let sent = ''
    const p = await make(
      { merge: [USERS], window: '1h', max_size: 2 },
      {
        call: message => {
          sent = JSON.stringify(message.params)
          return {
            result: JSON.parse(
              '{"content":[{"type":"text","text":"{\\"users\\":[{\\"id\\":9007199254740993,\\"score\\":1.0},{\\"id\\":9007199254740992}]}"}]}',
            ),
          }
        },
      },
    )
    const ask = (id: string) =>
      p
        .exchange(
          `{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"get_user","arguments":{"id":${id}}}}`,
        )
        .request()
    const [one, two] = await Promise.all([ask('9007199254740993'), ask('9007199254740992')])
    assert.match(sent, /"ids":\[9007199254740993,9007199254740992\]/)
    assert.equal(
      String(one?.verdict?.result),
      String.raw`{"content":[{"type":"text","text":"{\"id\":9007199254740993,\"score\":1.0}"}]}`,
    )
    assert.equal(
      String(two?.verdict?.result),
      String.raw`{"content":[{"type":"text","text":"{\"id\":9007199254740992}"}]}`,
    )
  })
})

describe('batch: taking a result apart', () => {
  const parts = (result: object, rule: Parameters<typeof split>[1]): Record<string, unknown> =>
    Object.fromEntries(
      [...split(Buffer.from(JSON.stringify(result)), rule)].map(([key, text]) => [key, JSON.parse(String(text))]),
    )

  it('finds things in lists by a member, in objects by their name, below a path, under a name', () => {
    const things = { a: 1 }
    const one = (value: object) => ({
      content: [{ type: 'text', text: JSON.stringify(value) }],
      structuredContent: value,
    })
    assert.deepEqual(
      parts({ structuredContent: { data: { list: [{ k: 'x', ...things }] } } }, { path: 'data.list', key: 'k' }),
      {
        '"x"': one({ k: 'x', a: 1 }),
      },
    )
    assert.deepEqual(parts({ structuredContent: { x: things, 7: things } }, { under: 'user' }), {
      '"x"': one({ user: things }),
      '"7"': one({ user: things }),
      7: one({ user: things }),
    })
    const text = [{ type: 'image' }, { type: 'text', text: 'Here:' }, { type: 'text', text: '[{"id":1}]' }]
    assert.deepEqual(parts({ content: text }, { key: 'id' }), { 1: { content: [{ type: 'text', text: '{"id":1}' }] } })
  })

  it('finds nothing where there is nothing, or no telling what', () => {
    const list = { structuredContent: { users: [{ id: 1 }, { id: 1 }, { id: 2 }, 3, null] } }
    assert.deepEqual(Object.keys(parts(list, { path: 'users', key: 'id' })), ['2'])
    for (const result of [
      {},
      { content: [] },
      { structuredContent: 1 },
      { structuredContent: { users: 'x' } },
      { structuredContent: null },
    ]) {
      assert.deepEqual(parts(result, { path: 'users', key: 'id' }), {})
    }
    assert.deepEqual(parts({ structuredContent: [{ id: 1 }] }, {}), {})
    assert.deepEqual(parts({ structuredContent: { users: [{}] } }, { path: 'users', key: 'constructor' }), {})
  })

  it('gives each thing to the one that asked for it, and to no other', () => {
    const ids = fc.uniqueArray(fc.oneof(fc.integer(), fc.string()), {
      minLength: 1,
      maxLength: 8,
      comparator: (a, b) => a === b,
    })
    fc.assert(
      fc.property(ids, fc.jsonValue(), (all, value) => {
        const things = all.map(id => ({ id, value }))
        const found = parts({ structuredContent: { things } }, { path: 'things', key: 'id' })
        for (const thing of things) {
          assert.deepEqual(
            (found[JSON.stringify(thing.id)] as JsonObject).structuredContent,
            JSON.parse(JSON.stringify(thing)),
          )
        }
        assert.equal(Object.keys(found).length, all.length)
      }),
      { numRuns: 100 },
    )
  })
})

describe('batch: equal reads', () => {
  const list = { method: 'tools/list' }

  it('that are under way at the same time become one', async () => {
    const p = await make({ tools: ['get_*'] })
    for (const request of [list, call('get_a', { x: 1 }), { method: 'resources/read', params: { uri: 'a:b' } }]) {
      const [first, ...others] = [1, 2, 3].map(() => p.exchange(request))
      assert.equal((await first?.request())?.verdict, undefined)
      const waiting = others.map(x => x.request())
      await first?.response('{"jsonrpc":"2.0","id":1,"result":{ "n" : 1.0 }}')
      for (const seen of await Promise.all(waiting)) {
        assert.deepEqual([String(seen.verdict?.result), seen.notes.batch], ['{ "n" : 1.0 }', 'joined'])
      }
      assert.equal((await p.exchange(request).request()).verdict, undefined)
    }
  })

  it('but no tool that nobody named, and nobody else’s', async () => {
    const p = await make({ tools: ['get_*'] })
    for (const [request, one, two] of [
      [call('set_a', {}), {}, {}],
      [list, { client: 'a' }, { client: 'b' }],
      [list, { session: 'a' }, { session: 'b' }],
      [call('get_a', {}, { inputResponses: {} }), {}, {}],
    ] as const) {
      await p.exchange(request, one).request()
      assert.equal((await p.exchange(request, two).request()).verdict, undefined)
    }
    const shared = await make({ share_clients: ['demo'] })
    const first = shared.exchange(list, { client: 'a' })
    await first.request()
    const waiting = shared.exchange(list, { client: 'b' }).request()
    await first.response({ result: {} })
    assert.equal((await waiting).notes.batch, 'joined')
  })

  it('a failure stays with the one that met it', async () => {
    for (const end of [
      (x: ReturnType<Awaited<ReturnType<typeof make>>['exchange']>) => x.response({ result: { isError: true } }),
      (x: ReturnType<Awaited<ReturnType<typeof make>>['exchange']>) =>
        x.response({ error: { code: 1, message: 'no' } }),
      (x: ReturnType<Awaited<ReturnType<typeof make>>['exchange']>) => x.end({ status: 'failed' }),
      (x: ReturnType<Awaited<ReturnType<typeof make>>['exchange']>) => x.end({ status: 'aborted' }),
    ]) {
      const p = await make({})
      const [first, second, third] = [1, 2, 3].map(() => p.exchange(list))
      await first?.request()
      const waiting = [second?.request(), third?.request()]
      if (first !== undefined) await end(first)
      assert.equal((await waiting[0])?.verdict, undefined)
      await second?.response({ result: {} })
      assert.equal((await waiting[1])?.notes.batch, 'joined')
    }
  })

  it('one that is cancelled lets another one lead; one that waits is not sent', async () => {
    const p = await make({})
    const [first, second, third] = [1, 2, 3].map(id => p.exchange({ ...list, id }, { session: 's' }))
    await first?.request()
    const waiting = [second?.request(), third?.request()]
    const cancel = (requestId: number) =>
      p.notification({ method: 'notifications/cancelled', params: { requestId } }, { session: 's' })
    await cancel(3)
    await cancel(1)
    assert.equal((await waiting[0])?.verdict, undefined)
    await second?.response({ result: {} })
    assert.equal((await waiting[1])?.notes.batch, 'joined')
  })

  it('an answer that needed a question to the client is not shared', async () => {
    const p = await make({ tools: ['get'] })
    const first = p.exchange(call('get', {}))
    await first.request()
    const waiting = p.exchange(call('get', {})).request()
    await first.request({ method: 'elicitation/create', id: 'q', params: {} }, 'toClient')
    await first.response({ result: {} })
    assert.equal((await waiting).verdict, undefined)
  })

  it('can be switched off: then nothing is looked at', async () => {
    const p = await make({ coalesce: false, tools: ['get'] })
    assert.deepEqual([(await p.request(list)).ran, (await p.request(call('get', {}))).ran], [false, false])
  })
})
