import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import fc from 'fast-check'
import type { JsonObject } from '../../../proxy/api/index.ts'
import { Envelope } from '../../../proxy/message/envelope.ts'
import { WireMessage } from '../../../proxy/message/message.ts'
import { scan, scanBatch } from '../../../proxy/message/scan.ts'

const LONG = JSON.stringify([{ type: 'text', text: 'ä"\\ words '.repeat(200) }])

function wire(envelope: unknown, body: Buffer): WireMessage {
  assert.ok(envelope instanceof Envelope, JSON.stringify(envelope))
  const message = new WireMessage('toClient', envelope, body, 'tools/call', 'x')
  message.editable = true
  return message
}

function answer(text: string): WireMessage {
  const body = Buffer.from(text)
  return wire(scan(body, 64), body)
}

/** What is expected: parsed by the book, then without a content that is large. */
function expected(message: WireMessage): unknown {
  const whole = JSON.parse(message.body.toString()) as { result: JsonObject }
  const { contentStart, contentEnd } = message.envelope
  return contentEnd - contentStart < 1024 ? whole : { ...whole, result: { ...whole.result, content: [] } }
}

const around = fc.dictionary(
  fc.constantFrom('content', 'structuredContent', 'isError', 'x', 'résumé'),
  fc.jsonValue(),
  {
    maxKeys: 4,
  },
)

describe('a message without its content', () => {
  it('is what JSON.parse gives, but for a large content', () => {
    fc.assert(
      fc.property(around, around, fc.boolean(), fc.constantFrom('', ' \n', '\t'), (before, after, isLong, space) => {
        const inner = (members: object): string => JSON.stringify(members).slice(1, -1)
        const members = [inner(before), isLong ? `"content"${space}:${space}${LONG}` : '', inner(after)]
        const result = `{${members.filter(text => text !== '').join(`,${space}`)}}`
        const message = answer(`${space}{"jsonrpc":"2.0","id":1,"result":${result}}${space}`)
        assert.deepEqual(message.jsonWithoutContent(), expected(message))
      }),
      { numRuns: 1000 },
    )
  })

  it('knows a key that is spelled with escapes, and leaves those of other objects alone', () => {
    const message = answer(
      `{"jsonrpc":"2.0","id":1,"result":{"structuredContent":{"content":${LONG}},"c\\u006fntent":${LONG}}}`,
    )
    const { result } = message.jsonWithoutContent() as { result: JsonObject }
    assert.deepEqual(result['content'], [])
    assert.deepEqual((result['structuredContent'] as JsonObject)['content'], JSON.parse(LONG))
  })

  it('is parsed once, and shares the parse of the whole', () => {
    const message = answer(`{"jsonrpc":"2.0","id":1,"result":{"content":${LONG},"structuredContent":{"a":1}}}`)
    const outline = message.jsonWithoutContent()
    assert.equal(message.jsonWithoutContent(), outline)
    assert.deepEqual((message.json()['result'] as JsonObject)['content'], JSON.parse(LONG))
    assert.equal(message.jsonWithoutContent(), message.json())
    const small = answer('{"jsonrpc":"2.0","id":1,"result":{"content":[]}}')
    assert.equal(small.jsonWithoutContent(), small.json())
  })

  it('follows edits, and those that are taken back', () => {
    const message = answer(`{"jsonrpc":"2.0","id":1,"result":{"content":${LONG},"structuredContent":{"a":1}}}`)
    const { body, envelope, edits } = message
    message.jsonWithoutContent()
    message.edit(json => {
      ;(json['result'] as JsonObject)['structuredContent'] = { a: 'longer than before' }
    })
    assert.deepEqual(message.jsonWithoutContent(), expected(message))
    message.restore(body, envelope, edits)
    assert.deepEqual(message.jsonWithoutContent(), expected(message))
  })

  it('is found inside a batch', () => {
    const items = scanBatch(
      Buffer.from(`[ 1e0, {"jsonrpc":"2.0","id":2,"result":{"x":"ö","content":${LONG}}}]`),
      64,
      10,
    )
    assert.ok(Array.isArray(items))
    const item = items[1]
    assert.ok(item !== undefined)
    const body = Buffer.from(`[ 1e0, {"jsonrpc":"2.0","id":2,"result":{"x":"ö","content":${LONG}}}]`)
    const message = wire(item.envelope, body.subarray(item.start, item.end))
    assert.deepEqual(message.jsonWithoutContent(), { jsonrpc: '2.0', id: 2, result: { x: 'ö', content: [] } })
  })
})
