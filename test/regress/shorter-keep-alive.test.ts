import assert from 'node:assert/strict'
import { test } from 'node:test'
import { startRawUpstream } from '../helpers/raw-upstream.ts'
import { answering, connect, counted } from '../wire/upstream/plain-kit.ts'

test('a connection that the server keeps for a shorter time than before gets no request behind its end', async t => {
  let ahead = 0
  const { now } = performance
  t.mock.method(performance, 'now', () => now.call(performance) + ahead)
  const upstream = await startRawUpstream(
    t,
    answering(counted('one', 'Keep-Alive: timeout=60'), counted('two', 'Keep-Alive: timeout=5'), counted('three')),
  )
  const { ask } = connect(t, upstream.port)
  await ask().ended()
  await ask().ended()
  assert.equal(upstream.peers.length, 1)
  ahead = 10_000
  await ask().ended()
  assert.equal(upstream.peers.length, 2)
})
