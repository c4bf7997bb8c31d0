import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import fc from 'fast-check'
import { requestKey } from '#api'

function key(params: string | undefined, method = 'tools/call', id: string | number = 1): string | null {
  const rest = params === undefined ? '' : `,"params":${params}`
  return requestKey(
    Buffer.from(`{"jsonrpc":"2.0","id":${JSON.stringify(id)},"method":${JSON.stringify(method)}${rest}}`),
  )
}

describe('requestKey', () => {
  it('looks past id, white space, order and escapes', () => {
    const one = requestKey(
      Buffer.from('{"jsonrpc":"2.0","id":1,"method":"m","params":{"a":[1,{"x":"A","y":"é\\n"}],"b":2}}'),
    )
    const two = requestKey(
      Buffer.from(
        '\n{ "params" : {"b":2 , "\\u0061": [ 1, { "y":"\\u00e9\\u000a","x":"\\u0041" } ]},"method":"\\u006d","id":"z","jsonrpc":"2.0" }',
      ),
    )
    assert.notEqual(one, null)
    assert.equal(one, two)
  })

  it('tells numbers apart by their source text', () => {
    const texts = ['1', '1.0', '1e0', '"1"', '9007199254740993', '9007199254740992', '-0', '0', 'null', 'true', '[1]']
    assert.equal(new Set(texts.map(text => key(`{"n":${text}}`))).size, texts.length)
  })

  it('takes no params for empty ones, but not null members for absent ones', () => {
    assert.equal(key(undefined), key('{}'))
    assert.equal(key('{"_meta":{}}'), key('{}'))
    assert.notEqual(key('{"a":null}'), key('{}'))
    assert.notEqual(key('{"cursor":""}'), key('{}'))
  })

  it('tells a member that comes twice from one that comes once, in either order', () => {
    const all = [key('{"a":1}'), key('{"a":2}'), key('{"a":1,"a":2}'), key('{"a":2,"a":1}')]
    assert.equal(new Set(all).size, 4)
  })

  it('leaves out what of _meta says nothing about the matter, and keeps the rest', () => {
    const silent = `"progressToken":7,"traceparent":"00-1","tracestate":"a","baggage":"b","io.modelcontextprotocol/clientInfo":{"name":"x"},"io.modelcontextprotocol/logLevel":"debug"`
    const version = '"io.modelcontextprotocol/protocolVersion":"2026-07-28"'
    const capabilities = '"io.modelcontextprotocol/clientCapabilities":{"sampling":{}}'
    assert.equal(key(`{"a":1,"_meta":{${silent}}}`), key('{"a":1}'))
    assert.equal(key(`{"_meta":{${version},${silent},${capabilities}}}`), key(`{"_meta":{${capabilities},${version}}}`))
    assert.notEqual(key(`{"_meta":{${version}}}`), key('{}'))
    assert.notEqual(key(`{"_meta":{${version},${capabilities}}}`), key(`{"_meta":{${version}}}`))
    assert.notEqual(key('{"_meta":{"com.example/tenant":"a"}}'), key('{"_meta":{"com.example/tenant":"b"}}'))
  })

  it('knows _meta only where MCP has it', () => {
    assert.notEqual(
      key('{"arguments":{"_meta":{"progressToken":1}}}'),
      key('{"arguments":{"_meta":{"progressToken":2}}}'),
    )
  })

  it('has none for a leg of a round of questions, for a task, and for what is nested without end', () => {
    assert.equal(key('{"name":"t","inputResponses":{}}'), null)
    assert.equal(key('{"name":"t","requestState":"x"}'), null)
    assert.equal(key('{"name":"t","task":{"ttl":1}}'), null)
    assert.equal(key(`{"name":"t","request\\u0053tate":"x"}`), null)
    assert.equal(key(`{"a":${'['.repeat(500)}${']'.repeat(500)}}`), null)
    assert.notEqual(key('{"arguments":{"requestState":"x"}}'), null)
    assert.notEqual(key('{"after":"a deep one"}'), null)
  })

  it('cannot be made to mean another request by what is inside a string', () => {
    assert.notEqual(key('{"a":"1\\",\\"b\\":\\"2"}'), key('{"a":"1","b":"2"}'))
    assert.notEqual(key('{}', 'a"b'), key('{}', 'a'))
  })

  it('is equal exactly for equal parameters, whatever way they are written in', () => {
    fc.assert(
      fc.property(value(), value(), fc.infiniteStream(fc.nat(1_000)), (a, b, dice) => {
        const roll = (): number => dice.next().value as number
        const keys = [key(write({ a }, roll)), key(write({ a }, roll)), key(write({ a: b }, roll))]
        assert.notEqual(keys[0], null)
        assert.equal(keys[0], keys[1])
        assert.equal(keys[0] === keys[2], sorted(a) === sorted(b))
      }),
      { numRuns: 400 },
    )
  })
})

/** A number by its text: that is what it counts by. */
class Num {
  readonly text: string
  constructor(text: string) {
    this.text = text
  }
}

type Value = null | boolean | string | Num | Value[] | { [key: string]: Value }

function value(): fc.Arbitrary<Value> {
  const number = fc
    .constantFrom('0', '-0', '1', '1.0', '1e0', '9007199254740993', '9007199254740992', '0.10')
    .map(t => new Num(t))
  const text = fc.oneof(
    fc.string({ unit: 'binary', maxLength: 4 }),
    fc.constantFrom('', 'a', '"', '\\', '\u2028', '\u0000', '}'),
  )
  return fc.letrec<{ any: Value }>(tie => ({
    any: fc.oneof(
      { maxDepth: 3 },
      fc.constantFrom<Value>(null, true, false),
      number,
      text,
      fc.array(tie('any'), { maxLength: 3 }),
      fc.dictionary(text, tie('any'), { maxKeys: 3, noNullPrototype: true }),
    ),
  })).any
}

/** JSON text in a style that the dice choose: order of members, white space, escapes. */
function write(value: Value, roll: () => number): string {
  const blank = (): string => ['', '', '', ' ', '\n', '\t '][roll() % 6] as string
  const text = (value: string): string => {
    const body = JSON.stringify(value).slice(1, -1)
    return `"${roll() % 2 === 0 ? body : escapeAll(value)}"`
  }
  const any = (value: Value): string => {
    if (value instanceof Num) return value.text
    if (typeof value === 'string') return text(value)
    if (Array.isArray(value)) return `[${blank()}${value.map(v => any(v) + blank()).join(`,${blank()}`)}]`
    if (value === null || typeof value === 'boolean') return String(value)
    const members = Object.keys(value)
      .map(k => ({ k, at: roll() }))
      .sort((a, b) => a.at - b.at)
    const texts = members.map(({ k }) => `${text(k)}${blank()}:${blank()}${any(value[k] as Value)}${blank()}`)
    return `{${blank()}${texts.join(`,${blank()}`)}}`
  }
  return any(value)
}

function escapeAll(value: string): string {
  return [...Array(value.length).keys()].map(i => `\\u${value.charCodeAt(i).toString(16).padStart(4, '0')}`).join('')
}

/** What it means, without regard to how it is written. */
function sorted(value: Value): string {
  if (value instanceof Num) return `#${value.text}`
  if (Array.isArray(value)) return `[${value.map(sorted).join()}]`
  if (value === null || typeof value !== 'object') return JSON.stringify(value)
  const entries = Object.entries(value).map(([k, v]) => `${JSON.stringify(k)}:${sorted(v)}`)
  return `{${entries.sort().join()}}`
}
