import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import { setFlagsFromString } from 'node:v8'
import { runInNewContext } from 'node:vm'
import { begin, type HttpAnswer, send } from '../helpers/http-client.ts'
import { legacy, notification, POST_HEADERS, result, rpc } from '../helpers/mcp-messages.ts'
import { interceptor, startPair, VIEWS } from '../helpers/proxy.ts'
import { connectRaw, rawPost } from '../helpers/raw-client.ts'
import { deferred, until, within } from '../helpers/scope.ts'
import { SseReader, sseEvent } from '../helpers/sse.ts'

const MIB = 1024 * 1024
/** The kernel's buffers of the two connections alone take about 8 MiB. */
const SOCKETS = 16 * MIB
const CALL = legacy(rpc(7, 'tools/call', { name: 't' }))
const FINAL = sseEvent(result(7, { done: true }))

function progress(n: number): string {
  return sseEvent(notification('notifications/progress', { progressToken: 'p', progress: n }), { id: String(n) })
}

for (const { view, interceptors } of VIEWS) {
  describe(`streaming: ${view}`, () => {
    test('the head of a stream comes before its first event', async t => {
      const gate = deferred<void>()
      const { url } = await startPair(
        t,
        async (_, answer) => {
          const stream = answer.sse()
          await gate.promise
          stream.end(FINAL)
        },
        { interceptors },
      )
      const answer = await send(t, url, CALL)
      assert.deepEqual([answer.status, answer.headers['content-type']], [200, 'text/event-stream'])
      assert.equal(answer.received.length, 0)
      gate.resolve()
      assert.equal(await answer.text(), FINAL)
    })

    test('each event reaches the client before the server sends the next', async t => {
      const gates = [0, 1, 2].map(() => deferred<void>())
      const { url } = await startPair(
        t,
        async (_, answer) => {
          const stream = answer.sse()
          for (const [n, gate] of gates.entries()) {
            await stream.write(progress(n))
            await gate.promise
          }
          await stream.write(': a comment alone\n\n')
          await last.promise
          stream.end(FINAL)
        },
        { interceptors },
      )
      const last = deferred<void>()
      const answer = await send(t, url, CALL)
      const reader = new SseReader(answer)
      for (const [n, gate] of gates.entries()) {
        assert.equal((await reader.next())?.source, progress(n))
        gate.resolve()
      }
      assert.deepEqual((await reader.next())?.comments, ['a comment alone'])
      assert.equal(answer.isClosed, false)
      last.resolve()
      assert.equal((await reader.next())?.source, FINAL)
      assert.equal(await reader.next(), null)
    })

    test('events of a GET stream come one by one', async t => {
      const gate = deferred<void>()
      const { url } = await startPair(
        t,
        async (_, answer) => {
          const stream = answer.sse()
          await stream.write(progress(1))
          await gate.promise
          await stream.write(progress(2))
          await stream.closed
        },
        { interceptors },
      )
      const answer = await send(t, url, { method: 'GET', headers: { accept: 'text/event-stream' } })
      const reader = new SseReader(answer)
      assert.equal((await reader.next())?.source, progress(1))
      gate.resolve()
      assert.equal((await reader.next())?.source, progress(2))
      answer.destroy()
    })

    test('a client that does not read stops the stream of the server', async t => {
      const event = Buffer.from(sseEvent(notification('notifications/message', { data: 'x'.repeat(64 * 1024) })))
      const total = Math.ceil((64 * MIB) / event.length) * event.length
      const stalled = deferred<number>()
      const { url } = await startPair(
        t,
        async (_, answer) => {
          const stream = answer.sse()
          const taken = await stream.pump(event, total, 300)
          stalled.resolve(taken)
          await stream.pump(event, total - stream.written, 10_000)
          stream.end(FINAL)
        },
        { interceptors },
      )
      const before = heldBytes()
      const answer = await send(t, url, { ...CALL, paused: true })
      const taken = await within(stalled.promise, 'the stream to stall')
      const held = heldBytes() - before
      assert.ok(held < 2 * MIB, `${held} bytes are held in the process`)
      assert.ok(taken < SOCKETS, `${taken} bytes were taken off the server`)
      assert.equal(await drain(answer), total + FINAL.length)
      assert.equal(answer.complete, true)
    })

    test('a client that does not read stops a JSON answer larger than anyone looks at', async t => {
      const stalled = deferred<number>()
      const chunk = Buffer.alloc(64 * 1024, 'x')
      const [head, tail] = ['{"jsonrpc":"2.0","id":7,"result":{"text":"', '"}}']
      const { url } = await startPair(
        t,
        async (_, answer) => {
          const stream = answer.stream(200, { 'content-type': 'application/json' })
          await stream.write(head)
          const taken = await stream.pump(chunk, 64 * MIB, 300)
          stalled.resolve(taken)
          await stream.pump(chunk, 64 * MIB - (stream.written - head.length), 10_000)
          stream.end(tail)
        },
        interceptors.length === 0 ? {} : { policy: chainThatSkips, interceptors },
      )
      const answer = await send(t, url, { ...CALL, paused: true })
      const taken = await within(stalled.promise, 'the answer to stall')
      assert.ok(taken < SOCKETS, `${taken} bytes were taken off the server`)
      assert.equal(await drain(answer), 64 * MIB + head.length + tail.length)
    })

    test('a large request reaches the server whole', async t => {
      const { upstream, url } = await startPair(t, {}, { interceptors: interceptors.map(wide) })
      const body = JSON.stringify(rpc(7, 'tools/call', { name: 't', arguments: { text: 'ü'.repeat(7 * MIB) } }))
      const answer = await send(t, url, { headers: CALL.headers, body })
      assert.equal(answer.status, 200)
      const request = await upstream.next()
      assert.ok(request.body.equals(Buffer.from(body)))
    })
  })
}

const chainThatSkips = `interceptors:
  - { use: read-one, too_big: skip, max_bytes: 1MiB }
  - { use: read-two, too_big: skip, max_bytes: 1MiB }
`

/** The same interceptor with a look wide enough for the largest request. */
function wide(one: (typeof VIEWS)[number]['interceptors'][number]): typeof one {
  return interceptor(
    `${one.name}-wide`,
    { request: () => undefined },
    { looks: { request: { need: 'json', maxBytes: 16 * MIB } } },
  )
}

/** Reads the rest without keeping it; gives the number of bytes. */
async function drain(answer: HttpAnswer): Promise<number> {
  let bytes = 0
  answer.resume()
  for (let chunk = await answer.next(); chunk !== null; chunk = await answer.next()) bytes += chunk.length
  return bytes
}

setFlagsFromString('--expose-gc')
const collectGarbage = runInNewContext('gc') as () => void

/** Bytes of all buffers that somebody still holds. Buffers are freed beside the collector: the second run waits for it. */
function heldBytes(): number {
  collectGarbage()
  collectGarbage()
  return process.memoryUsage().arrayBuffers
}

describe('streaming: memory', () => {
  test('a large JSON answer passes in bounded memory when nobody looks', async t => {
    const chunk = Buffer.alloc(64 * 1024, 'x')
    const total = 32 * MIB
    const { url } = await startPair(t, async (_, answer) => {
      const stream = answer.stream(200, { 'content-type': 'application/json' })
      await stream.write('{"jsonrpc":"2.0","id":7,"result":{"text":"')
      for (let sent = 0; sent < total; sent += chunk.length) await stream.write(chunk)
      stream.end('"}}')
    })
    const client = await connectRaw(t, url)
    let bytes = 0
    let looked = 0
    let most = 0
    client.socket.removeAllListeners('data')
    client.socket.on('data', (data: Buffer) => {
      bytes += data.length
      if (bytes - looked < 2 * MIB) return
      looked = bytes
      most = Math.max(most, heldBytes())
    })
    const before = heldBytes()
    await client.send(rawPost('/mcp', new URL(url).host, [...LINES, 'Connection: close'], CALL.body))
    await client.closed()
    assert.ok(bytes > total, `${bytes} bytes arrived`)
    assert.ok(most - before < 8 * MIB, `${most - before} bytes were held at once`)
  })
})

const LINES = ['Content-Type: application/json', `Accept: ${POST_HEADERS.accept}`]

describe('streaming: a hook that waits', () => {
  test('holds the stream and keeps the order of events', async t => {
    const seen: string[] = []
    const gate = deferred<void>()
    const hook = (message: { method: string }): Promise<undefined> | undefined => {
      seen.push(message.method)
      return message.method === 'notifications/slow' ? gate.promise.then(() => undefined) : undefined
    }
    const { url } = await startPair(
      t,
      async (_, answer) => {
        const stream = answer.sse()
        await stream.write(events.slice(0, 3).join(''))
        for (const event of events.slice(3)) await stream.write(event)
        stream.end()
      },
      { interceptors: [interceptor('slow', { notification: hook, response: hook })] },
    )
    const names = ['first', 'slow', 'third', 'fourth']
    const events = [
      ...names.map(
        name => `: before ${name}\nid: ${name}\ndata: {"jsonrpc":"2.0","method":"notifications/${name}"}\n\n`,
      ),
      FINAL,
      ': after\n\n',
    ]
    const answer = await send(t, url, CALL)
    await until(() => seen.length === 2, 'the slow hook')
    await answer.sees('id: first')
    assert.equal(answer.received.toString(), events[0])
    gate.resolve()
    assert.equal(await answer.text(), events.join(''))
    assert.deepEqual(seen, [...names.map(name => `notifications/${name}`), 'tools/call'])
  })

  test('stops the stream of the server meanwhile', async t => {
    const gate = deferred<void>()
    const stalled = deferred<number>()
    const event = Buffer.from(sseEvent(notification('notifications/message', { data: 'x'.repeat(64 * 1024) })))
    let first = true
    const { url } = await startPair(
      t,
      async (_, answer) => {
        const stream = answer.sse()
        stalled.resolve(await stream.pump(event, 64 * MIB, 300))
        stream.end(FINAL)
      },
      {
        interceptors: [
          interceptor('slow', {
            notification: () => {
              if (!first) return undefined
              first = false
              return gate.promise.then(() => undefined)
            },
          }),
        ],
      },
    )
    const answer = await send(t, url, CALL)
    const taken = await within(stalled.promise, 'the stream to stall')
    assert.ok(taken < SOCKETS, `${taken} bytes were taken off the server`)
    assert.equal(answer.received.length, 0)
    gate.resolve()
    assert.ok((await answer.text()).endsWith(FINAL))
  })

  test('of a request delays the request only', async t => {
    const gate = deferred<void>()
    const { upstream, url } = await startPair(
      t,
      {},
      {
        interceptors: [
          interceptor('slow', {
            request: message => (message.id === 1 ? gate.promise.then(() => undefined) : undefined),
          }),
        ],
      },
    )
    const slow = begin(t, url, legacy(rpc(1, 'tools/list')))
    const quick = await send(t, url, legacy(rpc(2, 'tools/list')))
    assert.equal((await quick.json()).id, 2)
    assert.equal(upstream.requests.length, 1)
    gate.resolve()
    assert.equal((await (await slow.answer).json()).id, 1)
  })
})

describe('streaming: max_body_bytes', () => {
  const limits = { maxBodyBytes: 100_000 }
  const bodyOf = (bytes: number): string => {
    const empty = JSON.stringify(rpc(7, 'tools/call', { name: 't', arguments: { text: '' } }))
    return empty.replace('"text":""', `"text":"${'x'.repeat(bytes - empty.length)}"`)
  }

  test('a body of exactly the limit passes', async t => {
    const { upstream, url } = await startPair(t, {}, { limits })
    const answer = await send(t, url, { headers: CALL.headers, body: bodyOf(100_000) })
    assert.equal(answer.status, 200)
    assert.equal((await upstream.next()).body.length, 100_000)
  })

  test('one byte more is refused by its declared length, before it is read', async t => {
    const { upstream, url } = await startPair(t, {}, { limits })
    const client = await connectRaw(t, url)
    const head = rawPost('/mcp', new URL(url).host, [...LINES, 'Content-Length: 100001'], '')
    await client.send(head)
    const answer = await client.readResponse()
    assert.equal(answer.head.status, 413)
    assert.match(answer.body.toString(), /max_body_bytes \(100000\)/)
    assert.equal(answer.head.header('connection'), 'close')
    assert.equal(upstream.requests.length, 0)
  })

  test('without a declared length it is refused as soon as it is too large', async t => {
    const { upstream, url } = await startPair(t, {}, { limits })
    const client = await connectRaw(t, url)
    await client.send(rawPost('/mcp', new URL(url).host, [...LINES, 'Transfer-Encoding: chunked'], ''))
    const chunk = Buffer.from(`c350\r\n${'x'.repeat(50_000)}\r\n`)
    for (let i = 0; i < 3; i++) await client.send(chunk)
    const answer = await client.readResponse()
    assert.equal(answer.head.status, 413)
    assert.equal(JSON.parse(answer.body.toString()).error.code, -31010)
    assert.equal(upstream.requests.length, 0)
  })

  test('a chunked body within the limit passes', async t => {
    const { upstream, url } = await startPair(t, {}, { limits })
    const client = await connectRaw(t, url)
    const body = Buffer.from(bodyOf(60_000))
    await client.send(rawPost('/mcp', new URL(url).host, [...LINES, 'Transfer-Encoding: chunked'], ''))
    for (let at = 0; at < body.length; at += 7_000) {
      const part = body.subarray(at, at + 7_000)
      await client.send(Buffer.concat([Buffer.from(`${part.length.toString(16)}\r\n`), part, Buffer.from('\r\n')]))
    }
    await client.send('0\r\n\r\n')
    assert.equal((await client.readResponse()).head.status, 200)
    const request = await upstream.next()
    assert.ok(request.body.equals(body))
    assert.equal(request.header('content-length'), '60000')
  })
})
