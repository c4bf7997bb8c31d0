import assert from 'node:assert/strict'
import { test } from 'node:test'
import { POST_HEADERS, rpc } from '../helpers/mcp-messages.ts'
import { startPair } from '../helpers/proxy.ts'
import { connectRaw, type RawClient, rawPost } from '../helpers/raw-client.ts'
import { deferred } from '../helpers/scope.ts'

/** Faults on a connection with requests before and behind them: nobody gets another request's answer. */

const FIELDS = Object.entries(POST_HEADERS).map(([name, value]) => `${name}: ${value}`)

function post(id: number, fields: readonly string[] = []): Buffer {
  return rawPost('/mcp', '127.0.0.1', [...FIELDS, ...fields], JSON.stringify(rpc(id, 'ping')))
}

async function idOf(client: RawClient): Promise<unknown> {
  const { head, body } = await client.readResponse()
  return [head.status, JSON.parse(body.toString()).id]
}

test('bytes that are no request do not take the place of the answer before them', async t => {
  const arrived = deferred<void>()
  const go = deferred<void>()
  const { url } = await startPair(t, async (request, answer) => {
    arrived.resolve()
    await go.promise
    answer.json({ jsonrpc: '2.0', id: request.json().id, result: {} })
  })
  const client = await connectRaw(t, url)
  await client.send(Buffer.concat([post(1), post(2)]))
  await arrived.promise
  await client.send('GARBAGE\r\n\r\n')
  await client.send('MORE GARBAGE\r\n\r\n')
  go.resolve()
  assert.deepEqual(await idOf(client), [200, 1])
  assert.deepEqual(await idOf(client), [200, 2])
  assert.deepEqual(await idOf(client), [400, undefined])
  await client.closed()
  assert.equal(client.rest.length, 0)
})

test('what follows a request with "Connection: close" does not cut its answer', async t => {
  const { url, upstream } = await startPair(t)
  const client = await connectRaw(t, url)
  await client.send(Buffer.concat([post(1, ['Connection: close']), post(2)]))
  assert.deepEqual(await idOf(client), [200, 1])
  await client.closed()
  assert.equal(client.rest.length, 0)
  assert.equal(upstream.requests.length, 1)
})

test('nothing behind a refused request counts as a request', async t => {
  const { url, upstream } = await startPair(t)
  const warm = await connectRaw(t, url)
  await warm.send(post(1))
  await idOf(warm)
  const client = await connectRaw(t, url)
  await client.send(Buffer.concat([rawPost('/elsewhere', '127.0.0.1', FIELDS, '{}'), post(2), post(3)]))
  assert.deepEqual(await idOf(client), [404, undefined])
  await client.closed()
  assert.equal(client.rest.length, 0)
  assert.equal(upstream.requests.length, 1)
})

test('a request cut in two behind an offer to upgrade is not read from its middle', async t => {
  const arrived = deferred<void>()
  const go = deferred<void>()
  const { url, upstream } = await startPair(t, async (request, answer) => {
    arrived.resolve()
    await go.promise
    answer.json({ jsonrpc: '2.0', id: request.json().id, result: {} })
  })
  const inner = post(666)
  const carrier = rawPost('/mcp', '127.0.0.1', FIELDS, inner)
  const cut = carrier.length - inner.length
  const client = await connectRaw(t, url)
  await client.send(Buffer.concat([post(1, ['Connection: Upgrade', 'Upgrade: h2c']), carrier.subarray(0, cut)]))
  await arrived.promise
  await client.send(carrier.subarray(cut))
  go.resolve()
  assert.deepEqual(await idOf(client), [200, 1])
  await client.closed()
  assert.equal(client.rest.length, 0)
  assert.deepEqual(
    upstream.requests.map(request => request.json().id),
    [1],
  )
})

test('an offer to upgrade gives no more time for the body', async t => {
  const { url } = await startPair(t, {}, { timeouts: { headerMs: 20, bodyMs: 20 } })
  const client = await connectRaw(t, url)
  await client.send(post(1, ['Connection: Upgrade', 'Upgrade: h2c']).subarray(0, -3))
  assert.deepEqual(await idOf(client), [408, undefined])
  await client.closed()
})
