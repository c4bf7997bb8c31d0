import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import {
  decodeHeaderValue,
  encodeHeaderValue,
  mcpNameField,
  needsMcpName,
  sameParamValue,
} from '../../../proxy/message/mcp-headers.ts'

test('decodes the sentinel and nothing that only looks like it', () => {
  const cases: [string, string | null][] = [
    ['search', 'search'],
    ['', ''],
    ['=?base64?SGVsbG8=?=', 'Hello'],
    ['=?base64?5pel5pys?=', '日本'],
    ['=?base64??=', ''],
    ['=?BASE64?SGVsbG8=?=', '=?BASE64?SGVsbG8=?='],
    ['=?base64?SGVsbG8=', '=?base64?SGVsbG8='],
    ['SGVsbG8=?=', 'SGVsbG8=?='],
    ['=?base64?=', '=?base64?='],
    ['=?base64?SGVsbG8?=', null],
    ['=?base64?SGVs bG8=?=', null],
    ['=?base64?SGVsbG9=?=', null],
    ['=?base64?!!!!?=', null],
    ['=?base64?_-8=?=', null],
    ['=?base64?/w==?=', null],
  ]
  for (const [value, text] of cases) assert.equal(decodeHeaderValue(value), text, value)
})

test('encodes only what a header cannot carry', () => {
  assert.equal(encodeHeaderValue('get weather'), 'get weather')
  assert.equal(encodeHeaderValue(''), '')
  for (const text of [' x', 'x ', '\tx', 'a\tb', 'a\nb', 'é', '\u007f', '=?base64?SGVsbG8=?=']) {
    assert.match(encodeHeaderValue(text), /^=\?base64\?[A-Za-z0-9+/]+=*\?=$/, text)
  }
})

test('what is encoded decodes to itself, in a legal header value', () => {
  fc.assert(
    fc.property(fc.string({ unit: 'grapheme' }), text => {
      const value = encodeHeaderValue(text)
      assert.match(value, /^([\x21-\x7e]([\x20-\x7e]*[\x21-\x7e])?)?$/)
      assert.equal(decodeHeaderValue(value), text)
    }),
  )
})

test('compares a parameter header with its argument', () => {
  const same: [string, string | number | boolean][] = [
    ['abc', 'abc'],
    ['', ''],
    ['=?base64?w6k=?=', 'é'],
    ['42', 42],
    ['42.0', 42],
    ['-7', -7],
    ['true', true],
    ['false', false],
    ['1.5', 1.5],
  ]
  for (const [header, value] of same) assert.equal(sameParamValue(header, value), true, header)
  const different: [string, string | number | boolean | null | []][] = [
    ['abc', 'ABC'],
    ['42', '43'],
    ['42', 43],
    ['0x2a', 42],
    ['', 0],
    [' 42', 42],
    ['4e1', 40],
    ['True', true],
    ['1', true],
    ['null', null],
    ['', []],
    ['=?base64?!?=', '=?base64?!?='],
  ]
  for (const [header, value] of different) assert.equal(sameParamValue(header, value), false, `${header} ${value}`)
})

test('knows which methods repeat a name in a header', () => {
  assert.deepEqual(
    ['tools/call', 'prompts/get', 'resources/read', 'tasks/get', 'tasks/update', 'tasks/cancel', 'tools/list', 'x'].map(
      mcpNameField,
    ),
    ['name', 'name', 'uri', 'taskId', 'taskId', 'taskId', '', ''],
  )
  assert.deepEqual(['tools/call', 'tools/list'].map(needsMcpName), [true, false])
})
