import assert from 'node:assert/strict'
import { execFileSync } from 'node:child_process'
import { once } from 'node:events'
import { mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { createServer } from 'node:http'
import { createSecureServer, type Http2SecureServer } from 'node:http2'
import { createServer as createHttpsServer, type ServerOptions } from 'node:https'
import type { AddressInfo } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { before, describe, it, type TestContext } from 'node:test'
import type { UpstreamTls } from '../../../proxy/upstream/settings.ts'
import { ask, testPool } from '../../helpers/pool.ts'
import { suiteScope, until } from '../../helpers/scope.ts'

const scope = suiteScope()
const dir = mkdtempSync(join(tmpdir(), 'sluice-tls-'))
scope.after(() => rmSync(dir, { recursive: true }))
const path = (name: string): string => join(dir, name)
const NO_TLS: UpstreamTls = { ca: '', cert: '', key: '', serverName: '' }

function openssl(...args: string[]): void {
  execFileSync('openssl', args, { cwd: dir, stdio: 'pipe' })
}

/** An authority, a server certificate for `kb.test` and a client certificate. */
function makeCertificates(): void {
  const key = ['-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:P-256', '-nodes']
  openssl('req', '-x509', ...key, '-keyout', 'ca.key', '-out', 'ca.pem', '-days', '2', '-subj', '/CN=test authority')
  for (const [name, san] of [
    ['server', 'DNS:kb.test'],
    ['client', 'DNS:sluice.test'],
  ] as const) {
    const subject = ['-subj', `/CN=${name}`, '-addext', `subjectAltName=${san}`]
    openssl('req', ...key, '-keyout', `${name}.key`, '-out', `${name}.csr`, ...subject)
    const sign = ['-CA', 'ca.pem', '-CAkey', 'ca.key', '-CAcreateserial', '-copy_extensions', 'copy']
    openssl('x509', '-req', '-in', `${name}.csr`, ...sign, '-out', `${name}.pem`, '-days', '2')
  }
}

function serverTls(): ServerOptions {
  return { key: readFileSync(path('server.key')), cert: readFileSync(path('server.pem')) }
}

before(makeCertificates)

describe('a replica on a unix socket', () => {
  it('is reached by its path, and asked for the path of its URL', async t => {
    const socket = path('kb.sock')
    const seen: string[] = []
    const server = createServer((request, response) => {
      seen.push(`${request.method} ${request.url} ${request.headers.host}`)
      response.setHeader('content-type', 'application/json')
      request.resume().on('end', () => response.end('{"ok":true}'))
    }).listen(socket)
    await once(server, 'listening')
    t.after(() => void server.close())
    const { pool, places } = testPool(t)
    places({ id: 'kb-1', url: 'http://localhost/mcp', socketPath: socket, state: 'ready' })
    const asked = await ask(pool, { query: 'a=1' }).over
    assert.deepEqual([asked.status, asked.text, asked.replica], [200, '{"ok":true}', 'kb-1'])
    assert.deepEqual(seen, ['POST /mcp?a=1 localhost'])
  })

  it('that is not there was never sent to', async t => {
    const { pool, places } = testPool(t)
    places({ id: 'kb-1', url: 'http://localhost/mcp', socketPath: path('none.sock'), state: 'ready' })
    assert.equal((await ask(pool).over).error?.code, 'upstream_unreachable')
  })
})

describe('TLS of a server', () => {
  async function start(t: TestContext, options: ServerOptions): Promise<string> {
    const server = createHttpsServer({ ...serverTls(), ...options }, (request, response) => {
      const socket = request.socket as import('node:tls').TLSSocket & { servername?: string }
      const peer = socket.getPeerCertificate()
      response.setHeader('content-type', 'application/json')
      response.end(JSON.stringify({ name: socket.servername, client: peer.subject?.CN ?? '' }))
    }).listen(0, '127.0.0.1')
    await once(server, 'listening')
    t.after(() => {
      server.closeAllConnections()
      server.close()
    })
    return `https://127.0.0.1:${(server.address() as AddressInfo).port}/mcp`
  }

  it('trusts the authority of ca, asks for server_name, and shows its own certificate', async t => {
    const url = await start(t, { ca: readFileSync(path('ca.pem')), requestCert: true, rejectUnauthorized: true })
    const tls = { ca: path('ca.pem'), cert: path('client.pem'), key: path('client.key'), serverName: 'kb.test' }
    const { pool, places } = testPool(t, { tls })
    places(url)
    const asked = await ask(pool).over
    assert.deepEqual(JSON.parse(asked.text), { name: 'kb.test', client: 'client' })
  })

  it('refuses a server of another authority, or of another name; nothing was sent', async t => {
    const url = await start(t, {})
    for (const tls of [
      { ...NO_TLS, serverName: 'kb.test' },
      { ...NO_TLS, ca: path('ca.pem'), serverName: 'other.test' },
    ]) {
      const { pool, places } = testPool(t, { tls })
      places(url)
      const { error } = await ask(pool).over
      assert.deepEqual([error?.code, error?.message], ['upstream_unreachable', 's is not reachable'])
    }
  })

  it('a server that wants a certificate does not let one in without', async t => {
    const url = await start(t, { ca: readFileSync(path('ca.pem')), requestCert: true, rejectUnauthorized: true })
    const { pool, places } = testPool(t, { tls: { ...NO_TLS, ca: path('ca.pem'), serverName: 'kb.test' } })
    places(url)
    assert.notEqual((await ask(pool).over).error, null)
  })

  it('a file that cannot be read is named', t => {
    const tls = { ...NO_TLS, ca: path('nowhere.pem') }
    assert.throws(() => testPool(t, { tls }), /servers\.s\.tls\.ca: .*nowhere\.pem cannot be read/)
  })
})

describe('HTTP/2', () => {
  interface Http2 {
    url: string
    server: Http2SecureServer
    sessions(): number
    /** Cuts all connections. */
    kill(): void
    most(): number
    versions: Set<string>
  }

  async function start(t: TestContext, gate: Promise<void>, allowHTTP1 = false): Promise<Http2> {
    let sessions = 0
    let running = 0
    let most = 0
    const versions = new Set<string>()
    const open = new Set<{ destroy(): void }>()
    const server = createSecureServer({ ...serverTls(), allowHTTP1 } as never)
    server.on('session', session => {
      sessions++
      open.add(session)
    })
    server.on('request', async (request, response) => {
      versions.add(request.httpVersion)
      most = Math.max(most, ++running)
      const chunks: Buffer[] = []
      for await (const chunk of request) chunks.push(chunk)
      await gate
      running--
      response.setHeader('content-type', 'application/json')
      response.end(Buffer.concat(chunks))
    })
    server.listen(0, '127.0.0.1')
    await once(server, 'listening')
    t.after(() => {
      for (const session of open) session.destroy()
      server.close()
    })
    const url = `https://127.0.0.1:${(server.address() as AddressInfo).port}/mcp`
    const kill = (): void => {
      for (const session of open) session.destroy()
    }
    return { url, server, sessions: () => sessions, kill, most: () => most, versions }
  }

  const tls = (): UpstreamTls => ({ ...NO_TLS, ca: path('ca.pem'), serverName: 'kb.test' })

  it('many requests share one connection', async t => {
    const gate = Promise.withResolvers<void>()
    const h2 = await start(t, gate.promise)
    const { pool, places } = testPool(t, { tls: tls(), http2: true, connections: 4 })
    places(h2.url)
    const asked = Array.from({ length: 50 }, (_, id) => ask(pool, { body: Buffer.from(`{"id":${id}}`) }))
    await until(() => h2.most() === 50, 'all run at the same time')
    gate.resolve()
    for (const [id, one] of asked.entries())
      assert.deepEqual([(await one.over).status, one.text], [200, `{"id":${id}}`])
    assert.equal(h2.sessions(), 1)
    assert.deepEqual(h2.versions, new Set(['2.0']))
  })

  it('more than one connection carries take another one, up to connections', async t => {
    const gate = Promise.withResolvers<void>()
    const h2 = await start(t, gate.promise)
    const { pool, places } = testPool(t, { tls: tls(), http2: true, connections: 2 })
    places(h2.url)
    const asked = Array.from({ length: 250 }, () => ask(pool))
    await until(() => h2.most() === 200, 'two connections are full')
    assert.equal(h2.sessions(), 2)
    gate.resolve()
    for (const one of asked) assert.equal((await one.over).status, 200)
  })

  it('a call that is cancelled leaves the others alone', async t => {
    const gate = Promise.withResolvers<void>()
    const h2 = await start(t, gate.promise)
    const { pool, places } = testPool(t, { tls: tls(), http2: true })
    places(h2.url)
    const [given, kept] = [ask(pool), ask(pool)]
    await until(() => h2.most() === 2, 'both run')
    given.flow?.abort()
    gate.resolve()
    assert.deepEqual([(await kept.over).status, given.ends], [200, 0])
    assert.equal(pool.list()[0]?.inFlight, 0)
    assert.equal((await ask(pool).over).status, 200)
    assert.equal(h2.sessions(), 1)
  })

  it('a connection that dies fails its calls, and the next call opens another one', async t => {
    const h2 = await start(t, new Promise(() => {}))
    const { pool, places } = testPool(t, { tls: tls(), http2: true })
    places(h2.url)
    const asked = [ask(pool), ask(pool)]
    await until(() => h2.most() === 2, 'both run')
    h2.kill()
    for (const one of asked) assert.equal((await one.over).error?.code, 'upstream_broken')
    void ask(pool)
    await until(() => h2.sessions() === 2 && h2.most() === 3, 'another connection')
  })

  it('a replica that knows only HTTP/1.1 is spoken to in that', async t => {
    const server = createHttpsServer(serverTls(), (request, response) => {
      request.resume().on('end', () => response.end(request.httpVersion))
    }).listen(0, '127.0.0.1')
    await once(server, 'listening')
    t.after(() => {
      server.closeAllConnections()
      server.close()
    })
    const { pool, places } = testPool(t, { tls: tls(), http2: true })
    places(`https://127.0.0.1:${(server.address() as AddressInfo).port}/mcp`)
    for (const one of Array.from({ length: 10 }, () => ask(pool))) assert.equal((await one.over).text, '1.1')
  })

  it('is not offered unless asked for', async t => {
    const h2 = await start(t, Promise.resolve(), true)
    const { pool, places } = testPool(t, { tls: tls() })
    places(h2.url)
    assert.equal((await ask(pool).over).status, 200)
    assert.deepEqual(h2.versions, new Set(['1.1']))
  })
})
