import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import fc from 'fast-check'
import type { Json } from '#api'
import { optionsOf, Redactor } from '../../../proxy/shadow/redactor.ts'

const NONE: ReadonlySet<string> = new Set()

const call = (args: Json): Json => {
  return { jsonrpc: '2.0', id: 7, method: 'tools/call', params: { name: 'search', arguments: args } }
}

function redacted(args: Json, options = NONE): Json {
  const message = new Redactor('').message(call(args), 'tools/call', options) as { params: { arguments: Json } }
  return message.params.arguments
}

describe('taking values out', () => {
  it('keeps methods, names of tools, keys, types and lengths', () => {
    const message = new Redactor('').message(
      call({ user: 'Alice B. 7', n: 3, ok: true, none: null, list: ['é!'] }),
      'tools/call',
      NONE,
    )
    assert.deepEqual(message, call({ user: 'Xxxxx X. 1', n: 3, ok: true, none: null, list: ['x!'] }))
  })

  it('keeps what a schema names as options, and words that are none of anybody', () => {
    const options = optionsOf({ properties: { state: { enum: ['triaged', 'parked'] } } })
    assert.deepEqual(redacted({ state: 'parked', order: 'desc', other: 'parkes' }, options), {
      state: 'parked',
      order: 'desc',
      other: 'xxxxxx',
    })
  })

  it('hides what is under the keys of secrets whatever it is, and numbers that may name somebody', () => {
    assert.deepEqual(redacted({ api_key: 'k', Password: 12, auth: { a: 1 }, ssn: 78051120, price: 9.5 }), {
      api_key: '***REDACTED***',
      Password: '***REDACTED***',
      auth: '***REDACTED***',
      ssn: 11111111,
      price: 9.5,
    })
  })

  it('looks into texts that are JSON, which stay JSON', () => {
    assert.deepEqual(redacted({ body: '{"who":"Bob","n":1}' }), { body: '{"who":"Xxx","n":1}' })
  })

  it('does not take a user’s member for a word of the protocol', () => {
    assert.deepEqual(redacted({ type: 'diabetes', role: 'spy' }), { type: 'xxxxxxxx', role: 'xxx' })
    const answer = { jsonrpc: '2.0', id: 1, result: { content: [{ type: 'text', text: 'diabetes' }] } }
    assert.deepEqual(new Redactor('').message(answer, 'tools/call', NONE), {
      ...answer,
      result: { content: [{ type: 'text', text: 'xxxxxxxx' }] },
    })
  })

  it('keeps lists of tools, which rules are checked against', () => {
    const answer = { jsonrpc: '2.0', id: 1, result: { tools: [{ name: 'a', inputSchema: { type: 'object' } }] } }
    assert.deepEqual(new Redactor('').message(answer, 'tools/list', NONE), answer)
  })

  it('keeps no key of a tool, no option and no list where something sensitive is known to be', () => {
    const closed = new Redactor('', true)
    const message = closed.message(call({ AKIA77: 'desc' }), 'tools/call', new Set(['desc'])) as never
    assert.deepEqual(message, call({ XXXX11: 'xxxx' }))
    const answer = { jsonrpc: '2.0', id: 1, result: { tools: [{ description: 'hunter2' }] } }
    assert.doesNotMatch(JSON.stringify(closed.message(answer, 'tools/list', NONE)), /hunter2/)
  })

  it('makes equal hashes of equal texts, by a key', () => {
    const one = new Redactor('k').message(call(['Alice', 'Alice', 'Bob']), 'tools/call', NONE) as {
      params: { arguments: string[] }
    }
    const [a, b, c] = one.params.arguments
    assert.equal(a, b)
    assert.notEqual(a, c)
    assert.match(a ?? '', /^h:[0-9a-f]{24}$/)
  })

  it('lets no text of a user through', () => {
    const texts = fc.stringMatching(/^[a-z]{3}Q[a-z0-9]{6,20}$/)
    const value = fc.oneof(
      texts,
      fc.array(texts),
      fc.dictionary(fc.constantFrom('type', 'role', 'text', 'x', 'mimeType'), texts),
    )
    fc.assert(
      fc.property(value, given => {
        const text = JSON.stringify(redacted({ given } as Json))
        for (const one of JSON.stringify(given).match(/[a-z]{3}Q[a-z0-9]{6,20}/g) ?? []) assert.ok(!text.includes(one))
      }),
      { numRuns: 200 },
    )
  })
})
