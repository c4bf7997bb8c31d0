import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import type { JsonObject } from '#api'
import { channels } from '../../../proxy/observe/channels.ts'
import { begin, type HttpCall, send } from '../../helpers/http-client.ts'
import { legacy, type McpPost, MODERN_VERSION, modern, POST_HEADERS, rpc } from '../../helpers/mcp-messages.ts'
import { interceptor, startPair } from '../../helpers/proxy.ts'
import { type Scope, until } from '../../helpers/scope.ts'
import type { Script } from '../../helpers/scripted-upstream.ts'
import { sseEvent } from '../../helpers/sse.ts'

interface Seen {
  readonly name: string
  readonly args: JsonObject
  readonly headers: (string | undefined)[]
}

/** A server that knows the users 1 to 9, one by one and together, and counts who asked. */
function users(shape: 'json' | 'sse' = 'json'): { script: Script; seen: Seen[] } {
  const seen: Seen[] = []
  const script: Script = async (request, reply) => {
    const { id, params } = request.json()
    const { name, arguments: args } = params
    seen.push({ name, args, headers: [request.header('mcp-name'), request.header('mcp-protocol-version')] })
    const wanted = (name === 'get_users' ? args.ids : [args.id]) as number[]
    const found = wanted.filter(one => one < 10).map(one => ({ id: one, name: `user ${one}` }))
    const type = request.header('mcp-protocol-version') === MODERN_VERSION ? { resultType: 'complete' } : {}
    const structuredContent = name === 'get_users' ? { users: found } : found[0]
    const result =
      found.length === 0
        ? { ...type, content: [{ type: 'text', text: `no user ${wanted}` }], isError: true }
        : { ...type, content: [{ type: 'text', text: JSON.stringify(structuredContent) }], structuredContent }
    if (shape === 'json') return reply.json({ jsonrpc: '2.0', id, result })
    await reply.events([
      sseEvent({ jsonrpc: '2.0', method: 'notifications/message', params: {} }),
      sseEvent({ jsonrpc: '2.0', id, result }),
    ])
  }
  return { script, seen }
}

const MERGE =
  'merge: [{ tool: get_user, into: get_users, collect: { from: id, to: ids }, split: { path: users, key: id } }]'
/** The window is long and `max_size` ends it, so that no test depends on time. */
const chain = (size: number, more = ''): { policy: string } => ({
  policy: `version: 1\ninterceptors: [{ use: batch, options: { ${MERGE}, window: 1h, max_size: ${size} } }${more}]`,
})

const ERAS: readonly [string, (id: number, user: number) => McpPost][] = [
  ['legacy', (id, user) => legacy(rpc(id, 'tools/call', { name: 'get_user', arguments: { id: user } }))],
  ['modern', (id, user) => modern(id, 'tools/call', { name: 'get_user', arguments: { id: user } })],
]

/** Counts exchanges as they begin: a request that waits in the chain shows nowhere else. */
function starts(scope: Scope): { count: number } {
  const started = { count: 0 }
  const add = (): void => void started.count++
  channels.exchangeStart.subscribe(add)
  scope.after(() => channels.exchangeStart.unsubscribe(add))
  return started
}

async function inTurn(scope: Scope, url: string, posts: readonly McpPost[]): Promise<HttpCall[]> {
  const started = starts(scope)
  const calls: HttpCall[] = []
  for (const [i, post] of posts.entries()) {
    calls.push(begin(scope, url, post))
    await until(() => started.count > i, `request ${i + 1} at the proxy`)
  }
  return calls
}

describe('batch over sockets', () => {
  for (const [era, call] of ERAS) {
    for (const shape of ['json', 'sse'] as const) {
      test(`${era}, the server answers by ${shape}: calls become one; one that fails fails alone`, async t => {
        const { script, seen } = users(shape)
        const { url, proxy } = await startPair(t, script, chain(4))
        const calls = await inTurn(
          t,
          url,
          [5, 2, 99, 1].map((user, i) => call(i + 10, user)),
        )
        const texts = await Promise.all(calls.map(async one => (await one.answer).text()))
        const got = texts.map(text => JSON.parse(/^data: ?(.*"(?:result|error)".*)$/m.exec(text)?.[1] ?? text))
        assert.deepEqual(
          got.map(one => one.id),
          [10, 11, 12, 13],
        )
        assert.deepEqual(
          got.map(one => one.result.structuredContent?.name ?? one.result.isError),
          ['user 5', 'user 2', true, 'user 1'],
        )
        assert.deepEqual(
          got.map(one => one.result.resultType),
          Array(4).fill(era === 'modern' ? 'complete' : undefined),
        )
        assert.deepEqual(
          seen.map(one => [one.name, one.args]),
          [
            ['get_users', { ids: [5, 2, 99, 1] }],
            ['get_user', { id: 99 }],
          ],
        )
        if (era === 'modern')
          assert.deepEqual(
            seen.map(one => one.headers[0]),
            ['get_users', 'get_user'],
          )
        await proxy.ended(4)
        assert.equal(proxy.ends.filter(end => end.outcome.notes.batch === 'merged').length, 3)
      })
    }

    test(`${era}: one that leaves takes nobody with it`, async t => {
      const { script, seen } = users()
      const gate = Promise.withResolvers<void>()
      const { url, upstream, proxy } = await startPair(
        t,
        async (request, reply) => {
          await gate.promise
          return script(request, reply)
        },
        chain(3),
      )
      const calls = await inTurn(
        t,
        url,
        [1, 2, 3].map((user, i) => call(i, user)),
      )
      await upstream.received(1)
      calls[0]?.abort()
      await proxy.ended(1)
      gate.resolve()
      const got = await Promise.all([calls[1], calls[2]].map(async one => (await one?.answer)?.json()))
      assert.deepEqual(
        got.map(one => one.result.structuredContent.name),
        ['user 2', 'user 3'],
      )
      assert.equal(seen.length, 1)
    })
  }

  test('a JSON-RPC batch of a client: merged too, and answered in its order', async t => {
    const { script, seen } = users()
    const { url } = await startPair(t, script, chain(3))
    const items = [3, 1, 2].map((user, i) => rpc(i, 'tools/call', { name: 'get_user', arguments: { id: user } }))
    const headers = { ...POST_HEADERS, 'mcp-protocol-version': '2025-03-26' }
    const answer = await send(t, url, { headers, body: JSON.stringify(items) })
    const got = await answer.json()
    assert.deepEqual(
      got.map((one: JsonObject) => [one.id, ((one.result as JsonObject).structuredContent as JsonObject).name]),
      [
        [0, 'user 3'],
        [1, 'user 1'],
        [2, 'user 2'],
      ],
    )
    assert.deepEqual(
      seen.map(one => one.name),
      ['get_users'],
    )
  })

  test('a merged call passes those behind, and each answer those before', async t => {
    const { script } = users()
    const seen: string[] = []
    const watch = (name: string) =>
      interceptor(name, {
        request: message => void seen.push(`${name} ${message.name}`),
        response: message => void seen.push(`${name} answer ${message.name}`),
      })
    const { url } = await startPair(t, script, {
      interceptors: [watch('before'), watch('behind')],
      policy: `interceptors: [before, { use: batch, options: { ${MERGE}, window: 1h, max_size: 2 } }, behind]`,
    })
    const calls = await inTurn(
      t,
      url,
      [1, 2].map((user, i) => legacy(rpc(i, 'tools/call', { name: 'get_user', arguments: { id: user } }))),
    )
    await Promise.all(calls.map(async one => (await one.answer).text()))
    assert.deepEqual(seen, [
      'before get_user',
      'before get_user',
      'behind get_users',
      'behind answer get_users',
      'before answer get_user',
      'before answer get_user',
    ])
  })

  test('behind the cache: what was merged is kept one by one', async t => {
    const { script, seen } = users()
    const { url } = await startPair(t, script, {
      policy: `interceptors: [{ use: cache, options: { tools: [get_user] } }, { use: batch, options: { ${MERGE}, window: 1h, max_size: 2 } }]`,
    })
    const post = (user: number): McpPost => modern(user, 'tools/call', { name: 'get_user', arguments: { id: user } })
    for (const one of await inTurn(t, url, [post(1), post(2)])) await (await one.answer).text()
    for (const user of [2, 1]) {
      const { result } = await (await send(t, url, post(user))).json()
      assert.equal(result.structuredContent.name, `user ${user}`)
    }
    assert.equal(seen.length, 1)
  })

  test('equal reads at one time make one call', async t => {
    const gate = Promise.withResolvers<void>()
    const { url, upstream } = await startPair(
      t,
      async (request, reply) => {
        await gate.promise
        reply.json({ jsonrpc: '2.0', id: request.json().id, result: { tools: [], n: upstream.requests.length } })
      },
      { policy: 'interceptors: [batch]' },
    )
    const calls = await inTurn(
      t,
      url,
      Array.from({ length: 10 }, (_, i) => modern(`c${i}`, 'tools/list')),
    )
    gate.resolve()
    const got = await Promise.all(calls.map(async one => (await one.answer).json()))
    assert.deepEqual(
      got.map(one => [one.id, one.result.n]),
      Array.from({ length: 10 }, (_, i) => [`c${i}`, 1]),
    )
    const { result } = await (await send(t, url, modern('late', 'tools/list'))).json()
    assert.equal(result.n, 2)
  })

  test('before access it does not load', async t => {
    const policy = 'access_control: { default_policy: deny }\ninterceptors: [batch, access]'
    await assert.rejects(startPair(t, {}, { policy }), /"batch" answers requests by itself: put it behind "access"/)
  })
})
