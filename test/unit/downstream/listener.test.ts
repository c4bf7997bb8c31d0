import assert from 'node:assert/strict'
import { copyFileSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import type { IncomingMessage, ServerResponse } from 'node:http'
import { createServer } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { describe, it } from 'node:test'
import { connect as connectTls, type DetailedPeerCertificate, type PeerCertificate } from 'node:tls'
import { createListener, type Listener, type ListenerOptions } from '../../../proxy/downstream/listener.ts'
import { channels, type Reload } from '../../../proxy/observe/channels.ts'
import { connectRaw, type RawClient } from '../../helpers/raw-client.ts'
import { deferred, type Scope, within } from '../../helpers/scope.ts'

type OnRequest = (request: IncomingMessage, response: ServerResponse) => void

const fixtures = join(import.meta.dirname, '../../wire/fixtures')

function echo(request: IncomingMessage, response: ServerResponse): void {
  let length = 0
  request.on('data', (chunk: Buffer) => {
    length += chunk.length
  })
  request.on('end', () => response.end(`got ${length}`))
}

interface Overrides {
  port?: number
  tls?: ListenerOptions['tls']
  limits?: Partial<ListenerOptions['limits']>
  timeouts?: Partial<ListenerOptions['timeouts']>
}

async function listen(scope: Scope, onRequest: OnRequest = echo, overrides: Overrides = {}): Promise<Listener> {
  const listener = await createListener({
    host: '127.0.0.1',
    port: overrides.port ?? 0,
    tls: overrides.tls ?? null,
    limits: { maxHeaderBytes: 16_384, maxHeaders: 100, maxConnections: 0, ...overrides.limits },
    timeouts: { headersMs: 30_000, requestMs: 60_000, keepAliveMs: 30_000, ...overrides.timeouts },
    onRequest,
  })
  scope.after(() => listener.close())
  return listener
}

async function ask(scope: Scope, listener: Listener, bytes: string): Promise<RawClient> {
  const client = await connectRaw(scope, listener.address.port)
  await client.send(Buffer.from(bytes, 'latin1'))
  return client
}

async function assertRefused(client: RawClient, status: number, code: string): Promise<void> {
  const { head, body } = await client.readResponse()
  assert.equal(head.status, status)
  assert.equal(head.header('connection'), 'close')
  const answer = JSON.parse(body.toString()) as { jsonrpc: string; error: { data: { code: string } } }
  assert.equal(answer.jsonrpc, '2.0')
  assert.ok(!('id' in answer))
  assert.equal(answer.error.data.code, code)
  await client.closed()
}

const POST = 'POST /mcp HTTP/1.1\r\nHost: a\r\n'
const CHUNKED = `${POST}Transfer-Encoding: chunked\r\n\r\n`

const SMUGGLING: Readonly<Record<string, string>> = {
  'content-length, then transfer-encoding': `${POST}Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n`,
  'transfer-encoding, then content-length': `${POST}Transfer-Encoding: chunked\r\nContent-Length: 5\r\n\r\n0\r\n\r\n`,
  'bare LF everywhere': 'POST /mcp HTTP/1.1\nHost: a\nContent-Length: 0\n\n',
  'bare LF after the request line': 'POST /mcp HTTP/1.1\nHost: a\r\nContent-Length: 0\r\n\r\n',
  'bare LF after a field': 'POST /mcp HTTP/1.1\r\nHost: a\nContent-Length: 0\r\n\r\n',
  'bare LF at the end of the head': `${POST}Content-Length: 0\r\n\n`,
  'bare CR after a field': 'POST /mcp HTTP/1.1\r\nHost: a\rContent-Length: 0\r\n\r\n',
  'folding with a space': `${POST}X-A: a\r\n b\r\nContent-Length: 0\r\n\r\n`,
  'folding with a tab': `${POST}X-A: a\r\n\tb\r\nContent-Length: 0\r\n\r\n`,
  'folding of an empty value': `${POST}X-A:\r\n b\r\nContent-Length: 0\r\n\r\n`,
  'the same length twice': `${POST}Content-Length: 0\r\nContent-Length: 0\r\n\r\n`,
  'two lengths': `${POST}Content-Length: 0\r\nContent-Length: 5\r\n\r\n`,
  'a list of lengths': `${POST}Content-Length: 0, 0\r\n\r\n`,
  'a signed length': `${POST}Content-Length: +0\r\n\r\n`,
  'a hexadecimal length': `${POST}Content-Length: 0x0\r\n\r\n`,
  'an empty length': `${POST}Content-Length: \r\n\r\n`,
  'letters as a chunk size': `${CHUNKED}zz\r\n\r\n`,
  'a negative chunk size': `${CHUNKED}-1\r\n\r\n`,
  'a chunk size with a space': `${CHUNKED}1 \r\na\r\n0\r\n\r\n`,
  'a chunk size that overflows': `${CHUNKED}10000000000000000\r\na\r\n0\r\n\r\n`,
  'a chunk longer than its size': `${CHUNKED}1\r\nabc\r\n0\r\n\r\n`,
  'bare LF after a chunk size': `${CHUNKED}1\na\r\n0\r\n\r\n`,
  'bare LF after a chunk': `${CHUNKED}1\r\na\n0\r\n\r\n`,
  'bare LF in a chunk extension': `${CHUNKED}1;a=b\nx\r\na\r\n0\r\n\r\n`,
  'bare LF after the last chunk': `${CHUNKED}1\r\na\r\n0\r\n\n`,
  'chunked twice': `${POST}Transfer-Encoding: chunked, chunked\r\n\r\n0\r\n\r\n`,
  'chunked in two fields': `${POST}Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n`,
  'another coding before chunked': `${POST}Transfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n`,
  'a coding in another field': `${POST}Transfer-Encoding: gzip\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n`,
  'identity as a coding': `${POST}Transfer-Encoding: identity\r\n\r\n`,
  'a coding that only looks like chunked': `${POST}Transfer-Encoding: xchunked\r\n\r\n`,
  'chunked over HTTP/1.0': 'POST /mcp HTTP/1.0\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n',
  'NUL in a value': `${POST}X-A: a\0b\r\nContent-Length: 0\r\n\r\n`,
  'NUL in a name': `${POST}X\0A: ab\r\nContent-Length: 0\r\n\r\n`,
  'a control character in a value': `${POST}X-A: a\x01b\r\nContent-Length: 0\r\n\r\n`,
  'a space before the colon': `${POST}Content-Length : 0\r\n\r\n`,
  'a field without a name': `${POST}: 0\r\n\r\n`,
  'two Host fields': `${POST}Host: b\r\nContent-Length: 0\r\n\r\n`,
  'the same Host twice': `${POST}HOST: a\r\nContent-Length: 0\r\n\r\n`,
  'a target with its own authority': 'POST http://evil.example/mcp HTTP/1.1\r\nHost: a\r\nContent-Length: 0\r\n\r\n',
  'HTTP/0.9': 'GET /mcp\r\n\r\n',
  'HTTP/1.2': 'GET /mcp HTTP/1.2\r\nHost: a\r\n\r\n',
  'HTTP/2 without TLS': 'PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n',
  'a TLS hello on a plain port': '\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03',
}

describe('createListener: what is not plain HTTP/1.1 gets 400 and no connection', () => {
  for (const [what, bytes] of Object.entries(SMUGGLING)) {
    it(what, async t => {
      let answered = 0
      const listener = await listen(t, (request, response) => {
        request.on('end', () => answered++)
        echo(request, response)
      })
      await assertRefused(await ask(t, listener, bytes), 400, 'invalid_request')
      assert.equal(answered, 0)
    })
  }

  it('but chunks, extensions, trailers and odd case are HTTP', async t => {
    const listener = await listen(t)
    const bodies = [
      '1\r\na\r\n0\r\n\r\n',
      '2;x=y\r\nab\r\n1\r\nc\r\n0\r\nX-Trailer: 1\r\n\r\n',
      'A\r\n0123456789\r\n0\r\n\r\n',
    ]
    const client = await connectRaw(t, listener.address.port)
    for (const body of bodies) {
      await client.send(`POST /mcp HTTP/1.1\r\nhOsT: a\r\ntransfer-ENCODING:  Chunked \r\n\r\n${body}`)
      assert.equal((await client.readResponse()).head.status, 200)
    }
  })
})

describe('createListener: limits', () => {
  it('too many bytes of header fields get 431', async t => {
    const listener = await listen(t, echo, { limits: { maxHeaderBytes: 8192 } })
    await assertRefused(await ask(t, listener, `${POST}X-A: ${'a'.repeat(9000)}\r\n\r\n`), 431, 'headers_too_large')
  })

  it('too many header fields get 431, and none is hidden before', async t => {
    const listener = await listen(t, (request, response) => response.end(String(request.rawHeaders.length / 2)), {
      limits: { maxHeaders: 10 },
    })
    const fields = (count: number): string => 'X: y\r\n'.repeat(count)
    const fine = await ask(t, listener, `${POST}${fields(9)}\r\n`)
    assert.equal((await fine.readResponse()).body.toString(), '10')
    await assertRefused(await ask(t, listener, `${POST}${fields(10)}\r\n`), 431, 'headers_too_large')
  })

  it('a head that does not end in time gets 408', async t => {
    const listener = await listen(t, echo, { timeouts: { headersMs: 20 } })
    await assertRefused(await ask(t, listener, POST), 408, 'request_timeout')
  })

  it('a body that does not end in time gets 408', async t => {
    const listener = await listen(t, echo, { timeouts: { headersMs: 20, requestMs: 20 } })
    await assertRefused(await ask(t, listener, `${POST}Content-Length: 5\r\n\r\nab`), 408, 'request_timeout')
  })

  it('a bad chunk after the answer began cuts the connection without a second answer', async t => {
    const listener = await listen(t, (_request, response) => {
      response.write('begun')
    })
    const client = await ask(t, listener, `${CHUNKED}1\r\na\r\n`)
    await client.readTo('begun')
    await client.send('zz\r\n')
    await client.closed()
    assert.ok(!client.received.includes('400'))
  })

  it('connections beyond the limit are closed at once', async t => {
    const listener = await listen(t, echo, { limits: { maxConnections: 1 } })
    const first = await ask(t, listener, `${POST}Content-Length: 0\r\n\r\n`)
    await first.readResponse()
    const second = await connectRaw(t, listener.address.port)
    await second.closed()
    assert.equal(second.received.length, 0)
  })

  it('an expectation nobody knows gets 417', async t => {
    const listener = await listen(t)
    await assertRefused(
      await ask(t, listener, `${POST}Expect: banana\r\nContent-Length: 0\r\n\r\n`),
      417,
      'invalid_request',
    )
  })
})

describe('createListener: address', () => {
  it('tells its URL', async t => {
    const listener = await listen(t)
    assert.equal(listener.url, `http://127.0.0.1:${listener.address.port}`)
  })

  it('a port in use is an error that names the option', async t => {
    const taken = createServer()
    await new Promise<void>(resolve => taken.listen(0, '127.0.0.1', resolve))
    t.after(() => void taken.close())
    const { port } = taken.address() as { port: number }
    await assert.rejects(listen(t, echo, { port }), new RegExp(`127\\.0\\.0\\.1:${port}: another process .*--listen`))
  })
})

describe('createListener: drain', () => {
  it('lets a running answer end, closes idle connections, takes no new ones', async t => {
    const running = deferred<ServerResponse>()
    const listener = await listen(t, (request, response) => {
      if (request.url !== '/slow') return void response.end('quick')
      response.write('begun')
      running.resolve(response)
    })
    const idle = await ask(t, listener, `${POST}Content-Length: 0\r\n\r\n`)
    await idle.readResponse()
    const slow = await ask(t, listener, 'POST /slow HTTP/1.1\r\nHost: a\r\nContent-Length: 0\r\n\r\n')
    const response = await running.promise
    const drained = listener.drain(10_000)
    await idle.closed()
    const late = await connectRaw(t, listener.address.port).catch((error: NodeJS.ErrnoException) => error)
    assert.ok(late instanceof Error && late.code === 'ECONNREFUSED')
    response.end(' ended')
    await within(drained, 'drain to end')
    await slow.closed()
    assert.match(slow.received.toString(), /begun[\s\S]* ended/)
  })

  it('refuses a request that comes over a connection it still has', async t => {
    const running = deferred<ServerResponse>()
    const listener = await listen(t, (_request, response) => running.resolve(response))
    const client = await ask(t, listener, 'POST /slow HTTP/1.1\r\nHost: a\r\nContent-Length: 0\r\n\r\n')
    const response = await running.promise
    const drained = listener.drain(10_000)
    await client.send(`${POST}Content-Length: 0\r\n\r\n`)
    response.end('first')
    assert.equal((await client.readResponse()).body.toString(), 'first')
    await assertRefused(client, 503, 'draining')
    await within(drained, 'drain to end')
  })

  it('cuts what has not ended at the limit', async t => {
    const running = deferred<ServerResponse>()
    const listener = await listen(t, (_request, response) => {
      response.write('begun')
      running.resolve(response)
    })
    const client = await ask(t, listener, 'POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 0\r\n\r\n')
    await running.promise
    await within(listener.drain(10), 'drain to end')
    await client.closed()
  })
})

describe('createListener: TLS', () => {
  function pair(scope: Scope): { certFile: string; keyFile: string; use(name: string): void } {
    const dir = mkdtempSync(join(tmpdir(), 'sluice-tls-'))
    scope.after(() => rmSync(dir, { recursive: true, force: true }))
    const certFile = join(dir, 'cert.pem')
    const keyFile = join(dir, 'key.pem')
    const use = (name: string): void => {
      copyFileSync(join(fixtures, `tls-${name}.cert.pem`), certFile)
      copyFileSync(join(fixtures, `tls-${name}.key.pem`), keyFile)
    }
    use('one')
    return { certFile, keyFile, use }
  }

  function peerOf(listener: Listener): Promise<PeerCertificate | DetailedPeerCertificate> {
    return new Promise((resolve, reject) => {
      const socket = connectTls({ port: listener.address.port, host: '127.0.0.1', rejectUnauthorized: false }, () => {
        resolve(socket.getPeerCertificate())
        socket.destroy()
      })
      socket.once('error', reject)
    })
  }

  function nextReload(scope: Scope): Promise<Reload> {
    const seen = deferred<Reload>()
    const subscriber = (message: unknown): void => {
      if ((message as Reload).what === 'tls') seen.resolve(message as Reload)
    }
    channels.reload.subscribe(subscriber)
    scope.after(() => void channels.reload.unsubscribe(subscriber))
    return within(seen.promise, 'a reload of the certificate')
  }

  it('serves https and refuses TLS 1.1', async t => {
    const listener = await listen(t, echo, { tls: pair(t) })
    assert.match(listener.url, /^https:/)
    assert.equal((await peerOf(listener)).subject.CN, 'sluice-test-one')
    const old = deferred<string>()
    const socket = connectTls({
      port: listener.address.port,
      host: '127.0.0.1',
      rejectUnauthorized: false,
      minVersion: 'TLSv1.1',
      maxVersion: 'TLSv1.1',
      ciphers: 'DEFAULT@SECLEVEL=0',
    })
    socket.once('error', (error: NodeJS.ErrnoException) => old.resolve(error.code ?? ''))
    socket.once('secureConnect', () => old.resolve('connected'))
    assert.match(await within(old.promise, 'the handshake to fail'), /^ERR_SSL|ECONNRESET/)
  })

  it('takes a new pair when the files change', async t => {
    const files = pair(t)
    const listener = await listen(t, echo, { tls: files })
    const reloaded = nextReload(t)
    files.use('two')
    assert.deepEqual(await reloaded, { what: 'tls', ok: true, generation: 2, text: '' })
    assert.equal((await peerOf(listener)).subject.CN, 'sluice-test-two')
  })

  it('keeps the old pair when the new one does not fit', async t => {
    const files = pair(t)
    const listener = await listen(t, echo, { tls: files })
    const reloaded = nextReload(t)
    copyFileSync(join(fixtures, 'tls-two.cert.pem'), files.certFile)
    const { ok, text } = await reloaded
    assert.equal(ok, false)
    assert.match(text, /cert\.pem and key\.pem cannot be used, the old certificate stays/)
    assert.equal((await peerOf(listener)).subject.CN, 'sluice-test-one')
    assert.equal((await peerOf(listener)).subject.CN, 'sluice-test-one')
  })

  it('says which files it cannot use at start', async t => {
    const files = pair(t)
    writeFileSync(files.keyFile, 'no key')
    await assert.rejects(listen(t, echo, { tls: files }), /tls: cannot use cert .*cert\.pem with key .*key\.pem/)
  })
})
