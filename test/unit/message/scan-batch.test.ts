import assert from 'node:assert/strict'
import { test } from 'node:test'
import { Envelope } from '../../../proxy/message/envelope.ts'
import { ScanFault, scanBatch, startsWithArray } from '../../../proxy/message/scan.ts'

function batch(text: string, maxItems = 10): ReturnType<typeof scanBatch> {
  return scanBatch(Buffer.from(text), 16, maxItems)
}

test('reads each element with its range', () => {
  const text = ' [ {"jsonrpc":"2.0","id":1,"method":"ping"} ,\n{"jsonrpc":"2.0","method":"é"},{"id":2,"x":1},7 ] '
  const items = batch(text)
  assert.ok(Array.isArray(items))
  const bytes = Buffer.from(text)
  assert.deepEqual(
    items.map(item => bytes.toString('utf8', item.start, item.end)),
    ['{"jsonrpc":"2.0","id":1,"method":"ping"}', '{"jsonrpc":"2.0","method":"é"}', '{"id":2,"x":1}', '7'],
  )
  const [first, second, third, fourth] = items.map(item => item.envelope)
  assert.ok(first instanceof Envelope && first.idText === '1' && first.method === 'ping')
  assert.ok(second instanceof Envelope && second.kind === 'notification' && second.method === 'é')
  assert.ok(third instanceof ScanFault && third.code === 'invalid_request' && third.idText === '2')
  assert.ok(fourth instanceof ScanFault && fourth.code === 'invalid_request')
})

test('refuses what is no batch', () => {
  const cases: [string, string][] = [
    ['', 'invalid_request'],
    ['{}', 'invalid_request'],
    ['[]', 'invalid_request'],
    ['[ ] x', 'parse_error'],
    ['[', 'parse_error'],
    ['[1,', 'parse_error'],
    ['[1,]', 'parse_error'],
    ['[1 2]', 'parse_error'],
    ['[1]]', 'parse_error'],
    ['[{"a":1}', 'parse_error'],
    ['[{"a"}]', 'parse_error'],
    [`[${'['.repeat(20)}${']'.repeat(20)}]`, 'invalid_request'],
  ]
  for (const [text, code] of cases) {
    const found = batch(text)
    assert.ok(found instanceof ScanFault, text)
    assert.equal(found.code, code, text)
    assert.equal(found.idText, '', text)
  }
})

test('bounds the number of messages', () => {
  const found = batch('[1,2,3]', 2)
  assert.ok(found instanceof ScanFault && /more than 2 messages/.test(found.text))
  assert.ok(Array.isArray(batch('[1,2,3]', 3)))
})

test('tells an array from the first byte', () => {
  assert.equal(startsWithArray(Buffer.from(' \r\n\t[')), true)
  for (const text of ['', ' ', '{"a":[]}', '"["']) assert.equal(startsWithArray(Buffer.from(text)), false)
})
