import assert from 'node:assert/strict'
import { test } from 'node:test'
import { AnswerReader } from '../../proxy/upstream/http1/answer-reader.ts'

/** Reads it cut in two at each place. */
function readInTwo(text: string, maxHeadBytes: number): void {
  const bytes = Buffer.from(text)
  for (let cut = 0; cut <= bytes.length; cut++) {
    const reader = new AnswerReader({ onAnswerHead() {}, onAnswerData() {} }, maxHeadBytes)
    reader.read(bytes.subarray(0, cut))
    reader.read(bytes.subarray(cut))
    assert.ok(reader.ended, `cut at ${cut}`)
  }
}

test('a head of exactly the limit is taken when it is cut in its last line end', () => {
  const head = 'HTTP/1.1 204 No Content\r\nA: b'
  readInTwo(`${head}\r\n\r\n`, head.length)
})

test('a trailer of exactly the limit is taken when it is cut in its last line end', () => {
  const head = 'HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked'
  const trailer = `A: ${'x'.repeat(head.length - 5)}\r\n`
  readInTwo(`${head}\r\n\r\n0\r\n${trailer}\r\n`, head.length)
})
