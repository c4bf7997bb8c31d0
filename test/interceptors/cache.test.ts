import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import type { JsonObject, Store } from '#api'
import type { ProbeContext } from '#testing'
import { asks, type Cache, call, get, LIST, make, READ, TEXT } from './cache-kit.ts'

describe('cache: what is kept', () => {
  it('the result of a tool that the policy names, byte for byte, for its ttl', async () => {
    const p = await make({ tools: ['get_*', '!get_secret'], ttl: '1m' })
    const answer = '{"jsonrpc":"2.0","id":1,"result":{ "n": 1.0, "big":9007199254740993 }}'
    assert.deepEqual(await get(p, call('get_a'), answer), { asked: true, result: '', note: 'miss' })
    p.clock.advance(59_999)
    const kept = await get(p, call('get_a'), answer)
    assert.deepEqual(kept, { asked: false, result: '{ "n": 1.0, "big":9007199254740993 }', note: 'hit' })
    assert.equal(await asks(p, call('get_a', { x: 1 })), true)
    p.clock.advance(1)
    assert.equal(await asks(p, call('get_a')), true)
    for (const other of ['get_secret', 'set_a']) {
      assert.equal(await asks(p, call(other)), true)
      assert.equal(await asks(p, call(other)), true)
    }
  })

  it('tools by server', async () => {
    const p = await make({ tools: { a: ['get'], '*': ['see'] } }, { servers: ['a', 'b'] })
    for (const [server, name, second] of [
      ['a', 'get', false],
      ['b', 'get', true],
      ['a', 'see', false],
      ['b', 'see', false],
    ] as const) {
      await asks(p, call(name), TEXT, { server })
      assert.equal(await asks(p, call(name), TEXT, { server }), second, `${server}.${name}`)
    }
  })

  it('no tool that nobody named, whatever it says of itself', async () => {
    const tools = { demo: [{ name: 'get', annotations: { readOnlyHint: true } }] }
    const p = await make({}, { tools })
    await asks(p, call())
    assert.equal(await asks(p, call()), true)
  })

  it('tools that say they only read, where the operator believes that', async () => {
    const tools = {
      demo: [
        { name: 'get', annotations: { readOnlyHint: true } },
        { name: 'set', annotations: { readOnlyHint: false } },
        { name: 'x' },
      ],
    }
    const p = await make({ trust_annotations: ['d*'] }, { tools })
    for (const [name, again] of [
      ['get', false],
      ['set', true],
      ['x', true],
      ['unknown', true],
    ] as const) {
      await asks(p, call(name))
      assert.equal(await asks(p, call(name)), again, name)
    }
  })

  it('lists and resources by their ttlMs, which goes out less its age, up to max_ttl', async () => {
    const p = await make({ max_ttl: '2m' })
    const answer = '{"jsonrpc":"2.0","id":1,"result":{"tools":[], "ttlMs" : 90000 ,"resultType":"complete"}}'
    await get(p, LIST, answer)
    const told: unknown[] = []
    for (const ms of [0, 1, 999, 29_000, 60_000]) {
      p.clock.advance(ms)
      told.push((await get(p, LIST, answer)).result)
    }
    const text = (ms: number): string => `{"tools":[], "ttlMs" : ${ms} ,"resultType":"complete"}`
    assert.deepEqual(told, [text(90_000), text(89_000), text(89_000), text(60_000), ''])
    const capped = await make({ max_ttl: '10s' })
    await get(capped, LIST, answer)
    capped.clock.advance(9_999)
    assert.equal((await get(capped, LIST, answer)).asked, false)
    capped.clock.advance(1)
    assert.equal((await get(capped, LIST, answer)).asked, true)
  })

  it('no list that does not say so, unless the policy gives it a time and the era knew no such thing', async () => {
    const silent = await make({})
    await asks(silent, LIST, { tools: [] })
    assert.equal(await asks(silent, LIST, { tools: [] }), true)
    const given = await make({ list_ttl: '1m' })
    await asks(given, { method: 'tools/list' }, { tools: [] })
    assert.equal(await asks(given, { method: 'tools/list' }, { tools: [] }), false)
    const modern = { tools: [], resultType: 'complete' }
    await asks(given, LIST, modern)
    assert.equal(await asks(given, LIST, modern), true)
    const zero = { tools: [], ttlMs: 0 }
    await asks(given, READ, zero)
    assert.equal(await asks(given, READ, zero), true)
  })

  it('nothing that is an error, unfinished, or a step of something longer', async () => {
    const p = await make()
    const answers = [
      { ...TEXT, isError: true },
      { resultType: 'input_required', inputRequests: {} },
      { ...TEXT, requestState: 'x' },
      { task: { taskId: '1' } },
      { error: { code: -32603, message: 'no' } },
    ]
    for (const answer of answers) {
      await asks(p, call(), answer as JsonObject)
      assert.equal(await asks(p, call(), answer as JsonObject), true, JSON.stringify(answer))
    }
    for (const more of [{ inputResponses: {} }, { requestState: 's' }, { task: {} }]) {
      const leg = {
        method: 'tools/call',
        params: { name: 'get', arguments: { leg: 1 }, ...more },
      } as unknown as JsonObject
      assert.equal((await get(p, leg, TEXT)).note, undefined)
      assert.equal(await asks(p, call('get', { leg: 1 }), { ...TEXT, isError: true }), true)
    }
  })

  it('nothing for which the server asked the client something', async () => {
    const p = await make()
    const x = p.exchange(call())
    await x.request()
    await x.request({ method: 'sampling/createMessage', id: 's', params: {} }, 'toClient')
    await x.response({ result: TEXT })
    x.end()
    assert.equal(await asks(p, call()), true)
  })

  it('nothing that is too large, and no answer to another request', async () => {
    const p = await make({ tools: ['get'], max_result_bytes: 100 })
    const large = { text: 'x'.repeat(100) }
    await asks(p, call(), large)
    assert.equal(await asks(p, call(), large), true)
    const q = await make()
    await get(q, call(), '{"jsonrpc":"2.0","id":2,"result":{}}')
    assert.equal(await asks(q, call()), true)
  })

  it('no more than max_entries and max_bytes, the last used', async () => {
    const p = await make({ tools: ['get'], max_entries: 2 })
    for (const n of [1, 2]) await asks(p, call('get', { n }))
    assert.equal(await asks(p, call('get', { n: 1 })), false)
    await asks(p, call('get', { n: 3 }))
    assert.equal(await asks(p, call('get', { n: 1 })), false)
    assert.equal(await asks(p, call('get', { n: 2 })), true)
    const small = await make({ tools: ['get'], max_bytes: '3KiB', max_result_bytes: '3KiB' })
    for (const n of [1, 2]) await asks(small, call('get', { n }), { text: 'x'.repeat(1500) })
    assert.equal(await asks(small, call('get', { n: 2 })), false)
    assert.equal(await asks(small, call('get', { n: 1 })), true)
  })
})

describe('cache: for whom', () => {
  const other = { client: 'b' }

  it('one client does not get what another one got', async () => {
    const p = await make()
    await asks(p, call(), TEXT, { client: 'a' })
    assert.equal(await asks(p, call(), TEXT, other), true)
    assert.equal(await asks(p, call(), TEXT, { client: 'a' }), false)
    assert.equal(await asks(p, call(), TEXT, { client: { id: 'a', via: 'claimed' } }), true)
  })

  it('what is public goes to all, from servers that are believed and nowhere else', async () => {
    const answer = { tools: [], ttlMs: 60_000, cacheScope: 'public', resultType: 'complete' }
    const p = await make({ public_from: ['demo'], tools: ['get'] }, { servers: ['demo', 'else'] })
    await asks(p, LIST, answer, { client: 'a' })
    assert.equal(await asks(p, LIST, answer, other), false)
    await asks(p, LIST, answer, { client: 'a', server: 'else' })
    assert.equal(await asks(p, LIST, answer, { ...other, server: 'else' }), true)
    await asks(p, READ, { ...answer, cacheScope: 'private' }, { client: 'a' })
    assert.equal(await asks(p, READ, answer, other), true)
    await asks(p, call(), answer, { client: 'a' })
    assert.equal(await asks(p, call(), answer, other), true)
  })

  it('one session does not get what another one got, unless the operator says that it may', async () => {
    const p = await make({ tools: ['get'] })
    await asks(p, call(), TEXT, { session: '1' })
    assert.equal(await asks(p, call(), TEXT, { session: '2' }), true)
    assert.equal(await asks(p, call(), TEXT, {}), true)
    assert.equal(await asks(p, call(), TEXT, { session: '1' }), false)
    const shared = await make({ tools: ['get'], share_sessions: ['demo'] })
    const headers = { 'mcp-protocol-version': '2025-06-18' }
    await asks(shared, call(), TEXT, { session: '1', headers })
    assert.equal(await asks(shared, call(), TEXT, { session: '2', headers }), false)
    assert.equal(
      await asks(shared, call(), TEXT, { session: '2', headers: { 'mcp-protocol-version': '2025-11-25' } }),
      true,
    )
    assert.equal(await asks(shared, call(), TEXT, { session: '2', client: 'b', headers }), true)
  })

  it('what a modern client can do counts', async () => {
    const p = await make()
    const able = (capabilities: JsonObject): JsonObject => ({
      method: 'tools/call',
      params: {
        name: 'get',
        _meta: { 'io.modelcontextprotocol/clientCapabilities': capabilities, progressToken: Math.random() },
      },
    })
    await asks(p, able({}))
    assert.equal(await asks(p, able({ sampling: {} })), true)
    assert.equal(await asks(p, able({})), false)
  })
})

describe('cache: out of date', () => {
  const fresh = { ttlMs: 60_000, tools: [] }
  const tell = async (p: Cache, method: string, params: JsonObject = {}, context: ProbeContext = { client: 'b' }) =>
    p.exchange({ method: 'transport/stream' }, context).notification({ method, params })

  it('a list that changed, for all clients of its server at once', async () => {
    const p = await make({}, { servers: ['demo', 'else'] })
    const all = { ...LIST, method: 'resources/templates/list' }
    for (const request of [LIST, all]) await asks(p, request, fresh)
    await asks(p, LIST, fresh, { server: 'else' })
    await tell(p, 'notifications/tools/list_changed')
    assert.equal(await asks(p, LIST, fresh), true)
    assert.equal(await asks(p, LIST, fresh), false)
    assert.equal(await asks(p, all, fresh), false)
    assert.equal(await asks(p, LIST, fresh, { server: 'else' }), false)
    await tell(p, 'notifications/resources/list_changed')
    assert.equal(await asks(p, all, fresh), true)
  })

  it('a resource that changed, with all that it is part of and all that is part of it', async () => {
    const p = await make({})
    const uris = ['file:///a', 'file:///a/b', 'file:///a/b/c', 'file:///x']
    const read = (uri: string): Promise<boolean> => asks(p, { method: 'resources/read', params: { uri } }, fresh)
    for (const uri of uris) await read(uri)
    await tell(p, 'notifications/resources/updated', { uri: 'file:///a/b' })
    assert.deepEqual(await Promise.all(uris.map(read)), [true, true, true, false])
    await tell(p, 'notifications/resources/updated')
    assert.equal(await read('file:///x'), true)
  })

  it('what was asked for before the change and comes after it', async () => {
    for (const [request, method, params] of [
      [LIST, 'notifications/tools/list_changed', {}],
      [READ, 'notifications/resources/updated', { uri: 'file:///a/b' }],
    ] as const) {
      const p = await make({})
      const x = p.exchange(request)
      await x.request()
      await tell(p, method, params)
      const late = p.exchange(request)
      assert.equal((await late.request()).verdict, undefined)
      await x.response({ result: fresh })
      x.end()
      await late.response({ result: { ...fresh, tools: ['new'] } })
      late.end()
      assert.match((await get(p, request, fresh)).result, /new/)
    }
  })

  it('a client cannot say so', async () => {
    const p = await make({})
    await asks(p, LIST, fresh)
    await p.notification({ method: 'notifications/tools/list_changed' })
    assert.equal(await asks(p, LIST, fresh), false)
  })
})

describe('cache: in the store', () => {
  it('serves other instances, and they hear of changes', async () => {
    const first = await make({ store: true })
    const { store } = first.environment
    const second = await make({ store: true }, { store })
    const answer = { tools: [], ttlMs: 60_000 }
    await asks(first, LIST, answer, { client: 'a' })
    assert.equal(await asks(second, LIST, answer, { client: 'a' }), false)
    assert.equal(await asks(second, LIST, answer, { client: 'b' }), true)
    await second.exchange({ method: 'transport/stream' }).notification({ method: 'notifications/tools/list_changed' })
    assert.equal(await asks(first, LIST, answer, { client: 'a' }), true)
    assert.equal(await asks(second, LIST, answer, { client: 'a' }), false)
  })

  it('does without a store that fails', async () => {
    const fail = (): Promise<never> => Promise.reject(new Error('down'))
    const store = { get: fail, set: fail, delete: fail, increment: fail } as unknown as Store
    const p = await make({ store: true, tools: ['get'] }, { store })
    for (let i = 0; i < 2; i++) assert.equal(await asks(p, call()), true)
    assert.equal(p.logs.length, 1)
  })

  it('does not trip over what others wrote there', async () => {
    const p = await make({ store: true, tools: ['get'] })
    const { store } = p.environment
    const keys: string[] = []
    Object.assign(store, {
      set: (key: string) => {
        keys.push(key)
        return Promise.resolve()
      },
      get: (key: string) => Promise.resolve(key.startsWith('v/') ? Buffer.from('{"storedAt":1}\n{}') : null),
    })
    assert.equal(await asks(p, call('get', { secret: 'hunter2' })), true)
    assert.match(String(keys[0]), /^v\/[\w-]{43}$/)
  })
})

describe('cache: options', () => {
  it('refuses what makes no sense', async () => {
    await assert.rejects(make({ tools: ['['] }), /bad glob/)
    await assert.rejects(make({ ttl: 'soon' }), /expected a duration/)
    await assert.rejects(make({ tool: ['a'] }), /tool/)
  })

  it('does not look at tools when none may be kept', async () => {
    const p = await make({})
    assert.equal((await p.request(call())).ran, false)
    assert.equal((await p.request(LIST)).ran, true)
  })
})
