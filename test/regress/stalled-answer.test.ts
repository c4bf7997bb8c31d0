import assert from 'node:assert/strict'
import { test } from 'node:test'
import { interceptor, startPair, type TestProxy } from '../helpers/proxy.ts'
import { connectRaw } from '../helpers/raw-client.ts'
import { nextAnswer, post, watchHeld } from '../helpers/raw-mcp.ts'
import { deferred, type Scope, until } from '../helpers/scope.ts'

/** A whole answer that its client does not take was held for ever: only streams had a limit. */

const BIG = Buffer.from(`{"jsonrpc":"2.0","id":1,"result":{"text":"${'x'.repeat(15_000_000)}"}}`)
/** So much that the proxy notices: a kernel holds megabytes in between. */
const SIP_BYTES = 1_500_000
const LOOK = { need: 'bytes', maxBytes: BIG.length } as const

/** A proxy that holds answers whole, because somebody looks; the request with id 2 waits for `go`. */
async function startHolding(scope: Scope, stallMs: number): Promise<{ url: string; proxy: TestProxy; go(): void }> {
  const gate = deferred<void>()
  const pair = await startPair(
    scope,
    async (request, answer) => {
      const { id } = request.json()
      if (id === 1) return answer.json(BIG)
      await gate.promise
      answer.json({ jsonrpc: '2.0', id, result: {} })
    },
    {
      timeouts: { stallMs },
      interceptors: [interceptor('looks', { response: () => undefined }, { looks: { response: LOOK } })],
    },
  )
  return { ...pair, go: () => gate.resolve() }
}

test('a client that takes nothing of an answer is cut off', async t => {
  const { url, proxy } = await startHolding(t, 100)
  const held = watchHeld(t)
  const client = await connectRaw(t, url)
  client.pause()
  await client.send(post(1))
  await proxy.ended(1)
  await until(() => held.inFlight === 0, 'the client to be cut off')
  client.resume()
  await client.closed()
  assert.ok(client.received.length < BIG.length)
})

test('an answer that had to wait for the one before it is no exception', async t => {
  const { url, proxy, go } = await startHolding(t, 100)
  const held = watchHeld(t)
  const client = await connectRaw(t, url)
  client.pause()
  await client.send(Buffer.concat([post(2), post(1)]))
  await proxy.ended(1)
  go()
  await proxy.ended(2)
  await until(() => held.inFlight === 0, 'the client to be cut off')
})

test('a client that reads slowly gets all, and may wait longer for its next answer', async t => {
  // The whole takes longer than the limit; each sip comes long before it, also on a busy machine.
  const { url, proxy, go } = await startHolding(t, 3000)
  const client = await connectRaw(t, url)
  client.pause()
  await client.send(Buffer.concat([post(1), post(2)]))
  await proxy.ended(1)
  let got = 0
  let sip = 0
  const sips = setInterval(() => {
    sip = 0
    client.resume()
  }, 400)
  client.socket.on('data', (chunk: Buffer) => {
    got += chunk.length
    sip += chunk.length
    if (sip >= SIP_BYTES && got <= BIG.length) client.pause()
  })
  await until(() => got > BIG.length || client.isClosed, 'the whole answer', 60_000)
  clearInterval(sips)
  client.resume()
  go()
  for (const id of [1, 2]) assert.deepEqual(await nextAnswer(client), [200, id])
})
