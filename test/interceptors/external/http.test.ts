import assert from 'node:assert/strict'
import { once } from 'node:events'
import { readFileSync } from 'node:fs'
import http from 'node:http'
import https from 'node:https'
import type { AddressInfo } from 'node:net'
import { describe, it } from 'node:test'
import { fileURLToPath } from 'node:url'
import { gzipSync } from 'node:zlib'
import type { Scope } from '../../helpers/scope.ts'
import { refusedPort } from '../../helpers/scripted-upstream.ts'
import { CALL, OK, start } from './scripts.ts'

// biome-ignore lint/suspicious/noExplicitAny: a test knows what it asked for
type Any = any

interface Asked {
  readonly method: string
  readonly url: string
  readonly headers: http.IncomingHttpHeaders
  readonly body: Any
}

type Handler = (asked: Asked, response: http.ServerResponse) => void

interface Service {
  readonly url: string
  readonly asked: Asked[]
  connections: number
}

const fixture = (name: string) => fileURLToPath(new URL(`../../wire/fixtures/${name}`, import.meta.url))

/** A real HTTP server that answers as `handler` says. */
async function serve(scope: Scope, handler: Handler, tls = false): Promise<Service> {
  const asked: Asked[] = []
  const listener: http.RequestListener = (request, response) => {
    let text = ''
    request.setEncoding('utf8').on('data', chunk => {
      text += chunk
    })
    request.once('end', () => {
      const one = {
        method: request.method ?? '',
        url: request.url ?? '',
        headers: request.headers,
        body: JSON.parse(text),
      }
      asked.push(one)
      handler(one, response)
    })
  }
  const server = tls
    ? https.createServer(
        { cert: readFileSync(fixture('tls-one.cert.pem')), key: readFileSync(fixture('tls-one.key.pem')) },
        listener,
      )
    : http.createServer(listener)
  const service = { url: '', asked, connections: 0 }
  server.on(tls ? 'secureConnection' : 'connection', () => void service.connections++)
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  scope.after(() => {
    server.closeAllConnections()
    server.close()
  })
  service.url = `${tls ? 'https' : 'http'}://127.0.0.1:${(server.address() as AddressInfo).port}`
  return service
}

const json =
  (value: unknown): Handler =>
  (_, response) =>
    void response.end(JSON.stringify(value))

describe('a service', () => {
  it('lets a message go on, by 204, an empty 200 or {}', async t => {
    for (const handler of [
      (_: Asked, response: http.ServerResponse) => void response.writeHead(204).end(),
      (_: Asked, response: http.ServerResponse) => void response.end(),
      json({}),
    ]) {
      const { url } = await serve(t, handler)
      const probed = await start(t, { before: { http: url } })
      const { verdict, edited } = await probed.request(CALL)
      assert.deepEqual([verdict, edited], [undefined, false])
    }
  })

  it('is told what the message is, with the headers it wants', async t => {
    const service = await serve(t, json({ error: { message: 'no' } }))
    const headers = { Authorization: 'Bearer very-secret-value', 'X-Team': 'red' }
    const probed = await start(t, { before: { http: `${service.url}/check?a=b`, headers } })
    assert.equal((await probed.request(CALL, { client: 'agent', server: 'github' })).verdict?.reason, 'no')
    const [asked] = service.asked
    assert.deepEqual([asked?.method, asked?.url], ['POST', '/check?a=b'])
    assert.deepEqual(asked?.body, {
      direction: 'toServer',
      method: 'tools/call',
      server: 'github',
      name: 'search',
      tool: 'search',
      client: 'agent',
      params: CALL.params,
    })
    const { authorization, 'x-team': team, 'content-type': type, accept } = asked?.headers ?? {}
    assert.deepEqual(
      [authorization, team, type, accept],
      ['Bearer very-secret-value', 'red', 'application/json', 'application/json'],
    )
  })

  it('rewrites a request, and replaces an answer', async t => {
    const before = await serve(t, json({ params: { name: 'find' } }))
    const after = await serve(t, json({ result: { content: [] } }))
    const probed = await start(t, { before: { http: before.url }, after: { http: after.url } })
    assert.equal((await probed.request(CALL)).message.json['params']?.['name' as never], 'find')
    assert.deepEqual((await probed.response(OK, CALL)).message.json['result'], { content: [] })
    assert.deepEqual(after.asked[0]?.body.result, OK.result)
  })

  it('is asked over connections that stay open', async t => {
    const service = await serve(t, json({}))
    const probed = await start(t, { before: { http: service.url, connections: 2 } })
    for (let i = 0; i < 5; i++) await Promise.all(Array.from({ length: 8 }, () => probed.request(CALL)))
    assert.equal(service.asked.length, 40)
    assert.ok(service.connections <= 2, `${service.connections} connections`)
  })

  it('is asked over TLS, with certificates that are trusted', async t => {
    const service = await serve(t, json({ error: { message: 'no' } }), true)
    const trusting = await start(t, { before: { http: service.url, ca_file: fixture('tls-one.cert.pem') } })
    assert.equal((await trusting.request(CALL)).verdict?.reason, 'no')
    const strict = await start(t, { before: { http: service.url } })
    assert.equal((await strict.request(CALL)).verdict?.code, 'interceptor_failed')
    const other = await start(t, { before: { http: service.url, ca_file: fixture('tls-two.cert.pem') } })
    assert.equal((await other.request(CALL)).verdict?.code, 'interceptor_failed')
    assert.equal(service.asked.length, 1)
  })

  it('is the short form of Docker’s gateway: bare results', async t => {
    const service = await serve(
      t,
      ({ body }, response) => void response.end(JSON.stringify({ content: body.content.slice(1) })),
    )
    const probed = await start(t, { run: `after:http:${service.url}/after` })
    assert.deepEqual((await probed.response(OK, CALL)).message.json['result'], { content: [] })
    assert.deepEqual(service.asked[0]?.body, { ...OK.result, response: OK.result })
  })
})

describe('a service that misbehaves', () => {
  const cases: [name: string, handler: Handler, message: RegExp, options?: object][] = [
    ['answers 500', (_, response) => void response.writeHead(500).end('{}'), /^answered with HTTP 500$/],
    ['answers 404', (_, response) => void response.writeHead(404).end(), /^answered with HTTP 404$/],
    ['redirects', (_, response) => void response.writeHead(307, { location: '/' }).end(), /^answered with HTTP 307$/],
    ['says no JSON', (_, response) => void response.end('<html>SECRET'), /^answered with 12 bytes that are not JSON$/],
    [
      'compresses',
      (_, response) => void response.writeHead(200, { 'content-encoding': 'gzip' }).end(gzipSync('{}')),
      /compressed/,
    ],
    ['never answers', () => undefined, /^no answer within 200 ms \(timeout\)$/, { timeout: '200ms' }],
    [
      'never ends its answer',
      (_, response) => {
        response.write('{')
        response.on('close', () => undefined)
      },
      /^no answer within 200 ms \(timeout\)$/,
      { timeout: '200ms' },
    ],
    [
      'says too much',
      (_, response) => void response.end(JSON.stringify({ error: 'x'.repeat(500_000) })),
      /more than 65536 bytes/,
      { max_output_bytes: '64KiB' },
    ],
    [
      'never stops',
      (_, response) => {
        const timer = setInterval(() => response.write('x'.repeat(65536)), 1)
        response.on('close', () => clearInterval(timer))
      },
      /more than 65536 bytes/,
      { max_output_bytes: '64KiB' },
    ],
    ['hangs up', (_, response) => void response.socket?.destroy(), /^cannot be asked: (UND_ERR_SOCKET|ECONNRESET)$/],
    [
      'hangs up in the middle',
      (_, response) => {
        response.writeHead(200, { 'content-length': '100' })
        response.write('{')
        setTimeout(() => response.socket?.destroy(), 5)
      },
      /^cannot be asked: (UND_ERR_SOCKET|ECONNRESET|UND_ERR_ABORTED|ERR_STREAM_PREMATURE_CLOSE)$/,
    ],
    ['gives what nobody knows', json({ resutl: {} }), /expected one of result, params, error/],
    ['gives a list', json([]), /^answered with a list: expected an object$/],
  ]
  for (const [name, handler, message, options] of cases) {
    it(`${name}: the entry fails`, async t => {
      const { url } = await serve(t, handler)
      const probed = await start(t, { before: { http: url }, ...options }, { failures: 'throw' })
      await assert.rejects(probed.request(CALL), (error: Error) => {
        assert.match(error.message, message)
        return true
      })
    })
  }

  it('is not there: the entry fails, by on_failure', async t => {
    const http = `http://127.0.0.1:${await refusedPort()}/`
    const closed = await start(t, { before: { http } })
    assert.equal((await closed.request(CALL)).verdict?.code, 'interceptor_failed')
    const open = await start(t, { before: { http } }, { onFailure: 'open' })
    assert.equal((await open.request(CALL)).verdict, undefined)
  })

  it('has a queue that ends, and one that is waited for in time', async t => {
    const { url } = await serve(t, () => undefined)
    const probed = await start(
      t,
      { before: { http: url, connections: 1, queue: 1 }, timeout: '200ms' },
      { failures: 'verdict' },
    )
    const seen = await Promise.all([probed.request(CALL), probed.request(CALL), probed.request(CALL)])
    assert.ok(seen.every(({ verdict }) => verdict?.code === 'interceptor_failed'))
  })

  it('is left alone when the policy is replaced', async t => {
    const { url } = await serve(t, () => undefined)
    const probed = await start(t, { before: { http: url }, timeout: '1m' })
    const pending = probed.request(CALL)
    await probed.close()
    assert.equal((await pending).verdict?.code, 'interceptor_failed')
  })
})
