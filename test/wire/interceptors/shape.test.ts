import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import { send } from '../../helpers/http-client.ts'
import { legacy, MODERN_VERSION, modern, result, rpc } from '../../helpers/mcp-messages.ts'
import { type Pair, startPair } from '../../helpers/proxy.ts'
import type { Scope } from '../../helpers/scope.ts'
import type { ScriptedAnswer } from '../../helpers/scripted-answer.ts'
import type { RecordedRequest, Script } from '../../helpers/scripted-upstream.ts'
import { connectSdk, PEERS, type Peer } from '../../helpers/sdk-clients.ts'
import { sseEvent } from '../../helpers/sse.ts'

const LIST = Array.from({ length: 2000 }, (_, id) => ({ id, note: `note ${id} äöü` }))
const TOOLS = [
  {
    name: 'search',
    inputSchema: { type: 'object' },
    outputSchema: {
      type: 'object',
      properties: { list: { type: 'array', minItems: 2000 } },
      required: ['list', 'total'],
    },
  },
]
const RESULT = {
  content: [{ type: 'text', text: JSON.stringify({ list: LIST, total: 2000 }) }],
  structuredContent: { list: LIST, total: 2000 },
}

const POLICY = `
interceptors:
  - use: shape
    match: { method: tools/call, name: search }
    options:
      rules: [{ tools: search, drop: [total], max_items: 5 }]
      advertise: true
`

/** A server of both eras with one tool, and without resources. */
function server(stream: boolean): Script {
  return (request: RecordedRequest, answer: ScriptedAnswer) => {
    const { id, method, params } = request.method === 'POST' ? request.json() : { method: '' }
    const isModern = params?._meta?.['io.modelcontextprotocol/protocolVersion'] !== undefined
    if (request.method !== 'POST') return answer.status(405)
    if (id === undefined) return answer.status(202)
    const value = answerTo(method, isModern)
    if (value === null) return answer.json({ jsonrpc: '2.0', id, error: { code: -32601, message: 'Method not found' } })
    const hints = isModern ? { resultType: 'complete', ttlMs: 0, cacheScope: 'private' } : {}
    const body = result(id, { ...value, ...hints })
    if (stream && method === 'tools/call') return answer.events([': hello\n\n', sseEvent(body)])
    return answer.json(body)
  }
}

function answerTo(method: string, isModern: boolean): object | null {
  const serverInfo = { name: 'scripted', version: '1.0.0' }
  const capabilities = { tools: {} }
  if (method === 'initialize') return { protocolVersion: '2025-11-25', capabilities, serverInfo }
  if (method === 'server/discover') return { supportedVersions: [MODERN_VERSION], capabilities, serverInfo }
  if (method === 'tools/list') return { tools: TOOLS }
  if (method === 'tools/call') return isModern ? { ...RESULT, resultType: 'complete' } : RESULT
  return null
}

function pair(t: Scope, stream = false): Promise<Pair> {
  return startPair(t, server(stream), { policy: POLICY })
}

for (const peer of PEERS) {
  for (const stream of [false, true]) {
    test(`${peer}, ${stream ? 'SSE' : 'JSON'}: a client that checks results takes what is left, and reads the rest`, async t => {
      const { url, upstream } = await pair(t, stream)
      const client = await connectSdk(t, peer as Peer, url)
      const { tools } = await client.raw.listTools()
      assert.equal(tools[0].outputSchema, undefined)
      const cut = await client.call('search')
      assert.deepEqual(cut.structuredContent, { list: LIST.slice(0, 5) })
      assert.equal(cut.content[0].text, JSON.stringify({ list: LIST.slice(0, 5) }))
      assert.match(cut.content[1].text, /list: 5 of 2000 items\. 1 field or item dropped\./)
      const link = cut.content[2]
      assert.equal(link.type, 'resource_link')
      let whole = ''
      for (let uri = link.uri; uri !== null; ) {
        const page = await client.raw.readResource({ uri })
        whole += page.contents[0].text
        uri = page._meta['dev.sluice/page'].next
      }
      assert.equal(whole, RESULT.content[0]?.text)
      assert.deepEqual(await client.raw.listResources(), { ...(await client.raw.listResources()), resources: [] })
      assert.equal(upstream.requests.filter(request => request.text.includes('resources/read')).length, 0)
    })
  }
}

describe('what is not there', () => {
  const uri = 'sluice://result/00000000-aaaaaaaaaaaaaaaaaaaaaaaa?page=1'

  test('is the error of the era', async t => {
    const { url, upstream } = await pair(t)
    const old = await send(t, url, legacy(rpc(7, 'resources/read', { uri })))
    const { error } = await old.json()
    assert.deepEqual(
      [old.status, error.code, error.data],
      [200, -32002, { source: 'interceptor', code: 'resource_not_found', uri }],
    )
    const now = await (await send(t, url, modern(7, 'resources/read', { uri }))).json()
    assert.equal(now.error.code, -32602)
    assert.equal(upstream.requests.length, 0)
  })

  test('goes to the server where it is of the server', async t => {
    const { url, upstream } = await pair(t)
    await send(t, url, legacy(rpc(7, 'resources/read', { uri: 'file:///x' })))
    assert.equal(upstream.requests.length, 1)
  })
})

test('small results stay byte for byte', async t => {
  const small = '{"jsonrpc":"2.0", "id":7,"result":{"content":[{"type":"text","text":"[1, 2]"}],"n":1.0}}'
  const { url } = await startPair(t, (_, answer) => answer.json(small), { policy: POLICY })
  assert.equal(await (await send(t, url, legacy(rpc(7, 'tools/call', { name: 'search' })))).text(), small)
})

test('tokens saved are counted, and told in the audit notes', async t => {
  const { url, proxy } = await pair(t)
  await (await send(t, url, legacy(rpc(7, 'tools/call', { name: 'search' })))).text()
  const { outcome } = await proxy.ended(1)
  assert.equal(outcome.status, 'ok')
  assert.ok((outcome.notes['tokens_saved'] as number) > 20_000)
})
