import assert from 'node:assert/strict'
import { randomBytes } from 'node:crypto'
import { once } from 'node:events'
import http, { type IncomingMessage } from 'node:http'
import https from 'node:https'
import { join } from 'node:path'
import { describe, type TestContext, test } from 'node:test'
import type { RequestControl } from '../../../proxy/upstream/http1/plain-connection.ts'
import { legacy, rpc } from '../../helpers/mcp-messages.ts'
import { startPair } from '../../helpers/proxy.ts'
import { startRawUpstream } from '../../helpers/raw-upstream.ts'
import { until, within } from '../../helpers/scope.ts'
import { Random } from '../fuzz/random.ts'
import { answering, connect, counted, GET, type Kept } from './plain-kit.ts'

const MIB = 1024 * 1024

/** A chunked answer of these texts, and one that is counted. */
const LONG = Array.from({ length: 300 }, (_, i) => `${i}:${'x'.repeat(i * 7)}`)
const WHOLE = LONG.join('')
const CHUNKED = `HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n${LONG.map(text => `${text.length.toString(16)}\r\n${text}\r\n`).join('')}0\r\n\r\n`

describe('a pause', () => {
  for (const [what, answer] of [
    ['a counted body', counted(WHOLE)],
    ['a body in chunks', CHUNKED],
  ] as const) {
    test(`at each callback keeps ${what} in order`, async t => {
      const upstream = await startRawUpstream(t, answering(answer))
      const { ask } = connect(t, upstream.port)
      for (let i = 0; i < 2; i++) {
        const later = (control: RequestControl): void => {
          control.pause()
          setImmediate(() => control.resume())
        }
        assert.equal(await ask(GET, { head: later, data: later }).ended(), WHOLE)
      }
      assert.equal(upstream.peers.length, 1)
    })

    test(`and going on in the same callback keeps ${what} in order`, async t => {
      const upstream = await startRawUpstream(t, answering(answer))
      const { ask } = connect(t, upstream.port)
      const both = (control: RequestControl): void => {
        control.pause()
        control.resume()
      }
      for (let i = 0; i < 2; i++) assert.equal(await ask(GET, { head: both, data: both }).ended(), WHOLE)
      assert.equal(upstream.peers.length, 1)
    })
  }

  test('in the head holds everything until it is over', async t => {
    const upstream = await startRawUpstream(t, answering(counted('one'), counted('')))
    const { ask } = connect(t, upstream.port)
    for (const body of ['one', '']) {
      const kept = ask(GET, { head: control => control.pause() })
      await until(() => kept.log.includes('head'), 'the head')
      await new Promise(resolve => setImmediate(resolve))
      assert.deepEqual(kept.log, ['start', 'head'])
      kept.control?.resume()
      assert.equal(await kept.ended(), body)
    }
    assert.equal(upstream.peers.length, 1)
  })

  test('before the answer stops reading, and the server stops writing', async t => {
    const body = 'x'.repeat(32 * MIB)
    const upstream = await startRawUpstream(t, answering(counted(body)))
    const { ask } = connect(t, upstream.port)
    const kept = ask(GET, { head: control => control.pause() })
    await until(() => kept.status === 200, 'the head')
    await new Promise(resolve => setTimeout(resolve, 50))
    assert.equal(kept.chunks.length, 0)
    assert.ok((upstream.peers[0]?.socket.writableLength ?? 0) > 0)
    kept.control?.resume()
    assert.equal((await kept.ended()).length, body.length)
  })

  test('does not outlive its request', async t => {
    const upstream = await startRawUpstream(t, answering(counted('one'), counted('two')))
    const { ask } = connect(t, upstream.port)
    const kept = ask(GET, { head: control => control.pause() })
    await until(() => kept.status === 200, 'the head')
    kept.control?.abort(new Error('given up'))
    assert.equal((await kept.error()).message, 'given up')
    assert.equal(await ask().ended(), 'two')
    assert.equal(kept.body, '')
  })
})

describe('memory of answers', () => {
  const body = randomBytes(MIB)
  const start = (t: TestContext, chunked: boolean): Promise<{ port: number }> =>
    startRawUpstream(
      t,
      answering(peer => {
        const { socket } = peer
        socket.write(`HTTP/1.1 200 OK\r\n${chunked ? 'Transfer-Encoding: chunked' : `Content-Length: ${MIB}`}\r\n\r\n`)
        if (!chunked) {
          socket.write(body)
          return
        }
        socket.write(`${(MIB).toString(16)}\r\n`)
        socket.write(body)
        socket.write('\r\n0\r\n\r\n')
      }),
    )

  for (const chunked of [false, true]) {
    const what = chunked ? 'a body in chunks' : 'a counted body'

    test(`that somebody keeps stays as it is: ${what}`, async t => {
      const { port } = await start(t, chunked)
      const { ask } = connect(t, port)
      const keepers = [ask()]
      await keepers[0]?.ended()
      keepers.push(ask())
      await keepers[1]?.ended()
      const other = connect(t, port).ask()
      await other.ended()
      for (const kept of [...keepers, other]) assert.ok(Buffer.concat(kept.chunks).equals(body))
    })

    test(`that nobody keeps is used again, and each chunk is whole when it comes: ${what}`, async t => {
      const { port } = await start(t, chunked)
      const { ask } = connect(t, port)
      for (let round = 0; round < 2; round++) {
        const copies: Buffer[] = []
        const kept: Kept = ask(GET, { data: () => void copies.push(Buffer.from(kept.chunks.at(-1) as Buffer)) })
        kept.flushed = true
        await kept.ended()
        assert.ok(Buffer.concat(copies).equals(body))
        const large = kept.chunks.filter(chunk => chunk.length >= 16_384)
        assert.equal(new Set(large.map(chunk => chunk.buffer)).size, large.length === 0 ? 0 : 1)
      }
    })

    test(`that somebody keeps for a while stays as it is meanwhile: ${what}`, async t => {
      const { port } = await start(t, chunked)
      const { ask } = connect(t, port)
      const copies: Buffer[] = []
      const held: [chunk: Buffer, copy: Buffer][] = []
      let turn = 0
      const kept: Kept = ask(GET, {
        data: control => {
          const chunk = kept.chunks.at(-1) as Buffer
          copies.push(Buffer.from(chunk))
          held.push([chunk, Buffer.from(chunk)])
          kept.flushed = ++turn % 3 === 0
          for (const [now, then] of held) assert.ok(now.equals(then))
          if (kept.flushed) held.length = 0
          if (turn % 2 === 0) return
          control.pause()
          setImmediate(() => control.resume())
        },
      })
      await kept.ended()
      assert.ok(Buffer.concat(copies).equals(body))
    })
  }
})

const FIXTURES = join(import.meta.dirname, '..', 'fixtures')

/** An answer to call `id` of more than 5 MB, different for each. */
function large(id: number): string {
  return `{"jsonrpc":"2.0","id":${id},"result":{"text":"${texts[id]}"}}`
}

const texts = Array.from({ length: 6 }, () => randomBytes(3.75 * MIB).toString('base64'))

/** Reads an answer as a client does that stops at random, for a turn or for some milliseconds, and goes on. */
async function readFitfully(incoming: IncomingMessage, random: Random): Promise<Buffer> {
  const chunks: Buffer[] = []
  incoming.on('data', (chunk: Buffer) => {
    chunks.push(chunk)
    if (!random.chance(0.2)) return
    incoming.pause()
    if (random.chance(0.5)) setImmediate(() => incoming.resume())
    else setTimeout(() => incoming.resume(), random.below(8))
  })
  await within(once(incoming, 'end'), 'the end of a body')
  return Buffer.concat(chunks)
}

describe('large answers through the proxy', () => {
  for (const tls of [false, true]) {
    test(`arrive byte for byte, several at once, over ${tls ? 'TLS' : 'plain HTTP'}`, async t => {
      const files = { cert: join(FIXTURES, 'tls-one.cert.pem'), key: join(FIXTURES, 'tls-one.key.pem') }
      const { url, proxy } = await startPair(t, (request, answer) => answer.json(large(request.json().id)), {
        config: { tls: tls ? files : null },
      })
      assert.equal(url.startsWith('https:'), tls)
      const ask = async (id: number): Promise<void> => {
        const { method, headers, body } = legacy(rpc(id, 'tools/call', { name: 't' }))
        const options = { method, headers, agent: false as const }
        const request = tls ? https.request(url, { ...options, rejectUnauthorized: false }) : http.request(url, options)
        request.end(body)
        const [incoming] = (await within(once(request, 'response'), 'an answer')) as [IncomingMessage]
        assert.equal(incoming.headers['content-length'], String(large(id).length))
        const read = await readFitfully(incoming, new Random(id))
        assert.ok(read.equals(Buffer.from(large(id))), `answer ${id} is another one`)
      }
      await Promise.all(texts.map((_, id) => ask(id)))
      await proxy.ended(texts.length)
    })
  }
})
