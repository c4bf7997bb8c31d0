import assert from 'node:assert/strict'
import { randomBytes } from 'node:crypto'
import { once } from 'node:events'
import { createServer } from 'node:http'
import type { AddressInfo, Socket } from 'node:net'
import { describe, test } from 'node:test'
import type { RequestControl } from '../../../proxy/upstream/http1/plain-connection.ts'
import { startRawUpstream } from '../../helpers/raw-upstream.ts'
import { deferred, until } from '../../helpers/scope.ts'
import { answering, connect, counted, GET, Kept, post } from './plain-kit.ts'

const MIB = 1024 * 1024

describe('a request that is given up', () => {
  test('before there is a connection is never sent', async t => {
    const upstream = await startRawUpstream(t, answering(counted('two')))
    const { connection, ask } = connect(t, upstream.port)
    const kept = ask()
    connection.abort(new Error('given up'))
    assert.equal((await kept.error()).message, 'given up')
    assert.equal(await ask(post(Buffer.from('{}'))).ended(), 'two')
    assert.equal(upstream.peers.length, 1)
    assert.deepEqual(kept.log, ['error'])
    assert.match(upstream.peers[0]?.received.toString() ?? '', /^POST .*\{\}$/s)
  })

  test('when the connection is there is never sent, and the connection serves the next', async t => {
    const upstream = await startRawUpstream(t, answering(counted('two')))
    const { ask } = connect(t, upstream.port)
    for (let i = 0; i < 2; i++) {
      const kept = ask(GET, { start: control => control.abort(new Error('given up')) })
      assert.equal((await kept.error()).message, 'given up')
      assert.deepEqual(kept.log, ['start', 'error'])
    }
    assert.equal(await ask(post(Buffer.from('{}'))).ended(), 'two')
    assert.equal(upstream.peers.length, 1)
    assert.match(upstream.peers[0]?.received.toString() ?? '', /^POST .*\{\}$/s)
  })

  for (const [what, answer, at] of [
    ['after it was sent', '', null],
    ['in the head of its answer', counted('one'), 'head'],
    ['in the head of an answer without a body', counted(''), 'head'],
    ['in the body of its answer', counted('one').slice(0, -1), 'data'],
    ['at the last byte of its answer', counted('one'), 'data'],
  ] as const) {
    test(`${what} takes the connection with it`, async t => {
      const upstream = await startRawUpstream(t, answering(answer, counted('two')))
      const { ask } = connect(t, upstream.port)
      const giveUp = (control: RequestControl): void => control.abort(new Error('given up'))
      const kept = ask(GET, at === null ? {} : { [at]: giveUp })
      if (at === null) {
        await until(() => upstream.peers.length === 1, 'a connection')
        await upstream.peers[0]?.sees('\r\n\r\n')
        kept.control?.abort(new Error('given up'))
      }
      assert.equal((await kept.error()).message, 'given up')
      assert.equal(await ask().ended(), 'two')
      await until(() => upstream.peers[0]?.socket.destroyed === true, 'the end of the first connection')
      assert.equal(upstream.peers.length, 2)
      assert.deepEqual(kept.log.slice(-1), ['error'])
    })
  }

  test('by its handler, which asks again at once with itself, gets the answer to its second try', async t => {
    const bad = counted('no', 'Retry-After: 0').replace('200', '503')
    for (const first of [bad, bad.replace(/Length: 2\r\n\r\nno$/, 'Length: 0\r\n\r\n'), `${bad}behind`]) {
      const upstream = await startRawUpstream(t, answering(first, counted('two')))
      const { connection } = connect(t, upstream.port)
      class Again extends Kept {
        override onResponseError(): void {
          this.log.push('error')
          connection.dispatch(GET, this)
        }
      }
      const kept = new Again()
      kept.at.head = control => {
        if (kept.status === 503) control.abort(new Error('declined'))
      }
      connection.dispatch(GET, kept)
      assert.equal(await kept.ended(), 'two')
      assert.deepEqual(kept.log, ['start', 'head', 'error', 'start', 'head', 'data', 'end'])
    }
  })

  test('hears nothing of aborts that come too late', async t => {
    const upstream = await startRawUpstream(t, answering(counted('one')))
    const { ask } = connect(t, upstream.port)
    const kept = ask()
    await kept.ended()
    kept.control?.abort(new Error('too late'))
    assert.equal(await ask().ended(), 'one')
    assert.deepEqual([kept.log, upstream.peers.length], [['start', 'head', 'data', 'end'], 1])
  })
})

describe('a request that cannot stand in a head', () => {
  for (const [what, outgoing] of [
    ['a value with CR LF', post(Buffer.from('{}'), ['x-a', 'b\r\nx-injected: 1'])],
    ['a value with LF', post(Buffer.from('{}'), ['x-a', 'b\nx-injected: 1'])],
    ['a value with CR', post(Buffer.from('{}'), ['x-a', 'b\rx-injected: 1'])],
    ['a value with NUL', post(Buffer.from('{}'), ['x-a', 'b\0x-injected'])],
    ['a value that becomes CR LF in latin1', post(Buffer.from('{}'), ['x-a', 'b\u010d\u010ax-injected: 1'])],
    ['a name with CR LF', post(Buffer.from('{}'), ['x-a: b\r\nx-injected', '1'])],
    ['a name with a colon', post(Buffer.from('{}'), ['x-injected:', '1'])],
    ['a name with a blank', post(Buffer.from('{}'), ['x-injected ', '1'])],
    ['an empty name', post(Buffer.from('{}'), ['', 'x-injected'])],
    ['a path with a blank', { ...GET, path: '/x-injected HTTP/1.1' }],
    ['a path with CR LF', { ...GET, path: '/\r\nx-injected: 1' }],
    ['a path with a letter beyond latin1', { ...GET, path: '/\u0120x-injected' }],
    ['a path that begins elsewhere', { ...GET, path: 'http://x-injected/' }],
  ] as const) {
    test(`is refused for ${what}, and nothing of it is sent`, async t => {
      const upstream = await startRawUpstream(t, answering(counted('next')))
      const { ask } = connect(t, upstream.port)
      const error = await ask(outgoing).error()
      assert.equal(error.code, 'UND_ERR_INVALID_ARG')
      assert.doesNotMatch(error.message, /injected/)
      assert.equal(await ask().ended(), 'next')
      const [peer] = upstream.peers
      assert.equal(upstream.peers.length, 1)
      assert.match(peer?.received.toString() ?? '', /^GET \/mcp HTTP\/1\.1\r\n.*\r\n\r\n$/s)
      assert.doesNotMatch(peer?.received.toString() ?? '', /injected|POST/)
    })
  }
})

describe('a large request', () => {
  for (const size of [0, 1, 16_384, 16_385, 5 * MIB]) {
    test(`of ${size} bytes arrives byte for byte`, async t => {
      const body = randomBytes(size)
      const got = deferred<Buffer>()
      const server = createServer(async (request, response) => {
        got.resolve(Buffer.concat(await request.toArray()))
        response.end('ok')
      }).listen(0, '127.0.0.1')
      t.after(() => {
        server.closeAllConnections()
        server.close()
      })
      await once(server, 'listening')
      const { ask } = connect(t, (server.address() as AddressInfo).port)
      assert.equal(await ask(post(body)).ended(), 'ok')
      assert.ok((await got.promise).equals(body))
    })
  }

  test('arrives whole at a server that reads slowly', async t => {
    const body = randomBytes(8 * MIB)
    const upstream = await startRawUpstream(t, () => {}, { read: false })
    const { ask } = connect(t, upstream.port)
    const kept = ask(post(body))
    await until(() => upstream.peers.length === 1, 'a connection')
    const socket = upstream.peers[0]?.socket as Socket
    const parts: Buffer[] = []
    let size = 0
    socket.on('data', (part: Buffer) => {
      parts.push(part)
      size += part.length
      socket.pause()
      if (size > body.length) socket.write(counted('ok'))
      else setImmediate(() => socket.resume())
    })
    socket.resume()
    assert.equal(await kept.ended(), 'ok')
    assert.ok(Buffer.concat(parts).subarray(-body.length).equals(body))
  })

  test('that is answered before it is sent ends the connection', async t => {
    const upstream = await startRawUpstream(t, peer => void peer.socket.write(counted('early')), { read: false })
    const { ask } = connect(t, upstream.port)
    assert.equal(await ask(post(randomBytes(16 * MIB))).ended(), 'early')
    assert.equal(await ask(post(randomBytes(16 * MIB))).ended(), 'early')
    assert.equal(upstream.peers.length, 2)
  })
})
