import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import type { Json, JsonObject } from '#api'
import { Checker } from '../../../interceptors/schema/check/checker.ts'
import { Engine } from '../../../interceptors/schema/check/engine.ts'
import { call, probeSchema, Server } from './kit.ts'

/** No single check may hold the process longer than this: generous, because the machine may be busy. */
const MAX_MS = 3000

async function judge(inputSchema: JsonObject, args: Json, options: JsonObject = {}) {
  const p = await probeSchema(new Server([{ name: 't', inputSchema }]), options)
  const began = performance.now()
  const seen = await p.request(call('t', args))
  const spent = performance.now() - began
  assert.ok(spent < MAX_MS, `${spent} ms`)
  return { code: seen.verdict?.code ?? null, reason: seen.verdict?.reason ?? '', notes: seen.notes, logs: p.logs }
}

function nested(depth: number): JsonObject {
  let schema: JsonObject = { type: 'string' }
  for (let i = 0; i < depth; i++) schema = { properties: { a: schema } }
  return schema
}

/** 2^n ways through n definitions. */
function bomb(n: number): JsonObject {
  const definitions: JsonObject = { [`d${n}`]: { type: 'object' } }
  for (let i = 0; i < n; i++)
    definitions[`d${i}`] = { allOf: [{ $ref: `#/$defs/d${i + 1}` }, { $ref: `#/$defs/d${i + 1}` }] }
  return { $ref: '#/$defs/d0', $defs: definitions }
}

describe('hostile schemas', () => {
  const unusable: [what: string, schema: JsonObject, why: RegExp][] = [
    ['450 deep', nested(450), /is nested more than 64 deep/],
    ['of 1 MB', { properties: { a: { description: 'x'.repeat(1 << 20) } } }, /is larger than 262144 bytes/],
    [
      'of 5,000 schemas',
      { anyOf: Array.from({ length: 5000 }, (_, i) => ({ const: i })) },
      /consists of more than 1000 schemas/,
    ],
    ['that refer to a server', { $ref: 'http://127.0.0.1:1/schema.json' }, /outside of itself; nothing is fetched/],
    [
      'that refer to a file',
      { properties: { a: { $ref: 'file:///etc/passwd' } } },
      /outside of itself; nothing is fetched/,
    ],
    ['that refer to nothing', { $ref: '#/$defs/none' }, /which it does not have/],
    ['that refer to themselves', { $ref: '#' }, /refers to itself without end/],
    ['with 2^40 ways', bomb(40), /takes too much work to check/],
    [
      'of draft-04',
      { $schema: 'http://json-schema.org/draft-04/schema#', type: 'object', properties: {} },
      /dialect that is not supported/,
    ],
    ['of no dialect', { $schema: 5, properties: { a: true } }, /dialect that is not supported/],
    ['with a type that is none', { type: 'text' }, /"text" is no type/],
    ['with a list for a schema', { properties: { a: [] } }, /is malformed/],
    ['with a text for a number', { minProperties: '1' }, /"minProperties" must be a whole number/],
    [
      'with an embedded $id',
      { $defs: { a: { $id: 'urn:x', type: 'string' } }, $ref: '#/$defs/a' },
      /"\$id" of its own within it/,
    ],
  ]
  for (const [what, schema, why] of unusable) {
    it(`${what} are refused, with the reason`, async () => {
      const { code, reason, logs } = await judge(schema, {})
      assert.equal(code, 'denied')
      assert.match(reason, /^Cannot check the parameters of demo\.t: its inputSchema /)
      assert.match(reason, why)
      assert.deepEqual(
        logs.map(line => line.text),
        ['an inputSchema cannot be used'],
      )
    })
  }

  it('1,000 deep, where the proxy lets such a message pass, are unusable, not fatal', () => {
    const engine = new Engine(false)
    for (const maxDepth of [64, 5000]) {
      const means = {
        limits: { maxBytes: 1 << 20, maxDepth, maxNodes: 10_000 },
        strictPatterns: false,
        verdicts: engine,
        faults: engine,
      }
      const checker = new Checker(nested(1000), 100, means)
      let told = checker.problem
      try {
        if (told === '') told = String(checker.isValid({}, 1 << 20))
      } catch (error) {
        told = (error as Error).message
      }
      assert.match(told, /nested|^true$/)
    }
  })

  it('are only reported where the policy says so', async () => {
    const { code, notes } = await judge({ $ref: 'http://evil/' }, {}, { unusable_schemas: 'report' })
    assert.deepEqual([code, notes], [null, { schema_unusable_schema: 'inputSchema' }])
  })

  it('with a catastrophic pattern cost nothing', async () => {
    const schema = { properties: { a: { type: 'string', pattern: '^(a+)+$' } } }
    assert.equal((await judge(schema, { a: `${'a'.repeat(50_000)}!` })).code, 'invalid_arguments')
    assert.equal((await judge(schema, { a: 'a'.repeat(50_000) })).code, null)
  })

  it('with look-around go unchecked there, which is reported; or are refused', async () => {
    const schema = { properties: { a: { pattern: '^(?!x)' }, b: { type: 'string' } } }
    const skipped = await judge(schema, { a: 'x' })
    assert.deepEqual([skipped.code, skipped.notes], [null, { schema_pattern: 1 }])
    assert.equal((await judge(schema, { b: 1 })).code, 'invalid_arguments')
    assert.match((await judge(schema, {}, { unsupported_patterns: 'deny' })).reason, /cannot be checked in linear time/)
    // What the unread pattern may have taken is not additional.
    const closed = { patternProperties: { '^(?!x)': { type: 'string' } }, additionalProperties: false }
    assert.equal((await judge(closed, { a: 'x' })).code, null)
  })

  it('that double with each level of the arguments end', async () => {
    const schema = { properties: { a: { allOf: [{ $ref: '#' }, { $ref: '#' }] } } }
    let args: Json = 1
    for (let i = 0; i < 100; i++) args = { a: args }
    assert.match((await judge(schema, args)).reason, /takes too much work to check/)
    assert.equal((await judge(schema, { a: { a: { a: 1 } } })).code, null)
  })

  it('that compare everything with everything end', async () => {
    const many = Array.from({ length: 30_000 }, (_, i) => ({ i }))
    assert.equal((await judge({ properties: { a: { uniqueItems: true } } }, { a: many })).code, null)
    assert.equal(
      (await judge({ properties: { a: { uniqueItems: true } } }, { a: [...many, { i: 5 }] })).code,
      'invalid_arguments',
    )
    const choices = {
      properties: { a: { items: { anyOf: Array.from({ length: 900 }, (_, i) => ({ const: `x${i}` })) } } },
    }
    assert.match((await judge(choices, { a: Array.from({ length: 30_000 }, () => 'x899') })).reason, /too much work/)
    const lengths = { properties: { a: { allOf: Array.from({ length: 900 }, () => ({ minLength: 400_000 })) } } }
    assert.match((await judge(lengths, { a: '\u{1f600}'.repeat(300_000) })).reason, /too much work|expected/)
  })

  it('cannot reach the prototype, or name what is not theirs', async () => {
    const schema = JSON.parse(
      '{"properties":{"__proto__":{"type":"string"},"constructor":{"type":"string"}},"required":["toString"]}',
    )
    assert.match((await judge(schema, {})).reason, /Missing required parameter: toString/)
    assert.equal(({} as Record<string, unknown>).type, undefined)
    const code = { properties: { 'a"];process.exit(1);//': { type: 'string' } }, required: ["'};throw 1;//"] }
    assert.equal((await judge(code, {})).code, 'invalid_arguments')
  })
})
