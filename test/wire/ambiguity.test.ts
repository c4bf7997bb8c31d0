import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import { send } from '../helpers/http-client.ts'
import { headerValue, LEGACY_VERSION, legacy, modern, rpc } from '../helpers/mcp-messages.ts'
import { type Pair, startPair } from '../helpers/proxy.ts'
import type { Scope } from '../helpers/scope.ts'

/** Messages that two parsers could read in two ways, or that their header fields contradict: the server never sees them. */

const POST = legacy({})

/** Sends each body; gives the code of its error (0 = it passed) and checks that nothing else reached the server. */
async function codesOf(scope: Scope, { url, upstream }: Pair, bodies: readonly (string | Buffer)[]): Promise<number[]> {
  const codes: number[] = []
  for (const body of bodies) {
    const answer = await send(scope, url, { ...POST, body })
    const { error } = await answer.json()
    codes.push(error?.code ?? 0)
    assert.equal(answer.status, error === undefined ? 200 : 400)
  }
  assert.equal(upstream.requests.length, codes.filter(code => code === 0).length)
  return codes
}

const CALL = '"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"a","arguments":{}}'

const TWINS: Readonly<Record<string, string>> = {
  'method twice': `{${CALL},"method":"ping"}`,
  'the same method twice': `{${CALL},"method":"tools/call"}`,
  'Method beside method': `{${CALL},"Method":"ping"}`,
  'METHOD before method': `{"METHOD":"ping",${CALL}}`,
  'Method alone': '{"jsonrpc":"2.0","id":1,"Method":"ping"}',
  'an escaped method': `{${CALL},"m\\u0065thod":"ping"}`,
  'an escaped Method': `{${CALL},"\\u004dethod":"ping"}`,
  'params with a long s': `{${CALL},"param\u017f":{"name":"b"}}`,
  'params with an escaped long s': `{${CALL},"param\\u017F":{"name":"b"}}`,
  'result with a long s': '{"jsonrpc":"2.0","id":1,"re\u017fult":{}}',
  'id with a dotless i': `{${CALL},"\u0131d":2}`,
  'id with a dotted I': `{${CALL},"\u0130D":2}`,
  'id twice': `{${CALL},"id":2}`,
  'ID beside id': `{${CALL},"ID":2}`,
  'jsonrpc twice': `{${CALL},"jsonrpc":"2.0"}`,
  'params twice': `{${CALL},"params":{}}`,
  'result and Result': '{"jsonrpc":"2.0","id":1,"result":{},"Result":{}}',
  'error twice': '{"jsonrpc":"2.0","id":1,"error":{"code":1,"message":""},"error":{"code":2,"message":""}}',
  'name twice': '{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"a","name":"b"}}',
  'Name beside name': '{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"a","Name":"b"}}',
  'an escaped name': '{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"a","n\\u0061me":"b"}}',
  'uri twice': '{"jsonrpc":"2.0","id":1,"method":"resources/read","params":{"uri":"a","uri":"b"}}',
  'URI alone': '{"jsonrpc":"2.0","id":1,"method":"resources/read","params":{"URI":"a"}}',
  'taskId beside taskid': '{"jsonrpc":"2.0","id":1,"method":"tasks/get","params":{"taskId":"a","taskid":"b"}}',
  'taskId with a Kelvin sign':
    '{"jsonrpc":"2.0","id":1,"method":"tasks/get","params":{"taskId":"a","tas\u212aId":"b"}}',
  'arguments twice':
    '{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"a","arguments":{},"arguments":{}}}',
  '_meta twice': '{"jsonrpc":"2.0","id":1,"method":"ping","params":{"_meta":{},"_META":{}}}',
  'the version in _meta twice':
    '{"jsonrpc":"2.0","id":1,"method":"ping","params":{"_meta":{"io.modelcontextprotocol/protocolVersion":"a","io.modelcontextprotocol/ProtocolVersion":"b"}}}',
  'a twin behind white space and other keys': `{ "x" : [ { "method" : 1 } ] , ${CALL} , "a" : 1 , "method" : 2 }`,
  'a twin whose key is half escaped': `{${CALL},"\\u006d\\u0065\\u0074\\u0068\\u006f\\u0064":1}`,
}

describe('twin keys', () => {
  for (const [what, body] of Object.entries(TWINS)) {
    test(what, async t => {
      assert.doesNotThrow(() => JSON.parse(body))
      assert.deepEqual(await codesOf(t, await startPair(t), [body]), [-32600])
    })
  }

  test('what only looks like one passes', async t => {
    const fine = [
      `{${CALL},"methods":1,"metho":1,"_method":1,"method ":1,"m\u00e9thod":1}`,
      '{"jsonrpc":"2.0","id":1,"method":"ping","params":{"arguments":{"method":1,"method":2,"Method":3},"x":{"name":1,"name":2}}}',
      '{"jsonrpc":"2.0","id":1,"method":"ping","params":{"\\u0000name":1,"":2,"":3}}',
      '{"jsonrpc":"2.0","id":1,"m\\u0065thod":"ping"}',
    ]
    assert.deepEqual(await codesOf(t, await startPair(t), fine), [0, 0, 0, 0])
  })
})

const utf8 = (text: string): Buffer => Buffer.from(text)
const PING = '{"jsonrpc":"2.0","id":1,"method":"ping"}'

const NO_JSON: Readonly<Record<string, string | Buffer>> = {
  nothing: '',
  'white space': ' \r\n\t',
  'a byte order mark': `\ufeff${PING}`,
  'two values': PING + PING,
  'two values on two lines': `${PING}\n${PING}`,
  'a comma behind': `${PING},`,
  'garbage behind': `${PING}x`,
  'NUL behind': `${PING}\0`,
  'half a value': PING.slice(0, -1),
  'a comment': `/**/${PING}`,
  'a trailing comma': PING.replace('"ping"', '"ping",'),
  'single quotes': PING.replaceAll('"', "'"),
  'a raw line end in a string': PING.replace('ping', 'pi\nng'),
  'a raw NUL in a string': PING.replace('ping', 'pi\0ng'),
  'an unknown escape': PING.replace('ping', 'pi\\xng'),
  'half an escape': PING.replace('ping', 'pi\\u12'),
  'a number with a leading zero': PING.replace('1', '01'),
  'a number with a plus': PING.replace(':1', ':+1'),
  'a number that is none': PING.replace(':1', ':NaN'),
  'an overlong slash': Buffer.concat([
    utf8('{"jsonrpc":"2.0","id":1,"method":"'),
    Buffer.from([0xc0, 0xaf]),
    utf8('"}'),
  ]),
  'a surrogate in UTF-8': Buffer.concat([
    utf8('{"jsonrpc":"2.0","id":1,"method":"'),
    Buffer.from([0xed, 0xa0, 0x80]),
    utf8('"}'),
  ]),
  'a lone continuation byte': Buffer.concat([utf8(PING.slice(0, -2)), Buffer.from([0x80]), utf8('"}')]),
  'half a character at the end of a string': Buffer.concat([
    utf8(PING.slice(0, -2)),
    Buffer.from([0xe2, 0x82]),
    utf8('"}'),
  ]),
  'Latin-1': Buffer.from(PING.replace('ping', 'p\xefng'), 'latin1'),
  'UTF-16': Buffer.from(PING, 'utf16le'),
  'UTF-16 with its mark': Buffer.concat([Buffer.from([0xff, 0xfe]), Buffer.from(PING, 'utf16le')]),
}

test('what is not exactly one JSON value in UTF-8 is a parse error', async t => {
  const codes = await codesOf(t, await startPair(t), Object.values(NO_JSON))
  assert.deepEqual(
    Object.keys(NO_JSON).map((what, i) => [what, codes[i]]),
    Object.keys(NO_JSON).map(what => [what, -32700]),
  )
})

test('what is JSON and no message is an invalid request', async t => {
  const bodies = [
    'null',
    '1',
    '"x"',
    '[]',
    '{}',
    '{"jsonrpc":"1.0","id":1,"method":"ping"}',
    '{"id":1,"method":"ping"}',
    '{"jsonrpc":"2.0","id":1}',
    ...['null', 'true', '{}', '[]', '1.5', '1e3'].map(id => `{"jsonrpc":"2.0","id":${id},"method":"ping"}`),
    ...['null', '1', '""', '[]'].map(method => `{"jsonrpc":"2.0","id":1,"method":${method}}`),
    ...['null', '1', '[]', '"x"'].map(params => `{"jsonrpc":"2.0","id":1,"method":"ping","params":${params}}`),
    '{"jsonrpc":"2.0","id":1,"method":"ping","result":{}}',
    '{"jsonrpc":"2.0","id":1,"result":{},"error":{"code":1,"message":"x"}}',
    `{"jsonrpc":"2.0","id":1,"method":"ping","params":{"a":${'['.repeat(200)}${']'.repeat(200)}}}`,
    `{"jsonrpc":"2.0","id":1,"method":"ping","params":${'{"a":'.repeat(200)}1${'}'.repeat(200)}}`,
  ]
  const codes = await codesOf(t, await startPair(t), bodies)
  assert.deepEqual(
    codes,
    bodies.map(() => -32600),
  )
})

test('a bomb of brackets is refused without being read to its depth', async t => {
  const bomb = `{"jsonrpc":"2.0","id":1,"method":"ping","params":{"a":${'['.repeat(2_000_000)}`
  assert.deepEqual(await codesOf(t, await startPair(t), [bomb]), [-32600])
})

test('huge numbers, keys and strings pass as they are', async t => {
  const pair = await startPair(t)
  const bodies = [
    `{"jsonrpc":"2.0","id":${'9'.repeat(400)},"method":"ping"}`,
    `{"jsonrpc":"2.0","id":1,"method":"ping","params":{"n":[1e400,-0,1${'0'.repeat(5000)},0.${'1'.repeat(5000)},1E-999]}}`,
    `{"jsonrpc":"2.0","id":1,"method":"ping","params":{"${'k'.repeat(100_000)}":"${'v\\u0000\\ud800'.repeat(10_000)}"}}`,
    `{"jsonrpc":"2.0","id":"${'\\ud83d\\ude00'.repeat(100)}","method":"ping"}`,
  ]
  pair.upstream.script = (_, answer) => answer.json('{"jsonrpc":"2.0","id":1,"result":{}}')
  assert.deepEqual(await codesOf(t, pair, bodies), [0, 0, 0, 0])
  assert.deepEqual(
    pair.upstream.requests.map(({ text }) => text),
    bodies,
  )
})

/** Base64 sentinel and its look-alikes (mcp-wire 2.6): field, name in the body, whether they agree. */
const NAMES: readonly (readonly [field: string, name: string, agrees: boolean])[] = [
  ['a', 'a', true],
  ['  a \t', 'a', true],
  ['A', 'a', false],
  ['', '', true],
  ['a', '', false],
  ['=?base64?YQ==?=', 'a', true],
  ['=?base64?Z3LDvMOfZQ==?=', 'grüße', true],
  ['=?base64?8J+YgA==?=', '😀', true],
  ['=?base64?IGE=?=', ' a', true],
  ['=?base64??=', '', true],
  ['=?base64?YQ?=', 'a', false],
  ['=?base64?YQ=?=', 'a', false],
  ['=?base64?YR==?=', 'a', false],
  ['=?base64?Y Q==?=', 'a', false],
  ['=?base64?YQ==\t?=', 'a', false],
  ['=?base64?8J-YgA==?=', '😀', false],
  ['=?base64?/w==?=', '\ufffd', false],
  ['=?BASE64?YQ==?=', 'a', false],
  ['=?BASE64?YQ==?=', '=?BASE64?YQ==?=', true],
  ['=?base64?YQ==', '=?base64?YQ==', true],
  ['base64?YQ==?=', 'base64?YQ==?=', true],
  ['=?base64?YQ==?=', '=?base64?YQ==?=', false],
  [headerValue('=?base64?YQ==?='), '=?base64?YQ==?=', true],
  ['=?utf-8?B?YQ==?=', 'a', false],
  ['gr\xfc\xdfe', 'grüße', false],
  ['a, a', 'a', false],
]

test('Mcp-Name says what the body says, or the call is refused', async t => {
  const { url, upstream } = await startPair(t)
  for (const [field, name, agrees] of NAMES) {
    for (const post of [modern(1, 'tools/call', { name }), legacy(rpc(1, 'tools/call', { name }))]) {
      const before = upstream.requests.length
      const answer = await send(t, url, { ...post, headers: { ...post.headers, 'mcp-name': field } })
      const { error } = await answer.json()
      assert.deepEqual([answer.status, error?.code], agrees ? [200, undefined] : [400, -32020], `${field} for ${name}`)
      assert.equal(upstream.requests.length - before, agrees ? 1 : 0)
    }
  }
})

test('method and version in the head say what the body says', async t => {
  const { url, upstream } = await startPair(t)
  const call = modern(1, 'tools/call', { name: 'a' })
  const wrong: Record<string, string>[] = [
    { 'mcp-method': 'tools/list' },
    { 'mcp-method': 'TOOLS/CALL' },
    { 'mcp-method': '=?base64?dG9vbHMvY2FsbA==?=' },
    { 'mcp-method': '' },
    { 'mcp-method': 'tools/call, tools/call' },
    { 'mcp-protocol-version': LEGACY_VERSION },
    { 'mcp-protocol-version': '' },
    { 'mcp-protocol-version': '2026-07-29' },
  ]
  for (const fields of wrong) {
    const answer = await send(t, url, { ...call, headers: { ...call.headers, ...fields } })
    assert.equal(answer.status, 400, JSON.stringify(fields))
    const { id, error } = await answer.json()
    assert.deepEqual([id, error.code], [1, -32020], JSON.stringify(fields))
  }
  for (const name of ['mcp-method', 'mcp-name', 'mcp-protocol-version']) {
    const { [name]: _, ...headers } = call.headers
    assert.equal((await (await send(t, url, { ...call, headers })).json()).error.code, -32020, name)
    const twice = ['host', '127.0.0.1', ...Object.entries(call.headers).flat(), name, String(call.headers[name])]
    assert.equal((await send(t, url, { ...call, headers: twice })).status, 400, `${name} twice`)
  }
  assert.equal(upstream.requests.length, 0)
  const odd = { ...call.headers, 'mcp-method': '  tools/call ', 'mcp-name': '\ta ' }
  assert.equal((await send(t, url, { ...call, headers: odd })).status, 200)
})
