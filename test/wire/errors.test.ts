import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import { type SendOptions, send } from '../helpers/http-client.ts'
import { initialize, LEGACY_VERSION, legacy, MODERN_VERSION, POST_HEADERS, rpc } from '../helpers/mcp-messages.ts'
import { startPair, startProxy, VIEWS } from '../helpers/proxy.ts'
import { connectRaw, rawPost } from '../helpers/raw-client.ts'
import { startScriptedUpstream } from '../helpers/scripted-upstream.ts'

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

test('initialize passes with whatever version it names', async t => {
  const { upstream, url } = await startPair(t)
  for (const version of ['2024-11-05', '2025-03-26', '1999-01-01']) {
    assert.equal((await send(t, url, initialize(1, version))).status, 200)
    assert.equal((await upstream.next()).json().params.protocolVersion, version)
  }
})
