import assert from 'node:assert/strict'
import { test } from 'node:test'
import { Envelope } from '../../../proxy/message/envelope.ts'
import { ScanFault, scan } from '../../../proxy/message/scan.ts'

const VERSION = 'io.modelcontextprotocol/protocolVersion'
const CAPABILITIES = 'io.modelcontextprotocol/clientCapabilities'

function fault(text: string): ScanFault {
  const found = scan(Buffer.from(text), 64)
  assert.ok(found instanceof ScanFault, text)
  assert.equal(found.code, 'invalid_request', text)
  return found
}

function assertAccepted(text: string): void {
  const found = scan(Buffer.from(text), 64)
  assert.ok(found instanceof Envelope, `${text}: ${(found as ScanFault).text}`)
}

/** Spellings that some parser takes for the key: case, escapes, letters that fold to ASCII. */
function spellings(key: string): string[] {
  const escaped = `\\u${key.charCodeAt(0).toString(16).padStart(4, '0')}${key.slice(1)}`
  const swapped = [...key].map(c => (c === c.toLowerCase() ? c.toUpperCase() : c.toLowerCase())).join('')
  const folded = [
    key.replace(/s/i, '\u017f'),
    key.replace(/k/i, '\u212a'),
    key.replace(/s/i, '\\u017f'),
    key.replace(/k/i, '\\u212A'),
    key.replace(/i/i, '\u0131'),
    key.replace(/i/i, '\u0130'),
  ]
  const all = [key, key.toUpperCase(), swapped, key.replace(/[a-z]/i, c => c.toUpperCase()), escaped, ...folded]
  return all.filter((spelling, index) => index === 0 || (spelling !== key && all.indexOf(spelling) === index))
}

test('refuses twins of the members of a message', () => {
  for (const key of ['jsonrpc', 'method', 'id', 'params']) {
    const base: Record<string, string> = { jsonrpc: '"2.0"', method: '"ping"', id: '1', params: '{}' }
    for (const twin of spellings(key)) {
      const members = Object.entries(base).map(([name, value]) => `"${name}":${value}`)
      const last = fault(`{${members.join(',')},"${twin}":${base[key]}}`)
      const first = fault(`{"${twin}":${base[key]},${members.join(',')}}`)
      assert.match(last.text, new RegExp(`"${key}" is repeated`))
      assert.equal(last.idText, key === 'id' ? '' : '1')
      assert.equal(first.idText, last.idText)
    }
  }
  for (const key of ['result', 'error']) {
    for (const twin of spellings(key)) fault(`{"jsonrpc":"2.0","id":1,"${key}":{},"${twin}":{}}`)
  }
})

test('refuses a wrong case alone: a parser that ignores case would take it', () => {
  fault('{"jsonrpc":"2.0","id":1,"method":"tools/call","Params":{"name":"x"}}')
  fault('{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"Name":"x"}}')
  fault('{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"taſkId":"x"}}')
  fault('{"jsonrpc":"2.0","ID":1,"method":"notifications/x"}')
})

test('refuses twins of the members of params', () => {
  for (const key of ['name', 'uri', 'arguments', 'taskId', '_meta', 'inputResponses', 'requestState', 'ref']) {
    for (const twin of spellings(key)) {
      const found = fault(`{"jsonrpc":"2.0","id":"7","method":"x","params":{"${key}":{"a":1},"b":2,"${twin}":"y"}}`)
      assert.equal(found.idText, '"7"')
    }
  }
})

test('refuses twins of the envelope keys in _meta', () => {
  for (const key of [VERSION, CAPABILITIES]) {
    for (const twin of spellings(key)) {
      fault(`{"jsonrpc":"2.0","id":1,"method":"x","params":{"_meta":{"${key}":"2026-07-28","${twin}":"2025-11-25"}}}`)
    }
  }
})

test('refuses twins in the ref of a completion, and only there', () => {
  const message = (method: string, ref: string): string =>
    `{"jsonrpc":"2.0","id":1,"params":{"ref":${ref}},"method":"${method}"}`
  for (const key of ['name', 'uri']) {
    for (const twin of spellings(key)) {
      const ref = `{"${key}":"a","${twin}":"b"}`
      assert.equal(fault(message('completion/complete', ref)).idText, '1')
      assertAccepted(message('vendor/thing', ref))
    }
  }
})

test('a single key written with escapes is the key', () => {
  const found = scan(
    Buffer.from('{"jsonrpc":"2.0","\\u0069d":8,"m\\u0065thod":"tools/call","params":{"n\\u0061me":"t"}}'),
    64,
  )
  assert.ok(found instanceof Envelope)
  assert.deepEqual([found.method, found.name, found.idText], ['tools/call', 't', '8'])
})

test('leaves all other keys alone', () => {
  assertAccepted('{"jsonrpc":"2.0","id":1,"method":"x","extra":1,"Extra":2,"extra":3}')
  assertAccepted(
    '{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"x","arguments":{"name":1,"Name":2,"id":3,"id":4}}}',
  )
  assertAccepted(
    '{"jsonrpc":"2.0","id":1,"method":"x","params":{"_meta":{"progressToken":1,"ProgressToken":2,"name":3}}}',
  )
  assertAccepted('{"jsonrpc":"2.0","id":1,"result":{"isError":true,"iserror":false,"method":1,"id":2,"ID":3}}')
  assertAccepted('{"jsonrpc":"2.0","id":1,"method":"x","params":{"name_":1,"nam":2,"uris":3,"naïve":4}}')
})
