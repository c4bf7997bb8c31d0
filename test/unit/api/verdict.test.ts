import assert from 'node:assert/strict'
import { it } from 'node:test'
import { Verdict } from '../../../proxy/api/index.ts'

it('a refusal takes header fields that can be sent, and no others', () => {
  assert.deepEqual(Verdict.deny('denied', 'no', null, { ratelimit: '"a";r=0' }).headers, { ratelimit: '"a";r=0' })
  for (const [name, value] of [
    ['RateLimit', 'x'],
    ['a b', 'x'],
    ['x', 'a\r\nset-cookie: b'],
    ['x', 'ä'],
    ['content-length', '5'],
    ['set-cookie', 'a=b'],
    ['mcp-session-id', 'x'],
    ['access-control-allow-origin', '*'],
  ] as const) {
    assert.throws(() => Verdict.deny('denied', 'no', null, { [name]: value }), TypeError, name)
  }
})
