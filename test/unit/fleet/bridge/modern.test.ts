import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import fc from 'fast-check'
import { startBridge } from '../../../helpers/bridge.ts'
import { begin, type SendOptions, send } from '../../../helpers/http-client.ts'
import { initialize, legacy, META_PREFIX, modern, notification, POST_HEADERS } from '../../../helpers/mcp-messages.ts'
import { MemoryOpener, modernServer } from '../../../helpers/memory-stdio.ts'
import { Closers, type Scope, until } from '../../../helpers/scope.ts'
import { SseReader } from '../../../helpers/sse.ts'

const SUBSCRIPTION = `${META_PREFIX}subscriptionId`

/** A `tools/call` whose id and token are these texts of JSON. `mark` = what tells it from others with the same id. */
function call(idText: string, tokenText = '', more = '', mark = 0): SendOptions {
  const token = tokenText === '' ? '' : `"progressToken": ${tokenText},`
  const meta = `{${token}"${META_PREFIX}protocolVersion":"2026-07-28","${META_PREFIX}clientCapabilities":{}${more}}`
  const params = `{"name":"t","_meta":${meta},"arguments":{"mark":${mark},"n":12345678901234567890,"f":1.0}}`
  const body = `{\n  "jsonrpc": "2.0",\r\n  "id": ${idText},\n  "method": "tools/call",\n  "params": ${params}\n}`
  return { method: 'POST', headers: POST_HEADERS, body }
}

/** A modern server that is played by the test. */
async function start(scope: Scope, react: Parameters<typeof modernServer>[0] = () => undefined, spec = {}) {
  const opener = new MemoryOpener(server => {
    server.react = modernServer(react)
  })
  const bridge = await startBridge(scope, opener, { era: 'modern', ...spec })
  const server = await opener.server()
  // The first request makes the bridge ask which versions there are.
  const first = begin(scope, bridge.url, modern('first', 'vendor/first'))
  const { id } = await server.got('vendor/first')
  server.say({ jsonrpc: '2.0', id, result: {} })
  await (await first.answer).text()
  server.lines.length = 0
  server.messages.length = 0
  return { ...bridge, opener, server }
}

describe('a modern server behind the bridge', () => {
  it('gives each of many clients its own answer, by the id it wrote, byte for byte', async () => {
    const id = fc.constantFrom('1', '"1"', '9007199254740993', '-5', '1.0', '"a\\"b"', '"\\u0031"', '"ä\u2028"')
    const payload = fc.string({ unit: 'binary', maxLength: 20 }).map(text => JSON.stringify(text))
    const scope = new Closers()
    const { url, server } = await start(scope)
    const run = fc.asyncProperty(fc.array(fc.tuple(id, payload), { minLength: 1, maxLength: 12 }), async asked => {
      server.lines.length = 0
      server.messages.length = 0
      const answers = asked.map(([idText], mark) => send(scope, url, call(idText, '', '', mark)))
      await until(() => server.lines.length === asked.length, 'all requests')
      const sent = server.messages
      assert.equal(new Set(sent.map(message => message.id)).size, asked.length)
      // Answered in another order than asked, in one chunk.
      const textOf = (message: (typeof sent)[0]) => asked[message.params.arguments.mark]?.[1]
      const lines = sent.map(
        message => `{"result":{"x": ${textOf(message)},"n":1.0},"jsonrpc":"2.0","id":${message.id}}\n`,
      )
      server.writeOut(lines.toReversed().join(''))
      const got = await Promise.all(answers.map(async answer => (await answer).text()))
      const expected = asked.map(([idText, text]) => `{"result":{"x": ${text},"n":1.0},"jsonrpc":"2.0","id":${idText}}`)
      assert.deepEqual(got, expected)
    })
    try {
      await fc.assert(run, { numRuns: 25 })
    } finally {
      await scope.close()
    }
  })

  it('writes a request as one line, with nothing changed but its id and token', async t => {
    const { url, server } = await start(t)
    const request = call('"mine"', '"tick"')
    const pending = begin(t, url, request)
    const { id } = await server.got('tools/call')
    const line = server.lines[0] as string
    const flat = String(request.body).replaceAll(/[\r\n]/g, ' ')
    assert.equal(line, flat.replace('"mine"', String(id)).replace('"tick"', String(id)))
    server.say(`{"jsonrpc":"2.0","id":${id},"result":{}}`)
    assert.equal(await (await pending.answer).text(), '{"jsonrpc":"2.0","id":"mine","result":{}}')
  })

  it('sends progress to the request whose token it is, before its answer', async t => {
    const { url, server } = await start(t)
    const tokens = ['7', '"7"', '9007199254740993']
    const pending = tokens.map(token => begin(t, url, call('1', token)))
    await server.got('tools/call', 3)
    const ids = server.messages.map(message => message.params._meta.progressToken as number)
    for (const progress of [1, 2, 3]) {
      for (const token of ids) server.say(notification('notifications/progress', { progressToken: token, progress }))
    }
    server.say(notification('notifications/progress', { progressToken: 999, progress: 1 }))
    server.say(notification('notifications/progress', { progressToken: '1', progress: 1 }))
    for (const id of ids) server.say({ jsonrpc: '2.0', id, result: { id } })
    const seen = new Set<string>()
    for (const [index, one] of pending.entries()) {
      const text = await (await one.answer).text()
      const data = [...text.matchAll(/^data: (.*)$/gm)].map(match => match[1] as string)
      assert.equal(data.length, 4)
      const token = tokens[index] as string
      for (const [k, line] of data.slice(0, 3).entries()) {
        assert.equal(
          line,
          `{"jsonrpc":"2.0","method":"notifications/progress","params":{"progressToken":${token},"progress":${k + 1}}}`,
        )
      }
      assert.match(data[3] as string, /^\{"jsonrpc":"2\.0","id":1,"result"/)
      seen.add(token)
    }
    assert.equal(seen.size, 3)
  })

  it('refuses a token that could be read in two ways', async t => {
    const { url, server } = await start(t)
    for (const more of [',"progressToken":3', ',"ProgressToken":3']) {
      const answer = await send(t, url, call('1', '"a"', more))
      assert.equal(answer.status, 400)
      assert.equal((await answer.json()).error.code, -32600)
    }
    assert.equal(server.lines.length, 0)
  })

  it('tells the server of a client that has gone, with the id the server knows, and drops the late answer', async t => {
    const { url, server } = await start(t)
    const gone = begin(t, url, call('1'))
    await server.got('tools/call')
    const stays = begin(t, url, call('1'))
    const other = await server.got('tools/call', 2)
    gone.abort()
    const cancelled = await server.got('notifications/cancelled')
    const first = server.messages.find(message => message.method === 'tools/call').id
    assert.equal(cancelled.params.requestId, first)
    server.say({ jsonrpc: '2.0', id: first, result: { late: true } })
    server.say({ jsonrpc: '2.0', id: other.id, result: { late: false } })
    assert.deepEqual((await (await stays.answer).json()).result, { late: false })
  })

  it('lets nobody cancel by a notification: over HTTP that does not say whose request it means', async t => {
    const { url, server } = await start(t)
    const pending = begin(t, url, call('1'))
    const { id } = await server.got('tools/call')
    const meta = { _meta: { [`${META_PREFIX}protocolVersion`]: '2026-07-28' } }
    for (const params of [{ requestId: id, ...meta }, { requestId: 1, ...meta }, { requestId: id }]) {
      const body = JSON.stringify(notification('notifications/cancelled', params))
      assert.equal((await send(t, url, { headers: POST_HEADERS, body })).status, 202)
    }
    server.say({ jsonrpc: '2.0', id, result: {} })
    assert.equal((await pending.answer).status, 200)
    assert.ok(!server.lines.some(line => line.includes('cancelled')))
  })

  it('routes each notification of a subscription to its one stream, with the id its client gave', async t => {
    const { url, server } = await start(t)
    const listen = (id: number | string) =>
      begin(t, url, modern(id, 'subscriptions/listen', { notifications: { toolsListChanged: true } }))
    const [one, two] = [listen('s'), listen(9)]
    await server.got('subscriptions/listen', 2)
    const ids = server.messages.map(message => [message.id, JSON.stringify(message)])
    for (const [id] of ids) {
      server.say(
        notification('notifications/subscriptions/acknowledged', { _meta: { [SUBSCRIPTION]: id }, notifications: {} }),
      )
    }
    server.say(notification('notifications/tools/list_changed', { _meta: { [SUBSCRIPTION]: ids[0]?.[0] } }))
    server.say(notification('notifications/tools/list_changed', { _meta: { [SUBSCRIPTION]: ids[0]?.[0] } }))
    server.say(notification('notifications/tools/list_changed', { _meta: { [SUBSCRIPTION]: 'foreign' } }))
    server.say(notification('notifications/tools/list_changed'))
    for (const [id] of ids) {
      server.say({ jsonrpc: '2.0', id, result: { resultType: 'complete', _meta: { [SUBSCRIPTION]: id } } })
    }
    const streams = await Promise.all([one, two].map(async call => new SseReader(await call.answer).messages()))
    const kinds = streams.map(messages => messages.map(message => message.method ?? 'result').join(' '))
    const long =
      'notifications/subscriptions/acknowledged notifications/tools/list_changed notifications/tools/list_changed result'
    assert.deepEqual(kinds.toSorted(), ['notifications/subscriptions/acknowledged result', long].toSorted())
    for (const [index, own] of (['s', 9] as const).entries()) {
      for (const message of streams[index] as { id?: unknown; params?: object; result?: object }[]) {
        const meta = ((message.params ?? message.result) as { _meta: Record<string, unknown> })._meta
        assert.equal(meta[SUBSCRIPTION], own)
        if (message.id !== undefined) assert.equal(message.id, own)
      }
    }
  })

  it('gives a log message to the one request that asked for logs, and to nobody where there are two', async t => {
    const { url, server } = await start(t)
    const level = `,"${META_PREFIX}logLevel":"info"`
    const log = (data: string) => server.say(notification('notifications/message', { level: 'info', data }))
    const quiet = begin(t, url, call('1'))
    const { id: quietId } = await server.got('tools/call')
    log('for nobody')
    const loud = begin(t, url, call('2', '', level))
    const { id: loudId } = await server.got('tools/call', 2)
    log('for the loud one')
    const third = begin(t, url, call('3', '', level))
    const { id: thirdId } = await server.got('tools/call', 3)
    log('for one of two')
    for (const id of [quietId, loudId, thirdId]) server.say({ jsonrpc: '2.0', id, result: {} })
    const texts = await Promise.all([quiet, loud, third].map(async one => (await one.answer).text()))
    assert.ok(!texts[0]?.includes('for '))
    assert.ok(texts[1]?.includes('for the loud one') && !texts[1].includes('of two') && !texts[1].includes('nobody'))
    assert.ok(!texts[2]?.includes('for '))
  })

  it('maps errors to the statuses of the revision', async t => {
    const { url } = await start(t, ({ id, params }) => ({
      jsonrpc: '2.0',
      id,
      error: { code: params.code, message: 'no' },
    }))
    const statuses = {
      '-32601': 404,
      '-32602': 200,
      '-32603': 200,
      '-32021': 400,
      '-32022': 400,
      '-32020': 400,
      '5': 200,
    }
    for (const [code, status] of Object.entries(statuses)) {
      const answer = await send(t, url, modern('x', 'vendor/method', { code: Number(code) }))
      assert.equal(answer.status, status, code)
      assert.deepEqual(await answer.json(), { jsonrpc: '2.0', id: 'x', error: { code: Number(code), message: 'no' } })
    }
    const meta = { [`${META_PREFIX}protocolVersion`]: '2026-07-28' }
    const body = JSON.stringify({ jsonrpc: '2.0', id: 1, method: 'tools/list', params: { code: -32602, _meta: meta } })
    assert.equal((await send(t, url, { headers: POST_HEADERS, body })).status, 400)
  })

  it('answers a request of the server, which must not send one', async t => {
    const { url, server } = await start(t)
    begin(t, url, call('1'))
    await server.got('tools/call')
    server.say({ jsonrpc: '2.0', id: 'q', method: 'sampling/createMessage', params: {} })
    await until(() => server.lines.length > 1, 'the answer')
    assert.equal(server.messages[1].id, 'q')
    assert.equal(server.messages[1].error.code, -32601)
  })

  it('refuses legacy clients with the versions there are', async t => {
    const { url } = await start(t)
    const refused = await send(t, url, initialize(5))
    assert.equal(refused.status, 400)
    const { id, error } = await refused.json()
    assert.deepEqual([id, error.code, error.data.supported], [5, -32022, ['2026-07-28']])
    assert.equal((await send(t, url, legacy({ jsonrpc: '2.0', id: 1, method: 'tools/list' }))).status, 400)
  })

  it('fails what runs when the process ends, and goes on with the next one', async t => {
    const { url, opener, server } = await start(t)
    const running = begin(t, url, call('1'))
    await server.got('tools/call')
    server.listener.onStderr('Segmentation fault')
    server.say({ jsonrpc: '2.0', method: 'notifications/message', params: {} })
    server.die('ended by SIGSEGV')
    const { id, error } = await (await running.answer).json()
    assert.equal(id, 1)
    assert.match(error.message, /^kb: its process ended by SIGSEGV; it said: Segmentation fault$/)
    assert.equal(error.data.code, 'upstream_broken')
    const next = begin(t, url, call('2'))
    const second = await opener.server(1)
    const { id: nextId } = await second.got('tools/call')
    second.say({ jsonrpc: '2.0', id: nextId, result: {} })
    assert.equal((await next.answer).status, 200)
  })

  it('sends subscriptions to the next process, hides its acknowledgement, and tells what may have changed', async t => {
    const { url, opener, server } = await start(t)
    const filter = { toolsListChanged: true, resourceSubscriptions: ['file:///a'] }
    const listening = begin(t, url, modern('sub', 'subscriptions/listen', { notifications: filter }))
    const acknowledge = async (one: typeof server) => {
      const { id } = await one.got('subscriptions/listen')
      const params = { _meta: { [SUBSCRIPTION]: id }, notifications: filter }
      one.say(notification('notifications/subscriptions/acknowledged', params))
      return id
    }
    await acknowledge(server)
    const events = new SseReader(await listening.answer)
    assert.equal((await events.nextMessage()).method, 'notifications/subscriptions/acknowledged')
    server.die()
    const second = await opener.server(1)
    const id = await acknowledge(second)
    second.say(notification('notifications/prompts/list_changed', { _meta: { [SUBSCRIPTION]: id } }))
    const seen = [await events.nextMessage(), await events.nextMessage(), await events.nextMessage()]
    assert.deepEqual(seen, [
      notification('notifications/tools/list_changed', { _meta: { [SUBSCRIPTION]: 'sub' } }),
      notification('notifications/resources/updated', { uri: 'file:///a', _meta: { [SUBSCRIPTION]: 'sub' } }),
      notification('notifications/prompts/list_changed', { _meta: { [SUBSCRIPTION]: 'sub' } }),
    ])
  })
})

describe('the era', () => {
  it('is asked once, however many clients come first', async t => {
    const opener = new MemoryOpener(server => {
      server.react = modernServer(message => ({ jsonrpc: '2.0', id: message.id, result: {} }))
    })
    const { url } = await startBridge(t, opener, { era: 'auto' })
    const answers = await Promise.all([1, 2, 3, 4].map(id => send(t, url, modern(id, 'tools/call', { name: 'a' }))))
    assert.deepEqual(
      answers.map(answer => answer.status),
      [200, 200, 200, 200],
    )
    const asked = opener.servers
      .flatMap(server => server.messages)
      .filter(message => message.method === 'server/discover')
    assert.equal(asked.length, 1)
    assert.equal((await opener.server()).lines.length, 5)
  })

  for (const [what, react] of [
    ['an error', ({ id }: { id: number }) => ({ jsonrpc: '2.0', id, error: { code: -32601, message: 'no' } })],
    ['a result that is none', ({ id }: { id: number }) => ({ jsonrpc: '2.0', id, result: { tools: [] } })],
    ['an error without id', () => ({ jsonrpc: '2.0', id: null, error: { code: -32602, message: 'no' } })],
  ] as const) {
    it(`is legacy when the server answers with ${what}`, async t => {
      const opener = new MemoryOpener(server => {
        server.react = react
      })
      const { url } = await startBridge(t, opener)
      const answer = await send(t, url, modern('p', 'server/discover'))
      assert.equal(answer.status, 400)
      const { id, error } = await answer.json()
      assert.equal(id, 'p')
      assert.equal(error.code, -32600)
      assert.match(error.message, /kb does not speak MCP 2026-07-28/)
    })
  }

  it('is legacy when the process ends at the question, which is no failure', async t => {
    const opener = new MemoryOpener(server => {
      server.react = message => {
        if (message.method === 'server/discover') return void queueMicrotask(() => server.die())
        return { jsonrpc: '2.0', id: message.id, result: { protocolVersion: '2025-11-25', capabilities: {} } }
      }
    })
    const { url, instance } = await startBridge(t, opener)
    const refused = await send(t, url, modern(1, 'server/discover'))
    assert.equal(refused.status, 400)
    assert.match((await refused.json()).error.message, /send initialize first \(asked for it, kb: its process ended/)
    assert.equal(await instance.selfCheck(), true)
    assert.equal((await send(t, url, initialize())).status, 200)
  })

  it('is modern when the error names modern versions, which are those that are served', async t => {
    const opener = new MemoryOpener(server => {
      server.react = ({ id, method }) =>
        method === 'server/discover'
          ? { jsonrpc: '2.0', id, error: { code: -32022, message: 'no', data: { supported: ['2027-01-01'] } } }
          : { jsonrpc: '2.0', id, result: {} }
    })
    const { url } = await startBridge(t, opener)
    const answer = await send(t, url, modern(1, 'tools/call', { name: 'a' }))
    assert.equal(answer.status, 400)
    const { error } = await answer.json()
    assert.equal(error.code, -32022)
    assert.deepEqual(error.data, { supported: ['2027-01-01'], requested: '2026-07-28' })
  })
})

describe('arguments that are mirrored in headers', () => {
  const PROPERTY = { type: 'string', 'x-mcp-header': 'Region' }
  const tools = [
    { name: 'mirrors', inputSchema: { type: 'object', properties: { region: PROPERTY, n: { type: 'number' } } } },
    { name: 'plain', inputSchema: { type: 'object' } },
  ]
  const ask = (args: object, headers: Record<string, string> = {}, name = 'mirrors') =>
    modern(1, 'tools/call', { name, arguments: args }, { headers })

  it('must say what the body says, once the list of tools is known', async t => {
    const opener = new MemoryOpener(server => {
      server.react = modernServer(({ id, method }) => ({
        jsonrpc: '2.0',
        id,
        result: method === 'tools/list' ? { tools } : {},
      }))
    })
    const { url } = await startBridge(t, opener)
    const status = async (post: ReturnType<typeof ask>) => (await send(t, url, post)).status
    assert.equal(await status(ask({ region: 'eu' })), 200)
    assert.equal(await status(modern(1, 'tools/list')), 200)
    assert.equal(await status(ask({ region: 'eu' }, { 'Mcp-Param-REGION': 'eu' })), 200)
    assert.equal(await status(ask({ region: 'ü' }, { 'mcp-param-region': '=?base64?w7w=?=' })), 200)
    assert.equal(await status(ask({ n: 1 })), 200)
    assert.equal(await status(ask({ region: 'eu' }, { 'mcp-param-other': 'x', 'mcp-param-region': 'eu' })), 200)
    assert.equal(await status(ask({ region: 'eu' }, {}, 'plain')), 200)
    for (const [args, headers] of [
      [{ region: 'eu' }, {}],
      [{ region: 'eu' }, { 'mcp-param-region': 'us' }],
      [{ region: 'eu' }, { 'mcp-param-region': '=?base64?w7w?=' }],
      [{}, { 'mcp-param-region': 'eu' }],
    ] as const) {
      const answer = await send(t, url, ask(args, headers))
      assert.equal(answer.status, 400)
      const { id, error } = await answer.json()
      assert.deepEqual([id, error.code], [1, -32020])
    }
  })
})
