import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { hasToolError, peekKind } from '../../../proxy/message/peek.ts'

function peek(text: string): string {
  const bytes = Buffer.from(`xx${text}`)
  return peekKind(bytes, 2, bytes.length)
}

test('says which member comes first', () => {
  assert.equal(peek('{"jsonrpc":"2.0","id":1,"result":{'), 'result')
  assert.equal(peek(' \n{ "error" '), 'error')
  assert.equal(peek('{"id":"a\\"b","x":[{"result":1},"\\u00e9"],"method":'), 'method')
  assert.equal(peek('[{"id":1,"result":{}},{"method":'), 'result')
})

test('does not guess', () => {
  for (const text of [
    '',
    '{',
    '[',
    '{}',
    '{"jsonrpc":"2.0"}',
    '"result"',
    '{"id":{"result":1',
    '{"a" "result":1',
    '{"resul',
    '{"x":"result"}',
    'null',
    '{"Result":1}',
  ]) {
    assert.equal(peek(text), 'unknown', text)
  }
})

test('survives any prefix of anything', () => {
  const known = ['result', 'error', 'method', 'unknown']
  fc.assert(
    fc.property(fc.json(), fc.nat(), (text, end) => {
      const bytes = Buffer.from(text)
      assert.ok(known.includes(peekKind(bytes, 0, end % (bytes.length + 1))))
    }),
  )
})

test('finds isError with any white space, and not inside strings', () => {
  for (const text of ['{"isError":true}', '{"isError" : \n\ttrue}', '{"isError":false,"x":{"isError": true}}']) {
    assert.equal(hasToolError(Buffer.from(text)), true, text)
  }
  for (const text of [
    '',
    '{"isError":false}',
    '{"isError":"true"}',
    '{"text":"{\\"isError\\":true}"}',
    '"isError"',
    '"isError":',
    '"isError":tru',
    '{"iserror":true}',
  ]) {
    assert.equal(hasToolError(Buffer.from(text)), false, text)
  }
})
