import assert from 'node:assert/strict'
import { existsSync, rmSync, statSync } from 'node:fs'
import { connect } from 'node:net'
import { describe, it, type TestContext } from 'node:test'
import { BridgeLauncher } from '../../../../proxy/fleet/bridge/bridge-launcher.ts'
import { BRIDGE_SPEC, startBridge } from '../../../helpers/bridge.ts'
import { begin, send } from '../../../helpers/http-client.ts'
import { modern, POST_HEADERS } from '../../../helpers/mcp-messages.ts'
import { MemoryOpener, modernServer } from '../../../helpers/memory-stdio.ts'
import { within } from '../../../helpers/scope.ts'

/** Writes bytes to the bridge's socket, in pieces, and gives all that comes back until it is closed. */
async function raw(socketPath: string, ...pieces: string[]): Promise<string> {
  const socket = connect(socketPath)
  let text = ''
  socket.on('data', data => {
    text += data
  })
  const closed = new Promise<void>(resolve => socket.once('close', () => resolve()))
  socket.on('error', () => {})
  for (const piece of pieces) {
    await new Promise(resolve => socket.write(piece, resolve))
    await new Promise(resolve => setImmediate(resolve))
  }
  await within(closed, 'the bridge to close the connection')
  return text
}

const start = (t: TestContext) =>
  startBridge(
    t,
    new MemoryOpener(server => {
      server.react = modernServer(message => ({ jsonrpc: '2.0', id: message.id, result: { ok: true } }))
    }),
    { maxLineBytes: 10_000 },
  )

describe('the HTTP of the bridge', () => {
  it('refuses what two parsers could read in two ways', async t => {
    const { instance } = await start(t)
    const faults: [request: string, status: number][] = [
      ['POST /mcp HTTP/1.1\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\n', 411],
      ['POST /mcp HTTP/1.1\r\ncontent-length: 2\r\ncontent-length: 2\r\n\r\n{}', 400],
      ['POST /mcp HTTP/1.1\r\ncontent-length: +2\r\n\r\n{}', 400],
      ['POST /mcp HTTP/1.1\r\ncontent-length: 2\n\r\n\r\n{}', 400],
      ['POST /mcp HTTP/1.1\r\ncontent-length : 2\r\n\r\n{}', 400],
      ['POST /mcp HTTP/1.1\r\nhost: a\r\n folded: b\r\ncontent-length: 2\r\n\r\n{}', 400],
      ['POST /mcp HTTP/1.0\r\ncontent-length: 2\r\n\r\n{}', 400],
      ['POST  /mcp HTTP/1.1\r\n\r\n', 400],
      ['POST /mcp HTTP/1.1\r\nmcp-session-id: a\r\nmcp-session-id: b\r\n\r\n', 400],
      ['POST /mcp HTTP/1.1\r\ncontent-length: 10001\r\n\r\n', 413],
      [`POST /mcp HTTP/1.1\r\nx: ${'a'.repeat(70_000)}\r\n\r\n`, 431],
    ]
    for (const [request, status] of faults) {
      assert.match(await raw(instance.socketPath, request), new RegExp(`^HTTP/1.1 ${status} `), request.slice(0, 60))
    }
  })

  it('ends a connection that sends more than it said', async t => {
    const { instance } = await start(t)
    assert.equal(await raw(instance.socketPath, 'POST /mcp HTTP/1.1\r\ncontent-length: 2\r\n\r\n{}x'), '')
    assert.equal(await raw(instance.socketPath, 'POST /mcp HTTP/1.1\r\ncontent-length: 4\r\n\r\n{', '}}}}}'), '')
  })

  it('reads a request that comes in pieces, and several on one connection', async t => {
    const { instance } = await start(t)
    const body = modern(1, 'tools/call', { name: 'a' }).body
    const request = `POST /mcp?x=1 HTTP/1.1\r\nhost: x\r\nCONTENT-LENGTH:   ${body.length}  \r\n\r\n${body}`
    const socket = connect(instance.socketPath)
    t.after(() => socket.destroy())
    let text = ''
    socket.on('data', data => {
      text += data
    })
    for (let round = 1; round <= 3; round++) {
      for (let at = 0; at < request.length; at += 50) socket.write(request.slice(at, at + 50))
      while (text.split('"ok":true').length <= round)
        await within(new Promise(resolve => socket.once('data', resolve)), 'an answer')
    }
    socket.end()
  })

  it('says what it does not have', async t => {
    const { url } = await start(t)
    assert.equal((await send(t, url.replace('/mcp', '/other'), { method: 'POST', body: '{}' })).status, 404)
    assert.equal((await send(t, url, { method: 'GET' })).status, 405)
    assert.equal((await send(t, url, { method: 'DELETE' })).status, 405)
    assert.equal((await send(t, url, { method: 'PUT' })).status, 405)
    const large = await send(t, url, { headers: POST_HEADERS, body: 'x'.repeat(20_000) })
    assert.equal(large.status, 413)
    assert.match((await large.json()).error.message, /larger than max_line_bytes \(10000\)/)
    const unknown = await send(t, url, { method: 'GET', headers: { 'mcp-session-id': 'nobody' } })
    assert.equal(unknown.status, 404)
  })

  it('refuses what is no message, with its id where there is one', async t => {
    const { url } = await start(t)
    const post = async (body: string) => {
      const answer = await send(t, url, { method: 'POST', headers: POST_HEADERS, body })
      return [answer.status, await answer.json()]
    }
    for (const body of ['', 'x', '{"jsonrpc":"2.0"', '[]', '[1]']) {
      const [status, json] = await post(body)
      assert.equal(status, 400, body)
      assert.ok(!('id' in json))
    }
    const [status, json] = await post('{"jsonrpc":"2.0","id":9007199254740993,"method":"a","method":"b"}')
    assert.equal(status, 400)
    assert.equal(json.error.code, -32600)
  })

  it('closes when asked to', async t => {
    const { instance } = await start(t)
    const body = modern(1, 'tools/call', { name: 'a' }).body
    const head = `POST /mcp HTTP/1.1\r\nconnection: close\r\ncontent-length: ${body.length}\r\n\r\n`
    assert.match(await raw(instance.socketPath, head + body), /"ok":true/)
  })

  it('has a socket that only its user can reach, and removes it', async t => {
    const { instance } = await start(t)
    assert.equal(statSync(instance.socketPath.replace(/\/[^/]*$/, '')).mode & 0o777, 0o700)
    assert.ok(Buffer.byteLength(instance.socketPath) < 100)
    assert.equal(await instance.selfCheck(), true)
    rmSync(instance.socketPath)
    assert.equal(await instance.selfCheck(), false)
    await instance.stop(0)
    assert.ok(!existsSync(instance.socketPath))
    assert.equal((await instance.ended).reason, 'stopped')
  })

  it('finds another place where the path of the socket would be too long', async t => {
    const opener = new MemoryOpener()
    const launcher = new BridgeLauncher({
      server: 'kb',
      spec: BRIDGE_SPEC,
      opener,
      socketDir: `/tmp/${'long/'.repeat(30)}`,
      fingerprint: 'x',
      stopGraceMs: 100,
    })
    const instance = await launcher.launch('kb-1', new AbortController().signal)
    t.after(() => instance.stop(0))
    assert.ok(Buffer.byteLength(instance.socketPath) < 100)
    const folder = instance.socketPath.replace(/\/[^/]*$/, '')
    assert.equal(statSync(folder).mode & 0o777, 0o700)
    await instance.stop(0)
    assert.ok(!existsSync(folder))
  })

  it('gives up a start that is not wanted any more', async () => {
    const abort = new AbortController()
    const opener = new MemoryOpener(() => abort.abort())
    const options = { server: 'kb', spec: BRIDGE_SPEC, opener, socketDir: '', fingerprint: 'x', stopGraceMs: 100 }
    await assert.rejects(new BridgeLauncher(options).launch('kb-1', abort.signal))
    for (const server of opener.servers) assert.equal((await server.ended).reason, 'stopped')
  })

  it('lets a client go that leaves while its request arrives', async t => {
    const { url, instance } = await start(t)
    const call = begin(t, url, { method: 'POST', headers: { 'content-length': '5000' }, body: '{' })
    call.answer.catch(() => {})
    call.abort()
    assert.equal((await send(t, url, modern(1, 'tools/call', { name: 'a' }))).status, 200)
    assert.equal(await instance.selfCheck(), true)
  })
})
