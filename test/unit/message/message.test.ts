import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { JsonObject } from '../../../proxy/api/index.ts'
import { Envelope } from '../../../proxy/message/envelope.ts'
import { WireMessage } from '../../../proxy/message/message.ts'
import { scan } from '../../../proxy/message/scan.ts'

const CALL =
  '{ "jsonrpc":"2.0","id":9007199254740993,"method":"tools/call","params":{"name":"search","arguments":{"big":12345678901234567890,"one":1.0,"q":"x"}}}'

function message(text: string, method?: string, name?: string): WireMessage {
  const body = Buffer.from(text)
  const envelope = scan(body, 64)
  assert.ok(envelope instanceof Envelope)
  const wire = new WireMessage('toServer', envelope, body, method ?? envelope.method, name ?? envelope.name)
  wire.editable = true
  return wire
}

function params(json: Readonly<JsonObject>): JsonObject {
  return json['params'] as JsonObject
}

test('shows what the envelope says', () => {
  const wire = message(CALL)
  assert.deepEqual(
    [wire.kind, wire.direction, wire.method, wire.name, wire.byteLength, wire.edited, wire.edits],
    ['request', 'toServer', 'tools/call', 'search', Buffer.byteLength(CALL), false, 0],
  )
  assert.equal(wire.id, 9007199254740992)
  assert.equal(wire.bytes(), wire.body)
})

test('parses once, and again after an edit', () => {
  const wire = message(CALL)
  const first = wire.json()
  assert.equal(wire.json(), first)
  wire.edit(json => {
    params(json)['extra'] = true
  })
  assert.notEqual(wire.json(), first)
  assert.equal(params(wire.json())['extra'], true)
  assert.equal(params(first)['extra'], undefined)
})

test('an edit keeps all other text', () => {
  const wire = message(CALL)
  wire.edit(json => {
    ;(params(json)['arguments'] as JsonObject)['q'] = 'y'
  })
  assert.equal(wire.body.toString(), CALL.replace('"x"', '"y"'))
  assert.deepEqual([wire.edited, wire.edits], [true, 1])
})

test('an edit that changes nothing is none', () => {
  const wire = message(CALL)
  const body = wire.body
  wire.edit(json => {
    params(json)['name'] = 'search'
  })
  assert.equal(wire.body, body)
  assert.equal(wire.edited, false)
})

test('a changed name shows', () => {
  const wire = message(CALL)
  wire.edit(json => {
    params(json)['name'] = 'find'
  })
  assert.deepEqual([wire.name, wire.envelope.name, wire.envelope.idText], ['find', 'find', '9007199254740993'])
})

test('a response keeps the method and name it answers', () => {
  const wire = message('{"jsonrpc":"2.0","id":1,"result":{"isError":false}}', 'tools/call', 'search')
  wire.edit(json => {
    ;(json['result'] as JsonObject)['isError'] = true
  })
  assert.deepEqual([wire.method, wire.name, wire.envelope.toolError], ['tools/call', 'search', true])
})

test('refuses edits that make another message of it, and stays as it was', () => {
  const wire = message(CALL)
  const wrong: [RegExp, (json: JsonObject) => void][] = [
    [/id of a message/, json => void (json['id'] = 2)],
    [/id of a message/, json => void (json['id'] = '9007199254740993')],
    [/would be a notification/, json => void delete json['id']],
    [/not be valid/, json => void delete json['method']],
    [/not be valid/, json => void (json['params'] = [])],
    [/not be valid/, json => void (json['Method'] = 'x')],
    [/not be valid/, json => void (params(json)['Name'] = 'x')],
    [/promise/, (async () => {}) as (json: JsonObject) => void],
  ]
  for (const [why, change] of wrong) {
    assert.throws(
      () => wire.edit(change),
      error => error instanceof TypeError && why.test(error.message),
    )
  }
  assert.throws(
    () =>
      wire.edit(() => {
        throw new RangeError('mine')
      }),
    RangeError,
  )
  assert.deepEqual([wire.body.toString(), wire.edited, wire.name], [CALL, false, 'search'])
})

test('replaces the whole text', () => {
  const wire = message(CALL)
  wire.replace(
    new TextEncoder().encode('{"jsonrpc":"2.0","method":"tools/call","id":9007199254740993,"params":{"name":"b"}}'),
  )
  assert.deepEqual([wire.name, wire.edits, Buffer.isBuffer(wire.body)], ['b', 1, true])
  assert.throws(() => wire.replace(Buffer.from('{"jsonrpc":"2.0","method":"tools/call","id":1}')), /id of a message/)
  assert.throws(() => wire.replace(Buffer.from('{')), /not be valid/)
  assert.throws(() => wire.replace(Buffer.from('{"jsonrpc":"2.0","id":1,"result":{}}')), /must stay one/)
})

test('the bytes given to replace may be reused', () => {
  const wire = message(CALL)
  const bytes = Buffer.from(CALL.replace('search', 'aaaaaa'))
  wire.replace(bytes)
  bytes.fill(0)
  assert.equal(JSON.parse(wire.body.toString()).params.name, 'aaaaaa')
})

test('ids above 2^53 that look alike as numbers are still different', () => {
  const wire = message(CALL)
  assert.throws(
    () => wire.replace(Buffer.from(CALL.replace('9007199254740993', '9007199254740992'))),
    /id of a message/,
  )
})

test('needs edits: true', () => {
  const wire = message(CALL)
  wire.editable = false
  assert.throws(() => wire.edit(() => {}), /look at a request lacks "edits: true"/)
  assert.throws(() => wire.replace(Buffer.from(CALL)), /lacks "edits: true"/)
})

test('a shadow copy shares bytes and nothing else', () => {
  const wire = message(CALL)
  const copy = wire.shadowCopy()
  assert.equal(copy.body, wire.body)
  copy.editable = true
  copy.edit(json => {
    params(json)['name'] = 'other'
  })
  assert.deepEqual([wire.name, wire.edited, copy.name, copy.edited], ['search', false, 'other', true])
  assert.notEqual(copy.json(), wire.json())
})
