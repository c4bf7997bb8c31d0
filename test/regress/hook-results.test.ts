import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { Message } from '#api'
import { send } from '../helpers/http-client.ts'
import { legacy, result, rpc } from '../helpers/mcp-messages.ts'
import { interceptor, startPair } from '../helpers/proxy.ts'

const PING = legacy(rpc(1, 'ping'))

for (const onFailure of ['open', 'closed'] as const) {
  test(`a promise that throws when it is waited for is a failure of its interceptor (${onFailure})`, async t => {
    const thrower = {
      // biome-ignore lint/suspicious/noThenProperty: that is the case
      then() {
        throw new Error('from then')
      },
    }
    const bad = interceptor('bad', { request: () => thrower as unknown as Promise<undefined> }, { onFailure })
    const { url, proxy } = await startPair(t, {}, { interceptors: [bad] })
    const answer = await (await send(t, url, PING)).json()
    assert.equal(answer.id, 1)
    assert.equal(answer.error?.data.code, onFailure === 'open' ? undefined : 'interceptor_failed')
    const { verdicts } = (await proxy.ended(1)).outcome
    assert.deepEqual(
      verdicts.map(({ entry, action }) => [entry, action]),
      [['bad', 'fail']],
    )
    assert.equal(proxy.notices.filter(({ text }) => text === 'the proxy failed').length, 0)
  })
}

test('a large answer is no reason to refuse it, or to hide it, from one that reads the envelope only', async t => {
  const seen: number[] = []
  const hooks = { response: (message: { byteLength: number }) => void seen.push(message.byteLength) }
  const sizes = interceptor('sizes', hooks, { looks: { response: { need: 'envelope' } } })
  const body = JSON.stringify(result(1, { text: 'x'.repeat(6_000_000) }))
  const { url } = await startPair(t, (_, answer) => answer.json(body), { interceptors: [sizes] })
  assert.equal(await (await send(t, url, PING)).text(), body)
  assert.deepEqual(seen, [body.length])
})

test('no more than max_event_bytes of an answer is held, whatever a look asks for', async t => {
  const look = { need: 'bytes', maxBytes: 1 << 30 } as const
  const reads = interceptor('reads', { response: () => undefined }, { looks: { response: look } })
  const body = JSON.stringify(result(1, { text: 'x'.repeat(100_000) }))
  const { url } = await startPair(t, (_, answer) => answer.json(body), {
    interceptors: [reads],
    limits: { maxEventBytes: 50_000 },
  })
  const answer = await (await send(t, url, PING)).json()
  assert.equal(answer.error.data.code, 'message_too_large')
  assert.match(answer.error.message, /50000 bytes/)
})

for (const onFailure of ['open', 'closed'] as const) {
  test(`an edit made before a promise that is rejected is taken back (${onFailure})`, async t => {
    const editor = {
      request: (message: Message) => {
        message.edit(json => {
          json['params'] = { edited: true }
        })
        return Promise.reject(new Error('afterwards'))
      },
    }
    const entry = interceptor('editor', editor, { onFailure })
    const { url, upstream } = await startPair(t, {}, { interceptors: [entry] })
    const answer = await (await send(t, url, PING)).json()
    assert.equal(answer.error?.data.code, onFailure === 'open' ? undefined : 'interceptor_failed')
    assert.deepEqual(
      upstream.requests.map(request => request.text),
      onFailure === 'open' ? [PING.body] : [],
    )
  })
}
