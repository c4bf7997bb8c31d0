import assert from 'node:assert/strict'
import { test } from 'node:test'
import { send } from '../helpers/http-client.ts'
import { legacy, result, rpc } from '../helpers/mcp-messages.ts'
import { reader, startPair } from '../helpers/proxy.ts'
import { referenceEvents } from '../unit/message/sse-reference.ts'

/** A byte order mark is one at the beginning of a stream only: further in, it makes its line one that nobody knows. */
test('answers to a batch that begin with a byte order mark are all read by the client', async t => {
  const { url } = await startPair(
    t,
    (request, answer) => answer.events([`\ufeffdata: ${JSON.stringify(result(request.json().id, {}))}\n\n`]),
    { interceptors: [reader('reads')] },
  )
  const batch = [rpc(1, 'ping'), rpc(2, 'ping'), rpc(3, 'ping')]
  const { headers } = legacy({})
  const { 'mcp-protocol-version': _, ...rest } = headers
  const answer = await send(t, url, { method: 'POST', headers: rest, body: JSON.stringify(batch) })
  const { events } = referenceEvents(Buffer.from(await answer.text()))
  const ids = events.map(({ data }) => JSON.parse(data ?? '{}').id)
  assert.deepEqual(ids.sort(), [1, 2, 3])
})
