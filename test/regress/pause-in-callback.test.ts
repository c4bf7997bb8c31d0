import assert from 'node:assert/strict'
import { test } from 'node:test'
import { startRawUpstream } from '../helpers/raw-upstream.ts'
import { until } from '../helpers/scope.ts'
import { connect, GET } from '../wire/upstream/plain-kit.ts'

test('a handler that pauses and goes on in one callback gets the rest of its answer', async t => {
  const upstream = await startRawUpstream(t, peer => {
    peer.socket.once('data', () => peer.socket.write('HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\none'))
  })
  const { ask } = connect(t, upstream.port)
  const kept = ask(GET, {
    data: control => {
      control.pause()
      control.resume()
    },
  })
  await until(() => kept.body === 'one', 'the first half')
  upstream.peers[0]?.socket.write('two')
  assert.equal(await kept.ended(), 'onetwo')
})
