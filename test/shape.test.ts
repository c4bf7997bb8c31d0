import assert from 'node:assert/strict'
import { test } from 'node:test'
import { setFlagsFromString } from 'node:v8'
import { runInThisContext } from 'node:vm'
import { Verdict } from '#api'
import { Envelope } from '../proxy/message/envelope.ts'
import { scan } from '../proxy/message/scan.ts'
import { jsonUpstream } from '../proxy/testing/memory-upstream.ts'
import { memoryExchange, tableOf } from './helpers/memory-exchange.ts'

setFlagsFromString('--allow-natives-syntax')
const sameShape = runInThisContext('(a, b) => %HaveSameMap(a, b)') as (a: object, b: object) => boolean

const MESSAGES = [
  '{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"echo","arguments":{}}}',
  '{"jsonrpc":"2.0","id":"a","method":"ping"}',
  '{"jsonrpc":"2.0","method":"notifications/initialized"}',
  '{"jsonrpc":"2.0","id":7,"result":{}}',
  '{"jsonrpc":"2.0","id":7,"error":{"code":-1,"message":"no"}}',
  '{"jsonrpc":"2.0","id":2,"method":"tools/list","params":{"_meta":{"io.modelcontextprotocol/protocolVersion":"2026-07-28","io.modelcontextprotocol/clientCapabilities":{}}}}',
]

function envelopeOf(text: string): Envelope {
  const envelope = scan(Buffer.from(text), 128)
  assert.ok(envelope instanceof Envelope)
  return envelope
}

test('the check itself tells shapes apart', () => {
  assert.equal(sameShape({ a: 1 }, { b: 1 }), false)
})

test('every envelope has one hidden class', () => {
  const [first, ...rest] = MESSAGES.map(envelopeOf)
  for (const other of rest) assert.ok(sameShape(first as Envelope, other))
})

test('relay, exchange and message keep one hidden class whatever the message and whatever the chain did', () => {
  const answer = '{"jsonrpc":"2.0","id":1,"result":{}}'
  const chain = tableOf([
    {
      hooks: {
        request: (message, exchange) => {
          exchange.note('n', 1)
          return message.method === 'ping' ? Verdict.deny('denied', 'no') : undefined
        },
        response: message => message.edit(json => void (json['x'] = 1)),
        end() {},
      },
    },
  ])
  const runs = [tableOf([]), chain].flatMap(table =>
    MESSAGES.map(body => {
      const run = memoryExchange(table, jsonUpstream(answer), body)
      run.relay.start()
      return run.relay
    }),
  )
  const [first, ...rest] = runs
  assert.ok(first)
  for (const other of rest) {
    assert.ok(sameShape(first, other), 'Relay')
    assert.ok(sameShape(first.exchange, other.exchange), 'LiveExchange')
    assert.ok(sameShape(first.message, other.message), 'WireMessage')
    assert.ok(sameShape(first.tally, other.tally), 'Tally')
  }
})

test('every verdict has one hidden class', () => {
  const verdicts = [Verdict.reply({}, 'r'), Verdict.deny('denied', 'd', { a: 1 }), Verdict.drop('x')]
  for (const verdict of verdicts) assert.ok(sameShape(verdicts[0] as Verdict, verdict))
})
