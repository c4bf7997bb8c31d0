import assert from 'node:assert/strict'
import { test } from 'node:test'
import { AnswerReader } from '../../proxy/upstream/http1/answer-reader.ts'

function read(text: string): void {
  new AnswerReader({ onAnswerHead() {}, onAnswerData() {} }, 1_000).read(Buffer.from(text))
}

/** Found beside llhttp, which takes none of these. */
test('chunk sizes with blanks behind them or extensions that are none are refused', () => {
  for (const line of ['5 ', '5\t', '5 ;a', '5; a', '5;', '5;a="b', '5;a=b"c', '5;a="b\\"c"']) {
    const text = `HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n${line}\r\nhello\r\n0\r\n\r\n`
    assert.throws(() => read(text), /malformed answer: a chunk size that is none/, line)
  }
})
