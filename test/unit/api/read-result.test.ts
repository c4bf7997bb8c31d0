import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import fc from 'fast-check'
import { type ResultFacts, readResult } from '#api'

function read(result: string): ResultFacts | null {
  return readResult(Buffer.from(`{"jsonrpc":"2.0","id":1,"result":${result}}`))
}

describe('readResult', () => {
  it('finds the result, byte for byte', () => {
    const body = Buffer.from(' {"id":"ré\\"sult","result" : { "a":"}\\\\","n": [1.0,{"result":2}] } ,"jsonrpc":"2.0"}')
    const facts = readResult(body)
    assert.equal(body.toString('utf8', facts?.start, facts?.end), '{ "a":"}\\\\","n": [1.0,{"result":2}] }')
  })

  it('finds the range of any result that there is', () => {
    fc.assert(
      fc.property(fc.dictionary(fc.string({ unit: 'binary' }), fc.jsonValue()), fc.string(), (result, id) => {
        const text = JSON.stringify(result)
        for (const body of [`{"id":${JSON.stringify(id)},"result":${text}}`, `{"result" : ${text} , "id":1}`]) {
          const bytes = Buffer.from(body)
          const facts = readResult(bytes)
          assert.equal(bytes.toString('utf8', facts?.start, facts?.end), text)
        }
      }),
      { numRuns: 200 },
    )
  })

  it('has nothing to say about errors and results that are no objects', () => {
    assert.equal(readResult(Buffer.from('{"id":1,"error":{"code":1,"message":"result"}}')), null)
    assert.equal(readResult(Buffer.from('{"id":1,"result":{},"error":{}}')), null)
    for (const text of ['[]', '1', '"a"', 'null']) assert.equal(read(text), null)
  })

  it('tells what is complete', () => {
    for (const whole of ['{}', '{"isError":false}', '{"resultType":"complete"}', '{"a":{"isError":true,"task":1}}']) {
      assert.equal(read(whole)?.isComplete, true, whole)
    }
    const others = [
      '"isError":true',
      '"isError":1',
      '"resultType":"input_required"',
      '"resultType":"task"',
      '"task":{}',
    ]
    for (const part of [...others, '"inputRequests":{}', '"requestState":"x"', '"is\\u0045rror":true']) {
      assert.equal(read(`{${part}}`)?.isComplete, false, part)
    }
    assert.equal(read('{"isError":true,"isError":false}')?.isComplete, false)
    assert.equal(read('{"resultType":"task","resultType":"complete"}')?.isComplete, false)
  })

  it('reads lifetime and scope; what makes no sense shares less', () => {
    const facts = (text: string): unknown[] => {
      const { ttlMs, isPublic } = read(text) as ResultFacts
      return [ttlMs, isPublic]
    }
    assert.deepEqual(facts('{"ttlMs": 60000 ,"cacheScope":"public"}'), [60_000, true])
    assert.deepEqual(facts('{"ttlMs":6e4,"cacheScope":"private"}'), [60_000, false])
    assert.deepEqual(facts('{}'), [-1, false])
    for (const ttl of ['-1', '"60"', 'null', '1e999', '{}', 'true'])
      assert.deepEqual(facts(`{"ttlMs":${ttl}}`), [0, false])
    assert.deepEqual(facts('{"ttlMs":5,"ttlMs":5,"cacheScope":"private","cacheScope":"public"}'), [0, false])
    assert.deepEqual(facts('{"cacheScope":"Public"}'), [-1, false])
    const body = Buffer.from('{"result":{"é":1,"ttlMs": 123}}')
    const { ttlStart, ttlEnd } = readResult(body) as ResultFacts
    assert.equal(body.toString('utf8', ttlStart, ttlEnd), '123')
  })
})
