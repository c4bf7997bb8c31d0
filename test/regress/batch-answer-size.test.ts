import assert from 'node:assert/strict'
import { test } from 'node:test'
import { send } from '../helpers/http-client.ts'
import { legacy, result, rpc } from '../helpers/mcp-messages.ts'
import { interceptor, startPair } from '../helpers/proxy.ts'

test('an answer in a batch is held no further than max_event_bytes', async t => {
  const looks = interceptor('looks', { request: () => undefined }, { looks: { request: { need: 'envelope' } } })
  const { url } = await startPair(
    t,
    (request, answer) => {
      const { id } = request.json()
      answer.json(result(id, { text: 'x'.repeat(id === 1 ? 100_000 : 10) }))
    },
    { interceptors: [looks], limits: { maxEventBytes: 50_000 } },
  )
  const { headers } = legacy({}, { version: '2025-03-26' })
  const answers = await (await send(t, url, { headers, body: [rpc(1, 'ping'), rpc(2, 'ping')] })).json()
  assert.deepEqual([answers[0].id, answers[0].error.data.code], [1, 'message_too_large'])
  assert.deepEqual(answers[1], result(2, { text: 'xxxxxxxxxx' }))
})
