import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { send } from '../../helpers/http-client.ts'
import { legacy, type McpPost, modern, result, rpc } from '../../helpers/mcp-messages.ts'
import { type Pair, startPair } from '../../helpers/proxy.ts'
import { deferred, type Scope, until } from '../../helpers/scope.ts'
import { sseEvent } from '../../helpers/sse.ts'

const TEXT = 'Rate limit exceeded: 2 requests per 3600000ms'
const CONTENT = { content: [{ type: 'text', text: 'found' }] }

interface Answer {
  readonly status: number
  readonly headers: Readonly<Record<string, unknown>>
  // biome-ignore lint/suspicious/noExplicitAny: what an answer holds is what the test is about
  readonly body: any
}

async function ask(scope: Scope, url: string, message: McpPost): Promise<Answer> {
  const { status, headers, ...answer } = await sent(scope, url, message)
  const data = /^data: (.*)$/m.exec(answer.text)
  return { status, headers, body: JSON.parse(data?.[1] ?? answer.text) }
}

async function sent(scope: Scope, url: string, message: McpPost) {
  const answer = await send(scope, url, message)
  return { status: answer.status, headers: answer.headers, text: await answer.text() }
}

const callModern = (id: number): McpPost => modern(id, 'tools/call', { name: 'search', arguments: {} })
const callLegacy = (id: number): McpPost => legacy(rpc(id, 'tools/call', { name: 'search', arguments: {} }))

function start(scope: Scope, options: string, { stream = false, entry = '' } = {}): Promise<Pair> {
  const policy = `interceptors:\n  - use: rate-limit\n    name: limits\n${entry}    options: ${options}\n`
  return startPair(
    scope,
    (request, answer) => {
      const body = result(request.json().id, { resultType: 'complete', ...CONTENT })
      if (stream) answer.events([': hello\n\n', sseEvent(body)])
      else answer.json(body)
    },
    { policy },
  )
}

const HOURLY = '{ limits: [{ limit: 2/hour, key: [] }] }'

describe('a call over its limit', () => {
  for (const [era, call] of [
    ['modern', callModern],
    ['legacy', callLegacy],
  ] as const) {
    for (const stream of [false, true]) {
      it(`is answered so that the model can act on it: ${era}, ${stream ? 'SSE' : 'JSON'}`, async t => {
        const { url, upstream } = await start(t, HOURLY, { stream })
        for (const id of [1, 2]) assert.deepEqual((await ask(t, url, call(id))).body.result.content, CONTENT.content)
        const { status, headers, body } = await ask(t, url, call(3))
        assert.equal(status, 200)
        assert.equal(body.id, 3)
        assert.equal(body.result.isError, true)
        assert.deepEqual(body.result.content, [{ type: 'text', text: TEXT }])
        const data = body.result._meta['dev.sluice/error']
        assert.deepEqual([data.code, data.limit, data.window_ms], ['rate_limited', 2, 3_600_000])
        assert.ok(data.retry_after_ms > 3_590_000 && data.retry_after_ms <= 3_600_000)
        assertFields(headers)
        assert.equal(upstream.requests.length, 2)
      })
    }
  }

  it('is HTTP 429 where the policy wants errors', async t => {
    const { url } = await start(t, HOURLY, { entry: '    answer: error\n' })
    for (const id of [1, 2]) await ask(t, url, callModern(id))
    const { status, headers, body } = await ask(t, url, callModern(3))
    assert.equal(status, 429)
    assert.deepEqual([body.error.code, body.error.message, body.error.data.code], [-31022, TEXT, 'rate_limited'])
    assertFields(headers)
  })
})

it('any other request over its limit is HTTP 429', async t => {
  const { url } = await start(t, HOURLY)
  for (const id of [1, 2]) await ask(t, url, modern(id, 'tools/list'))
  const { status, headers, body } = await ask(t, url, modern(3, 'resources/list'))
  assert.deepEqual([status, body.error.message, body.id], [429, TEXT, 3])
  assertFields(headers)
})

it('counts bytes of answers when they have ended', async t => {
  const { url, proxy } = await start(t, '{ limits: [{ limit: 1KiB/hour, what: result_bytes, key: [server] }] }')
  let passed = 0
  while ((await ask(t, url, callModern(passed))).body.result.isError !== true) passed++
  const [first] = proxy.ends
  assert.equal(passed, Math.ceil(1024 / (first?.outcome.bytesToClient ?? 0)))
})

it('holds a place until the answer has ended, and not longer when the client leaves', async t => {
  const open = deferred<void>()
  const policy =
    'interceptors: [{ use: rate-limit, options: { limits: [{ limit: 1, what: concurrent, methods: "*" }] } }]'
  const { url, proxy, upstream } = await startPair(
    t,
    async (request, answer) => {
      const { id, method } = request.json()
      if (method === 'tools/call') {
        const stream = answer.sse()
        await stream.write(': begun\n\n')
        open.resolve()
        return
      }
      answer.json(result(id, { resultType: 'complete', tools: [] }))
    },
    { policy },
  )
  const held = await send(t, url, callModern(1))
  await open.promise
  const { status, headers, body } = await ask(t, url, modern(2, 'tools/list'))
  assert.deepEqual([status, body.error.message], [429, 'Rate limit exceeded: 1 requests at a time'])
  assert.equal(headers.ratelimit, '"concurrent-client";r=0')
  assert.equal(upstream.requests.length, 1)
  held.destroy()
  await until(() => proxy.ends.length === 2, 'both exchanges to end')
  for (const id of [3, 4]) assert.equal((await ask(t, url, modern(id, 'tools/list'))).status, 200)
})

function assertFields(headers: Answer['headers']): void {
  assert.match(String(headers['retry-after']), /^3(?:600|59\d)$/)
  assert.equal(headers['ratelimit-policy'], '"requests";q=2;qu="requests";w=3600')
  assert.match(String(headers.ratelimit), /^"requests";r=0;t=3(?:600|59\d)$/)
}
