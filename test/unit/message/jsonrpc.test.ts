import assert from 'node:assert/strict'
import { test } from 'node:test'
import { errorAnswer, errorObject, resultAnswer, sseEvent, toolErrorAnswer } from '../../../proxy/message/jsonrpc.ts'

test('an error object says who, what and whether to try again', () => {
  assert.deepEqual(errorObject('access_denied', 'No.', null), {
    code: -31003,
    message: 'No.',
    data: { source: 'interceptor', code: 'access_denied' },
  })
  const limited = errorObject('rate_limited', 'Slow down.', { retry_after_ms: 50, source: 'forged', code: 1 })
  assert.deepEqual(limited['data'], {
    source: 'interceptor',
    code: 'rate_limited',
    retry: 'unsent',
    retry_after_ms: 50,
  })
})

test('an error has the number of its era', () => {
  assert.equal(errorObject('resource_not_found', 'x', null).code, -32602)
  assert.equal(errorObject('resource_not_found', 'x', null, false).code, -32002)
  assert.equal(JSON.parse(errorAnswer('1', 'resource_not_found', 'x', null, false).toString()).error.code, -32002)
  assert.equal(errorObject('denied', 'x', null, false).code, errorObject('denied', 'x', null).code)
})

test('answers carry the exact id, or none', () => {
  assert.match(
    errorAnswer('9007199254740993', 'internal', 'x', null).toString(),
    /^\{"jsonrpc":"2.0","id":9007199254740993,"error":\{/,
  )
  assert.match(errorAnswer('"1"', 'internal', 'x', null).toString(), /"id":"1"/)
  assert.equal(JSON.parse(errorAnswer('', 'parse_error', 'x', null).toString()).id, undefined)
})

test('a result is an object or its text', () => {
  assert.equal(resultAnswer('1', { a: 1 }, false).toString(), '{"jsonrpc":"2.0","id":1,"result":{"a":1}}')
  assert.equal(
    resultAnswer('1', Buffer.from('{ "n": 1.0 }'), false).toString(),
    '{"jsonrpc":"2.0","id":1,"result":{ "n": 1.0 }}',
  )
  assert.throws(() => resultAnswer('1', Buffer.from('[]'), false), TypeError)
  assert.throws(() => resultAnswer('1', Buffer.from('{"a":'), false), SyntaxError)
  assert.throws(() => resultAnswer('1', Buffer.from([0x7b, 0x22, 0xff, 0x22, 0x3a, 0x31, 0x7d]), false), TypeError)
})

test('a result that is given again is the same in either era', () => {
  const result = Buffer.from(' { "n": 1.0 }')
  for (let i = 0; i < 2; i++) {
    assert.equal(resultAnswer('1', result, false).toString(), '{"jsonrpc":"2.0","id":1,"result": { "n": 1.0 }}')
    assert.equal(
      resultAnswer('"b"', result, true).toString(),
      '{"jsonrpc":"2.0","id":"b","result": {"resultType":"complete", "n": 1.0 }}',
    )
  }
})

test('a modern result has a resultType', () => {
  const result = (value: object | Buffer): unknown =>
    JSON.parse(resultAnswer('1', value as Buffer, true).toString()).result
  assert.deepEqual(result({ a: 1 }), { resultType: 'complete', a: 1 })
  assert.deepEqual(result({ resultType: 'input_required' }), { resultType: 'input_required' })
  assert.deepEqual(result(Buffer.from(' { "a": 1 } ')), { resultType: 'complete', a: 1 })
  assert.deepEqual(result(Buffer.from('{}')), { resultType: 'complete' })
  assert.deepEqual(result(Buffer.from('{"resultType":"task"}')), { resultType: 'task' })
})

test('a refusal for the model is a result that says isError', () => {
  const answer = JSON.parse(toolErrorAnswer('"a"', 'rate_limited', 'Too fast.', { retry_after_ms: 9 }, true).toString())
  assert.deepEqual(answer, {
    jsonrpc: '2.0',
    id: 'a',
    result: {
      resultType: 'complete',
      content: [{ type: 'text', text: 'Too fast.' }],
      isError: true,
      _meta: {
        'dev.sluice/error': { source: 'interceptor', code: 'rate_limited', retry: 'unsent', retry_after_ms: 9 },
      },
    },
  })
  assert.equal(JSON.parse(toolErrorAnswer('1', 'denied', 'x', null, false).toString()).result.resultType, undefined)
})

test('an event carries a message, on several lines where it has some', () => {
  assert.equal(sseEvent(Buffer.from('{"é":1}')).toString(), 'event: message\ndata: {"é":1}\n\n')
  assert.equal(
    sseEvent(Buffer.from('{\r\n"a":\n1\r}')).toString(),
    'event: message\ndata: {\ndata: "a":\ndata: 1\ndata: }\n\n',
  )
})
