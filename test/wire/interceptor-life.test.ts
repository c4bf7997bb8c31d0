import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import { begin, send } from '../helpers/http-client.ts'
import { initialize, initializeResult, legacy, modern, notification, result, rpc } from '../helpers/mcp-messages.ts'
import { chain, source, startOnDisk } from '../helpers/on-disk.ts'
import { deferred, until } from '../helpers/scope.ts'
import type { Script } from '../helpers/scripted-upstream.ts'
import { SseReader, sseEvent } from '../helpers/sse.ts'

/** Modules on disk: what they ask the server themselves, and what becomes of them when files change. */

const ping = (id: number): ReturnType<typeof legacy> => legacy(rpc(id, 'ping'))

describe('Exchange.call', () => {
  const caller = source(
    'caller',
    `async request(message, exchange) {
      if (message.method !== 'tools/call') return
      try {
        const answer = await exchange.call({ jsonrpc: '2.0', id: 'mine', method: 'tools/list', params: { cursor: 'c' } })
        tell(answer.kind, answer.method, answer.json())
      } catch (error) { tell(error instanceof SluiceError ? error.code : String(error)) }
    }`,
  )
  const policy = chain('caller')
  const call = { name: 'a', arguments: {} }

  for (const framing of ['JSON', 'SSE'] as const) {
    test(`${framing}, legacy: in the session of the exchange, with an id of the proxy's own`, async t => {
      const { url, upstream, told } = await startOnDisk(
        t,
        { 'caller.ts': caller, 'policy.yaml': policy },
        async (request, answer) => {
          const { id, method } = request.json()
          if (method === 'initialize')
            return answer.json(initializeResult(id), { headers: { 'mcp-session-id': 'theirs' } })
          if (framing === 'JSON') return answer.json(result(id, { of: method }))
          await answer.events([
            sseEvent(notification('notifications/message', {})),
            sseEvent(result(id, { of: method })),
          ])
        },
      )
      const session = String((await send(t, url, initialize())).headers['mcp-session-id'])
      await (await send(t, url, legacy(rpc(7, 'tools/call', call), { session }))).text()
      const [, asked, sent] = upstream.requests
      const own = asked?.json()
      assert.deepEqual([own.method, own.params], ['tools/list', { cursor: 'c' }])
      assert.ok(own.id !== 'mine' && own.id !== 7)
      assert.equal(asked?.header('mcp-session-id'), 'theirs')
      assert.equal(sent?.json().id, 7)
      assert.deepEqual(told(), [['response', 'tools/list', result(own.id, { of: 'tools/list' })]])
    })
  }

  test('modern: with the envelope of the client and header fields of its own', async t => {
    const { url, upstream, told } = await startOnDisk(t, { 'caller.ts': caller, 'policy.yaml': policy })
    const post = modern(7, 'tools/call', call, { headers: { 'mcp-param-a': '1' }, capabilities: { roots: {} } })
    assert.equal((await send(t, url, post)).status, 200)
    const asked = upstream.requests[0]
    const sent = upstream.requests[1]?.json()
    assert.deepEqual(asked?.json().params, { cursor: 'c', _meta: sent.params._meta })
    assert.equal(asked?.header('mcp-method'), 'tools/list')
    for (const name of ['mcp-name', 'mcp-param-a', 'mcp-session-id']) assert.equal(asked?.header(name), undefined)
    assert.equal(told().length, 1)
  })

  const WRONG: Readonly<Record<string, readonly [Script, string]>> = {
    'a JSON-RPC error is an answer': [
      (request, answer) => answer.json({ jsonrpc: '2.0', id: request.json().id, error: { code: 1, message: 'x' } }),
      'response',
    ],
    'the answer to another id': [(_, answer) => answer.json(result(99, {})), 'upstream_broken'],
    'no JSON': [(_, answer) => answer.json('{'), 'upstream_broken'],
    'an empty stream': [(_, answer) => answer.events([]), 'upstream_broken'],
    'a dead server': [(_, answer) => answer.destroy(), 'upstream_broken'],
    'a status without a message': [(_, answer) => answer.status(500, 'no'), 'upstream_broken'],
  }
  for (const [what, [wrong, expected]] of Object.entries(WRONG)) {
    test(`${what}: the hook is told, the exchange goes on`, async t => {
      const { url, told } = await startOnDisk(t, { 'caller.ts': caller, 'policy.yaml': policy }, (request, answer) => {
        if (request.json().method === 'tools/list') return wrong(request, answer)
        answer.json(result(request.json().id, {}))
      })
      assert.deepEqual((await (await send(t, url, legacy(rpc(7, 'tools/call', call)))).json()).result, {})
      assert.deepEqual([told()].flat(2)[0], expected)
    })
  }

  test('ends with its exchange: the server is let go', async t => {
    const asked = deferred<void>()
    const cut = deferred<string>()
    const { url, told } = await startOnDisk(t, { 'caller.ts': caller, 'policy.yaml': policy }, async (_, answer) => {
      asked.resolve()
      cut.resolve(await answer.closed)
    })
    const leaving = begin(t, url, legacy(rpc(7, 'tools/call', call)))
    await asked.promise
    leaving.abort()
    assert.equal(await cut.promise, 'cut')
    const heard: unknown[] = []
    await until(() => heard.push(...told()) > 0, 'the hook to be told')
    assert.deepEqual(heard, ['upstream_broken'])
  })
})

describe('hot reload', () => {
  const stamp = (version: string): string =>
    source(
      'stamp',
      `response(m) { m.edit(json => { json.result.by = '${version}-' + word }) }, notification(m) { m.edit(json => { json.params.by = '${version}-' + word }) }, end() { tell('end ${version}-' + word) }, close() { tell('close ${version}-' + word) }`,
    )
  const policy = (word: string): string => chain({ use: 'stamp', options: { word } })
  const note = sseEvent(notification('notifications/message', {}))

  test('a stream ends under the plan it began with; new requests meet the new one; then the old one is closed', async t => {
    const go = deferred<void>()
    const { url, proxy, change, told } = await startOnDisk(
      t,
      { 'stamp.ts': stamp('v1'), 'policy.yaml': policy('one') },
      async (request, answer) => {
        const { id, method } = request.json()
        if (method === 'ping') return answer.json(result(id, {}))
        const stream = answer.sse()
        await stream.write(note)
        await go.promise
        await stream.write(note)
        stream.end(sseEvent(result(id, {})))
      },
    )
    const by = async (id: number): Promise<string> => (await (await send(t, url, ping(id))).json()).result.by
    const events = new SseReader(await send(t, url, legacy(rpc(1, 'tools/call', { name: 'a' }))))
    assert.equal((await events.nextMessage()).params.by, 'v1-one')
    assert.equal(await change({ 'policy.yaml': policy('two') }), true)
    assert.equal(await by(2), 'v1-two')
    assert.equal(await change({ 'stamp.ts': stamp('v2') }), true)
    assert.equal(await by(3), 'v2-two')
    await proxy.ended(2)
    assert.deepEqual(told(), ['end v1-two', 'close v1-two', 'end v2-two'])
    go.resolve()
    assert.equal((await events.nextMessage()).params.by, 'v1-one')
    assert.equal((await events.nextMessage()).result.by, 'v1-one')
    const heard: unknown[] = []
    await until(() => heard.push(...told()) === 2, 'the first policy to be closed')
    assert.deepEqual(heard, ['end v1-one', 'close v1-one'])
  })

  const BROKEN: Readonly<Record<string, Readonly<Record<string, string>>>> = {
    'a policy that is not YAML': { 'policy.yaml': 'interceptors: [' },
    'an option that does not exist': { 'policy.yaml': chain({ use: 'stamp', options: { wrod: 'x' } }) },
    'an interceptor that does not exist': { 'policy.yaml': chain('stmap') },
    'a module that does not parse': { 'stamp.ts': 'export default {' },
    'a module that throws': { 'stamp.ts': 'throw new Error("no")' },
    'a module without an interceptor': { 'stamp.ts': 'export default 1' },
    'a create that throws': { 'stamp.ts': source('stamp', '...(() => { throw new Error("no") })()') },
  }
  for (const [what, files] of Object.entries(BROKEN)) {
    test(`${what} changes nothing`, async t => {
      const { url, change, told } = await startOnDisk(t, { 'stamp.ts': stamp('v1'), 'policy.yaml': policy('one') })
      const by = async (id: number): Promise<string> => (await (await send(t, url, ping(id))).json()).result.by
      assert.equal(await by(1), 'v1-one')
      assert.equal(await change(files), false)
      assert.equal(await by(2), 'v1-one')
      assert.ok(!told().includes('close v1-one'))
      assert.equal(await change({ 'stamp.ts': stamp('v3'), 'policy.yaml': policy('three') }), true)
      assert.equal(await by(3), 'v3-three')
    })
  }
})
