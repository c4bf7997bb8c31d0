import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import { begin, send } from '../helpers/http-client.ts'
import { initialize, legacy, rpc } from '../helpers/mcp-messages.ts'
import { startPair } from '../helpers/proxy.ts'
import { connectRaw, rawPost } from '../helpers/raw-client.ts'
import { bodyOf, FIELDS, nextAnswer, post, watchHeld } from '../helpers/raw-mcp.ts'
import { deferred, until } from '../helpers/scope.ts'
import { sseEvent } from '../helpers/sse.ts'

/** Every bound that a client can run into: what it gets, and that the next one is served. */

const PING = legacy(rpc(1, 'ping'))

describe('limits of the head', () => {
  test('fields larger than max_header_bytes get 431', async t => {
    const { url, upstream } = await startPair(t, {}, { limits: { maxHeaderBytes: 4096 } })
    const client = await connectRaw(t, url)
    await client.send(post(1, [`X-A: ${'a'.repeat(5000)}`]))
    assert.deepEqual(await nextAnswer(client), [431, null])
    await client.closed()
    assert.equal(upstream.requests.length, 0)
  })

  test('one endless field gets 431 before it ends', async t => {
    const { url } = await startPair(t, {}, { limits: { maxHeaderBytes: 4096 } })
    for (const start of ['POST /mcp HTTP/1.1\r\nX-A: ', 'POST /mcp HTTP/1.1\r\nX-', 'POST /']) {
      const client = await connectRaw(t, url)
      await client.send(start + 'a'.repeat(10_000))
      assert.deepEqual(await nextAnswer(client), [431, null])
      await client.closed()
    }
  })

  test('more fields than max_headers get 431, and exactly so many pass', async t => {
    const { url, upstream } = await startPair(t, {}, { limits: { maxHeaders: 10 } })
    const fields = (count: number): string[] => Array.from({ length: count }, (_, i) => `X-${i}: y`)
    const own = 2 + FIELDS.length
    const fine = await connectRaw(t, url)
    await fine.send(post(1, fields(10 - own)))
    assert.deepEqual(await nextAnswer(fine), [200, 1])
    await fine.send(post(2, fields(11 - own)))
    assert.deepEqual(await nextAnswer(fine), [431, null])
    assert.equal(upstream.requests.length, 1)
  })
})

describe('limits of the body', () => {
  test('larger than max_body_bytes gets 413, whether announced or not', async t => {
    const { url, upstream } = await startPair(t, {}, { limits: { maxBodyBytes: 1000 } })
    const large = bodyOf(1, { pad: 'x'.repeat(1000) })
    const size = large.length.toString(16)
    for (const bytes of [
      post(1, [], large),
      post(1, ['Transfer-Encoding: chunked'], `${size}\r\n${large}\r\n0\r\n\r\n`),
    ]) {
      const client = await connectRaw(t, url)
      await client.send(bytes)
      assert.deepEqual(await nextAnswer(client), [413, null])
      await client.closed()
    }
    assert.equal(upstream.requests.length, 0)
  })

  test('an endless body gets 413 and its connection is closed', async t => {
    const { url, upstream } = await startPair(t, {}, { limits: { maxBodyBytes: 100_000 } })
    const held = watchHeld(t)
    const client = await connectRaw(t, url)
    const piece = Buffer.concat([Buffer.from('2710\r\n'), Buffer.alloc(10_000, 0x20), Buffer.from('\r\n')])
    await client.send(rawPost('/mcp', '127.0.0.1', [...FIELDS, 'Transfer-Encoding: chunked'], ''))
    while (!client.socket.destroyed) await client.send(piece)
    assert.equal(upstream.requests.length, 0)
    await until(() => held.inFlight === 0 && held.bytes === 0, 'the proxy to hold nothing')
  })

  test('max_depth: the message itself is level 1', async t => {
    const { url, upstream } = await startPair(t, {}, { limits: { maxDepth: 10 } })
    const nested = (levels: number): string =>
      `{"jsonrpc":"2.0","id":1,"method":"ping","params":{"a":${'['.repeat(levels)}${']'.repeat(levels)}}}`
    assert.equal((await send(t, url, { ...PING, body: nested(8) })).status, 200)
    const answer = await send(t, url, { ...PING, body: nested(9) })
    assert.equal(answer.status, 400)
    assert.equal((await answer.json()).error.code, -32600)
    assert.equal(upstream.requests.length, 1)
  })

  test('max_batch: so many messages pass together, one more is refused', async t => {
    const { url, upstream } = await startPair(t, {}, { limits: { maxBatch: 3 } })
    const batch = (count: number): object[] => Array.from({ length: count }, (_, i) => rpc(i, 'ping'))
    const post = legacy({}, { version: '2025-03-26' })
    upstream.script = (request, answer) =>
      answer.json(request.json().map(({ id }: { id: number }) => ({ jsonrpc: '2.0', id, result: {} })))
    assert.equal((await send(t, url, { ...post, body: batch(3) })).status, 200)
    assert.equal((await send(t, url, { ...post, body: batch(4) })).status, 400)
    assert.equal(upstream.requests.length, 1)
  })

  test('max_buffered_bytes: what all hold together; 503 beyond, and given back', async t => {
    const go = deferred<void>()
    const { url, upstream } = await startPair(
      t,
      async (request, answer) => {
        await go.promise
        answer.json({ jsonrpc: '2.0', id: request.json().id, result: {} })
      },
      { limits: { maxBufferedBytes: 50_000 } },
    )
    const held = watchHeld(t)
    const large = { ...PING, body: bodyOf(1, { pad: 'x'.repeat(30_000) }) }
    const first = begin(t, url, large)
    await upstream.received(1)
    const second = await send(t, url, large)
    assert.equal(second.status, 503)
    assert.equal(second.headers['retry-after'], '1')
    assert.equal((await second.json()).error.data.code, 'overloaded')
    go.resolve()
    assert.equal((await first.answer).status, 200)
    await until(() => held.bytes === 0, 'the proxy to hold nothing')
    assert.equal((await send(t, url, large)).status, 200)
  })
})

describe('limits of numbers', () => {
  test('max_in_flight: 503 with Retry-After beyond, and free again afterwards', async t => {
    const go = deferred<void>()
    const { url, upstream } = await startPair(
      t,
      async (request, answer) => {
        await go.promise
        answer.json({ jsonrpc: '2.0', id: request.json().id, result: {} })
      },
      { limits: { maxInFlight: 2 } },
    )
    const held = watchHeld(t)
    const running = [begin(t, url, PING), begin(t, url, PING)]
    await upstream.received(2)
    const third = await send(t, url, PING)
    assert.equal(third.status, 503)
    assert.equal(third.headers['retry-after'], '1')
    assert.equal((await third.json()).error.data.code, 'overloaded')
    go.resolve()
    for (const call of running) assert.equal((await call.answer).status, 200)
    await until(() => held.inFlight === 0, 'the running ones to end')
    assert.equal((await send(t, url, PING)).status, 200)
    assert.equal(upstream.requests.length, 3)
  })

  test('max_connections: one more is closed unanswered', async t => {
    const { url } = await startPair(t, {}, { limits: { maxConnections: 2 } })
    const open = [await connectRaw(t, url), await connectRaw(t, url)]
    for (const client of open) {
      await client.send(post(1))
      assert.deepEqual(await nextAnswer(client), [200, 1])
    }
    const third = await connectRaw(t, url)
    await third.closed()
    assert.equal(third.received.length, 0)
    open[0]?.destroy()
    await until(() => open[0]?.socket.destroyed === true, 'a connection to be free')
    await assert.doesNotReject(async () => {
      for (;;) {
        const next = await connectRaw(t, url)
        await next.send(post(2))
        const answer = await nextAnswer(next).catch(() => null)
        if (answer !== null) return assert.deepEqual(answer, [200, 2])
      }
    })
  })
})

describe('slow clients', () => {
  test('a head that trickles gets 408', async t => {
    const { url, upstream } = await startPair(t, {}, { timeouts: { headerMs: 50 } })
    const client = await connectRaw(t, url)
    await client.send('POST /mcp HTTP/1.1\r\nHost: 127.0.0.1\r\n')
    const trickle = setInterval(() => void client.send('X-A: b\r\n'), 20)
    t.after(() => clearInterval(trickle))
    assert.deepEqual(await nextAnswer(client), [408, null])
    await client.closed()
    assert.equal(upstream.requests.length, 0)
  })

  test('a body that trickles gets 408, and holds nothing afterwards', async t => {
    const { url, upstream } = await startPair(t, {}, { timeouts: { headerMs: 50, bodyMs: 50 } })
    const held = watchHeld(t)
    const client = await connectRaw(t, url)
    await client.send(post(1, [], bodyOf(1, { pad: 'x'.repeat(1000) })).subarray(0, -500))
    const trickle = setInterval(() => void client.send(' '), 30)
    t.after(() => clearInterval(trickle))
    assert.deepEqual(await nextAnswer(client), [408, null])
    await client.closed()
    assert.equal(upstream.requests.length, 0)
    await until(() => held.inFlight === 0 && held.bytes === 0, 'the proxy to hold nothing')
  })

  test('a slow second request does not cost the first one its answer', async t => {
    const go = deferred<void>()
    const { url, proxy } = await startPair(
      t,
      async (request, answer) => {
        await go.promise
        answer.json({ jsonrpc: '2.0', id: request.json().id, result: {} })
      },
      { timeouts: { headerMs: 30, bodyMs: 30 } },
    )
    const client = await connectRaw(t, url)
    await client.send(Buffer.concat([post(1), post(2).subarray(0, -5)]))
    const late = await connectRaw(t, url)
    await late.send(post(3).subarray(0, -5))
    assert.deepEqual(await nextAnswer(late), [408, null])
    go.resolve()
    assert.deepEqual(await nextAnswer(client), [200, 1])
    assert.deepEqual(await nextAnswer(client), [408, null])
    await client.closed()
    await proxy.ended(1)
  })

  test('a client that takes nothing of a stream is cut off, and the server with it', async t => {
    const cut = deferred<string>()
    const { url, proxy } = await startPair(
      t,
      async (_, answer) => {
        const stream = answer.sse()
        void stream.pump(
          Buffer.from(
            sseEvent({ jsonrpc: '2.0', method: 'notifications/message', params: { data: 'x'.repeat(10_000) } }),
          ),
          1 << 30,
          60_000,
        )
        cut.resolve(await stream.closed)
      },
      { timeouts: { stallMs: 50 } },
    )
    const client = await connectRaw(t, url)
    client.pause()
    await client.send(post(1))
    assert.equal(await cut.promise, 'cut')
    assert.equal((await proxy.ended(1)).outcome.status, 'aborted')
  })
})

describe('draining', () => {
  test('running answers end, streams too; new requests get 503', async t => {
    const opened = deferred<void>()
    const go = deferred<void>()
    const { url, proxy } = await startPair(t, async (request, answer) => {
      const stream = answer.sse()
      await stream.write(': open\n\n')
      opened.resolve()
      await go.promise
      stream.end(sseEvent({ jsonrpc: '2.0', id: request.json().id, result: {} }))
    })
    const client = await connectRaw(t, url)
    await client.send(post(1))
    await opened.promise
    await client.readTo(': open')
    const drained = proxy.sluice.drain()
    await assert.rejects(send(t, url, PING), { code: 'ECONNREFUSED' })
    go.resolve()
    await client.readTo('"id":1')
    await client.closed()
    await drained
  })

  test('what does not end within the limit is cut', async t => {
    const opened = deferred<void>()
    const { url, proxy } = await startPair(t, async (_, answer) => {
      await answer.sse().write(': open\n\n')
      opened.resolve()
    })
    const answer = await send(t, url, initialize())
    await opened.promise
    await proxy.sluice.drain(30)
    await answer.body()
    assert.equal(answer.complete, false)
    assert.equal((await proxy.ended(1)).outcome.status, 'aborted')
  })
})
