import assert from 'node:assert/strict'
import { createHash } from 'node:crypto'
import { describe, test } from 'node:test'
import { begin, send } from '../helpers/http-client.ts'
import { initialize, initializeResult, legacy, modern, notification, rpc } from '../helpers/mcp-messages.ts'
import { interceptor, startPair, startProxy } from '../helpers/proxy.ts'
import { type Scope, until } from '../helpers/scope.ts'
import type { ScriptedAnswer } from '../helpers/scripted-answer.ts'
import { type RecordedRequest, type ScriptedUpstream, startScriptedUpstream } from '../helpers/scripted-upstream.ts'

const PING = legacy(rpc(1, 'ping'))

function withHeaders(headers: Record<string, string>): typeof PING {
  return { ...PING, headers: { ...PING.headers, ...headers } }
}

describe('DNS rebinding and foreign pages', () => {
  const HOSTS: Readonly<Record<string, number>> = {
    '127.0.0.1': 200,
    '127.0.0.1:1': 200,
    '127.9.9.9': 200,
    localhost: 200,
    'LOCALHOST:8080': 200,
    'localhost.': 200,
    'app.localhost': 200,
    '[::1]:8080': 200,
    'evil.example': 403,
    'evil.example:8080': 403,
    'localhost.evil.example': 403,
    'evil-localhost': 403,
    '127.0.0.1.evil.example': 403,
    '127.0.0.1.': 200,
    '127.1': 403,
    '2130706433': 403,
    '0x7f.1': 403,
    '0.0.0.0': 403,
    '[::]': 403,
    '192.168.0.1': 403,
    'user@localhost': 403,
    'localhost/': 403,
    'localhost localhost': 403,
    'localhost,evil.example': 403,
    'localhost\xa0': 403,
  }
  test('a loopback listener answers for loopback hosts only', async t => {
    const { url, upstream } = await startPair(t)
    for (const [host, status] of Object.entries(HOSTS)) {
      const answer = await send(t, url, withHeaders({ host }))
      assert.equal(answer.status, status, host)
      if (status === 403) assert.equal((await answer.json()).error.data.code, 'host_denied')
    }
    assert.equal(upstream.requests.length, Object.values(HOSTS).filter(status => status === 200).length)
  })

  const ORIGINS: Readonly<Record<string, number>> = {
    'http://localhost:3000': 200,
    'https://localhost': 200,
    'http://127.0.0.1:6274': 200,
    'http://[::1]:3000': 200,
    'http://app.localhost': 200,
    null: 403,
    'http://evil.example': 403,
    'http://localhost.evil.example': 403,
    'http://127.0.0.1.evil.example': 403,
    'http://localhost@evil.example': 403,
    'http://evil.example#localhost': 403,
    'http://localhost/': 403,
    'file://localhost': 403,
    'chrome-extension://localhost': 403,
    'http://localhost http://evil.example': 403,
    localhost: 403,
  }
  test('only pages of this machine, or listed ones, get through', async t => {
    const { url, upstream } = await startPair(t)
    for (const [origin, status] of Object.entries(ORIGINS)) {
      const answer = await send(t, url, withHeaders({ origin }))
      assert.equal(answer.status, status, origin)
      assert.equal(answer.headers['access-control-allow-origin'], status === 200 ? origin : undefined, origin)
    }
    assert.equal(upstream.requests.length, Object.values(ORIGINS).filter(status => status === 200).length)
    assert.ok(upstream.requests.every(request => request.header('origin') === undefined))
  })

  test('GET, DELETE and OPTIONS are no way around', async t => {
    const { url, upstream } = await startPair(t)
    for (const method of ['GET', 'DELETE', 'OPTIONS']) {
      for (const headers of [{ host: 'evil.example' }, { origin: 'http://evil.example' }] as Record<string, string>[]) {
        assert.equal((await send(t, url, { method, headers })).status, 403, `${method} ${JSON.stringify(headers)}`)
      }
    }
    assert.equal(upstream.requests.length, 0)
  })

  test('listed hosts and origins are let in, and they alone', async t => {
    const { url } = await startPair(
      t,
      {},
      { config: { allowedHosts: ['mcp.example', '*.corp.example'], allowedOrigins: ['https://app.example'] } },
    )
    const status = async (headers: Record<string, string>): Promise<number> =>
      (await send(t, url, withHeaders(headers))).status
    for (const host of ['mcp.example', 'MCP.example:8443', 'a.corp.example'])
      assert.equal(await status({ host }), 200, host)
    for (const host of ['xmcp.example', 'corp.example', 'acorp.example'])
      assert.equal(await status({ host }), 403, host)
    assert.equal(await status({ origin: 'https://app.example' }), 200)
    for (const origin of ['http://app.example', 'https://app.example:444', 'https://sub.app.example', 'null']) {
      assert.equal(await status({ origin }), 403, origin)
    }
  })

  test('a listener on all addresses checks origins, and hosts once they are listed', async t => {
    // An IPv4 address in IPv6 clothes: only this machine reaches it, and it is none that the guard takes for loopback.
    const listen = { host: '::ffff:127.0.0.1', port: 0 }
    const upstream = await startScriptedUpstream(t)
    const open = await startProxy(t, { servers: upstream.url, config: { listen } })
    const at = (url: string): string => `http://127.0.0.1:${new URL(url).port}/mcp`
    const status = async (url: string, headers: Record<string, string>): Promise<number> =>
      (await send(t, at(url), withHeaders(headers))).status
    assert.equal(await status(open.url, { host: 'anything.example' }), 200)
    assert.equal(await status(open.url, { origin: 'http://localhost:3000' }), 403)
    const listed = await startProxy(t, {
      servers: upstream.url,
      config: { listen, allowedHosts: ['mcp.example'], trustClientId: true },
    })
    assert.equal(await status(listed.url, { host: 'mcp.example' }), 200)
    assert.equal(await status(listed.url, { host: 'localhost' }), 403)
    assert.equal(await status(listed.url, { host: 'mcp.example', 'x-client-id': 'bob' }), 200)
    assert.equal((await listed.ended(1)).client, 'anonymous')
  })
})

describe('CORS', () => {
  const origin = 'https://app.example'
  const config = { allowedOrigins: [origin] }
  const asked = {
    origin,
    'access-control-request-method': 'POST',
    'access-control-request-headers': 'content-type, mcp-param-Region, x-evil, mcp-param-b',
  }

  test('a preflight names methods and fields, and each Mcp-Param that was asked for', async t => {
    const { url, upstream } = await startPair(t, {}, { config, clients: [] })
    const answer = await send(t, url, { method: 'OPTIONS', headers: asked })
    assert.equal(answer.status, 204)
    assert.equal(answer.headers['access-control-allow-origin'], origin)
    assert.match(answer.headers['access-control-allow-methods'] ?? '', /GET.*POST.*DELETE/)
    const fields = (answer.headers['access-control-allow-headers'] ?? '').split(', ')
    for (const name of [
      'authorization',
      'content-type',
      'mcp-session-id',
      'mcp-protocol-version',
      'last-event-id',
      'mcp-method',
      'mcp-name',
      'mcp-param-region',
      'mcp-param-b',
    ]) {
      assert.ok(fields.includes(name), name)
    }
    assert.ok(!fields.includes('x-evil'))
    assert.equal(upstream.requests.length, 0)
  })

  test('a preflight needs no key, for browsers send none', async t => {
    const clients = [{ name: 'ci', keyHashes: [createHash('sha256').update('key').digest()] }]
    const { url } = await startPair(t, {}, { config: { ...config, anonymous: 'deny' }, clients })
    assert.equal((await send(t, url, { method: 'OPTIONS', headers: asked })).status, 204)
    const refused = await send(t, url, withHeaders({ origin }))
    assert.equal(refused.status, 401)
    assert.equal(refused.headers['access-control-allow-origin'], origin)
    assert.match(String(refused.headers['access-control-expose-headers']), /www-authenticate/)
  })

  test("the server's own CORS answer is replaced, for two make a browser refuse both", async t => {
    const theirs = {
      'access-control-allow-origin': '*',
      'Access-Control-Allow-Credentials': 'true',
      'content-type': 'application/json',
    }
    const { url } = await startPair(
      t,
      (_, answer) => answer.json({ jsonrpc: '2.0', id: 1, result: {} }, { headers: theirs }),
      { config },
    )
    const answer = await send(t, url, withHeaders({ origin }))
    const values = answer.rawHeaders.filter(
      (_, i) => i % 2 === 1 && answer.rawHeaders[i - 1]?.toLowerCase() === 'access-control-allow-origin',
    )
    assert.deepEqual(values, [origin])
    assert.equal(answer.headers['access-control-allow-credentials'], undefined)
    assert.match(answer.headers.vary ?? '', /origin/i)
  })
})

const KEY = 'sk-sluice-0123456789-the-secret-key'
const CLIENTS = [{ name: 'ci', keyHashes: [createHash('sha256').update(KEY).digest()] }]

describe('API keys', () => {
  test('a wrong key is never anonymous', async t => {
    const { url, upstream } = await startPair(t, {}, { clients: CLIENTS })
    const wrong = [
      `Bearer ${KEY}x`,
      'Bearer ',
      'Bearer',
      `Basic ${btoa(`ci:${KEY}`)}`,
      KEY,
      `Bearer ${KEY} x`,
      `Bearer ${'x'.repeat(5000)}`,
    ]
    for (const authorization of wrong) {
      const answer = await send(t, url, withHeaders({ authorization }))
      assert.equal(answer.status, 401, authorization)
      assert.match(answer.headers['www-authenticate'] ?? '', /^Bearer /)
      assert.ok(!(await answer.text()).includes(KEY))
    }
    assert.equal(upstream.requests.length, 0)
    assert.equal((await send(t, url, PING)).status, 200)
    assert.equal((await send(t, url, withHeaders({ authorization: `bearer  ${KEY}` }))).status, 200)
  })

  test('without a key nobody is let in where anonymous is denied', async t => {
    const { url, proxy } = await startPair(t, {}, { clients: CLIENTS, config: { anonymous: 'deny' } })
    assert.equal((await send(t, url, PING)).status, 401)
    assert.equal((await send(t, url, withHeaders({ authorization: `Bearer ${KEY}` }))).status, 200)
    assert.equal((await proxy.ended(1)).client, 'ci')
  })

  test('a claimed name counts only where it is trusted, and never that of a client with a key', async t => {
    const distrusting = await startPair(t, {}, { clients: CLIENTS })
    await send(t, distrusting.url, withHeaders({ 'x-client-id': 'bob' }))
    assert.equal((await distrusting.proxy.ended(1)).client, 'anonymous')
    const trusting = await startPair(t, {}, { clients: CLIENTS, config: { trustClientId: true } })
    assert.equal((await send(t, trusting.url, withHeaders({ 'x-client-id': 'bob' }))).status, 200)
    assert.equal((await trusting.proxy.ended(1)).client, 'bob')
    for (const name of ['ci', 'a b', '', '../x', 'x'.repeat(200)]) {
      const answer = await send(t, trusting.url, withHeaders({ 'x-client-id': name }))
      assert.equal(answer.status, name === '' ? 200 : 401, name)
    }
    const both = await send(t, trusting.url, withHeaders({ 'x-client-id': 'bob', authorization: `Bearer ${KEY}` }))
    assert.equal(both.status, 200)
    assert.equal((await trusting.proxy.ended(3)).client, 'ci')
  })

  for (const name of ['authorization', 'x-client-id', 'mcp-session-id', 'origin']) {
    test(`two fields ${name} are refused`, async t => {
      const { url, upstream } = await startPair(t, {}, { config: { trustClientId: true } })
      const value = name === 'origin' ? 'http://localhost' : 'a'
      const headers = ['host', '127.0.0.1', ...Object.entries(PING.headers).flat(), name, value, name, `${value}b`]
      assert.ok([400, 403].includes((await send(t, url, { ...PING, headers })).status))
      assert.equal(upstream.requests.length, 0)
    })
  }
})

describe('credentials of one side do not reach the other', () => {
  const credentials = {
    authorization: 'Bearer theirs',
    cookie: 'session=1',
    'proxy-authorization': 'Basic x',
    'x-client-id': 'bob',
  }

  for (const forwardAuthorization of [false, true]) {
    test(`forward_authorization: ${forwardAuthorization}`, async t => {
      const { url, upstream } = await startPair(t, {}, { server: { forwardAuthorization } })
      for (const post of [
        PING,
        modern(1, 'tools/list'),
        legacy(notification('notifications/initialized')),
        initialize(),
      ]) {
        await send(t, url, { ...post, headers: { ...post.headers, ...credentials } })
        const request = await upstream.next()
        assert.equal(request.header('authorization'), forwardAuthorization ? 'Bearer theirs' : undefined)
        for (const name of ['cookie', 'proxy-authorization', 'x-client-id'])
          assert.equal(request.header(name), undefined)
      }
    })
  }

  test('a key of ours is not passed on even where credentials are', async t => {
    const { url, upstream } = await startPair(t, {}, { clients: CLIENTS, server: { forwardAuthorization: true } })
    await send(t, url, withHeaders({ authorization: `Bearer ${KEY}` }))
    assert.equal((await upstream.next()).header('authorization'), undefined)
  })

  test('Connection cannot take away what the operator adds', async t => {
    const headers = [
      ['authorization', 'Bearer static'],
      ['x-tenant', 'a'],
    ] as const
    const { url, upstream } = await startPair(t, {}, { server: { headers } })
    await send(
      t,
      url,
      withHeaders({ connection: 'close, authorization, x-tenant, mcp-protocol-version', 'x-tenant': 'b' }),
    )
    const request = await upstream.next()
    assert.deepEqual(request.headerValues('authorization'), ['Bearer static'])
    assert.deepEqual(request.headerValues('x-tenant'), ['a'])
    assert.equal(request.header('mcp-protocol-version'), '2025-11-25')
  })

  test("the server's challenge stays with the proxy", async t => {
    const { url, proxy } = await startPair(t, (_, answer) =>
      answer.status(401, 'no', { 'www-authenticate': 'Bearer resource_metadata="http://inside.example"' }),
    )
    const answer = await send(t, url, PING)
    assert.equal(answer.status, 502)
    assert.equal(answer.headers['www-authenticate'], undefined)
    assert.ok(!(await answer.text()).includes('inside.example'))
    assert.equal((await proxy.ended(1)).outcome.code, 'upstream_unauthorized')
  })

  test('interceptors see no credentials', async t => {
    const seen: (string | null)[] = []
    const looks = interceptor('looks', {
      request(_, exchange) {
        for (const name of ['Authorization', 'COOKIE', 'proxy-authorization', 'mcp-session-id'])
          seen.push(exchange.header(name))
      },
    })
    const { url } = await startPair(t, {}, { interceptors: [looks] })
    assert.equal((await send(t, url, withHeaders(credentials))).status, 200)
    assert.deepEqual(seen, [null, null, null, null])
  })
})

describe('session tokens', () => {
  function withSession(request: RecordedRequest, answer: ScriptedAnswer): void {
    if (request.method !== 'POST') answer.status(200)
    else answer.json(initializeResult(request.json().id), { headers: { 'mcp-session-id': 'upstream-session' } })
  }

  async function open(scope: Scope, url: string, headers: Record<string, string> = {}): Promise<string> {
    const post = initialize()
    const answer = await send(scope, url, { ...post, headers: { ...post.headers, ...headers } })
    return String(answer.headers['mcp-session-id'])
  }

  test('are bound to the client and to the server', async t => {
    const a = await startScriptedUpstream(t, withSession)
    const b = await startScriptedUpstream(t, withSession)
    const proxy = await startProxy(t, {
      servers: { a: a.url, b: b.url },
      clients: CLIENTS,
      config: { trustClientId: true },
    })
    const token = await open(t, proxy.endpoint('a'), { 'x-client-id': 'bob' })
    assert.ok(!token.includes('upstream-session') && !Buffer.from(token, 'base64url').includes('upstream-session'))
    const status = async (server: string, headers: Record<string, string>, session = token): Promise<number> =>
      (await send(t, proxy.endpoint(server), legacy(rpc(2, 'ping'), { session, headers }))).status
    assert.equal(await status('a', { 'x-client-id': 'bob' }), 200)
    assert.equal(await status('a', { 'x-client-id': 'eve' }), 404)
    assert.equal(await status('a', {}), 404)
    assert.equal(await status('a', { authorization: `Bearer ${KEY}` }), 404)
    assert.equal(await status('b', { 'x-client-id': 'bob' }), 404)
    for (const forged of [`${token}x`, token.slice(0, -2), token.toUpperCase(), 'upstream-session', '', ' ']) {
      assert.equal(await status('a', { 'x-client-id': 'bob' }, forged), forged.trim() === '' ? 200 : 404, forged)
    }
    const middle = token.length >> 1
    const flipped = token.slice(0, middle) + (token[middle] === 'A' ? 'B' : 'A') + token.slice(middle + 1)
    assert.equal(await status('a', { 'x-client-id': 'bob' }, flipped), 404)
    assert.equal(b.requests.length, 0)
    assert.deepEqual(
      a.requests.map(request => request.header('mcp-session-id')),
      [undefined, 'upstream-session', undefined, undefined],
    )
  })

  test('another key makes another proxy: its tokens are no sessions here', async t => {
    const upstream = await startScriptedUpstream(t, withSession)
    const other = await startProxy(t, { servers: upstream.url, sessionKey: Buffer.alloc(32, 1) })
    const token = await open(t, other.endpoint())
    const proxy = await startProxy(t, { servers: upstream.url })
    for (const method of ['GET', 'DELETE']) {
      assert.equal((await send(t, proxy.endpoint(), { method, headers: { 'mcp-session-id': token } })).status, 404)
    }
    assert.equal(upstream.requests.length, 1)
  })
})

describe('the admin listener', () => {
  test('answers no name that could be rebound, and only reads', async t => {
    const upstream: ScriptedUpstream = await startScriptedUpstream(t)
    const { sluice } = await startProxy(t, { servers: upstream.url, config: { admin: { host: '127.0.0.1', port: 0 } } })
    const status = async (headers: Record<string, string>, method = 'GET'): Promise<number> =>
      (await send(t, `${sluice.adminUrl}/metrics`, { method, headers })).status
    for (const host of ['127.0.0.1', 'localhost:8081', '[::1]']) assert.equal(await status({ host }), 200, host)
    for (const host of ['evil.example', 'localhost.evil.example', '127.0.0.1.evil.example', 'a b']) {
      assert.ok([400, 403].includes(await status({ host })), host)
    }
    for (const method of ['POST', 'DELETE', 'PUT']) assert.equal(await status({}, method), 405)
  })
})

test('a listener that is asked by somebody else in the same moment keeps principals apart', async t => {
  const { url, proxy } = await startPair(t, {}, { config: { trustClientId: true } })
  const names = Array.from({ length: 50 }, (_, i) => `client-${i}`)
  const calls = names.map(name => begin(t, url, withHeaders({ 'x-client-id': name })))
  for (const call of calls) assert.equal((await call.answer).status, 200)
  await until(() => proxy.ends.length === names.length, 'all of them')
  assert.deepEqual(proxy.ends.map(({ client }) => client).toSorted(), names.toSorted())
})
