import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import { UPSTREAM_DEFAULTS } from '../../proxy/config/servers/upstream-keys.ts'
import { type SendOptions, send } from '../helpers/http-client.ts'
import { LEGACY_VERSION, modern, POST_HEADERS, result } from '../helpers/mcp-messages.ts'
import { startPair, startProxy, VIEWS } from '../helpers/proxy.ts'
import { startRawUpstream } from '../helpers/raw-upstream.ts'
import { within } from '../helpers/scope.ts'
import type { StreamEnd } from '../helpers/scripted-answer.ts'
import { refusedPort, type Script, startScriptedUpstream } from '../helpers/scripted-upstream.ts'
import { parseSse, sseEvent } from '../helpers/sse.ts'

const HEADERS = { ...POST_HEADERS, 'mcp-protocol-version': LEGACY_VERSION }
/** An id that no `JSON.parse` keeps. */
const ID = '9007199254740993'

function request(method: string, id = ID): SendOptions {
  return { headers: HEADERS, body: `{"jsonrpc":"2.0","id":${id},"method":"${method}","params":{"name":"t"}}` }
}

const CALL = request('tools/call')

/** Checks an error answer: its status, the exact text of its id, and its code. */
function assertError(text: string, number: number, code: string): void {
  assert.ok(text.startsWith(`{"jsonrpc":"2.0","id":${ID},"error":`), text)
  const { error } = JSON.parse(text)
  assert.deepEqual([error.code, error.data.code], [number, code])
}

/** The messages that a client takes from a stream: events without a type or of type `message`, with data. */
function messagesOf(text: string): string[] {
  const events = parseSse(text).filter(({ event }) => event === undefined || event === 'message')
  return events.map(({ data }) => data).filter(data => data !== '')
}

/** What a client would resume from: the last `id` of an event that was dispatched (HTML, 9.2.6). */
function lastEventId(text: string): string {
  const ids = parseSse(text).flatMap(({ id }) => (id === undefined || id.includes('\0') ? [] : [id]))
  return ids.at(-1) ?? ''
}

/** The reconnection times that a client would take from a stream: digits only. */
function retriesOf(text: string): string[] {
  return parseSse(text).flatMap(({ retry }) => (retry !== undefined && /^\d+$/.test(retry) ? [retry] : []))
}

for (const { view, interceptors } of VIEWS) {
  describe(`a server that dies: ${view}`, () => {
    for (const how of ['destroy', 'reset'] as const) {
      test(`before its answer (${how}): an error with the request's id, and no second try`, async t => {
        const { upstream, url } = await startPair(t, (_, answer) => answer[how](), { interceptors })
        const answer = await send(t, url, CALL)
        assert.equal(answer.status, 502)
        assertError(await answer.text(), -31042, 'upstream_broken')
        assert.equal(upstream.requests.length, 1)
      })
    }

    for (const framing of ['by length', 'by chunks'] as const) {
      test(`in a JSON body framed ${framing}: never a complete answer that is none`, async t => {
        const text = `{"jsonrpc":"2.0","id":${ID},"result":{"text":"${'x'.repeat(1000)}"}}`
        const script: Script = async (_, answer) => {
          const length = framing === 'by length' ? { 'content-length': String(text.length) } : {}
          const stream = answer.stream(200, { 'content-type': 'application/json', ...length })
          await stream.write(text.slice(0, 500))
          stream.destroy()
        }
        const { upstream, url } = await startPair(t, script, { interceptors })
        const answer = await send(t, url, CALL)
        const got = await answer.text()
        if (interceptors.length === 0) {
          assert.equal(answer.complete, false)
          assert.ok(text.startsWith(got))
        } else {
          assert.equal(answer.status, 502)
          assertError(got, -31042, 'upstream_broken')
        }
        assert.equal(upstream.requests.length, 1)
      })
    }

    test('in its stream, at any byte: the half event counts for nothing, an error follows', async t => {
      const first = `id: 1\ndata: {"jsonrpc":"2.0","method":"notifications/one"}\n\n`
      const second = `: c\nretry: 10\r\nid: 23\revent: message\ndata: {"jsonrpc":"2.0",\ndata: "method":"notifications/é"}\n\n`
      const bytes = Buffer.from(first + second)
      let cut = 0
      const script: Script = async (_, answer) => {
        const stream = answer.sse()
        await stream.write(bytes.subarray(0, cut))
        stream.destroy()
      }
      // So many broken answers in a row would open the circuit.
      const server = { upstream: { ...UPSTREAM_DEFAULTS, breaker: null } }
      const { upstream, url } = await startPair(t, script, { interceptors, server })
      for (cut = first.length; cut <= bytes.length; cut++) {
        const answer = await send(t, url, CALL)
        const text = await answer.text()
        const messages = messagesOf(text)
        const where = `cut at ${cut}: ${JSON.stringify(text)}`
        assertError(messages.pop() ?? '', -31042, 'upstream_broken')
        const whole = cut === bytes.length ? ['one', 'é'] : ['one']
        assert.deepEqual(
          messages.map(message => JSON.parse(message).method),
          whole.map(name => `notifications/${name}`),
          where,
        )
        assert.ok(['1', '23'].includes(lastEventId(text)), where)
        assert.ok(
          retriesOf(text).every(retry => retry === '10'),
          where,
        )
        assert.equal(answer.complete, true)
      }
      assert.equal(upstream.requests.length, bytes.length - first.length + 1)
    })

    test('after its answer in the stream: nothing is added', async t => {
      const text = sseEvent(`{"jsonrpc":"2.0","id":${ID},"result":{}}`)
      const script: Script = async (_, answer) => {
        const stream = answer.sse()
        await stream.write(text)
        stream.destroy()
      }
      const { url } = await startPair(t, script, { interceptors })
      assert.equal(await (await send(t, url, CALL)).text(), text)
    })

    test('a stream that ends without an answer gets an error', async t => {
      for (const stream of ['', ': nothing\n\n', sseEvent({ jsonrpc: '2.0', method: 'notifications/x' })]) {
        const { url } = await startPair(t, (_, answer) => answer.events([stream]), { interceptors })
        const answer = await send(t, url, CALL)
        const text = await answer.text()
        assert.ok(text.startsWith(stream))
        assert.equal(answer.status, 200)
        assertError(messagesOf(text).at(-1) ?? '', -31042, 'upstream_broken')
      }
    })

    test('a legacy server that closes after an event id is polling: that is mirrored', async t => {
      const stream = 'id: s-0\nretry: 50\ndata: \n\n'
      const { upstream, url } = await startPair(t, (_, answer) => answer.events([stream]), { interceptors })
      const answer = await send(t, url, CALL)
      assert.equal(await answer.text(), stream)
      assert.equal(answer.complete, true)
      const rest = `id: s-1\ndata: {"jsonrpc":"2.0","id":${ID},"result":{}}\n\n`
      upstream.script = (_, answer) => answer.events([rest])
      const headers = { accept: 'text/event-stream', 'last-event-id': 's-0' }
      assert.equal(await (await send(t, url, { method: 'GET', headers })).text(), rest)
      assert.equal(upstream.requests.at(-1)?.header('last-event-id'), 's-0')
    })

    test('a modern server cannot poll: a stream that ends without an answer gets an error', async t => {
      const stream = 'id: s-0\ndata: \n\n'
      const { url } = await startPair(t, (_, answer) => answer.events([stream]), { interceptors })
      const text = await (await send(t, url, modern(7, 'tools/call', { name: 't' }))).text()
      assert.ok(text.startsWith(stream))
      const { id, error } = JSON.parse(messagesOf(text).at(-1) ?? '')
      assert.deepEqual([id, error.code], [7, -31042])
    })

    test('a GET stream that is cut is cut for the client', async t => {
      const script: Script = async (_, answer) => {
        const stream = answer.sse()
        await stream.write(': hello\n\n')
        stream.destroy()
      }
      const { url } = await startPair(t, script, { interceptors })
      const answer = await send(t, url, { method: 'GET', headers: { accept: 'text/event-stream' } })
      assert.equal(await answer.text(), ': hello\n\n')
      assert.equal(answer.complete, false)
    })

    test('an empty success to a request is an error', async t => {
      const json = { 'content-type': 'application/json' }
      const scripts: Record<string, Script> = {
        '202': (_, answer) => answer.status(202),
        '204': (_, answer) => answer.status(204),
        '200 without type': (_, answer) => answer.status(200),
        '200 of JSON, by length': (_, answer) => answer.json(''),
        '200 of JSON, by chunks': (_, answer) => answer.stream(200, json).end(),
        '200 without type, by chunks': (_, answer) => answer.stream(200, {}).end(),
      }
      const { upstream, url } = await startPair(t, {}, { interceptors })
      for (const [what, script] of Object.entries(scripts)) {
        upstream.script = script
        const answer = await send(t, url, CALL)
        assert.equal(answer.status, 502, what)
        assertError(await answer.text(), -31043, 'upstream_empty')
      }
    })

    test('a connection refused is an error that says so', async t => {
      const servers = `http://127.0.0.1:${await refusedPort()}/mcp`
      const proxy = await startProxy(t, { servers, interceptors })
      const answer = await send(t, proxy.endpoint(), CALL)
      assert.equal(answer.status, 503)
      assert.equal(answer.headers['retry-after'], '1')
      const text = await answer.text()
      assertError(text, -31040, 'upstream_unreachable')
      const { data, message } = JSON.parse(text).error
      assert.deepEqual(data, {
        source: 'upstream',
        code: 'upstream_unreachable',
        retry: 'unsent',
        retry_after_ms: 1000,
      })
      assert.doesNotMatch(message, /127\.0\.0\.1|ECONN/)
      const note = await send(t, proxy.endpoint(), {
        headers: HEADERS,
        body: '{"jsonrpc":"2.0","method":"notifications/initialized"}',
      })
      assert.equal(note.status, 503)
      assert.equal('id' in (await note.json()), false)
    })

    test('silence before the answer is a time-out, and the server is let go', async t => {
      const closed = Promise.withResolvers<StreamEnd>()
      const script: Script = async (_, answer) => closed.resolve(await answer.closed)
      const { url } = await startPair(t, script, { interceptors, timeouts: { firstByteMs: 50 } })
      const answer = await send(t, url, CALL)
      assert.equal(answer.status, 504)
      assertError(await answer.text(), -31041, 'upstream_timeout')
      assert.equal(await within(closed.promise, 'the connection to the server to close'), 'cut')
    })

    test('silence in a stream is a time-out on that stream', async t => {
      const script: Script = async (_, answer) => {
        const stream = answer.sse()
        await stream.write(': hello\n\n')
        await stream.closed
      }
      const { url } = await startPair(t, script, { interceptors, timeouts: { idleMs: 50 } })
      const text = await (await send(t, url, CALL)).text()
      assert.ok(text.startsWith(': hello\n\n'))
      assertError(messagesOf(text)[0] ?? '', -31041, 'upstream_timeout')
    })

    test('an answer that is not HTTP is an error', async t => {
      const raw = await startRawUpstream(t, async peer => {
        await peer.sees('\r\n\r\n')
        peer.socket.end('SSH-2.0-OpenSSH_9.6\r\n')
      })
      const proxy = await startProxy(t, { servers: raw.url, interceptors })
      const answer = await send(t, proxy.endpoint(), CALL)
      assert.equal(answer.status, 502)
      assertError(await answer.text(), -31042, 'upstream_broken')
    })
  })
}

describe('a second try', () => {
  /** Answers the first request on a connection and kills the connection at the second: a keep-alive race. */
  function racing(): Script {
    const met = new Set<unknown>()
    return (request, answer) => {
      if (met.has(request.socket)) return answer.reset()
      met.add(request.socket)
      answer.json(`{"jsonrpc":"2.0","id":${request.json().id},"result":{"connection":${request.connection}}}`)
    }
  }

  test('is made for a read whose idle connection the server closed', async t => {
    const { upstream, url } = await startPair(t, racing())
    for (const method of ['tools/list', 'resources/read', 'prompts/get', 'server/discover']) {
      const first = await send(t, url, request(method, '1'))
      assert.equal(first.status, 200)
      const second = await send(t, url, request(method, '2'))
      assert.deepEqual([second.status, (await second.json()).id], [200, 2])
    }
    assert.ok(upstream.requests.length > 8)
  })

  test('is never made for a call that was sent', async t => {
    const { upstream, url } = await startPair(t, racing())
    assert.equal((await send(t, url, request('tools/list', '1'))).status, 200)
    for (const method of ['tools/call', 'tasks/cancel', 'vendor/unheard-of']) {
      const before = upstream.requests.length
      const answer = await send(t, url, request(method))
      assert.equal(answer.status, 502)
      assertError(await answer.text(), -31042, 'upstream_broken')
      assert.equal(upstream.requests.length, before + 1)
      await (await send(t, url, request('tools/list', '1'))).body()
    }
  })

  test('is not made for a read that has begun to answer', async t => {
    const script: Script = async (_, answer) => {
      const stream = answer.stream(200, { 'content-type': 'application/json' })
      await stream.write('{')
      stream.destroy()
    }
    const { upstream, url } = await startPair(t, script)
    assert.equal((await send(t, url, request('tools/list')).then(answer => answer.body())).toString(), '{')
    assert.equal(upstream.requests.length, 1)
  })

  test('goes to the other replica when one is down, for calls too', async t => {
    const upstream = await startScriptedUpstream(t)
    const down = `http://127.0.0.1:${await refusedPort()}/mcp`
    const proxy = await startProxy(t, { servers: { s: [down, upstream.url] } })
    for (let i = 0; i < 20; i++) {
      const answer = await send(t, proxy.endpoint(), request('tools/call', String(i)))
      assert.deepEqual([answer.status, await answer.json()], [200, result(i, {})])
    }
    assert.equal(upstream.requests.length, 20)
  })

  test('goes to the other replica for a read that one dropped, and for no call', async t => {
    const dying = await startScriptedUpstream(t, (_, answer) => answer.reset())
    const living = await startScriptedUpstream(t)
    const proxy = await startProxy(t, { servers: { s: [dying.url, living.url] } })
    const total = (): number => dying.requests.length + living.requests.length
    for (let i = 0; i < 10; i++) {
      const answer = await send(t, proxy.endpoint(), request('tools/list', String(i)))
      assert.deepEqual([answer.status, await answer.json()], [200, result(i, {})])
    }
    assert.ok(dying.requests.length > 0 && living.requests.length === 10)
    for (let i = 0; i < 10; i++) {
      const before = total()
      const answer = await send(t, proxy.endpoint(), request('tools/call', String(i)))
      assert.ok(answer.status === 200 || answer.status === 502)
      assert.equal(total(), before + 1)
    }
  })
})
