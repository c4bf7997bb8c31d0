import assert from 'node:assert/strict'
import { createHook } from 'node:async_hooks'
import { test } from 'node:test'
import { Verdict } from '#api'
import { jsonUpstream, MemoryUpstream } from '../proxy/testing/memory-upstream.ts'
import { type Entry, memoryExchange, tableOf } from './helpers/memory-exchange.ts'

const CALL = '{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"echo","arguments":{"text":"x"}}}'
const ANSWER = '{"jsonrpc":"2.0","id":1,"result":{"content":[{"type":"text","text":"x"}]}}'

/** Three entries that read, note and edit, all of them synchronous. */
const CHAIN: Entry[] = [
  { hooks: { request: message => void message.json(), response: message => void message.json(), end() {} } },
  { hooks: { request: message => message.edit(json => void (json['extra'] = 1)), notification: () => undefined } },
  { hooks: { state: () => ({ seen: 0 }), response: (_m, exchange) => exchange.note('seen', true) } },
]

/** Number of promises that come into being while `run` runs. */
function promisesOf(run: () => void): number {
  let promises = 0
  const hook = createHook({
    init: (_id, type) => {
      if (type === 'PROMISE') promises++
    },
  })
  hook.enable()
  run()
  hook.disable()
  return promises
}

test('the counter counts', () => {
  assert.equal(promisesOf(() => void Promise.resolve().then(() => {})) > 0, true)
})

test('a synchronous chain makes no promise for a JSON answer', () => {
  const exchange = memoryExchange(tableOf(CHAIN), jsonUpstream(ANSWER), CALL)
  assert.equal(
    promisesOf(() => exchange.relay.start()),
    0,
  )
  assert.equal(exchange.reply.text, ANSWER)
  assert.equal(exchange.relay.finished, true)
})

test('a synchronous chain makes no promise for an event stream', () => {
  const upstream = new MemoryUpstream(sink => {
    sink.onHead(200, ['content-type', 'text/event-stream'], 'r1')
    for (let i = 1; i <= 10; i++) {
      sink.onData(
        Buffer.from(`data: {"jsonrpc":"2.0","method":"notifications/progress","params":{"progress":${i}}}\n\n`),
      )
    }
    sink.onData(Buffer.from(`data: ${ANSWER}\n\n`))
    sink.onEnd()
  })
  const exchange = memoryExchange(tableOf(CHAIN), upstream, CALL)
  assert.equal(
    promisesOf(() => exchange.relay.start()),
    0,
  )
  assert.equal(exchange.relay.finished, true)
  assert.match(exchange.reply.text, /"progress":10/)
})

test('asking again after an edit makes no promise', () => {
  let asked = 0
  const chain = tableOf([{ recheck: true, hooks: { request: () => void asked++ } }, ...CHAIN])
  const exchange = memoryExchange(chain, jsonUpstream(ANSWER), CALL)
  assert.equal(
    promisesOf(() => exchange.relay.start()),
    0,
  )
  assert.equal(asked, 2)
  assert.equal(exchange.relay.finished, true)
})

test('a refusal makes no promise', () => {
  const denied = tableOf([...CHAIN, { hooks: { request: () => Verdict.deny('denied', 'no') } }])
  const exchange = memoryExchange(denied, jsonUpstream(ANSWER), CALL)
  assert.equal(
    promisesOf(() => exchange.relay.start()),
    0,
  )
  assert.equal(exchange.upstream.requests.length, 0)
  assert.match(exchange.reply.text, /"message":"no"/)
})

test('nobody looking makes no promise and passes the very same bytes', () => {
  const exchange = memoryExchange(tableOf([]), jsonUpstream(ANSWER), CALL)
  assert.equal(
    promisesOf(() => exchange.relay.start()),
    0,
  )
  assert.equal(exchange.reply.text, ANSWER)
})
