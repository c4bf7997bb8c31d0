import assert from 'node:assert/strict'
import { test } from 'node:test'
import { send } from '../helpers/http-client.ts'
import { modern } from '../helpers/mcp-messages.ts'
import { startPair } from '../helpers/proxy.ts'

test('raw bytes beyond ASCII in Mcp-Name are no name: one reads them as Latin-1, the other as UTF-8', async t => {
  const { url, upstream } = await startPair(t)
  const name = 'gr\u00fc\u00dfe'
  const call = modern(1, 'tools/call', { name })
  const answer = await send(t, url, { ...call, headers: { ...call.headers, 'mcp-name': name } })
  assert.deepEqual([answer.status, (await answer.json()).error.code], [400, -32020])
  assert.equal((await send(t, url, call)).status, 200)
  assert.equal(upstream.requests.length, 1)
})
