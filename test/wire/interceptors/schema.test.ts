import assert from 'node:assert/strict'
import { describe, type TestContext, test } from 'node:test'
import { channels } from '../../../proxy/observe/channels.ts'
import { begin, send } from '../../helpers/http-client.ts'
import {
  envelope,
  initialize,
  initializeResult,
  legacy,
  META_PREFIX,
  MODERN_VERSION,
  modern,
  notification,
  result,
  rpc,
} from '../../helpers/mcp-messages.ts'
import { interceptor, type Pair, startPair } from '../../helpers/proxy.ts'
import type { RecordedRequest, Script } from '../../helpers/scripted-upstream.ts'
import { connectSdk, PEERS } from '../../helpers/sdk-clients.ts'
import { parseSse, sseEvent } from '../../helpers/sse.ts'

const WEATHER = {
  name: 'weather',
  description: 'Tells the weather.',
  inputSchema: {
    $schema: 'http://json-schema.org/draft-07/schema#',
    type: 'object',
    properties: { city: { type: 'string', minLength: 1 }, days: { type: 'integer' } },
    required: ['city'],
    additionalProperties: false,
  },
  outputSchema: { type: 'object', properties: { degrees: { type: 'number' } }, required: ['degrees'] },
}
const PLAIN = { name: 'plain', inputSchema: { type: 'object' } }

/** A server of both eras that lists its tools on two pages. */
class Server {
  tools: object[][] = [[PLAIN], [WEATHER]]
  structured: unknown = { degrees: 21.5 }
  sse = false
  readonly lists: RecordedRequest[] = []
  readonly calls: RecordedRequest[] = []
  /** Tells the open GET stream. */
  tell: (message: object) => Promise<void> = () => Promise.reject(new Error('no stream is open'))

  script: Script = async (request, answer) => {
    if (request.method === 'GET') {
      const stream = answer.sse()
      this.tell = message => stream.write(sseEvent(message))
      await stream.write(': open\n\n')
      return
    }
    if (request.method !== 'POST') return answer.status(405)
    const { id, method, params } = request.json()
    if (id === undefined) return answer.status(202)
    if (method === 'initialize') return answer.json(initializeResult(id), { headers: { 'mcp-session-id': 'up-1' } })
    const isModern = request.header('mcp-protocol-version') === MODERN_VERSION
    const value = this.#answer(request, method, params)
    const body = result(id, isModern ? { resultType: 'complete', ttlMs: 0, cacheScope: 'private', ...value } : value)
    if (!this.sse) return answer.json(body)
    const progress = notification('notifications/progress', { progressToken: 1, progress: 1 })
    await answer.events([sseEvent(progress), sseEvent(body)])
  }

  #answer(request: RecordedRequest, method: string, params?: { cursor?: string }): object {
    if (method === 'server/discover') {
      const serverInfo = { name: 'scripted', version: '1' }
      return { supportedVersions: [MODERN_VERSION], capabilities: { tools: { listChanged: true } }, serverInfo }
    }
    if (method === 'tools/call') {
      this.calls.push(request)
      return { content: [{ type: 'text', text: 'x' }], structuredContent: this.structured }
    }
    this.lists.push(request)
    const at = Number(params?.cursor ?? 0)
    return { tools: this.tools[at], ...(at + 1 < this.tools.length && { nextCursor: String(at + 1) }) }
  }
}

async function start(t: TestContext, server: Server, options = '{}', before = ''): Promise<Pair> {
  return startPair(t, server.script, { policy: `interceptors: [${before}{ use: schema, options: ${options} }]` })
}

const callOf = (name: string, args: object) => legacy(rpc(7, 'tools/call', { name, arguments: args }))
const MISSING = 'Invalid parameters for s.weather:\nMissing required parameter: city'

describe('schema over sockets', () => {
  for (const sse of [false, true]) {
    test(`asks for the tools, all pages, and refuses what does not fit (${sse ? 'SSE' : 'JSON'})`, async t => {
      const server = new Server()
      server.sse = sse
      const { url, proxy } = await start(t, server)
      const refused = await send(t, url, callOf('weather', {}))
      assert.equal(refused.status, 200)
      const { result: value } = await refused.json()
      assert.deepEqual([value.isError, value.content[0].text], [true, MISSING])
      const unknown = await (await send(t, url, callOf('wether', {}))).json()
      assert.equal(unknown.result.content[0].text, 'Tool not found: s.wether\nAvailable tools: s.weather, s.plain')
      assert.deepEqual([server.lists.length, server.calls.length], [2, 0])
      assert.equal(server.lists[1]?.json().params.cursor, '1')
      const good = callOf('weather', { city: 'Bern', days: 2 })
      assert.match(await (await send(t, url, good)).text(), /"degrees":21\.5/)
      assert.equal(server.calls[0]?.text, good.body)
      assert.equal(server.lists.length, 2)
      assert.equal((await proxy.ended(3)).outcome.status, 'ok')
      assert.deepEqual(proxy.ends[0]?.outcome.notes, { schema_arguments: 1 })
    })

    test(`looks at results (${sse ? 'SSE' : 'JSON'})`, async t => {
      const server = new Server()
      server.sse = sse
      server.structured = { degrees: 'warm: S3CRET' }
      const { url } = await start(t, server, '{ results: deny }')
      const answer = await send(t, url, callOf('weather', { city: 'Bern' }))
      const text = await answer.text()
      const body = sse ? JSON.parse(parseSse(text).at(-1)?.data ?? '') : JSON.parse(text)
      assert.equal(body.result.isError, true)
      assert.equal(body.result.content[0].text, 'Invalid result of s.weather:\ndegrees: expected number, got string')
      assert.ok(!text.includes('S3CRET'))
      const lax = await start(t, server)
      assert.match(await (await send(t, lax.url, callOf('weather', { city: 'Bern' }))).text(), /S3CRET/)
      assert.deepEqual((await lax.proxy.ended(1)).outcome.notes, { schema_result: 1 })
    })
  }

  test('speaks the modern era with the envelope of the client', async t => {
    const server = new Server()
    const { url } = await start(t, server)
    const answer = await send(t, url, modern(1, 'tools/call', { name: 'weather', arguments: {} }))
    const { result: value } = await answer.json()
    assert.deepEqual([value.resultType, value.isError, value.content[0].text], ['complete', true, MISSING])
    const [asked] = server.lists
    assert.deepEqual(
      [asked?.header('mcp-method'), asked?.header('mcp-protocol-version')],
      ['tools/list', MODERN_VERSION],
    )
    assert.equal(
      asked?.json().params._meta[`${META_PREFIX}protocolVersion`],
      envelope()[`${META_PREFIX}protocolVersion`],
    )
  })

  test('learns again when the server says on its stream that its tools changed', async t => {
    const server = new Server()
    server.tools = [[WEATHER]]
    const { url } = await start(t, server)
    const opened = await send(t, url, initialize())
    const session = String(opened.headers['mcp-session-id'])
    const stream = await begin(t, url, { headers: { accept: 'text/event-stream', 'mcp-session-id': session } }).answer
    await stream.sees(': open')
    const read = await send(t, url, legacy(rpc(1, 'tools/list'), { session }))
    assert.equal((await read.json()).result.tools.length, 1)
    server.tools = [[PLAIN]]
    await server.tell(notification('notifications/tools/list_changed'))
    await stream.sees('list_changed')
    const call = legacy(rpc(2, 'tools/call', { name: 'weather', arguments: {} }), { session })
    const texts: string[] = []
    // A list that was read is good for a second, whatever the server says.
    while (texts.length < 10_000 && !texts.at(-1)?.startsWith('Tool not found')) {
      texts.push((await (await send(t, url, call)).json()).result.content[0].text)
    }
    assert.deepEqual([...new Set(texts)], [MISSING, 'Tool not found: s.weather\nAvailable tools: s.plain'])
    assert.equal(server.lists.length, 2)
    assert.equal(server.lists[1]?.header('mcp-session-id'), 'up-1')
  })

  test('sees what the server lists before access hides it, and tells nobody', async t => {
    const server = new Server()
    const rules =
      'default_policy: deny, clients: { anonymous: { allowed_servers: [s], allowed_tools: { s: [plain] } } }'
    const policy = `access_control: { ${rules} }\ninterceptors: [access, { use: schema }]`
    const { url } = await startPair(t, server.script, { policy })
    const first = await (await send(t, url, legacy(rpc(1, 'tools/list')))).json()
    const second = await (await send(t, url, legacy(rpc(1, 'tools/list', { cursor: '1' })))).json()
    assert.deepEqual([first.result.tools, second.result.tools], [[PLAIN], []])
    const denied = await (await send(t, url, callOf('weather', {}))).json()
    assert.equal(denied.error.message, 'Access denied: anonymous -> s.weather')
    assert.equal(server.lists.length, 2)
  })

  test('checks again what an interceptor behind it has changed', async t => {
    const server = new Server()
    const change = interceptor('change', {
      request: message => {
        if (message.method !== 'tools/call') return
        message.edit(json => {
          const { arguments: args } = json.params as { arguments: { city: unknown } }
          args.city = args.city === 'Bern' ? 5 : 'Basel'
        })
      },
    })
    const policy = 'interceptors: [{ use: schema }, { use: change }]'
    const { url } = await startPair(t, server.script, { policy, interceptors: [change] })
    const bad = await (await send(t, url, callOf('weather', { city: 'Bern' }))).json()
    assert.match(bad.result.content[0].text, /city: expected string, got number/)
    assert.equal(server.calls.length, 0)
    await (await send(t, url, callOf('weather', { city: 'Chur' }))).text()
    assert.equal(server.calls[0]?.json().params.arguments.city, 'Basel')
  })

  test('counts what it finds', async t => {
    const counted: unknown[][] = []
    const listen = (message: unknown): void => {
      const { name, values } = message as { name: string; values: unknown[] }
      if (name === 'sluice_schema_findings_total') counted.push(values)
    }
    channels.counted.subscribe(listen)
    t.after(() => channels.counted.unsubscribe(listen))
    const { url } = await start(t, new Server())
    await (await send(t, url, callOf('weather', {}))).text()
    await (await send(t, url, callOf('none', {}))).text()
    assert.deepEqual(counted, [
      ['s', 'arguments', 'deny'],
      ['s', 'unknown_tool', 'deny'],
    ])
  })

  test('passes calls without results being held where results are off', async t => {
    const server = new Server()
    server.structured = { degrees: 'x' }
    const { url, proxy } = await start(t, server, '{ results: off }')
    assert.match(await (await send(t, url, callOf('weather', { city: 'x' }))).text(), /"degrees":"x"/)
    assert.equal((await proxy.ended(1)).outcome.messagesToClient, 0)
  })

  for (const peer of PEERS) {
    test(`${peer}: an SDK client reads refusals, and results that fit`, async t => {
      const server = new Server()
      const { url } = await start(t, server, '{ results: deny, coerce: true }')
      const client = await connectSdk(t, peer, url)
      assert.ok((await client.toolNames()).includes('plain'))
      assert.equal(await client.callText('weather', {}), MISSING)
      const value = await client.call('weather', { city: 'Bern', days: '3' })
      assert.deepEqual(value.structuredContent, { degrees: 21.5 })
      assert.deepEqual(server.calls[0]?.json().params.arguments, { city: 'Bern', days: 3 })
    })
  }
})
