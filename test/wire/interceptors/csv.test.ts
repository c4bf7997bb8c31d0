import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import { send } from '../../helpers/http-client.ts'
import { initializeResult, legacy, MODERN_VERSION, modern, result, rpc } from '../../helpers/mcp-messages.ts'
import { startPair } from '../../helpers/proxy.ts'
import type { Script } from '../../helpers/scripted-upstream.ts'
import { connectSdk, PEERS } from '../../helpers/sdk-clients.ts'
import { parseSse, sseEvent } from '../../helpers/sse.ts'

const ROWS = [
  { id: 1, name: 'a, b' },
  { id: 2, name: '=2' },
]
const FOUND = { content: [{ type: 'text', text: JSON.stringify({ rows: ROWS }) }], structuredContent: { rows: ROWS } }
const TABLE = [{ type: 'text', text: `id,name\r\n1,"a, b"\r\n2,'=2\r\n` }]
const POLICY = { policy: 'interceptors: [{ use: csv, match: { method: tools/call, name: query } }]' }

const server: Script = (request, answer) => {
  if (request.method !== 'POST') return answer.status(405)
  const { id, method } = request.json()
  const isModern = request.header('mcp-protocol-version') === MODERN_VERSION
  const reply = (value: object): void =>
    answer.json(result(id, isModern ? { resultType: 'complete', ttlMs: 0, cacheScope: 'private', ...value } : value))
  if (method === 'initialize') return answer.json(initializeResult(id))
  if (method === 'server/discover') {
    const serverInfo = { name: 'scripted', version: '1' }
    return reply({ supportedVersions: [MODERN_VERSION], capabilities: { tools: {} }, serverInfo })
  }
  const outputSchema = { type: 'object', properties: { rows: { type: 'array' } }, required: ['rows'] }
  if (method === 'tools/list')
    return reply({ tools: [{ name: 'query', inputSchema: { type: 'object' }, outputSchema }] })
  return method === 'tools/call' ? reply(FOUND) : answer.status(202)
}

describe('csv over sockets', () => {
  for (const peer of PEERS) {
    test(`${peer}: a client that checks results against outputSchema takes a table`, async t => {
      const { url } = await startPair(t, server, POLICY)
      const client = await connectSdk(t, peer, url)
      const { tools } = await client.raw.listTools()
      assert.equal(tools[0].outputSchema, undefined)
      const { content, structuredContent } = await client.call('query')
      assert.deepEqual([content, structuredContent], [TABLE, undefined])
    })
  }

  test('an answer that comes as a stream is converted too', async t => {
    const { url } = await startPair(
      t,
      (request, answer) => answer.events([sseEvent(result(request.json().id, FOUND))]),
      POLICY,
    )
    for (const post of [legacy(rpc(1, 'tools/call', { name: 'query' })), modern(1, 'tools/call', { name: 'query' })]) {
      const [event] = parseSse(await (await send(t, url, post)).text())
      assert.deepEqual(JSON.parse(event?.data ?? '').result, { content: TABLE })
    }
    const other = await send(t, url, legacy(rpc(1, 'tools/call', { name: 'other' })))
    assert.deepEqual(JSON.parse(parseSse(await other.text())[0]?.data ?? '').result, FOUND)
  })
})
