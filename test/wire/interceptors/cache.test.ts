import assert from 'node:assert/strict'
import { createHash } from 'node:crypto'
import { describe, test } from 'node:test'
import type { JsonObject } from '#api'
import { channels } from '../../../proxy/observe/channels.ts'
import { begin, type HttpAnswer, type HttpCall, send } from '../../helpers/http-client.ts'
import {
  initialize,
  initializeResult,
  LEGACY_VERSION,
  legacy,
  type McpPost,
  MODERN_VERSION,
  modern,
  POST_HEADERS,
  rpc,
} from '../../helpers/mcp-messages.ts'
import { interceptor, type ProxyOptions, startPair } from '../../helpers/proxy.ts'
import { type Scope, until } from '../../helpers/scope.ts'
import type { RecordedRequest, Script } from '../../helpers/scripted-upstream.ts'
import { sseEvent } from '../../helpers/sse.ts'

/** A server that counts what it answers: each result says how many there were before. */
function counting(shape: 'json' | 'sse' = 'json', more: object = {}): { script: Script; calls: RecordedRequest[] } {
  const calls: RecordedRequest[] = []
  const script: Script = async (request, reply) => {
    if (request.method === 'GET') return reply.status(405)
    const { method } = request.json()
    const id = /"id":("[^"]*"|[^,}]*)/.exec(request.text)?.[1]
    if (method === 'initialize')
      return reply.json(initializeResult(request.json().id), { headers: { 'mcp-session-id': `up-${calls.length}` } })
    if (id === undefined) return reply.status(202)
    calls.push(request)
    const type = request.header('mcp-protocol-version') === MODERN_VERSION ? { resultType: 'complete' } : {}
    const body = `{"jsonrpc":"2.0","id":${id},"result":${JSON.stringify({ ...type, n: calls.length, ...more })}}`
    if (shape === 'json') return reply.json(body)
    await reply.events([
      sseEvent({ jsonrpc: '2.0', method: 'notifications/message', params: {} }),
      sseEvent(JSON.parse(body)),
    ])
  }
  return { script, calls }
}

const TOOLS = '{ use: cache, options: { tools: [get], stale_on_error: 1h } }'
const chain = (entries: string): { policy: string } => ({ policy: `version: 1\ninterceptors: [${entries}]` })

async function resultOf(answer: HttpAnswer): Promise<JsonObject> {
  const text = await answer.text()
  const data = /^data: ?(.*"result".*)$/m.exec(text)?.[1] ?? text
  const { result, error } = JSON.parse(data)
  return result ?? error
}

const ask = async (scope: Scope, url: string, post: McpPost): Promise<JsonObject> =>
  resultOf(await send(scope, url, post))

/** Tool calls of both eras. */
const ERAS: readonly [string, (id: number, args?: object, headers?: Record<string, string>) => McpPost][] = [
  [
    'legacy',
    (id, args = {}, headers = {}) => legacy(rpc(id, 'tools/call', { name: 'get', arguments: args }), { headers }),
  ],
  ['modern', (id, args = {}, headers = {}) => modern(id, 'tools/call', { name: 'get', arguments: args }, { headers })],
]

describe('cache over sockets', () => {
  for (const [era, call] of ERAS) {
    for (const shape of ['json', 'sse'] as const) {
      test(`${era}, the server answers by ${shape}: one call for equal requests`, async t => {
        const { script, calls } = counting(shape)
        const { url, proxy } = await startPair(t, script, chain(TOOLS))
        const first = await ask(t, url, call(1, { a: 1, b: 2 }))
        assert.equal(first.n, 1)
        assert.deepEqual(await ask(t, url, call(2, { b: 2, a: 1 })), first)
        assert.deepEqual((await ask(t, url, call(3, { a: 1 }))).n, 2)
        assert.equal(calls.length, 2)
        const end = await proxy.ended(2)
        assert.deepEqual([end.outcome.status, end.outcome.notes], ['replied', { cache: 'hit' }])
      })
    }

    test(`${era}: equal requests at one time make one call; each gets its own id`, async t => {
      const gate = Promise.withResolvers<void>()
      const { script, calls } = counting()
      const { url, proxy, upstream } = await startPair(
        t,
        async (request, reply) => {
          await gate.promise
          return script(request, reply)
        },
        chain(TOOLS),
      )
      const clients = Array.from({ length: 20 }, (_, i) => begin(t, url, call(i + 1)))
      await upstream.received(1)
      const late = begin(t, url, call(99, { other: true }))
      await upstream.received(2)
      gate.resolve()
      const got = await Promise.all([...clients, late].map(async one => (await one.answer).json()))
      assert.deepEqual(
        got.map(one => one.id),
        [...Array.from({ length: 20 }, (_, i) => i + 1), 99],
      )
      assert.equal(calls.length, 2)
      await proxy.ended(21)
    })

    test(`${era}: when the first one leaves, the next one asks; one that waits and leaves only ends itself`, async t => {
      const held: (() => void)[] = []
      const { script } = counting()
      const { url, upstream } = await startPair(
        t,
        (request, reply) => void held.push(() => script(request, reply)),
        chain(TOOLS),
      )
      let started = 0
      const count = (): void => void started++
      channels.exchangeStart.subscribe(count)
      t.after(() => channels.exchangeStart.unsubscribe(count))
      const clients: HttpCall[] = []
      for (let i = 0; i < 4; i++) {
        clients.push(begin(t, url, call(i + 1)))
        await until(() => started > i, `request ${i + 1} at the proxy`)
      }
      // The third one leaves while it waits, then the first one, who was asking.
      clients[2]?.abort()
      clients[0]?.abort()
      await upstream.received(2)
      await upstream.requests[1]?.ended
      await until(() => held.length === 2, 'the second call')
      held[1]?.()
      const got = await Promise.all([clients[1], clients[3]].map(async one => (await one?.answer)?.json()))
      assert.deepEqual(
        got.map(one => one.id),
        [2, 4],
      )
      assert.equal(upstream.requests.length, 2)
    })
  }

  test('an answer from the cache has the very id of the caller, and the very text of the server', async t => {
    const raw = '{ "f": 1.0, "big": 9007199254740993, "e":"\\u00e9" }'
    const script: Script = (request, reply) =>
      reply.json(`{"jsonrpc":"2.0","result":${raw},"id":${/"id":([^,]+)/.exec(request.text)?.[1]}}`)
    const { url } = await startPair(t, script, chain(TOOLS))
    const headers = { ...POST_HEADERS, 'mcp-protocol-version': LEGACY_VERSION }
    const body = (id: string): string => `{"jsonrpc":"2.0","id":${id},"method":"tools/call","params":{"name":"get"}}`
    await (await send(t, url, { headers, body: body('1') })).text()
    for (const id of ['9007199254740993', '"a\\u0062"', '-0']) {
      const text = await (await send(t, url, { headers, body: body(id) })).text()
      assert.equal(text, `{"jsonrpc":"2.0","id":${id},"result":${raw}}`)
    }
  })

  test('a client that is denied never sees what another one got', async t => {
    const { script, calls } = counting()
    const key = (name: string): Record<string, string> => ({ authorization: `Bearer ${name.repeat(20)}` })
    const clients = ['good', 'evil'].map(name => ({
      name,
      keyHashes: [createHash('sha256').update(name.repeat(20)).digest()],
    })) as unknown as NonNullable<ProxyOptions['clients']>
    const policy = `version: 1
access_control: { default_policy: deny, clients: { good: { allowed_servers: ['*'] } } }
interceptors: [access, { use: cache, options: { tools: [get], public_from: ['*'] } }]`
    const { url } = await startPair(t, script, { policy, clients })
    const call = (name: string): McpPost => legacy(rpc(1, 'tools/call', { name: 'get' }), { headers: key(name) })
    assert.equal((await ask(t, url, call('good'))).n, 1)
    assert.equal((await ask(t, url, call('good'))).n, 1)
    assert.equal((await ask(t, url, call('evil'))).code, -31003)
    assert.equal(calls.length, 1)
  })

  test('clients that show the server different credentials are different clients', async t => {
    const { script, calls } = counting()
    const { url } = await startPair(t, script, { ...chain(TOOLS), server: { forwardAuthorization: true } })
    for (const headers of [{ authorization: 'Bearer a' }, { authorization: 'Bearer b' }, { 'x-api-key': 'a' }, {}]) {
      const post = legacy(rpc(1, 'tools/call', { name: 'get' }), { headers: headers as Record<string, string> })
      const { n } = await ask(t, url, post)
      assert.equal((await ask(t, url, post)).n, n)
    }
    assert.equal(calls.length, 4)
  })

  test('a legacy session has answers of its own', async t => {
    const { script, calls } = counting()
    const { url } = await startPair(t, script, chain('{ use: cache, options: { tools: [get], list_ttl: 1m } }'))
    const seen: unknown[] = []
    for (let i = 0; i < 2; i++) {
      const opened = await send(t, url, initialize())
      const session = String(opened.headers['mcp-session-id'])
      for (let k = 0; k < 2; k++) {
        seen.push((await ask(t, url, legacy(rpc(1, 'tools/list'), { session }))).n)
        seen.push((await ask(t, url, legacy(rpc(2, 'tools/call', { name: 'get' }), { session }))).n)
      }
    }
    assert.deepEqual(seen, [1, 2, 1, 2, 3, 4, 3, 4])
    assert.equal(calls.length, 4)
  })

  test('a list_changed on any stream ends what is kept, at once, whatever the entry matches', async t => {
    const { script, calls } = counting('json', { ttlMs: 60_000, cacheScope: 'private', tools: [] })
    const streams: ReturnType<Parameters<Script>[1]['sse']>[] = []
    const { url } = await startPair(
      t,
      (request, reply) => {
        if (request.method === 'GET') streams.push(reply.sse())
        else return script(request, reply)
      },
      chain('{ use: cache, match: { method: tools/list } }'),
    )
    const list = (id: number): Promise<JsonObject> => ask(t, url, modern(id, 'tools/list'))
    assert.deepEqual([(await list(1)).n, (await list(2)).n], [1, 1])
    const stream = await send(t, url, { headers: { accept: 'text/event-stream' } })
    await streams[0]?.write(sseEvent({ jsonrpc: '2.0', method: 'notifications/tools/list_changed' }))
    await stream.sees('list_changed')
    assert.deepEqual([(await list(3)).n, (await list(4)).n], [2, 2])
    assert.equal(calls.length, 2)
    stream.destroy()
  })

  test('what is fetched in the background passes those behind the cache', async t => {
    const { script, calls } = counting()
    const seen: string[] = []
    const scrub = interceptor('scrub', {
      request: message => void seen.push(`request ${message.name}`),
      response: message => message.edit(json => Object.assign(json.result as JsonObject, { scrubbed: true })),
    })
    const above = interceptor('above', { request: message => void seen.push(`above ${message.name}`) })
    const { url, upstream, proxy } = await startPair(t, script, {
      interceptors: [above, scrub],
      policy:
        'interceptors: [above, { use: cache, options: { tools: [get], ttl: 1ms, stale_while_revalidate: 1h } }, scrub]',
    })
    const call = legacy(rpc(1, 'tools/call', { name: 'get', arguments: { n: 1 } }))
    assert.deepEqual(await ask(t, url, call), { n: 1, scrubbed: true })
    let got = await ask(t, url, call)
    while (calls.length < 2) got = await ask(t, url, call)
    assert.equal(got.scrubbed, true)
    await upstream.received(2)
    while ((got = await ask(t, url, call)).n === 1) assert.equal(got.scrubbed, true)
    assert.equal(got.scrubbed, true)
    assert.ok(seen.filter(line => line === 'request get').length >= 2)
    await proxy.ended(3)
  })

  test('an old answer stands in for a server that died', async t => {
    const { script } = counting()
    const { url, upstream, proxy } = await startPair(
      t,
      script,
      chain('{ use: cache, options: { tools: [get], ttl: 1ms, stale_on_error: 1h } }'),
    )
    const call = modern(1, 'tools/call', { name: 'get' })
    const first = await ask(t, url, call)
    await upstream.close()
    let last = await ask(t, url, call)
    while ((await proxy.ended(proxy.ends.length)).outcome.notes.cache !== 'stale') last = await ask(t, url, call)
    assert.deepEqual(last, first)
    const unknown = await ask(t, url, modern(2, 'tools/call', { name: 'get', arguments: { other: 1 } }))
    assert.equal(typeof unknown.code, 'number')
  })
})
