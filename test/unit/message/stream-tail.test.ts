import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { peekKind } from '../../../proxy/message/peek.ts'
import { StreamTail } from '../../../proxy/message/sse.ts'
import { cut, referenceEvents } from './sse-reference.ts'

const line = fc.constantFrom(
  '',
  '',
  '',
  ': ping',
  'id: 7',
  'id:',
  'id',
  'event: message',
  'data: {"jsonrpc":"2.0","id":1,"result":{}}',
  'data: {"jsonrpc":"2.0","id":1,"error":{"code":1}}',
  'data: {"jsonrpc":"2.0","method":"notifications/message","params":{"data":"\\"result\\": 日本"}}',
  'data: {"id":1,"jsonrpc":"2.0",',
  'data: "result":{}}',
  'data: "method":"x"}',
  'data',
  'data: nonsense',
)
const stream = fc
  .tuple(fc.boolean(), fc.array(fc.tuple(line, fc.constantFrom('\n', '\r\n', '\r')), { maxLength: 20 }), line)
  .map(([bom, lines, last]) => Buffer.from((bom ? '\ufeff' : '') + lines.flat().join('') + last))

function follow(chunks: readonly Buffer[]): StreamTail {
  const tail = new StreamTail()
  for (const chunk of chunks) tail.push(chunk)
  return tail
}

function isFinal(data: string | null): boolean {
  if (data === null) return false
  const kind = peekKind(Buffer.from(data), 0, Buffer.byteLength(data))
  return kind === 'result' || kind === 'error'
}

test('agrees with the reference, cut anywhere', () => {
  fc.assert(
    fc.property(stream, fc.array(fc.nat(), { maxLength: 10 }), (bytes, cuts) => {
      const tail = follow(cut(bytes, cuts))
      const { events, leftover } = referenceEvents(bytes)
      assert.equal(tail.events, events.length)
      assert.equal(tail.atBoundary, leftover === '')
      assert.equal(
        tail.sawFinal,
        events.some(event => isFinal(event.data)),
      )
      // A line counts once it has ended, in an unfinished event too.
      const ids = bytes.toString().matchAll(/(?:^|[\r\n]|\ufeff)id: 7(?=[\r\n])/g)
      assert.equal(tail.sawEventId, [...ids].length > 0)
    }),
    { numRuns: 3000 },
  )
})

test('decides by the first bytes of large data, whole or in pieces', () => {
  const final = Buffer.from(`data: {"jsonrpc":"2.0","id":1,"result":{"x":"${'y'.repeat(5000)}"}}\n\n`)
  const call = Buffer.from(`data: {"jsonrpc":"2.0","method":"m","params":{"result":"${'y'.repeat(5000)}"}}\n\n`)
  const late = Buffer.from(`data: {"jsonrpc":"2.0","id":"${'y'.repeat(600)}","result":{}}\n\n`)
  for (const size of [1, 7, 100, 600, 10_000]) {
    const places = Array.from({ length: 60 }, (_, i) => (i + 1) * size)
    const within = (bytes: Buffer): StreamTail =>
      follow(
        cut(
          bytes,
          places.filter(place => place < bytes.length),
        ),
      )
    assert.deepEqual([within(final).sawFinal, within(final).sawUnknown], [true, false])
    assert.deepEqual([within(call).sawFinal, within(call).sawUnknown], [false, false])
    assert.deepEqual([within(late).sawFinal, within(late).sawUnknown], [false, true])
    assert.deepEqual([within(final).events, within(final).atBoundary], [1, true])
  }
})

test('an answer that was cut off is none', () => {
  const tail = follow([Buffer.from('data: {"jsonrpc":"2.0","id":1,"result":{}}\n')])
  assert.deepEqual([tail.sawFinal, tail.atBoundary], [false, false])
  tail.push(Buffer.from('\n'))
  assert.deepEqual([tail.sawFinal, tail.atBoundary], [true, true])
})
