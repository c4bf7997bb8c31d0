import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import { type CallOptions, type Exchange, type JsonObject, parseExact, SluiceError, Verdict } from '#api'
import { begin, send } from '../helpers/http-client.ts'
import { initialize, initializeResult, legacy, modern, result, rpc } from '../helpers/mcp-messages.ts'
import { interceptor, type ProxyOptions, startPair } from '../helpers/proxy.ts'
import type { Scope } from '../helpers/scope.ts'
import type { Script } from '../helpers/scripted-upstream.ts'
import { sseEvent } from '../helpers/sse.ts'

type Call = (exchange: Exchange, message: JsonObject) => Promise<JsonObject>

/** A chain of `before`, `caller`, `after`; the caller answers every request by what `call` gives. */
function chain(scope: Scope, call: Call, script: Script, after: ProxyOptions['interceptors'] = []) {
  const seen: string[] = []
  const watch = (name: string) =>
    interceptor(name, {
      request: message => void seen.push(`${name} ${message.kind} ${message.name}`),
      response: message => void seen.push(`${name} ${message.kind} ${message.name}`),
    })
  const caller = interceptor('caller', {
    request: async (message, exchange) =>
      message.direction === 'toServer' ? Verdict.reply(await call(exchange, message.json()), 'called') : undefined,
  })
  const interceptors = [watch('before'), caller, watch('after'), ...after]
  return startPair(scope, script, { interceptors }).then(pair => ({ ...pair, seen }))
}

const BELOW: CallOptions = { below: 'caller' }
const ask = (name: string): JsonObject => ({ method: 'tools/call', params: { name, arguments: {} } })
const answer: Script = (request, reply) => reply.json(result(request.json().id, { name: request.json().params.name }))

describe('Exchange.call', () => {
  test('below an entry: what stands behind it sees both ways, what stands before it neither', async t => {
    const { url, seen, upstream, proxy } = await chain(
      t,
      async exchange => {
        const message = await exchange.call(ask('inner'), BELOW)
        return message.json().result as JsonObject
      },
      answer,
    )
    const got = await (await send(t, url, legacy(rpc(1, 'tools/call', { name: 'outer' })))).json()
    assert.deepEqual(got.result, { name: 'inner' })
    assert.deepEqual(seen, [
      'before request outer',
      'after request inner',
      'after response inner',
      'before response outer',
    ])
    assert.equal(upstream.requests.length, 1)
    await proxy.ended(1)
    assert.equal(proxy.ends.length, 1)
  })

  test('outside the chain: nobody sees it', async t => {
    const call: Call = async exchange => (await exchange.call(ask('inner'))).json().result as JsonObject
    const { url, seen } = await chain(t, call, answer)
    assert.deepEqual((await (await send(t, url, legacy(rpc(1, 'tools/call', { name: 'o' })))).json()).result, {
      name: 'inner',
    })
    assert.deepEqual(seen, ['before request o', 'before response o'])
  })

  for (const shape of ['json', 'sse'] as const) {
    test(`below: session, era and edits hold; the answer comes as ${shape}`, async t => {
      const script: Script = async (request, reply) => {
        const { id, method, params } = request.json()
        if (method === 'initialize') return reply.json(initializeResult(id), { headers: { 'mcp-session-id': 'up-1' } })
        const body = result(id, { name: params.name, arguments: params.arguments, meta: params._meta ?? null })
        if (shape === 'json') return reply.json(body)
        await reply.events([sseEvent({ jsonrpc: '2.0', method: 'notifications/message', params: {} }), sseEvent(body)])
      }
      const edits = interceptor('edits', {
        request: message =>
          message.edit(json => Object.assign((json.params as JsonObject).arguments as JsonObject, { x: 1 })),
      })
      const call: Call = async (exchange, message) =>
        (
          await exchange.call({ ...message, params: { ...(message.params as JsonObject), name: 'inner' } }, BELOW)
        ).json().result as JsonObject
      const { url, upstream } = await chain(t, call, script, [edits])
      const now = await send(t, url, modern(7, 'tools/call', { name: 'outer', arguments: { a: 1 } }))
      const { result: got } = await now.json()
      assert.deepEqual([got.name, got.arguments], ['inner', { a: 1, x: 1 }])
      assert.equal(got.meta['io.modelcontextprotocol/protocolVersion'], '2026-07-28')
      const sent = upstream.requests[0]
      assert.deepEqual([sent?.header('mcp-method'), sent?.headerValues('mcp-name')], ['tools/call', ['inner']])
      assert.deepEqual(sent?.headerValues('accept-encoding'), ['identity'])
    })
  }

  test('below: a session goes with it, once', async t => {
    const call: Call = async (exchange, message) => {
      if (message.method === 'initialize')
        return (await exchange.call(message as JsonObject, BELOW)).json().result as JsonObject
      return (await exchange.call(ask('inner'), BELOW)).json().result as JsonObject
    }
    const caller = interceptor('caller', {
      request: async (message, exchange) =>
        message.method === 'tools/call' ? Verdict.reply(await call(exchange, message.json()), 'called') : undefined,
    })
    const script: Script = (request, reply) => {
      const { id, method } = request.json()
      if (method === 'initialize') reply.json(initializeResult(id), { headers: { 'mcp-session-id': 'up-1' } })
      else reply.json(result(id, {}))
    }
    const { url, upstream } = await startPair(t, script, { interceptors: [caller] })
    const session = String((await send(t, url, initialize())).headers['mcp-session-id'])
    await (await send(t, url, legacy(rpc(1, 'tools/call', { name: 'o' }), { session }))).json()
    assert.deepEqual(upstream.requests[1]?.headerValues('mcp-session-id'), ['up-1'])
  })

  test('keeps digits that are given exactly', async t => {
    const call: Call = async exchange => {
      const exact = parseExact(
        '{"method":"tools/call","params":{"name":"n","arguments":{"n":9007199254740993,"f":1.0}}}',
      )
      return (await exchange.call(exact as JsonObject, BELOW)).json().result as JsonObject
    }
    const { url, upstream } = await chain(t, call, answer)
    await (await send(t, url, legacy(rpc(1, 'tools/call', { name: 'o' })))).json()
    assert.match(String(upstream.requests[0]?.text), /"arguments":\{"n":9007199254740993,"f":1.0\}/)
  })

  test('below: gives errors of the server, and rejects where there is none', async t => {
    const errors: unknown[] = []
    const call: Call = async (exchange, message) => {
      try {
        return { error: (await exchange.call({ ...message }, BELOW)).json().error as JsonObject }
      } catch (error) {
        errors.push(error)
        return { rejected: error instanceof SluiceError ? error.code : String(error) }
      }
    }
    const script: Script = (request, reply) => {
      const { id, params } = request.json()
      if (params.name === 'dies') reply.destroy()
      else if (params.name === 'page') reply.status(500, 'oops')
      else if (params.name === 'login') reply.status(401, '', { 'www-authenticate': 'Bearer' })
      else reply.json({ jsonrpc: '2.0', id, error: { code: -32603, message: 'no' } })
    }
    const guard = interceptor('guard', {
      request: message => (message.name === 'secret' ? Verdict.deny('access_denied', 'no') : undefined),
    })
    const { url } = await chain(t, call, script, [guard])
    const got: unknown[] = []
    for (const name of ['error', 'dies', 'page', 'login', 'secret']) {
      const { result } = await (await send(t, url, legacy(rpc(1, 'tools/call', { name })))).json()
      got.push(result.rejected ?? result.error.code)
    }
    assert.deepEqual(got, [-32603, 'upstream_broken', 'upstream_broken', 'upstream_unauthorized', 'access_denied'])
  })

  test('rejects what is wrong with it', async t => {
    const call: Call = async exchange => {
      const wrong = [
        exchange.call({ method: 1 }, BELOW),
        exchange.call({ method: 'ping' }, { below: 'nobody' }),
        exchange.call({}),
      ]
      const errors = await Promise.allSettled(wrong)
      return { errors: errors.map(one => (one.status === 'rejected' ? String(one.reason) : 'fine')) }
    }
    const { url } = await chain(t, call, answer)
    const { result: got } = await (await send(t, url, legacy(rpc(1, 'tools/call', { name: 'o' })))).json()
    assert.deepEqual(got.errors, [
      'TypeError: Exchange.call: expected a JSON-RPC request',
      'TypeError: Exchange.call: no chain entry is named "nobody"',
      'TypeError: Exchange.call: expected a JSON-RPC request',
    ])
  })

  for (const [how, options] of [
    ['below', BELOW],
    ['outside', {}],
  ] as const) {
    test(`${how}: ends with its exchange, or with the signal it was given`, async t => {
      const outcomes: Record<string, Promise<string>> = {}
      const stop = new AbortController()
      const told = (promise: Promise<unknown>): Promise<string> =>
        promise.then(
          () => 'answered',
          e => (e as SluiceError).code,
        )
      const asker = interceptor('caller', {
        request: (_message, exchange) => {
          outcomes.own = told(exchange.call(ask('hangs'), options))
          outcomes.given = told(exchange.call(ask('answers'), { ...options, signal: stop.signal }))
          outcomes.stopped = told(exchange.call(ask('hangs'), { ...options, signal: stop.signal }))
          outcomes.late = told(exchange.call(ask('hangs'), { ...options, signal: stop.signal, timeoutMs: 20 }))
          return new Promise(() => {})
        },
      })
      let release = (): void => {}
      const script: Script = (request, reply) => {
        const { id, params } = request.json()
        if (params.name === 'answers') release = () => reply.json(result(id, {}))
      }
      const { upstream, url, proxy } = await startPair(t, script, { interceptors: [asker] })
      const client = begin(t, url, legacy(rpc(1, 'tools/call', { name: 'o' })))
      await upstream.received(4)
      client.abort()
      await proxy.ended(1)
      assert.equal(await outcomes.own, 'upstream_broken')
      assert.equal(await outcomes.late, 'upstream_timeout')
      release()
      assert.equal(await outcomes.given, 'answered')
      stop.abort()
      assert.equal(await outcomes.stopped, 'upstream_broken')
    })
  }

  test('refuses what the server asks a client that is not there', async t => {
    const call: Call = async exchange => {
      const message = await exchange.call(ask('inner'), BELOW).catch((error: Error) => error)
      return message instanceof Error ? { failed: message.message } : { answered: true }
    }
    const script: Script = async (request, reply) => {
      const message = request.json()
      if (message.method === undefined) {
        reply.status(202)
        refused.resolve(message)
        return
      }
      const stream = reply.sse()
      await stream.write(sseEvent({ jsonrpc: '2.0', id: 's-1', method: 'roots/list' }))
      await refused.promise
      await stream.write(sseEvent(result(message.id, { ok: false })))
      stream.end()
    }
    const refused = Promise.withResolvers<JsonObject>()
    const { url } = await chain(t, call, script)
    const { result: got } = await (await send(t, url, legacy(rpc(1, 'tools/call', { name: 'o' })))).json()
    assert.deepEqual(got, { failed: 'the server asked the client: roots/list' })
    const { id, error } = await refused.promise
    assert.deepEqual([id, (error as JsonObject).code], ['s-1', -31020])
  })
})

describe('Exchange.callerKey', () => {
  test('is the same exactly for those whom the server cannot tell apart', async t => {
    const keys: string[] = []
    const spy = interceptor('spy', {
      request: (_message, exchange) => void keys.push(exchange.callerKey, exchange.callerKey),
    })
    const { url } = await startPair(t, {}, { interceptors: [spy], server: { forwardAuthorization: true } })
    const key = async (headers: Record<string, string>, query = ''): Promise<string> => {
      await (await send(t, url + query, legacy(rpc(1, 'ping'), { headers }))).text()
      const [one, again] = keys.splice(0)
      assert.equal(one, again)
      return String(one)
    }
    const plain = await key({})
    assert.equal(plain, 'anonymous "anonymous"')
    for (const same of [
      { 'user-agent': 'x' },
      { traceparent: '00-1' },
      { 'X-Forwarded-For': '10.0.0.1' },
      { cookie: 'a=b' },
    ]) {
      assert.equal(await key(same as unknown as Record<string, string>), plain)
    }
    const others = [
      await key({ authorization: 'Bearer aaaa' }),
      await key({ authorization: 'Bearer bbbb' }),
      await key({ 'x-api-key': 'aaaa' }),
      await key({ 'x-tenant': 'a' }),
      await key({ 'x-tenant': 'b' }),
      await key({ 'accept-language': 'de' }),
      await key({}, '?tenant=a'),
      plain,
    ]
    assert.equal(new Set(others).size, others.length)
    for (const one of others) assert.doesNotMatch(one, /aaaa|bbbb|tenant/)
    assert.equal(await key({ authorization: 'Bearer aaaa' }), others[0])
  })
})
