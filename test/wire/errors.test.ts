import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import { type Hook, type JsonObject, Verdict } from '#api'
import { type SendOptions, send } from '../helpers/http-client.ts'
import {
  initialize,
  LEGACY_VERSION,
  legacy,
  MODERN_VERSION,
  modern,
  notification,
  POST_HEADERS,
  result,
  rpc,
} from '../helpers/mcp-messages.ts'
import { interceptor, type ProxyOptions, startPair, startProxy, VIEWS } from '../helpers/proxy.ts'
import { connectRaw, rawPost } from '../helpers/raw-client.ts'
import { startScriptedUpstream } from '../helpers/scripted-upstream.ts'
import { sseEvent } from '../helpers/sse.ts'

const LEGACY = { ...POST_HEADERS, 'mcp-protocol-version': LEGACY_VERSION }
const V = 'io.modelcontextprotocol/protocolVersion'
const C = 'io.modelcontextprotocol/clientCapabilities'

/** A request that is refused before the chain: its body, the code, and the exact text of the id in the answer (`''` = none). */
type Refused = readonly [body: string | Buffer, code: number, id: string, headers?: Record<string, string>]

const ID = '9007199254740993'
const call = (rest: string): string => `{"jsonrpc":"2.0","id":${ID},"method":"tools/call"${rest}}`

const LEGACY_CASES: Readonly<Record<string, Refused>> = {
  'an empty body': ['', -32700, ''],
  'no JSON': ['hello', -32700, ''],
  'half a message': [call('').slice(0, -1), -32700, ''],
  'two messages': [`${call('')}${call('')}`, -32700, ''],
  'a trailing comma': [call(','), -32700, ''],
  'invalid UTF-8': [Buffer.from(call(',"params":{"name":"\xff"}'), 'latin1'), -32700, ''],
  'a byte order mark': [`\ufeff${call('')}`, -32700, ''],
  'UTF-16': [Buffer.from(call(''), 'utf16le'), -32700, ''],
  'a number': ['1', -32600, ''],
  null: ['null', -32600, ''],
  'no jsonrpc': [`{"id":${ID},"method":"ping"}`, -32600, ID],
  'another jsonrpc': [`{"jsonrpc":"1.0","id":${ID},"method":"ping"}`, -32600, ID],
  'a method that is no string': [`{"jsonrpc":"2.0","id":${ID},"method":7}`, -32600, ID],
  'an empty method': [`{"jsonrpc":"2.0","id":${ID},"method":""}`, -32600, ID],
  'neither call nor answer': [`{"jsonrpc":"2.0","id":${ID}}`, -32600, ID],
  'both call and answer': [call(',"result":{}'), -32600, ID],
  'result and error': [`{"jsonrpc":"2.0","id":${ID},"result":{},"error":{"code":1,"message":""}}`, -32600, ID],
  'an answer without id': ['{"jsonrpc":"2.0","result":{}}', -32600, ''],
  'an id of null': ['{"jsonrpc":"2.0","id":null,"method":"ping"}', -32600, ''],
  'an id that is an object': ['{"jsonrpc":"2.0","id":{},"method":"ping"}', -32600, ''],
  'an id with a fraction': ['{"jsonrpc":"2.0","id":1.5,"method":"ping"}', -32600, ''],
  'params that are a list': [call(',"params":[]'), -32600, ID],
  'a method twice': [call(',"method":"ping"'), -32600, ID],
  'a method in another case': [call(',"Method":"ping"'), -32600, ID],
  'an escaped twin': [call(String.raw`,"m\u0065thod":"ping"`), -32600, ID],
  'an id twice': [call(',"id":1'), -32600, ''],
  'a name twice': [call(',"params":{"name":"a","name":"b"}'), -32600, ID],
  'a name in another case': [call(',"params":{"name":"a","NAME":"b"}'), -32600, ID],
  'arguments twice': [call(',"params":{"name":"a","arguments":{},"arguments":{}}'), -32600, ID],
  'params twice': [call(',"params":{},"params":{}'), -32600, ID],
  'a uri twice': [`{"jsonrpc":"2.0","id":${ID},"method":"resources/read","params":{"uri":"a","uri":"b"}}`, -32600, ID],
  'too deep a nesting': [call(`,"params":{"arguments":${'['.repeat(200)}${']'.repeat(200)}}`), -32600, ID],
  'Mcp-Method of another message': [call(''), -32020, ID, { 'mcp-method': 'tools/list' }],
  'Mcp-Name of another tool': [call(',"params":{"name":"a"}'), -32020, ID, { 'mcp-name': 'b' }],
}

const META = `"_meta":{"${V}":"${MODERN_VERSION}","${C}":{}}`
const modernCall = (meta: string, name = 'a'): string => call(`,"params":{"name":"${name}",${meta}}`)
const MODERN = { 'mcp-protocol-version': MODERN_VERSION, 'mcp-method': 'tools/call', 'mcp-name': 'a' }
const without = (name: string): Record<string, string> =>
  Object.fromEntries(Object.entries(MODERN).filter(([key]) => key !== name))

const MODERN_CASES: Readonly<Record<string, Refused>> = {
  'a modern header without _meta': [call(',"params":{"name":"a"}'), -32602, ID, MODERN],
  'a modern header, _meta without version': [modernCall(`"_meta":{"${C}":{}}`), -32602, ID, MODERN],
  'a version that is no string': [modernCall(`"_meta":{"${V}":7,"${C}":{}}`), -32602, ID, MODERN],
  'no capabilities': [modernCall(`"_meta":{"${V}":"${MODERN_VERSION}"}`), -32602, ID, MODERN],
  'capabilities that are no object': [modernCall(`"_meta":{"${V}":"${MODERN_VERSION}","${C}":[]}`), -32602, ID, MODERN],
  'no version header': [modernCall(META), -32020, ID, without('mcp-protocol-version')],
  'another version in the header': [
    modernCall(META),
    -32020,
    ID,
    { ...MODERN, 'mcp-protocol-version': LEGACY_VERSION },
  ],
  'a later version in the header': [modernCall(META), -32020, ID, { ...MODERN, 'mcp-protocol-version': '2027-01-01' }],
  'no Mcp-Method': [modernCall(META), -32020, ID, without('mcp-method')],
  'another Mcp-Method': [modernCall(META), -32020, ID, { ...MODERN, 'mcp-method': 'tools/list' }],
  'Mcp-Method in capitals': [modernCall(META), -32020, ID, { ...MODERN, 'mcp-method': 'TOOLS/CALL' }],
  'no Mcp-Name': [modernCall(META), -32020, ID, without('mcp-name')],
  'another Mcp-Name': [modernCall(META), -32020, ID, { ...MODERN, 'mcp-name': 'b' }],
  'Mcp-Name in another case': [modernCall(META), -32020, ID, { ...MODERN, 'mcp-name': 'A' }],
  'an empty Mcp-Name': [modernCall(META), -32020, ID, { ...MODERN, 'mcp-name': '' }],
  'Mcp-Name of bad base64': [modernCall(META), -32020, ID, { ...MODERN, 'mcp-name': '=?base64?!!!?=' }],
  'Mcp-Name of loose base64': [modernCall(META), -32020, ID, { ...MODERN, 'mcp-name': '=?base64?YQ?=' }],
  'Mcp-Name of bytes that are no UTF-8': [modernCall(META), -32020, ID, { ...MODERN, 'mcp-name': '=?base64?/w==?=' }],
  'a sentinel in capitals, which is text': [modernCall(META), -32020, ID, { ...MODERN, 'mcp-name': '=?BASE64?YQ==?=' }],
  'initialize with a modern header': [
    `{"jsonrpc":"2.0","id":${ID},"method":"initialize","params":{}}`,
    -32020,
    ID,
    MODERN,
  ],
  'a version twice': [
    modernCall(`"_meta":{"${V}":"${MODERN_VERSION}","${V}":"2025-11-25","${C}":{}}`),
    -32600,
    ID,
    MODERN,
  ],
  '_meta twice': [modernCall(`${META},${META}`), -32600, ID, MODERN],
  'a list': [`[${modernCall(META)}]`, -32600, '', MODERN],
}

for (const { view, interceptors } of VIEWS) {
  describe(`refused before the chain: ${view}`, () => {
    for (const [era, cases, headers] of [
      ['legacy', LEGACY_CASES, LEGACY],
      ['modern', MODERN_CASES, POST_HEADERS],
    ] as const) {
      test(`${era} requests: HTTP 400, the code, the id as it was, and the server hears nothing`, async t => {
        const { upstream, proxy, url } = await startPair(t, {}, { interceptors })
        for (const [what, [body, code, id, more]] of Object.entries(cases)) {
          const answer = await send(t, url, { method: 'POST', headers: { ...headers, ...more }, body })
          const text = await answer.text()
          assert.equal(answer.status, 400, `${what}: ${text}`)
          assert.equal(answer.headers['content-type'], 'application/json')
          const start = id === '' ? '{"jsonrpc":"2.0","error":' : `{"jsonrpc":"2.0","id":${id},"error":`
          assert.ok(text.startsWith(start), `${what}: ${text}`)
          const { error } = JSON.parse(text)
          assert.deepEqual([error.code, error.data.source], [code, 'client'], `${what}: ${text}`)
          assert.ok(error.message.length > 10, what)
        }
        assert.equal(upstream.requests.length, 0)
        assert.equal(proxy.refusals.length, Object.keys(cases).length)
        assert.equal(proxy.ends.length, 0)
      })
    }

    test('what must not be refused', async t => {
      const { upstream, url } = await startPair(t, {}, { interceptors })
      const later = modernCall(META.replace(MODERN_VERSION, '2027-05-01'))
      const cases: Readonly<Record<string, readonly [string, Record<string, string>]>> = {
        'a legacy request without a version header': [call(',"params":{"name":"a"}'), POST_HEADERS],
        'an unknown legacy version': [call(''), { ...POST_HEADERS, 'mcp-protocol-version': '2024-11-05' }],
        'a modern request': [modernCall(META), { ...POST_HEADERS, ...MODERN }],
        'white space around a header': [
          modernCall(META),
          { ...POST_HEADERS, ...MODERN, 'mcp-method': ' tools/call\t', 'mcp-name': ' a ' },
        ],
        'an encoded name': [modernCall(META), { ...POST_HEADERS, ...MODERN, 'mcp-name': '=?base64?YQ==?=' }],
        'a name that looks encoded': [
          modernCall(META, '=?base64?YQ?='),
          { ...POST_HEADERS, ...MODERN, 'mcp-name': '=?base64?PT9iYXNlNjQ/WVE/PQ==?=' },
        ],
        'an escaped name': [modernCall(META, String.raw`\u0061`), { ...POST_HEADERS, ...MODERN }],
        'a later version': [later, { ...POST_HEADERS, ...MODERN, 'mcp-protocol-version': '2027-05-01' }],
        'a legacy request with true headers': [
          call(',"params":{"name":"a"}'),
          { ...LEGACY, 'mcp-method': 'tools/call', 'mcp-name': 'a' },
        ],
        'initialize with a legacy header': [`{"jsonrpc":"2.0","id":1,"method":"initialize","params":{}}`, LEGACY],
      }
      for (const [what, [body, headers]] of Object.entries(cases)) {
        const answer = await send(t, url, { headers, body })
        assert.equal(answer.status, 200, `${what}: ${await answer.text()}`)
        assert.equal((await upstream.next()).text, body, what)
      }
    })
  })
}

describe('refused by its head', () => {
  const PING = JSON.stringify(rpc(7, 'ping'))
  const cases: Readonly<Record<string, readonly [path: string, options: SendOptions, status: number, code: string]>> = {
    'no content type': ['/mcp', { method: 'POST', headers: {}, body: PING }, 415, 'unsupported_media_type'],
    'another content type': [
      '/mcp',
      { headers: { 'content-type': 'text/plain' }, body: PING },
      415,
      'unsupported_media_type',
    ],
    'another charset': [
      '/mcp',
      { headers: { 'content-type': 'application/json; charset=latin1' }, body: PING },
      415,
      'unsupported_media_type',
    ],
    'another path': ['/', { headers: LEGACY, body: PING }, 404, 'not_found'],
    'a path below': ['/mcp/x', { headers: LEGACY, body: PING }, 404, 'not_found'],
    'an unknown server': ['/servers/other/mcp', { headers: LEGACY, body: PING }, 404, 'not_found'],
    'a foreign Origin': [
      '/mcp',
      { headers: { ...LEGACY, origin: 'http://evil.example' }, body: PING },
      403,
      'origin_denied',
    ],
    'a null Origin': ['/mcp', { headers: { ...LEGACY, origin: 'null' }, body: PING }, 403, 'origin_denied'],
    'a foreign Host': ['/mcp', { headers: { ...LEGACY, host: 'evil.example' }, body: PING }, 403, 'host_denied'],
    PUT: ['/mcp', { method: 'PUT', headers: LEGACY, body: PING }, 405, 'method_not_allowed'],
    PATCH: ['/mcp', { method: 'PATCH', headers: LEGACY, body: PING }, 405, 'method_not_allowed'],
  }
  for (const [what, [path, options, status, code]] of Object.entries(cases)) {
    test(`${what}: ${status}`, async t => {
      const { upstream, proxy } = await startPair(t)
      const answer = await send(t, `${proxy.url}${path}`, options)
      const { jsonrpc, error } = await answer.json()
      assert.deepEqual([answer.status, jsonrpc, error.data.code], [status, '2.0', code])
      if (status === 405) assert.equal(answer.headers.allow, 'GET, POST, DELETE, OPTIONS')
      assert.equal(upstream.requests.length, 0)
    })
  }

  test('application/json in other spellings is accepted', async t => {
    const { url } = await startPair(t)
    for (const type of [
      'application/json; charset=utf-8',
      'application/json;charset=UTF-8',
      'Application/JSON ; charset="utf-8"',
    ]) {
      assert.equal((await send(t, url, { headers: { ...LEGACY, 'content-type': type }, body: PING })).status, 200, type)
    }
  })

  test('headers that decide and occur twice', async t => {
    const { upstream, url } = await startPair(t)
    for (const name of [
      'Mcp-Session-Id',
      'MCP-Protocol-Version',
      'Mcp-Method',
      'Mcp-Name',
      'Mcp-Param-X',
      'Authorization',
      'Content-Type',
    ]) {
      const client = await connectRaw(t, url)
      const lines = name === 'Content-Type' ? [] : ['Content-Type: application/json']
      await client.send(rawPost('/mcp', new URL(url).host, [...lines, `${name}: a`, `${name.toLowerCase()}: a`], PING))
      const { head, body } = await client.readResponse()
      assert.equal(head.status, 400, name)
      assert.match(body.toString(), /occurs more than once/, name)
    }
    assert.equal(upstream.requests.length, 0)
  })

  test('one path for each server; /mcp only where there is one', async t => {
    const upstream = await startScriptedUpstream(t)
    const proxy = await startProxy(t, { servers: { a: upstream.url, b: upstream.url } })
    for (const [path, status] of [
      ['/mcp', 404],
      ['/servers/a/mcp', 200],
      ['/servers/b/mcp', 200],
      ['/servers/a', 404],
    ] as const) {
      assert.equal((await send(t, `${proxy.url}${path}`, { headers: LEGACY, body: PING })).status, status, path)
    }
  })

  test('no credential where one is needed', async t => {
    const { upstream, url } = await startPair(t, {}, { config: { anonymous: 'deny' } })
    const answer = await send(t, url, { headers: LEGACY, body: PING })
    assert.deepEqual([answer.status, (await answer.json()).error.data.code], [401, 'unauthorized'])
    assert.match(answer.headers['www-authenticate'] ?? '', /^Bearer/)
    assert.equal(upstream.requests.length, 0)
  })
})

describe('an upstream that wants credentials', () => {
  const script = { 'www-authenticate': 'Bearer resource_metadata="http://internal.example/meta"' }

  for (const { view, interceptors } of VIEWS) {
    test(`does not make the client send its own: ${view}`, async t => {
      for (const status of [401, 403]) {
        const { url } = await startPair(t, (_, answer) => answer.status(status, 'no', script), { interceptors })
        const answer = await send(t, url, legacy(rpc(7, 'ping')))
        const text = await answer.text()
        assert.equal(answer.status, 502)
        assert.equal(answer.headers['www-authenticate'], undefined)
        assert.doesNotMatch(text, /internal\.example/)
        assert.deepEqual([JSON.parse(text).id, JSON.parse(text).error.code], [7, -31044])
      }
    })
  }

  test('may ask the client where its credentials are forwarded', async t => {
    const server = { forwardAuthorization: true }
    const { url } = await startPair(t, (_, answer) => answer.status(401, 'no', script), { server })
    const answer = await send(t, url, legacy(rpc(7, 'ping')))
    assert.deepEqual(
      [answer.status, answer.headers['www-authenticate'], await answer.text()],
      [401, script['www-authenticate'], 'no'],
    )
  })
})

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

test('initialize passes with whatever version it names', async t => {
  const { upstream, url } = await startPair(t)
  for (const version of ['2024-11-05', '2025-03-26', '1999-01-01']) {
    assert.equal((await send(t, url, initialize(1, version))).status, 200)
    assert.equal((await upstream.next()).json().params.protocolVersion, version)
  }
})
