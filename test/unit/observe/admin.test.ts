import assert from 'node:assert/strict'
import { request } from 'node:http'
import { connect } from 'node:net'
import { afterEach, describe, test } from 'node:test'
import { type Admin, type AdminOptions, createAdmin } from '../../../proxy/observe/admin.ts'
import { channels, type Notice } from '../../../proxy/observe/channels.ts'

interface Answer {
  readonly status: number
  readonly headers: NodeJS.Dict<string | string[]>
  readonly text: string
}

describe('admin listener', () => {
  const open: Admin[] = []

  async function begin(changes: Partial<AdminOptions> = {}): Promise<string> {
    const admin = await createAdmin({
      host: '127.0.0.1',
      port: 0,
      live: () => true,
      ready: () => ({ ready: true, reasons: [] }),
      metrics: () => 'up 1\n',
      servers: () => [{ name: 'demo' }],
      ...changes,
    })
    open.push(admin)
    return admin.url
  }

  afterEach(async () => {
    for (const admin of open.splice(0)) await admin.close()
  })

  test('says whether it lives', async () => {
    const { status, headers, text } = await get(`${await begin()}/health`)
    assert.equal(status, 200)
    assert.equal(text, '{"status":"healthy"}\n')
    assert.equal(headers['content-type'], 'application/json; charset=utf-8')
    assert.equal((await get(`${await begin({ live: () => false })}/health?full=1`)).status, 503)
  })

  test('says whether it is ready, and why not', async () => {
    let reasons = ['no policy is loaded', 'server "demo": no replica is reachable']
    const url = await begin({ ready: async () => ({ ready: reasons.length === 0, reasons }) })
    const before = await get(`${url}/ready`)
    assert.equal(before.status, 503)
    assert.deepEqual(JSON.parse(before.text), { status: 'not_ready', reasons })
    reasons = []
    const after = await get(`${url}/ready`)
    assert.deepEqual([after.status, after.text], [200, '{"status":"ready"}\n'])
  })

  test('gives metrics with their content type', async () => {
    const { status, headers, text } = await get(`${await begin()}/metrics`)
    assert.deepEqual([status, text], [200, 'up 1\n'])
    assert.equal(headers['content-type'], 'text/plain; version=0.0.4; charset=utf-8')
  })

  test('gives one rendering to all who ask at once, and a new one later', async () => {
    let calls = 0
    const held = Promise.withResolvers<string>()
    const live = (): boolean => {
      // The third request of the pipeline: both scrapes have begun.
      held.resolve('up 1\n')
      return true
    }
    const metrics = (): Promise<string> => {
      calls++
      return held.promise
    }
    const url = new URL(await begin({ metrics, live }))
    const head = ' HTTP/1.1\r\nHost: localhost\r\n'
    const answers = await raw(
      url,
      `GET /metrics${head}\r\nGET /metrics${head}\r\nGET /health${head}Connection: close\r\n\r\n`,
    )
    assert.equal(answers.split('up 1\n').length - 1, 2)
    assert.equal(calls, 1)
    await get(`${url.origin}/metrics`)
    assert.equal(calls, 2)
  })

  test('lists its paths where there is nothing', async () => {
    const { status, text } = await get(`${await begin()}/nope`)
    assert.equal(status, 404)
    assert.deepEqual(JSON.parse(text).paths, ['/health', '/ready', '/metrics', '/servers'])
    assert.deepEqual(JSON.parse((await get(`${await begin()}/servers`)).text), [{ name: 'demo' }])
  })

  test('answers HEAD like GET without a body, and refuses other methods', async () => {
    const url = await begin()
    const head = await get(`${url}/metrics`, { method: 'HEAD' })
    assert.deepEqual([head.status, head.text, head.headers['content-length']], [200, '', '5'])
    const post = await get(`${url}/health`, { method: 'POST', body: 'x' })
    assert.deepEqual([post.status, post.headers.allow, post.headers.connection], [405, 'GET, HEAD', 'close'])
  })

  test('on loopback only localhost and IP addresses may be its Host', async () => {
    const url = await begin({ hosts: ['Proxy.test'] })
    for (const host of [
      'localhost:8081',
      'LOCALHOST',
      'a.localhost',
      '127.0.0.1',
      '[::1]:8081',
      '10.0.0.5:9',
      'proxy.test:1',
    ]) {
      assert.equal((await get(`${url}/health`, { host })).status, 200, host)
    }
    for (const host of ['evil.example', '127.0.0.1.evil.example:8081', 'localhost.evil.example', '[::1', 'x']) {
      assert.equal((await get(`${url}/metrics`, { host })).status, 403, host)
    }
  })

  test('elsewhere any Host will do, because scrapers use service names', async () => {
    const url = await begin({ host: '0.0.0.0' })
    const own = url.replace('0.0.0.0', '127.0.0.1')
    assert.equal((await get(`${own}/health`, { host: 'sluice.monitoring.svc' })).status, 200)
  })

  test('a source that throws or hangs gives 503 and a notice, not the error', async () => {
    const notices: Notice[] = []
    const listen = (notice: unknown): void => void notices.push(notice as Notice)
    channels.notice.subscribe(listen)
    const url = await begin({
      timeoutMs: 1,
      metrics: () => new Promise(() => undefined),
      ready: () => {
        throw new Error('s3cret')
      },
    })
    const [metrics, ready] = await Promise.all([get(`${url}/metrics`), get(`${url}/ready`)])
    channels.notice.unsubscribe(listen)
    assert.deepEqual([metrics.status, ready.status], [503, 503])
    assert.ok(!ready.text.includes('s3cret'))
    assert.match(String(notices.map(notice => notice.fields.error)), /no answer within 1 ms/)
    assert.equal(notices.length, 2)
  })

  test('refuses heads that are too large', async () => {
    const url = new URL(await begin())
    const answer = await raw(url, `GET /health HTTP/1.1\r\nHost: localhost\r\nX: ${'x'.repeat(20_000)}\r\n\r\n`)
    assert.match(answer, /^HTTP\/1\.1 431 /)
  })

  test('names an address that is taken', async () => {
    const { port } = new URL(await begin())
    await assert.rejects(begin({ port: Number(port) }), {
      code: 'EADDRINUSE',
      message: new RegExp(
        `^admin listener 127\\.0\\.0\\.1:${port}: the address is already in use; .*--admin HOST:PORT$`,
      ),
    })
  })

  test('does not answer any more once closed', async () => {
    const url = await begin()
    await get(`${url}/health`)
    await open.pop()?.close()
    await assert.rejects(get(`${url}/health`), { code: 'ECONNREFUSED' })
  })
})

function get(url: string, options: { method?: string; host?: string; body?: string } = {}): Promise<Answer> {
  return new Promise((resolve, reject) => {
    const headers = options.host === undefined ? {} : { host: options.host }
    const sent = request(url, { method: options.method ?? 'GET', headers, agent: false }, response => {
      const chunks: Buffer[] = []
      response.on('data', chunk => chunks.push(chunk))
      response.on('end', () => {
        const text = Buffer.concat(chunks).toString()
        resolve({ status: response.statusCode ?? 0, headers: response.headers, text })
      })
    })
    sent.on('error', reject)
    sent.end(options.body)
  })
}

async function raw(url: URL, text: string): Promise<string> {
  const socket = connect(Number(url.port), url.hostname)
  socket.write(text)
  const chunks: Buffer[] = []
  for await (const chunk of socket) chunks.push(chunk as Buffer)
  return Buffer.concat(chunks).toString()
}
