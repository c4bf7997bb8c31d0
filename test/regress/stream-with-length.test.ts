import assert from 'node:assert/strict'
import { test } from 'node:test'
import { startProxy } from '../helpers/proxy.ts'
import { connectRaw } from '../helpers/raw-client.ts'
import { nextAnswer, post } from '../helpers/raw-mcp.ts'
import { startRawUpstream } from '../helpers/raw-upstream.ts'
import { parseSse } from '../helpers/sse.ts'

test('the error behind a broken stream that had a length stays in its own answer', async t => {
  const events = 'data: {"jsonrpc":"2.0","method":"notifications/message","params":{}}\n\n'
  let count = 0
  const upstream = await startRawUpstream(t, async peer => {
    await peer.sees('}')
    const answer = '{"jsonrpc":"2.0","id":2,"result":{}}'
    if (count++ > 0)
      peer.socket.end(
        `HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: ${answer.length}\r\n\r\n${answer}`,
      )
    else
      peer.socket.end(
        `HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nContent-Length: ${events.length}\r\n\r\n${events.slice(0, -3)}`,
      )
  })
  const proxy = await startProxy(t, { servers: upstream.url })
  const client = await connectRaw(t, proxy.url)
  await client.send(post(1))
  const { head, body } = await client.readResponse()
  assert.equal(head.header('content-length'), undefined)
  const last = parseSse(body.toString()).at(-1)
  assert.deepEqual(
    [JSON.parse(last?.data ?? '').id, JSON.parse(last?.data ?? '').error.data.code],
    [1, 'upstream_broken'],
  )
  await client.send(post(2))
  assert.deepEqual(await nextAnswer(client), [200, 2])
})
