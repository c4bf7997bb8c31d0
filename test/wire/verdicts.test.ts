import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import { type Hook, type JsonObject, Verdict } from '#api'
import { send } from '../helpers/http-client.ts'
import { LEGACY_VERSION, legacy, modern, notification, POST_HEADERS, result, rpc } from '../helpers/mcp-messages.ts'
import { interceptor, type ProxyOptions, startPair } from '../helpers/proxy.ts'
import { sseEvent } from '../helpers/sse.ts'

const LEGACY = { ...POST_HEADERS, 'mcp-protocol-version': LEGACY_VERSION }
/** An id that no `JSON.parse` keeps. */
const ID = '9007199254740993'

/** A proxy whose only entry decides on the client's message. */
async function judged(
  t: Parameters<typeof startPair>[0],
  verdict: () => Verdict,
  options: Omit<ProxyOptions, 'servers'> = {},
) {
  const judge: Hook<unknown> = message => (message.direction === 'toServer' ? verdict() : undefined)
  return startPair(t, {}, { interceptors: [interceptor('judge', { request: judge, notification: judge })], ...options })
}

const TEXT = 'Access denied: anonymous -> s.t'
const TOOL_CALL = `{"jsonrpc":"2.0","id":${ID},"method":"tools/call","params":{"name":"t"}}`

describe('refused by an interceptor', () => {
  test('a tools/call: HTTP 200 and a JSON-RPC error with the id as it was', async t => {
    const { upstream, url } = await judged(t, () => Verdict.deny('access_denied', TEXT, { tool: 't' }))
    const answer = await send(t, url, { headers: LEGACY, body: TOOL_CALL })
    const error = { code: -31003, message: TEXT, data: { source: 'interceptor', code: 'access_denied', tool: 't' } }
    assert.equal(await answer.text(), `{"jsonrpc":"2.0","id":${ID},"error":${JSON.stringify(error)}}`)
    assert.deepEqual([answer.status, answer.headers['content-type']], [200, 'application/json'])
    assert.equal(upstream.requests.length, 0)
  })

  test('a tools/call that the model can do better: a result with isError', async t => {
    const { url } = await judged(t, () =>
      Verdict.deny('invalid_arguments', 'Invalid parameters for s.t:\nquery is missing'),
    )
    for (const [post, more] of [
      [{ headers: LEGACY, body: TOOL_CALL }, {}],
      [modern(7, 'tools/call', { name: 't' }), { resultType: 'complete' }],
    ] as const) {
      const answer = await send(t, url, post)
      assert.equal(answer.status, 200)
      assert.deepEqual((await answer.json()).result, {
        ...more,
        content: [{ type: 'text', text: 'Invalid parameters for s.t:\nquery is missing' }],
        isError: true,
        _meta: { 'dev.sluice/error': { source: 'interceptor', code: 'invalid_arguments' } },
      })
    }
  })

  test('the chain entry says how: answer', async t => {
    const chain = (answer: string): { policy: string } => ({
      policy: `interceptors: [{ use: judge, answer: ${answer} }]`,
    })
    const asError = await judged(t, () => Verdict.deny('secret_found', 'no'), chain('error'))
    assert.equal((await (await send(t, asError.url, { headers: LEGACY, body: TOOL_CALL })).json()).error.code, -31023)
    const asResult = await judged(t, () => Verdict.deny('denied', 'no'), chain('result'))
    assert.equal(
      (await (await send(t, asResult.url, { headers: LEGACY, body: TOOL_CALL })).json()).result.isError,
      true,
    )
  })

  test('any other request: HTTP 200 and a JSON-RPC error; a rate limit keeps its 429', async t => {
    const { url } = await judged(t, () => Verdict.deny('denied', 'no'))
    const answer = await send(t, url, legacy(rpc('x', 'resources/read', { uri: 'a:b' })))
    assert.deepEqual([answer.status, (await answer.json()).error.code], [200, -31020])
    const limited = await judged(t, () => Verdict.deny('rate_limited', 'slow down', { retry_after_ms: 1500 }))
    const slow = await send(t, limited.url, legacy(rpc(1, 'tools/list')))
    assert.deepEqual([slow.status, slow.headers['retry-after']], [429, '2'])
    const { data } = (await slow.json()).error
    assert.deepEqual(data, { source: 'interceptor', code: 'rate_limited', retry: 'unsent', retry_after_ms: 1500 })
  })

  test('server/discover, so that a dual-era client can fall back', async t => {
    const { url } = await judged(t, () => Verdict.deny('access_denied', 'no'))
    const answer = await send(t, url, modern('server-discover-probe-1', 'server/discover'))
    const { id, error } = await answer.json()
    assert.deepEqual([answer.status, id, error.code], [200, 'server-discover-probe-1', -31003])
  })

  test('a notification: 403 without an id, or 202 when it is dropped', async t => {
    const denied = await judged(t, () => Verdict.deny('denied', 'no'))
    const answer = await send(t, denied.url, legacy(notification('notifications/initialized')))
    const text = await answer.text()
    assert.equal(answer.status, 403)
    assert.deepEqual(['id' in JSON.parse(text), JSON.parse(text).error.code], [false, -31020])
    const dropped = await judged(t, () => Verdict.drop('no'))
    const nothing = await send(t, dropped.url, legacy(notification('notifications/initialized')))
    assert.deepEqual([nothing.status, await nothing.text()], [202, ''])
    assert.equal(denied.upstream.requests.length + dropped.upstream.requests.length, 0)
  })

  test('GET and DELETE: 403', async t => {
    const { upstream, url } = await judged(t, () => Verdict.deny('access_denied', 'no'))
    for (const method of ['GET', 'DELETE']) {
      const answer = await send(t, url, { method, headers: { accept: 'text/event-stream' } })
      const { error, ...rest } = await answer.json()
      assert.deepEqual([answer.status, error.code, rest], [403, -31003, { jsonrpc: '2.0' }])
    }
    assert.equal(upstream.requests.length, 0)
  })

  test('a reply stands for the answer of the server', async t => {
    const raw = Buffer.from('{ "n" : 1.0, "big":12345678901234567890 }')
    const { upstream, url } = await judged(t, () => Verdict.reply(raw, 'cached'))
    const answer = await send(t, url, { headers: LEGACY, body: TOOL_CALL })
    assert.equal(await answer.text(), `{"jsonrpc":"2.0","id":${ID},"result":${raw}}`)
    const now = await send(t, url, modern(1, 'tools/list'))
    assert.equal(
      await now.text(),
      `{"jsonrpc":"2.0","id":1,"result":{"resultType":"complete", "n" : 1.0, "big":12345678901234567890 }}`,
    )
    assert.equal(upstream.requests.length, 0)
  })

  test('an answer made in the chain is seen by those before, from the inside out', async t => {
    const seen: string[] = []
    const watch = (name: string) =>
      interceptor(name, {
        request: () => void seen.push(`${name} request`) as undefined,
        response: message => {
          seen.push(`${name} response`)
          if (name === 'second')
            message.edit(json => void ((json['result'] as JsonObject)['by'] as string[]).push(name))
          return undefined
        },
      })
    const reply = interceptor('reply', { request: () => Verdict.reply({ by: ['reply'] }, 'here') })
    const { url } = await startPair(t, {}, { interceptors: [watch('first'), watch('second'), reply, watch('last')] })
    const answer = await send(t, url, legacy(rpc(1, 'tools/list')))
    assert.deepEqual(await answer.json(), result(1, { by: ['reply', 'second'] }))
    assert.deepEqual(seen, ['first request', 'second request', 'second response', 'first response'])
  })

  for (const shape of ['JSON', 'events'] as const) {
    test(`an answer of the server, by ${shape}: nothing of it passes`, async t => {
      const secret = 'AKIA-NOT-FOR-CLIENTS'
      const hook: Hook<unknown> = () => Verdict.deny('secret_found', 'a secret was found')
      const text = `{"jsonrpc":"2.0","id":${ID},"result":{"content":[{"type":"text","text":"${secret}"}]}}`
      const { url } = await startPair(
        t,
        (_, answer) =>
          shape === 'JSON'
            ? answer.json(text, { headers: { etag: '"x"' } })
            : answer.events([`id: 4\n${sseEvent(text)}`]),
        { interceptors: [interceptor('scan', { response: hook })] },
      )
      const answer = await send(t, url, { headers: LEGACY, body: TOOL_CALL })
      const got = await answer.text()
      assert.equal(answer.status, 200)
      assert.equal(got.includes(secret), false)
      const wanted = {
        content: [{ type: 'text', text: 'a secret was found' }],
        isError: true,
        _meta: { 'dev.sluice/error': { source: 'interceptor', code: 'secret_found' } },
      }
      const body = `{"jsonrpc":"2.0","id":${ID},"result":${JSON.stringify(wanted)}}`
      assert.equal(got, shape === 'JSON' ? body : `id: 4\ndata: ${body}\n\n`)
      assert.equal(answer.headers.etag, undefined)
    })
  }
})

describe('an interceptor that fails', () => {
  const SECRET = 'the password is hunter2'
  const broken = (onFailure: 'open' | 'closed') =>
    interceptor(
      'broken',
      {
        request: message => {
          message.edit(json => void (json['x'] = 'half an edit'))
          throw new Error(SECRET)
        },
      },
      { onFailure },
    )

  test('closed: the request is refused, the cause goes to the log alone', async t => {
    const { upstream, proxy, url } = await startPair(t, {}, { interceptors: [broken('closed')] })
    const answer = await send(t, url, { headers: LEGACY, body: TOOL_CALL })
    const text = await answer.text()
    assert.equal(answer.status, 200)
    assert.ok(text.startsWith(`{"jsonrpc":"2.0","id":${ID},"error":`))
    assert.deepEqual(JSON.parse(text).error.code, -31030)
    assert.equal(text.includes('hunter2'), false)
    assert.equal(upstream.requests.length, 0)
    assert.ok(proxy.notices.some(({ fields }) => String(fields['error']).includes(SECRET)))
  })

  test('open: the request goes on as it came', async t => {
    const { upstream, url } = await startPair(t, {}, { interceptors: [broken('open')] })
    assert.equal((await send(t, url, { headers: LEGACY, body: TOOL_CALL })).status, 200)
    assert.equal((await upstream.next()).text, TOOL_CALL)
  })

  test('that takes too long counts as one that fails', async t => {
    const never = interceptor('never', { request: () => new Promise<undefined>(() => {}) }, { timeoutMs: 20 })
    const { upstream, url } = await startPair(t, {}, { interceptors: [never] })
    const answer = await send(t, url, { headers: LEGACY, body: TOOL_CALL })
    assert.deepEqual([answer.status, (await answer.json()).error.code], [200, -31031])
    assert.equal(upstream.requests.length, 0)
  })

  test('a message larger than it looks at is refused, or passes unseen', async t => {
    const small = interceptor(
      'small',
      { request: () => undefined },
      { looks: { request: { need: 'json', maxBytes: 50 } } },
    )
    const { upstream, url } = await startPair(t, {}, { interceptors: [small] })
    const answer = await send(t, url, { headers: LEGACY, body: TOOL_CALL })
    const { error } = await answer.json()
    assert.deepEqual([answer.status, error.code], [413, -31010])
    const open = await startPair(
      t,
      {},
      { interceptors: [small], policy: 'interceptors: [{ use: small, too_big: skip }]' },
    )
    assert.equal((await send(t, open.url, { headers: LEGACY, body: TOOL_CALL })).status, 200)
    assert.equal(upstream.requests.length, 0)
  })
})

describe('what interceptors cannot see', () => {
  const scan = (onFailure: 'open' | 'closed') => [interceptor('scan', { response: () => undefined }, { onFailure })]
  const POST = { headers: LEGACY, body: TOOL_CALL }

  test('does not pass one that fails closed; an HTTP error keeps its status', async t => {
    const { upstream, url } = await startPair(t, {}, { interceptors: scan('closed') })
    for (const [status, type, body] of [
      [200, 'text/html', '<p>hi'],
      [200, 'application/json', '{"jsonrpc":"2.0"'],
      [200, 'application/json', '{"ok":true}'],
      [200, 'application/json', `{"jsonrpc":"2.0","id":7,"method":"ping"}`],
      [404, 'text/plain', 'Not found'],
      [400, 'application/json', '{"detail":"no"}'],
      [500, 'text/html', '<p>oops'],
    ] as const) {
      upstream.script = (_, answer) => answer.status(status, body, { 'content-type': type })
      const answer = await send(t, url, POST)
      const text = await answer.text()
      assert.equal(answer.status, status === 200 ? 502 : status, text)
      assert.deepEqual([JSON.parse(text).error.code, JSON.parse(text).error.data.http_status], [-31032, status])
      assert.ok(text.startsWith(`{"jsonrpc":"2.0","id":${ID},`))
    }
  })

  test('passes one that fails open', async t => {
    const { upstream, url } = await startPair(t, {}, { interceptors: scan('open') })
    for (const [status, type, body] of [
      [200, 'text/html', '<p>hi'],
      [500, 'text/html', '<p>oops'],
      [400, 'application/json', '{"detail":"no"}'],
    ] as const) {
      upstream.script = (_, answer) => answer.status(status, body, { 'content-type': type })
      const answer = await send(t, url, POST)
      assert.deepEqual([answer.status, answer.headers['content-type'], await answer.text()], [status, type, body])
    }
  })

  test('an event that is no message ends the stream with an error', async t => {
    const good = sseEvent(notification('notifications/x'))
    const { url } = await startPair(t, (_, answer) => answer.events([good, 'data: hello\n\n', sseEvent('{}')]), {
      interceptors: scan('closed'),
    })
    const text = await (await send(t, url, POST)).text()
    assert.ok(text.startsWith(good))
    assert.equal(text.includes('hello'), false)
    assert.match(
      text.slice(good.length),
      /^event: message\ndata: \{"jsonrpc":"2.0","id":9007199254740993,"error":\{"code":-31032,/,
    )
  })
})
