import assert from 'node:assert/strict'
import { test } from 'node:test'
import { AnswerReader } from '../../proxy/upstream/http1/answer-reader.ts'

/** Found beside llhttp, which takes nothing behind such a one. */
test('an interim answer that ends the connection has no answer behind it', () => {
  for (const interim of ['HTTP/1.1 103 Hints\r\nConnection: close', 'HTTP/1.0 103 Hints']) {
    const reader = new AnswerReader({ onAnswerHead: () => assert.fail(), onAnswerData() {} }, 1_000)
    const text = `${interim}\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n`
    assert.throws(() => reader.read(Buffer.from(text)), /malformed answer: an interim answer/)
  }
})
