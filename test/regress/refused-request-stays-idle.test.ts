import assert from 'node:assert/strict'
import { test } from 'node:test'
import { startRawUpstream } from '../helpers/raw-upstream.ts'
import { until } from '../helpers/scope.ts'
import { connect, post } from '../wire/upstream/plain-kit.ts'

test('a connection whose request could not be sent is not kept for ever', async t => {
  const upstream = await startRawUpstream(t)
  const { ask, gone } = connect(t, upstream.port, { keepAliveMs: 30 })
  assert.equal((await ask(post(Buffer.from('{}'), ['x', 'a\r\nb'])).error()).code, 'UND_ERR_INVALID_ARG')
  await until(() => gone() === 1, 'the end of the connection')
})
