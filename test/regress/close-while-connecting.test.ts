import assert from 'node:assert/strict'
import { test } from 'node:test'
import { startRawUpstream } from '../helpers/raw-upstream.ts'
import { answering, connect, counted } from '../wire/upstream/plain-kit.ts'

test('a connection that is closed while it connects tells its request what became of it', async t => {
  const upstream = await startRawUpstream(t, answering(counted('one')))
  const { connection, ask } = connect(t, upstream.port)
  const kept = ask()
  await connection.close()
  assert.equal(await kept.ended(), 'one')
})
