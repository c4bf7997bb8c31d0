import assert from 'node:assert/strict'
import { createHash } from 'node:crypto'
import { describe, test } from 'node:test'
import { type HttpAnswer, type SendOptions, send } from '../helpers/http-client.ts'
import {
  error,
  initialize,
  initializeResult,
  legacy,
  modern,
  notification,
  result,
  rpc,
} from '../helpers/mcp-messages.ts'
import { startPair, startProxy, type TestProxy, VIEWS } from '../helpers/proxy.ts'
import type { Scope } from '../helpers/scope.ts'
import { type Script, startScriptedUpstream } from '../helpers/scripted-upstream.ts'
import { sseEvent } from '../helpers/sse.ts'

/** The server's own id: nothing of it may ever reach a client. */
const UPSTREAM_ID = 'upstream-session-0123456789'

/** A legacy server that hands out one session and insists on it. */
const stateful: Script = (request, answer) => {
  const session = request.header('mcp-session-id')
  if (request.method === 'POST' && request.json().method === 'initialize') {
    answer.json(initializeResult(request.json().id), { headers: { 'Mcp-Session-Id': UPSTREAM_ID } })
  } else if (session !== UPSTREAM_ID) {
    answer.json(error(request.method === 'POST' ? request.json().id : 0, -32001, 'Session not found'), { status: 404 })
  } else if (request.method === 'GET') {
    answer.events([sseEvent(notification('notifications/tools/list_changed'), { id: 'e-9' })])
  } else if (request.method === 'DELETE') {
    answer.status(200)
  } else if (request.json().id === undefined) {
    answer.status(202)
  } else {
    answer.json(result(request.json().id, { session: 'known' }), { headers: { 'mcp-session-id': UPSTREAM_ID } })
  }
}

async function open(scope: Scope, url: string, headers: Record<string, string> = {}): Promise<string> {
  const post = initialize()
  const answer = await send(scope, url, { ...post, headers: { ...post.headers, ...headers } })
  assert.equal(answer.status, 200)
  await answer.body()
  const token = answer.headers['mcp-session-id']
  assert.equal(typeof token, 'string')
  return token as string
}

function assertHidden(answer: HttpAnswer): void {
  const seen = [...answer.rawHeaders, answer.received.toString()].join('\n')
  assert.equal(seen.includes(UPSTREAM_ID), false)
  assert.equal(seen.includes(Buffer.from(UPSTREAM_ID).toString('base64url')), false)
}

/** Checks that a request with this session is told to start over. */
async function assertGone(
  scope: Scope,
  url: string,
  session: string,
  headers: Record<string, string> = {},
): Promise<void> {
  const answer = await send(scope, url, legacy(rpc(31, 'tools/list'), { session, headers }))
  assert.equal(answer.status, 404)
  const { id, error } = await answer.json()
  assert.deepEqual([id, error.code, error.data.code], [31, -31007, 'session_not_found'])
}

for (const { view, interceptors } of VIEWS) {
  describe(`sessions: ${view}`, () => {
    test('the client gets a token of ours, the server gets its own id', async t => {
      const { upstream, url } = await startPair(t, stateful, { interceptors })
      const answer = await send(t, url, initialize())
      await answer.body()
      assertHidden(answer)
      const token = answer.headers['mcp-session-id'] as string
      assert.match(token, /^[\x21-\x7e]{40,}$/)
      const call = await send(t, url, legacy(rpc(2, 'tools/list'), { session: token }))
      assert.deepEqual([call.status, await call.json()], [200, result(2, { session: 'known' })])
      assertHidden(call)
      assert.deepEqual(upstream.requests.at(-1)?.headerValues('mcp-session-id'), [UPSTREAM_ID])
      const note = await send(t, url, legacy(notification('notifications/initialized'), { session: token }))
      assert.equal(note.status, 202)
      assert.deepEqual(upstream.requests.at(-1)?.headerValues('mcp-session-id'), [UPSTREAM_ID])
    })

    test('tokens differ though the id of the server is the same', async t => {
      const { url } = await startPair(t, stateful, { interceptors })
      assert.notEqual(await open(t, url), await open(t, url))
    })

    test('an error that carries a session id does not show it either', async t => {
      const script: Script = (_, answer) =>
        answer.json(error(0, -32602, 'no'), { status: 400, headers: { 'mcp-session-id': UPSTREAM_ID } })
      const { url } = await startPair(t, script, { interceptors })
      const answer = await send(t, url, initialize())
      await answer.body()
      assert.equal(answer.status, 400)
      assertHidden(answer)
    })

    test('by events too', async t => {
      const script: Script = (request, answer) => {
        if (request.method !== 'POST' || request.json().method !== 'initialize') return stateful(request, answer)
        return answer.events([sseEvent(initializeResult())], { 'mcp-session-id': UPSTREAM_ID })
      }
      const { url } = await startPair(t, script, { interceptors })
      const session = await open(t, url)
      assert.equal((await send(t, url, legacy(rpc(2, 'tools/list'), { session }))).status, 200)
    })

    test('GET and DELETE carry the session, and Last-Event-ID passes', async t => {
      const { upstream, url } = await startPair(t, stateful, { interceptors })
      const session = await open(t, url)
      const headers = { accept: 'text/event-stream', 'mcp-session-id': session, 'Last-Event-ID': 'e-8' }
      const stream = await send(t, url, { method: 'GET', headers })
      assert.equal(await stream.text(), sseEvent(notification('notifications/tools/list_changed'), { id: 'e-9' }))
      assertHidden(stream)
      const get = upstream.requests.at(-1)
      assert.deepEqual(
        [get?.method, get?.header('mcp-session-id'), get?.header('last-event-id')],
        ['GET', UPSTREAM_ID, 'e-8'],
      )
      assert.equal(get?.body.length, 0)
      const end = await send(t, url, { method: 'DELETE', headers: { 'mcp-session-id': session } })
      assert.deepEqual([end.status, await end.text()], [200, ''])
      const del = upstream.requests.at(-1)
      assert.deepEqual([del?.method, del?.header('mcp-session-id')], ['DELETE', UPSTREAM_ID])
    })

    test('405 to GET and DELETE passes', async t => {
      const { url } = await startPair(t, (_, answer) => answer.status(405, '', { allow: 'POST' }), { interceptors })
      for (const method of ['GET', 'DELETE']) {
        const answer = await send(t, url, { method, headers: { accept: 'text/event-stream' } })
        assert.deepEqual([answer.status, answer.headers.allow, await answer.text()], [405, 'POST', ''])
      }
    })

    test("the server's own 404 is a 404", async t => {
      const { upstream, url } = await startPair(t, stateful, { interceptors })
      const session = await open(t, url)
      for (const respond of [
        (id: number): Script =>
          (_, answer) =>
            answer.json(error(id, -32001, 'Session not found'), { status: 404 }),
        (): Script => (_, answer) =>
          answer.json({ jsonrpc: '2.0', id: null, error: { code: -32001, message: 'x' } }, { status: 404 }),
        (): Script => (_, answer) => answer.json({ detail: 'Not Found' }, { status: 404 }),
        (): Script => (_, answer) => answer.status(404, 'Not found'),
        (): Script => (_, answer) => answer.status(404),
      ]) {
        upstream.script = respond(5)
        const answer = await send(t, url, legacy(rpc(5, 'tools/list'), { session }))
        await answer.body()
        assert.equal(answer.status, 404)
      }
    })

    test('a 400 that means a forgotten session is a 404', async t => {
      const { upstream, url } = await startPair(t, stateful, { interceptors })
      const session = await open(t, url)
      const none = {
        jsonrpc: '2.0',
        id: null,
        error: { code: -32000, message: 'Bad Request: No valid session ID provided' },
      }
      const scripts: Script[] = [
        (_, answer) => answer.json(none, { status: 400 }),
        (_, answer) => answer.json(error(5, -32000, 'Bad Request: Server not initialized'), { status: 400 }),
        (_, answer) => answer.status(400, 'Invalid or missing session ID'),
      ]
      for (const script of scripts) {
        upstream.script = script
        const answer = await send(t, url, legacy(rpc(5, 'tools/list'), { session }))
        await answer.body()
        assert.equal(answer.status, 404)
      }
    })

    test('another 400 stays one', async t => {
      const { upstream, url } = await startPair(t, stateful, { interceptors })
      const session = await open(t, url)
      const text = JSON.stringify(error(5, -32602, 'Invalid arguments: no such session variable'))
      upstream.script = (_, answer) => answer.json(text, { status: 400 })
      const answer = await send(t, url, legacy(rpc(5, 'tools/call', { name: 't' }), { session }))
      assert.deepEqual([answer.status, await answer.text()], [400, text])
    })

    test('a modern request has no session: the header is ignored, and stripped both ways', async t => {
      const script: Script = (request, answer) =>
        answer.json(result(request.json().id, {}), { headers: { 'mcp-session-id': UPSTREAM_ID } })
      const { upstream, url } = await startPair(t, script, { interceptors })
      const call = modern(3, 'tools/call', { name: 't' }, { headers: { 'mcp-session-id': 'not-one-of-ours' } })
      const answer = await send(t, url, call)
      assert.deepEqual([answer.status, await answer.json()], [200, result(3, {})])
      assert.equal(answer.headers['mcp-session-id'], undefined)
      assert.deepEqual(upstream.requests[0]?.headerValues('mcp-session-id'), [])
    })
  })
}

describe('session tokens', () => {
  test('work after a restart, and on another instance, with the same key', async t => {
    const upstream = await startScriptedUpstream(t, stateful)
    const first = await startProxy(t, { servers: upstream.url })
    const session = await open(t, first.endpoint())
    const other = await startProxy(t, { servers: upstream.url })
    await first.close()
    const answer = await send(t, other.endpoint(), legacy(rpc(2, 'tools/list'), { session }))
    assert.deepEqual([answer.status, await answer.json()], [200, result(2, { session: 'known' })])
  })

  test('do not work with another key', async t => {
    const upstream = await startScriptedUpstream(t, stateful)
    const one = await startProxy(t, { servers: upstream.url })
    const two = await startProxy(t, { servers: upstream.url, sessionKey: Buffer.alloc(32, 1) })
    await assertGone(t, two.endpoint(), await open(t, one.endpoint()))
    assert.equal(upstream.requests.length, 1)
  })

  const KEYS = { alice: 'sluice_alice-key', bob: 'sluice_bob-key' }
  const clients = Object.entries(KEYS).map(([name, key]) => ({
    name,
    keyHashes: [createHash('sha256').update(key).digest()],
  }))
  const as = (name: keyof typeof KEYS) => ({ authorization: `Bearer ${KEYS[name]}` })

  test('belong to who opened them', async t => {
    const upstream = await startScriptedUpstream(t, stateful)
    const url = (await startProxy(t, { servers: upstream.url, clients })).endpoint()
    const session = await open(t, url, as('alice'))
    await assertGone(t, url, session, as('bob'))
    await assertGone(t, url, session)
    assert.equal(upstream.requests.length, 1)
    const answer = await send(t, url, legacy(rpc(2, 'tools/list'), { session, headers: as('alice') }))
    assert.equal(answer.status, 200)
  })

  test('belong to one server', async t => {
    const upstream = await startScriptedUpstream(t, stateful)
    const proxy = await startProxy(t, { servers: { a: upstream.url, b: upstream.url } })
    const session = await open(t, proxy.endpoint('a'))
    await assertGone(t, proxy.endpoint('b'), session)
    assert.equal((await send(t, proxy.endpoint('a'), legacy(rpc(2, 'tools/list'), { session }))).status, 200)
  })

  describe('that are none', () => {
    const requests: Readonly<Record<string, (session: string) => SendOptions>> = {
      POST: session => legacy(rpc(31, 'tools/list'), { session }),
      'a notification': session => legacy(notification('notifications/initialized'), { session }),
      'an answer': session => legacy(result('s-1', {}), { session }),
      GET: session => ({ method: 'GET', headers: { accept: 'text/event-stream', 'mcp-session-id': session } }),
      DELETE: session => ({ method: 'DELETE', headers: { 'mcp-session-id': session } }),
    }
    for (const [what, make] of Object.entries(requests)) {
      test(`${what}: 404, and the server hears nothing`, async t => {
        const { upstream, url } = await startPair(t, stateful)
        const token = await open(t, url)
        const broken = [UPSTREAM_ID, 'x', 'a'.repeat(10_000), `${token}A`, token.slice(0, -1), token.replace(/.$/, '=')]
        broken.push(flip(token, 0), flip(token, 20), flip(token, token.length - 1))
        for (const session of broken) {
          const answer = await send(t, url, make(session))
          assert.equal(answer.status, 404, session)
          const { id, error } = await answer.json()
          assert.deepEqual([id, error.data.code], [what === 'POST' ? 31 : undefined, 'session_not_found'])
        }
        assert.equal(upstream.requests.length, 1)
      })
    }
  })

  test('do not matter to initialize: a client may start over with a dead one', async t => {
    const { upstream, url } = await startPair(t, stateful)
    const post = initialize()
    const answer = await send(t, url, { ...post, headers: { ...post.headers, 'mcp-session-id': 'dead' } })
    assert.equal(answer.status, 200)
    assert.deepEqual(upstream.requests[0]?.headerValues('mcp-session-id'), [])
  })
})

describe('sessions and replicas', () => {
  /** Each replica knows only its own sessions. */
  const replica =
    (name: string): Script =>
    (request, answer) => {
      if (request.json().method === 'initialize') {
        answer.json(initializeResult(request.json().id), { headers: { 'mcp-session-id': `session-of-${name}` } })
      } else if (request.header('mcp-session-id') === `session-of-${name}`) {
        answer.json(result(request.json().id, { name }))
      } else {
        answer.json(error(request.json().id, -32001, 'Session not found'), { status: 404 })
      }
    }

  async function startTwo(t: Scope): Promise<{ proxy: TestProxy; close: Map<string, () => Promise<void>> }> {
    const one = await startScriptedUpstream(t, replica('one'))
    const two = await startScriptedUpstream(t, replica('two'))
    const proxy = await startProxy(t, { servers: { s: [one.url, two.url] } })
    return {
      proxy,
      close: new Map([
        ['one', () => one.close()],
        ['two', () => two.close()],
      ]),
    }
  }

  test('a session stays on its replica', async t => {
    const { proxy } = await startTwo(t)
    const names = new Set<string>()
    for (let i = 0; i < 12; i++) {
      const session = await open(t, proxy.endpoint())
      const seen = new Set<string>()
      for (let j = 0; j < 4; j++) {
        const answer = await send(t, proxy.endpoint(), legacy(rpc(j, 'tools/list'), { session }))
        seen.add((await answer.json()).result.name)
      }
      assert.equal(seen.size, 1)
      names.add([...seen][0] as string)
    }
    assert.deepEqual([...names].sort(), ['one', 'two'])
  })

  test('a session whose replica is gone is gone: the client starts over on another', async t => {
    const { proxy, close } = await startTwo(t)
    const session = await open(t, proxy.endpoint())
    const first = await send(t, proxy.endpoint(), legacy(rpc(1, 'tools/list'), { session }))
    const { name } = (await first.json()).result
    await close.get(name)?.()
    await assertGone(t, proxy.endpoint(), session)
    const again = await open(t, proxy.endpoint())
    const answer = await send(t, proxy.endpoint(), legacy(rpc(2, 'tools/list'), { session: again }))
    assert.notEqual((await answer.json()).result.name, name)
  })

  test('a session of a replica that is not configured any more is gone', async t => {
    const upstream = await startScriptedUpstream(t, stateful)
    const before = await startProxy(t, { servers: upstream.url })
    const session = await open(t, before.endpoint())
    const other = await startScriptedUpstream(t, stateful)
    const after = await startProxy(t, { servers: other.url })
    await assertGone(t, after.endpoint(), session)
    assert.equal(other.requests.length, 0)
  })
})

/** The token with one bit of one character's value changed. */
function flip(token: string, at: number): string {
  const alphabet = 'ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_'
  const other = alphabet[alphabet.indexOf(token[at] as string) ^ 32] as string
  return token.slice(0, at) + other + token.slice(at + 1)
}
