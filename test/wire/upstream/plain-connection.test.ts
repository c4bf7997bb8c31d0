import assert from 'node:assert/strict'
import { once } from 'node:events'
import { mkdtempSync, rmSync } from 'node:fs'
import net, { type AddressInfo } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { describe, type TestContext, test } from 'node:test'
import { startRawUpstream } from '../../helpers/raw-upstream.ts'
import { deferred, until } from '../../helpers/scope.ts'
import { answering, connect, counted, GET, post } from './plain-kit.ts'

describe('a plain connection', () => {
  test('is used again, and sends what it is given', async t => {
    const upstream = await startRawUpstream(t, answering(counted('one'), counted('two')))
    const { ask, gone } = connect(t, upstream.port)
    const first = ask()
    assert.equal(await first.ended(), 'one')
    assert.deepEqual([first.status, first.fields], [200, ['content-length', '3']])
    assert.equal(await ask(post(Buffer.from('{}'), ['X-A', 'b', 'x-c', ''])).ended(), 'two')
    assert.deepEqual([upstream.peers.length, gone()], [1, 0])
    const base = `HTTP/1.1\r\nhost: 127.0.0.1:${upstream.port}\r\nconnection: keep-alive\r\n`
    const sent = `GET /mcp ${base}\r\nPOST /mcp ${base}X-A: b\r\nx-c: \r\ncontent-length: 2\r\n\r\n{}`
    assert.equal(upstream.peers[0]?.received.toString(), sent)
  })

  test('goes over a unix socket', async t => {
    const dir = mkdtempSync(join(tmpdir(), 'sluice-plain-'))
    t.after(() => rmSync(dir, { recursive: true, force: true }))
    const socketPath = join(dir, 's')
    const server = net.createServer(socket => socket.on('data', () => socket.write(counted('ok')))).listen(socketPath)
    t.after(() => void server.close())
    await once(server, 'listening')
    const { ask } = connect(t, 1, { socketPath })
    assert.equal(await ask().ended(), 'ok')
    assert.equal(await ask().ended(), 'ok')
  })

  test("ends with bytes behind an answer, which are nobody's", async t => {
    const upstream = await startRawUpstream(t, answering(counted('one') + counted('not asked for'), counted('two')))
    const { ask, gone } = connect(t, upstream.port)
    assert.equal(await ask().ended(), 'one')
    assert.equal(await ask().ended(), 'two')
    assert.equal(upstream.peers.length, 2)
    assert.equal(gone(), 0)
  })

  test('ends with bytes behind an answer that was read with a pause', async t => {
    const upstream = await startRawUpstream(t, answering(counted('one') + counted('not asked for'), counted('two')))
    const { ask } = connect(t, upstream.port)
    const first = ask(GET, { head: control => control.pause() })
    await until(() => first.status === 200, 'the head')
    first.control?.resume()
    assert.equal(await first.ended(), 'one')
    assert.equal(await ask().ended(), 'two')
    assert.equal(upstream.peers.length, 2)
  })

  test('ends with a byte that comes while it is idle', async t => {
    const upstream = await startRawUpstream(t, answering(counted('one'), counted('two')))
    const { ask, gone } = connect(t, upstream.port)
    assert.equal(await ask().ended(), 'one')
    upstream.peers[0]?.socket.write('H')
    await until(() => gone() === 1, 'the end of the connection')
    assert.equal(await ask().ended(), 'two')
    assert.equal(upstream.peers.length, 2)
  })

  test('ends with a byte that comes before any request', async t => {
    const upstream = await startRawUpstream(t, peer => void peer.socket.write('HTTP/1.1 200 OK\r\n'))
    const { ask, gone } = connect(t, upstream.port)
    ask().control?.abort(new Error('given up'))
    const aborted = ask(GET, { start: control => control.abort(new Error('given up')) })
    assert.equal((await aborted.error()).message, 'given up')
    await until(() => gone() > 0, 'the end of the connection')
  })

  test('connects again after the server closed it while it was idle', async t => {
    const upstream = await startRawUpstream(t, answering(counted('one'), counted('two')))
    const { ask, gone } = connect(t, upstream.port)
    assert.equal(await ask().ended(), 'one')
    upstream.peers[0]?.socket.end()
    await until(() => gone() === 1, 'the end of the connection')
    assert.equal(await ask().ended(), 'two')
    assert.deepEqual([upstream.peers.length, gone()], [2, 1])
  })

  for (const [what, head] of [
    ['that says so', counted('one', 'Connection: close')],
    ['of HTTP/1.0', counted('one').replace('1.1', '1.0')],
  ] as const) {
    test(`is not used again after an answer ${what}`, async t => {
      const upstream = await startRawUpstream(t, answering(head))
      const { ask } = connect(t, upstream.port)
      assert.equal(await ask().ended(), 'one')
      assert.equal(await ask().ended(), 'one')
      assert.equal(upstream.peers.length, 2)
    })
  }

  test('that refuses an answer ends it with an error, and serves the next', async t => {
    const upstream = await startRawUpstream(t, answering('HTTP/1.1 200 OK\r\nA : b\r\n\r\n', counted('two')))
    const { ask } = connect(t, upstream.port)
    assert.match((await ask().error()).message, /malformed answer/)
    assert.equal(await ask().ended(), 'two')
    assert.equal(upstream.peers.length, 2)
  })

  test('takes no head over the limit', async t => {
    const upstream = await startRawUpstream(t, answering(counted('one', `A: ${'x'.repeat(20_000)}`)))
    const { ask } = connect(t, upstream.port)
    assert.equal((await ask().error()).code, 'UND_ERR_HEADERS_OVERFLOW')
  })
})

describe('the end of the connection', () => {
  for (const [what, begun] of [
    ['before the head', ''],
    ['in the head', 'HTTP/1.1 200 OK\r\nContent-'],
    ['in a counted body', counted('a body').slice(0, -1)],
    ['in a chunk', 'HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhell'],
    ['before the last chunk', 'HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n'],
    ['before the end of the trailer', 'HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n'],
  ] as const) {
    test(`${what} is an error`, async t => {
      const upstream = await startRawUpstream(
        t,
        answering(peer => peer.socket.end(begun)),
      )
      const { ask, gone } = connect(t, upstream.port)
      const kept = ask()
      assert.equal((await kept.error()).code, 'UND_ERR_SOCKET')
      assert.equal(kept.log.filter(entry => entry === 'error').length, 1)
      await until(() => gone() === 1, 'the end of the connection')
    })
  }

  test('is the end of a body without a length', async t => {
    const upstream = await startRawUpstream(
      t,
      answering(peer => peer.socket.end('HTTP/1.1 200 OK\r\n\r\nall of it')),
    )
    const { ask, gone } = connect(t, upstream.port)
    assert.equal(await ask().ended(), 'all of it')
    await until(() => gone() === 1, 'the end of the connection')
    assert.equal(await ask().ended(), 'all of it')
    assert.equal(upstream.peers.length, 2)
  })

  test('is the end of a body without a length that is read late', async t => {
    const upstream = await startRawUpstream(
      t,
      answering(peer => peer.socket.end('HTTP/1.1 200 OK\r\n\r\nall of it')),
    )
    const { ask } = connect(t, upstream.port)
    const kept = ask(GET, { head: control => control.pause() })
    await until(() => kept.status === 200 && upstream.peers[0]?.socket.writableFinished === true, 'the whole answer')
    kept.control?.resume()
    assert.equal(await kept.ended(), 'all of it')
  })

  test('by a reset is an error also in a body without a length', async t => {
    const upstream = await startRawUpstream(t, answering('HTTP/1.1 200 OK\r\n\r\nsome of it'))
    const { ask } = connect(t, upstream.port)
    const kept = ask()
    await until(() => kept.body === 'some of it', 'the beginning')
    upstream.peers[0]?.socket.resetAndDestroy()
    assert.equal((await kept.error()).code, 'ECONNRESET')
  })
})

describe('a connection that cannot be made', () => {
  test('is an error, and is tried again for the next request', async t => {
    const taken = net.createServer().listen(0, '127.0.0.1')
    await once(taken, 'listening')
    const { port } = taken.address() as AddressInfo
    taken.close()
    await once(taken, 'close')
    const { ask, gone } = connect(t, port)
    for (let i = 1; i <= 2; i++) {
      const kept = ask()
      assert.equal((await kept.error()).code, 'ECONNREFUSED')
      assert.deepEqual([kept.log, gone()], [['error'], i])
    }
  })
})

describe('closing', () => {
  test('ends an idle connection', async t => {
    const upstream = await startRawUpstream(t, answering(counted('one')))
    const { connection, ask, gone } = connect(t, upstream.port)
    await ask().ended()
    await connection.close()
    await until(() => upstream.peers[0]?.socket.destroyed === true, 'the end at the server')
    assert.equal(gone(), 1)
    assert.equal((await ask().error()).code, 'UND_ERR_DESTROYED')
    assert.equal(upstream.peers.length, 1)
  })

  test('lets a running request come to its end', async t => {
    const go = deferred<void>()
    const upstream = await startRawUpstream(
      t,
      answering(peer => void go.promise.then(() => peer.socket.write(counted('one')))),
    )
    const { connection, ask } = connect(t, upstream.port)
    const kept = ask()
    await until(() => kept.control !== undefined, 'the request')
    await connection.close()
    go.resolve()
    assert.equal(await kept.ended(), 'one')
    await until(() => upstream.peers[0]?.socket.destroyed === true, 'the end at the server')
  })

  test('lets a request come to its end that waits for its connection', async t => {
    const upstream = await startRawUpstream(t, answering(counted('one')))
    const { connection, ask } = connect(t, upstream.port)
    const kept = ask()
    await connection.close()
    assert.equal(await kept.ended(), 'one')
    await until(() => upstream.peers[0]?.socket.destroyed === true, 'the end at the server')
  })

  test('for good ends a running request with an error', async t => {
    const upstream = await startRawUpstream(t)
    const { connection, ask } = connect(t, upstream.port)
    const kept = ask()
    await until(() => kept.control !== undefined, 'the request')
    await connection.destroy()
    assert.equal((await kept.error()).code, 'UND_ERR_DESTROYED')
    await connection.destroy()
    await until(() => upstream.peers[0]?.socket.destroyed === true, 'the end at the server')
  })

  test('for good ends a request that waits for its connection, and the connection', async t => {
    const upstream = await startRawUpstream(t)
    const { connection, ask } = connect(t, upstream.port)
    const kept = ask()
    await connection.destroy()
    assert.equal((await kept.error()).code, 'UND_ERR_DESTROYED')
    await until(() => upstream.peers.every(peer => peer.socket.destroyed), 'the end at the server')
    assert.deepEqual(kept.log, ['error'])
  })
})

/** Moves the clock of `performance.now()`. The connection's timers stand still beside it: they are late. */
function clockOf(t: TestContext): (ms: number) => void {
  let ahead = 0
  const { now } = performance
  t.mock.method(performance, 'now', () => now.call(performance) + ahead)
  return ms => {
    ahead += ms
  }
}

describe('an idle connection', () => {
  test('gets no request when its time is over by what the server says', async t => {
    const forward = clockOf(t)
    const upstream = await startRawUpstream(t, answering(counted('one', 'Keep-Alive: timeout=10')))
    const { ask } = connect(t, upstream.port)
    await ask().ended()
    forward(7_000)
    await ask().ended()
    assert.equal(upstream.peers.length, 1)
    // Two seconds of ten are kept as a margin.
    forward(8_001)
    await ask().ended()
    assert.equal(upstream.peers.length, 2)
  })

  test('gets no request when its time is over by what is configured', async t => {
    const forward = clockOf(t)
    const upstream = await startRawUpstream(t, answering(counted('one')))
    const { ask } = connect(t, upstream.port)
    await ask().ended()
    forward(59_000)
    await ask().ended()
    assert.equal(upstream.peers.length, 1)
    forward(60_001)
    await ask().ended()
    assert.equal(upstream.peers.length, 2)
  })

  test('goes by the last answer, also where an earlier one allowed more', async t => {
    const forward = clockOf(t)
    const upstream = await startRawUpstream(
      t,
      answering(counted('one'), counted('two', 'Keep-Alive: timeout=5'), counted('three')),
    )
    const { ask } = connect(t, upstream.port)
    await ask().ended()
    await ask().ended()
    forward(3_001)
    assert.equal(await ask().ended(), 'three')
    assert.equal(upstream.peers.length, 2)
  })

  test('is not kept where the server keeps it for a moment only', async t => {
    const upstream = await startRawUpstream(t, answering(counted('one', 'Keep-Alive: timeout=2')))
    const { ask, gone } = connect(t, upstream.port)
    await ask().ended()
    await until(() => gone() === 1, 'the end of the connection')
  })

  test('is ended when its time is over', async t => {
    const upstream = await startRawUpstream(t, answering(counted('one')))
    const { ask, gone } = connect(t, upstream.port, { keepAliveMs: 30 })
    await ask().ended()
    await until(() => gone() === 1, 'the end of the connection')
    await until(() => upstream.peers[0]?.socket.destroyed === true, 'the end at the server')
  })

  test('that a refused request left behind is ended when its time is over', async t => {
    const upstream = await startRawUpstream(t)
    const { ask, gone } = connect(t, upstream.port, { keepAliveMs: 30 })
    await ask(post(Buffer.from('{}'), ['x', 'a\r\nb'])).error()
    await until(() => gone() === 1, 'the end of the connection')
  })
})
