import assert from 'node:assert/strict'
import { describe, type TestContext, test } from 'node:test'
import { send } from '../../helpers/http-client.ts'
import { noJq } from '../../helpers/jq.ts'
import {
  initializeResult,
  legacy,
  MODERN_VERSION,
  modern,
  notification,
  result,
  rpc,
} from '../../helpers/mcp-messages.ts'
import { type Pair, startPair } from '../../helpers/proxy.ts'
import type { Script } from '../../helpers/scripted-upstream.ts'
import { connectSdk, PEERS } from '../../helpers/sdk-clients.ts'
import { parseSse, sseEvent } from '../../helpers/sse.ts'

const ROWS = [
  { id: 1, title: 'one', secret: 'k1' },
  { id: 2, title: 'two', secret: 'k2' },
]
const SCHEMA = {
  type: 'object',
  properties: { rows: { type: 'array' } },
  required: ['rows'],
  additionalProperties: false,
}
const TOOLS = ['search', 'other'].map(name => ({ name, inputSchema: { type: 'object' }, outputSchema: SCHEMA }))
const FOUND = { content: [{ type: 'text', text: JSON.stringify({ rows: ROWS }) }], structuredContent: { rows: ROWS } }

/** A server of both eras with two tools. */
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
  if (method === 'tools/list') return reply({ tools: TOOLS })
  if (method === 'tools/call') return reply(FOUND)
  return answer.status(202)
}

function policy(options: string, match = '{ method: tools/call, name: search }'): { policy: string } {
  return { policy: `interceptors: [{ use: jq, match: ${match}, options: ${options} }]` }
}

function start(t: TestContext, options: string, script: Script = server): Promise<Pair> {
  return startPair(t, script, policy(options))
}

const FILTER = `{ filter: '.rows | map({id, title})' }`

describe('jq over sockets', { skip: noJq }, () => {
  for (const peer of PEERS) {
    test(`${peer}: a client that checks results against outputSchema takes a filtered one`, async t => {
      const { url } = await start(t, FILTER)
      const client = await connectSdk(t, peer, url)
      const { tools } = await client.raw.listTools()
      assert.deepEqual(
        tools.map((tool: { name: string; outputSchema?: object }) => [tool.name, tool.outputSchema]),
        [
          ['search', undefined],
          ['other', SCHEMA],
        ],
      )
      const filtered = ROWS.map(({ id, title }) => ({ id, title }))
      const { content, structuredContent } = await client.call('search')
      assert.deepEqual(structuredContent, { result: filtered })
      assert.deepEqual(content, [{ type: 'text', text: JSON.stringify(filtered) }])
      assert.deepEqual((await client.call('other')).structuredContent, { rows: ROWS })
    })

    test(`${peer}: the declared schema is the one that is checked`, async t => {
      const { url } = await start(
        t,
        `{ filter: '.rows | map(.id)', output_schema: { type: array, items: { type: string } } }`,
      )
      const client = await connectSdk(t, peer, url)
      await client.raw.listTools()
      await assert.rejects(client.call('search'), /output schema|structured content|validation|must be string/i)
    })
  }

  test('an answer that comes as a stream is filtered, what comes before it is not', async t => {
    const progress = notification('notifications/progress', { progressToken: 1, progress: 1 })
    const { url } = await start(t, FILTER, (request, answer) =>
      answer.events([sseEvent(progress), sseEvent(result(request.json().id, FOUND))]),
    )
    for (const post of [
      legacy(rpc(1, 'tools/call', { name: 'search' })),
      modern(1, 'tools/call', { name: 'search' }),
    ]) {
      const answer = await send(t, url, post)
      const [first, second] = parseSse(await answer.text()).map(event => JSON.parse(event.data))
      assert.deepEqual(first, progress)
      assert.deepEqual(second.result.structuredContent, { result: ROWS.map(({ id, title }) => ({ id, title })) })
    }
  })

  test('arguments are filtered before the server sees them', async t => {
    const { url, upstream } = await start(t, `{ on: arguments, filter: '.limit |= ([., 10] | min)' }`)
    const post = legacy(rpc(1, 'tools/call', { name: 'search', arguments: { q: 'x', limit: 500 } }))
    assert.equal((await send(t, url, post)).status, 200)
    assert.deepEqual(upstream.requests[0]?.json().params, { name: 'search', arguments: { q: 'x', limit: 10 } })
  })

  test('a filter that fails refuses the result, and says nothing of it', async t => {
    const { url } = await start(t, `{ filter: 'error(.rows[0].secret)' }`)
    const answer = await send(t, url, legacy(rpc(1, 'tools/call', { name: 'search' })))
    const { error } = await answer.json()
    assert.deepEqual([error.message, error.data.code], ['Interceptor failed: jq', 'interceptor_failed'])
    assert.doesNotMatch(JSON.stringify(error), /k1/)
  })

  test('a filter that never ends is stopped, and others are served', async t => {
    const filter = `if .rows[0].title == "one" then last(repeat(1)) else . end`
    const { url, proxy } = await start(t, `{ filter: '${filter}', deadline: 100ms, output_schema: keep }`)
    const answer = await send(t, url, legacy(rpc(1, 'tools/call', { name: 'search' })))
    assert.equal((await answer.json()).error.message, 'Interceptor timed out: jq')
    assert.equal((await send(t, url, legacy(rpc(2, 'tools/call', { name: 'other' })))).status, 200)
    assert.ok(proxy.notices.some(notice => /longer than 100 ms/.test(JSON.stringify(notice))))
  })
})
