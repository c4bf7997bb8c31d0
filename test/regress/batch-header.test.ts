import assert from 'node:assert/strict'
import { test } from 'node:test'
import { send } from '../helpers/http-client.ts'
import { legacy, rpc } from '../helpers/mcp-messages.ts'
import { startPair } from '../helpers/proxy.ts'

test('header fields that name one message do not go with a batch', async t => {
  const { url, upstream } = await startPair(t)
  const fields: [string, string][] = [
    ['mcp-method', 'ping'],
    ['mcp-name', 'a'],
  ]
  for (const [name, value] of fields) {
    const { headers } = legacy({}, { version: '2025-03-26', headers: { [name]: value } })
    const answer = await send(t, url, { headers, body: [rpc(1, 'ping'), rpc(2, 'tools/call', { name: 'b' })] })
    assert.equal(answer.status, 400)
    assert.equal((await answer.json()).error.code, -32020)
  }
  assert.equal(upstream.requests.length, 0)
})
