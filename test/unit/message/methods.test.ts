import assert from 'node:assert/strict'
import { test } from 'node:test'
import { stringText } from '../../../proxy/base/bytes.ts'
import { KNOWN_METHODS, knownMethod } from '../../../proxy/message/methods.ts'

test('finds every known method by its bytes, and no other', () => {
  for (const text of KNOWN_METHODS) {
    const bytes = Buffer.from(`"${text}"`)
    assert.equal(knownMethod(bytes, 1, bytes.length - 1)?.text, text)
    const other = Buffer.from(`"${text.slice(0, 1)}X${text.slice(2)}"`)
    assert.equal(knownMethod(other, 1, other.length - 1), null)
    assert.equal(knownMethod(bytes, 1, bytes.length - 2), null)
  }
  assert.equal(knownMethod(Buffer.from('""'), 1, 1), null)
})

test('gives the same short text as decoding would, remembered or not', () => {
  for (let round = 0; round < 2; round++) {
    for (let i = 0; i < 5000; i++) {
      const bytes = Buffer.from(`"tool_${i}"`)
      assert.equal(stringText(bytes, 1, bytes.length - 1), `tool_${i}`)
    }
  }
  for (const text of ['', 'é', 'a\\"b', '\\u0041', 'x'.repeat(64), 'x'.repeat(65), `${'y'.repeat(70)}\\n`]) {
    const bytes = Buffer.from(`"${text}"`)
    assert.equal(stringText(bytes, 1, bytes.length - 1), JSON.parse(`"${text}"`))
  }
})
