import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import type { Hook, Json, JsonObject } from '#api'
import { send } from '../helpers/http-client.ts'
import { headerValue, LEGACY_VERSION, legacy, modern, POST_HEADERS, result, rpc } from '../helpers/mcp-messages.ts'
import { interceptor, startPair, startProxy, VIEWS } from '../helpers/proxy.ts'
import { connectRaw, rawPost } from '../helpers/raw-client.ts'
import type { RecordedRequest, Script } from '../helpers/scripted-upstream.ts'
import { startScriptedUpstream } from '../helpers/scripted-upstream.ts'
import { sseEvent } from '../helpers/sse.ts'

const PING = JSON.stringify(rpc(7, 'ping'))

/** Sends a POST with exactly these header lines. */
async function post(t: Parameters<typeof connectRaw>[0], url: string, lines: readonly string[]) {
  const client = await connectRaw(t, url)
  await client.send(rawPost('/mcp', new URL(url).host, ['Content-Type: application/json', ...lines], PING))
  return client.readResponse()
}

for (const { view, interceptors } of VIEWS) {
  describe(`headers: ${view}`, () => {
    test('end-to-end fields of a request pass, in order, with all their values', async t => {
      const { upstream, url } = await startPair(t, {}, { interceptors })
      await post(t, url, [
        'Accept: application/json, text/event-stream',
        'X-Request-ID: Abc 1',
        'traceparent: 00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01',
        'X-Twice: one',
        'User-Agent: me/1.0 (caf\xe9)',
        'x-twice: two, three',
        'MCP-Protocol-Version: 2025-11-25',
        'Forwarded: for=192.0.2.1',
        'Mcp-Param-Unknown: =?base64?w7w=?=',
        'X-Empty:',
      ])
      const request = await upstream.next()
      assert.deepEqual(request.headerValues('x-twice'), ['one', 'two, three'])
      const wanted: Record<string, string> = {
        accept: 'application/json, text/event-stream',
        'x-request-id': 'Abc 1',
        traceparent: '00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01',
        'user-agent': 'me/1.0 (caf\xe9)',
        'mcp-protocol-version': '2025-11-25',
        forwarded: 'for=192.0.2.1',
        'mcp-param-unknown': '=?base64?w7w=?=',
        'content-type': 'application/json',
        'content-length': String(PING.length),
        'x-empty': '',
      }
      for (const [name, value] of Object.entries(wanted)) assert.deepEqual(request.headerValues(name), [value], name)
    })

    test("the server gets its own Host, and nothing of the client's credentials or connection", async t => {
      const { upstream, proxy, url } = await startPair(t, {}, { interceptors })
      const { head } = await post(t, url, [
        `Origin: ${proxy.url}`,
        'Cookie: session=secret',
        'Authorization: Bearer secret',
        'Proxy-Authorization: Basic secret',
        'Connection: close, X-Hop, TE',
        'X-Hop: secret',
        'X-Stays: yes',
        'TE: trailers',
        'Keep-Alive: timeout=5',
        'Proxy-Connection: keep-alive',
        'Trailer: X-T',
        'Upgrade-Insecure-Requests: 1',
      ])
      assert.equal(head.status, 200)
      const request = await upstream.next()
      assert.equal(request.rawHeaders.join('\n').includes('secret'), false)
      assert.deepEqual(request.headerValues('host'), [new URL(upstream.url).host])
      for (const name of ['origin', 'te', 'keep-alive', 'proxy-connection', 'trailer', 'x-hop']) {
        assert.deepEqual(request.headerValues(name), [], name)
      }
      assert.equal(request.header('x-stays'), 'yes')
      assert.ok(['keep-alive', undefined].includes(request.header('connection')?.toLowerCase()))
    })

    test('Connection cannot remove what the proxy and the server rely on', async t => {
      const { upstream, url } = await startPair(t, {}, { interceptors })
      await post(t, url, ['Connection: keep-alive, Mcp-Param-X, Content-Type, Mcp-Protocol-Version', 'Mcp-Param-X: 1'])
      const request = await upstream.next()
      assert.deepEqual([request.header('mcp-param-x'), request.header('content-type')], ['1', 'application/json'])
    })

    for (const shape of ['JSON', 'events'] as const) {
      test(`end-to-end fields of an answer by ${shape} pass, hop-by-hop ones do not`, async t => {
        const fields = [
          ['Date', 'Thu, 01 Jan 2026 00:00:00 GMT'],
          ['X-Request-ID', 'r-1'],
          ['Set-Cookie', 'a=1'],
          ['set-cookie', 'b=2; Path=/'],
          ['Cache-Control', 'no-store, no-transform'],
          ['X-Accel-Buffering', 'no'],
          ['Vary', 'accept'],
          ['vary', 'origin'],
          ['X-Hop', 'secret'],
          ['Connection', 'X-Hop, keep-alive'],
          ['Keep-Alive', 'timeout=99'],
          ['Proxy-Authenticate', 'Basic'],
          ...(shape === 'events' ? [['Trailer', 'X-T']] : []),
        ].flat()
        const script: Script = (_, answer) =>
          shape === 'JSON'
            ? answer.json(result(7, {}), { headers: fields })
            : answer.events([sseEvent(result(7, {}))], fields)
        const { url } = await startPair(t, script, { interceptors })
        const { head } = await post(t, url, [])
        const values = (name: string): string[] =>
          head.rawHeaders.filter((_, i) => i % 2 === 1 && head.rawHeaders[i - 1]?.toLowerCase() === name)
        assert.deepEqual(values('date'), ['Thu, 01 Jan 2026 00:00:00 GMT'])
        assert.deepEqual(values('set-cookie'), ['a=1', 'b=2; Path=/'])
        assert.equal(values('vary').join(', '), 'accept, origin')
        assert.deepEqual(values('cache-control'), ['no-store, no-transform'])
        assert.deepEqual([values('x-request-id'), values('x-accel-buffering')], [['r-1'], ['no']])
        for (const name of ['x-hop', 'proxy-authenticate', 'trailer']) assert.deepEqual(values(name), [], name)
        assert.equal(values('keep-alive').includes('timeout=99'), false)
        assert.equal(values('content-type').length, 1)
      })
    }

    test('the query goes to the server', async t => {
      const upstream = await startScriptedUpstream(t)
      const proxy = await startProxy(t, { servers: { s: `${upstream.url}?tenant=a` }, interceptors })
      await send(t, `${proxy.endpoint()}?x=1&y=%20`, legacy(rpc(1, 'ping')))
      assert.equal((await upstream.next()).target, '/mcp?tenant=a&x=1&y=%20')
      await send(t, proxy.endpoint('s'), legacy(rpc(1, 'ping')))
      assert.equal((await upstream.next()).target, '/mcp?tenant=a')
    })

    test('forward_authorization passes the credential, and headers of the operator win', async t => {
      const server = { forwardAuthorization: true, headers: [['x-tenant', 'ours'] as const, ['x-new', '1'] as const] }
      const { upstream, url } = await startPair(t, {}, { interceptors, server })
      await post(t, url, ['Authorization: Bearer theirs', 'X-Tenant: theirs', 'Cookie: a=1'])
      const request = await upstream.next()
      assert.deepEqual(request.headerValues('authorization'), ['Bearer theirs'])
      assert.deepEqual([request.headerValues('x-tenant'), request.header('x-new')], [['ours'], '1'])
      assert.deepEqual(request.headerValues('cookie'), [])
    })

    test('a credential of the operator goes to the server instead of the one of the client', async t => {
      const { upstream, url } = await startPair(
        t,
        {},
        { interceptors, server: { headers: [['authorization', 'Bearer ours']] } },
      )
      await post(t, url, ['Authorization: Bearer theirs'])
      assert.deepEqual((await upstream.next()).headerValues('authorization'), ['Bearer ours'])
    })

    test('unedited calls keep Mcp-Name and Mcp-Param-* as they came', async t => {
      const { upstream, url } = await startPair(t, {}, { interceptors })
      const headers = {
        'mcp-name': '=?base64?dA==?=',
        'Mcp-Param-Region': '=?base64?ZXU=?=',
        'mcp-param-unknown': 'x y',
      }
      await send(t, url, modern(7, 'tools/call', { name: 't', arguments: { region: 'eu' } }, { headers }))
      const request = await upstream.next()
      for (const [name, value] of Object.entries(headers)) assert.deepEqual(request.headerValues(name), [value])
      assert.equal(upstream.requests.length, 1)
    })
  })
}

/** Sets one member of `params`. */
function setParam(path: readonly [string, ...string[]], value: Json): Hook<unknown> {
  return message => {
    if (message.method !== 'tools/call' && message.method !== 'resources/read') return undefined
    message.edit(json => {
      let at = json['params'] as JsonObject
      for (const key of path.slice(0, -1)) at = at[key] as JsonObject
      at[path.at(-1) as string] = value
    })
    return undefined
  }
}

describe('headers: after an edit', () => {
  test('Mcp-Name says the new name', async t => {
    for (const name of ['other', 'grüße', ' spaced ', '=?base64?eA==?=', 'line\nbreak', '']) {
      const { upstream, url } = await startPair(
        t,
        {},
        { interceptors: [interceptor('rename', { request: setParam(['name'], name) })] },
      )
      const answer = await send(t, url, modern(7, 'tools/call', { name: 't', arguments: {} }))
      assert.equal(answer.status, 200)
      const request = await upstream.next()
      assert.equal(request.json().params.name, name)
      assert.deepEqual(request.headerValues('mcp-name'), [headerValue(name)])
      assert.deepEqual(request.headerValues('mcp-method'), ['tools/call'])
      assert.deepEqual(request.headerValues('content-length'), [String(request.body.length)])
    }
  })

  test('Mcp-Name says the new uri', async t => {
    const rename = interceptor('rename', { request: setParam(['uri'], 'file:///ü') })
    const { upstream, url } = await startPair(t, {}, { interceptors: [rename] })
    await send(t, url, modern(7, 'resources/read', { uri: 'file:///a' }))
    assert.deepEqual((await upstream.next()).headerValues('mcp-name'), [headerValue('file:///ü')])
  })

  test('Mcp-Method says the new method', async t => {
    const change: Hook<unknown> = message => {
      message.edit(json => void (json['method'] = 'vendor/other'))
      return undefined
    }
    const { upstream, url } = await startPair(t, {}, { interceptors: [interceptor('change', { request: change })] })
    await send(t, url, modern(7, 'tools/list'))
    const request = await upstream.next()
    assert.deepEqual([request.json().method, request.headerValues('mcp-method')], ['vendor/other', ['vendor/other']])
  })

  test('a legacy call gets no headers that it did not have', async t => {
    const rename = interceptor('rename', { request: setParam(['name'], 'other') })
    const { upstream, url } = await startPair(t, {}, { interceptors: [rename] })
    await send(t, url, legacy(rpc(7, 'tools/call', { name: 't' })))
    const request = await upstream.next()
    assert.deepEqual([request.headerValues('mcp-name'), request.headerValues('mcp-method')], [[], []])
  })

  const property = (header: string, type = 'string'): JsonObject => ({ type, 'x-mcp-header': header })
  const TOOL = {
    name: 't',
    inputSchema: {
      type: 'object',
      properties: {
        region: property('Region'),
        count: property('Count', 'integer'),
        dry: property('Dry-Run', 'boolean'),
        where: { type: 'object', properties: { zone: property('Zone') } },
        free: { type: 'string' },
      },
    },
  }
  /** A server that describes its one tool, on the second page. */
  const withTool: Script = (request, answer) => {
    const { id, method, params } = request.json()
    if (method !== 'tools/list') answer.json(result(id, {}))
    else if (params?.cursor === undefined)
      answer.json(result(id, { tools: [{ name: 'x', inputSchema: {} }], nextCursor: '' }))
    else answer.json(result(id, { tools: [TOOL] }))
  }
  const ARGUMENTS = { region: 'eu', count: 1, dry: true, where: { zone: 'z' }, free: 'x' }
  const PARAMS = {
    'mcp-param-region': 'eu',
    'mcp-param-count': '1',
    'mcp-param-dry-run': 'true',
    'mcp-param-zone': 'z',
  }
  const call = () =>
    modern(7, 'tools/call', { name: 't', arguments: ARGUMENTS }, { headers: { ...PARAMS, 'mcp-param-stray': 'x' } })

  const paramsOf = (request: RecordedRequest | undefined): Record<string, string> => {
    const found: Record<string, string> = {}
    for (let i = 0; i < (request?.rawHeaders.length ?? 0); i += 2) {
      const name = request?.rawHeaders[i]?.toLowerCase() ?? ''
      if (name.startsWith('mcp-param-')) found[name] = request?.rawHeaders[i + 1] ?? ''
    }
    return found
  }

  for (const [path, value, wanted] of [
    [['region'], 'übersee', { ...PARAMS, 'mcp-param-region': headerValue('übersee') }],
    [['count'], 42, { ...PARAMS, 'mcp-param-count': '42' }],
    [['dry'], null, { 'mcp-param-region': 'eu', 'mcp-param-count': '1', 'mcp-param-zone': 'z' }],
    [['where', 'zone'], 'y', { ...PARAMS, 'mcp-param-zone': 'y' }],
    [['free'], 'y', PARAMS],
  ] as const) {
    test(`Mcp-Param-* says the new ${path.join('.')}, by the schema that the server tells`, async t => {
      const edit = interceptor('edit', { request: setParam(['arguments', ...path], value) })
      const { upstream, url } = await startPair(t, withTool, { interceptors: [edit] })
      assert.equal((await send(t, url, call())).status, 200)
      const asked = upstream.requests.slice(0, -1)
      assert.deepEqual(
        asked.map(request => [request.json().method, request.header('mcp-method'), request.header('mcp-name')]),
        [
          ['tools/list', 'tools/list', undefined],
          ['tools/list', 'tools/list', undefined],
        ],
      )
      for (const request of asked) {
        assert.deepEqual(paramsOf(request), {})
        assert.equal(request.json().params._meta['io.modelcontextprotocol/protocolVersion'], '2026-07-28')
      }
      assert.deepEqual(paramsOf(upstream.requests.at(-1)), { ...wanted, 'mcp-param-stray': 'x' })
      // The schema is remembered.
      const before = upstream.requests.length
      assert.equal((await send(t, url, call())).status, 200)
      assert.equal(upstream.requests.length, before + 1)
      assert.deepEqual(paramsOf(upstream.requests.at(-1)), { ...wanted, 'mcp-param-stray': 'x' })
    })
  }

  test('an argument that an edit adds gets its header, once the tool is known', async t => {
    const edit = setParam(['arguments', 'region'], 'us')
    const { upstream, url } = await startPair(t, withTool, {
      interceptors: [interceptor('edit', { request: edit, response: () => undefined })],
    })
    for (const params of [{}, { cursor: '' }]) await send(t, url, modern(1, 'tools/list', params))
    const before = upstream.requests.length
    assert.equal((await send(t, url, modern(7, 'tools/call', { name: 't', arguments: {} }))).status, 200)
    assert.deepEqual(paramsOf(upstream.requests.at(-1)), { 'mcp-param-region': 'us' })
    assert.equal(upstream.requests.length, before + 1)
  })

  test('a field that was not true before the edit goes on as it came: the server judges', async t => {
    const edit = interceptor('edit', { request: setParam(['arguments', 'region'], 'us') })
    const { upstream, url } = await startPair(t, withTool, { interceptors: [edit] })
    const lie = { headers: { ...PARAMS, 'mcp-param-region': 'mars' } }
    await send(t, url, modern(7, 'tools/call', { name: 't', arguments: ARGUMENTS }, lie))
    assert.deepEqual(paramsOf(upstream.requests.at(-1)), lie.headers)
  })
})

test('a server at another address is named by its own Host', async t => {
  const upstream = await startScriptedUpstream(t)
  const servers = upstream.url.replace('127.0.0.1', 'localhost')
  const proxy = await startProxy(t, { servers })
  const headers = { ...POST_HEADERS, 'mcp-protocol-version': LEGACY_VERSION }
  assert.equal((await send(t, proxy.endpoint(), { headers, body: PING })).status, 200)
  assert.deepEqual((await upstream.next()).headerValues('host'), [`localhost:${upstream.port}`])
})
