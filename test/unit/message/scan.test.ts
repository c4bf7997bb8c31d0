import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import type { JsonObject } from '../../../proxy/api/index.ts'
import { Envelope } from '../../../proxy/message/envelope.ts'
import { ScanFault, scan } from '../../../proxy/message/scan.ts'
import { HOSTILE, SAMPLES } from './samples.ts'

const MAX_DEPTH = 64

function isJson(text: string): boolean {
  try {
    JSON.parse(text)
    return true
  } catch {
    return false
  }
}

/** The scan says `parse_error` for exactly what `JSON.parse` refuses. */
function assertAgrees(text: string): void {
  const found = scan(Buffer.from(text), 1000)
  const isParseError = found instanceof ScanFault && found.code === 'parse_error'
  // A lone surrogate has no UTF-8: what the scan sees is U+FFFD, which is as good JSON.
  assert.equal(!isParseError, isJson(text), JSON.stringify(text))
}

function envelope(text: string): Envelope {
  const found = scan(Buffer.from(text), MAX_DEPTH)
  assert.ok(found instanceof Envelope, found instanceof ScanFault ? found.text : '')
  return found
}

function fault(text: string | Buffer, maxDepth = MAX_DEPTH): ScanFault {
  const found = scan(Buffer.from(text), maxDepth)
  assert.ok(found instanceof ScanFault, String(text))
  return found
}

test('reads the samples', () => {
  const found = SAMPLES.map(text => {
    const { kind, method, name, idText, id } = envelope(text)
    return [kind, method, name, idText, id]
  })
  assert.deepEqual(found, [
    ['request', 'tools/call', 'search', '1', 1],
    ['request', 'resources/read', 'file:///é/日本', '"a\\"b"', 'a"b'],
    ['notification', 'notifications/progress', '', '', null],
    ['response', '', '', '9007199254740993', 9007199254740992],
    ['response', '', '', '', null],
    ['request', 'completion/complete', 'p', '"x"', 'x'],
    ['request', 'tools/list', '', '3', 3],
    ['request', 'ping', '', '4', 4],
  ])
})

test('reads what a response says about errors', () => {
  const tool = envelope(SAMPLES[3] as string)
  assert.deepEqual([tool.isError, tool.toolError, tool.errorCode], [false, true, 0])
  const failed = envelope(SAMPLES[4] as string)
  assert.deepEqual([failed.isError, failed.toolError, failed.errorCode], [true, false, -32601])
  const notError = envelope('{"jsonrpc":"2.0","id":1,"result":{"a":{"isError":true},"isError":false}}')
  assert.equal(notError.toolError, false)
})

test('reads the envelope of a modern request', () => {
  const modern = envelope(SAMPLES[6] as string)
  assert.deepEqual([modern.metaVersion, modern.hasMetaCapabilities], ['2026-07-28', true])
  const broken = envelope(
    '{"jsonrpc":"2.0","id":1,"method":"x","params":{"_meta":{"io.modelcontextprotocol/protocolVersion":7,"io.modelcontextprotocol/clientCapabilities":[]}}}',
  )
  assert.deepEqual([broken.metaVersion, broken.hasMetaCapabilities], ['', false])
  const legacy = envelope('{"jsonrpc":"2.0","id":1,"method":"x","params":{"_meta":{"progressToken":1}}}')
  assert.deepEqual([legacy.metaVersion, legacy.hasMetaCapabilities], [null, false])
})

test('takes the name from where the method says', () => {
  const params = '{"name":"n","uri":"u","taskId":"t","ref":{"name":"r","uri":"v"}}'
  const nameOf = (method: string, value = params): string =>
    envelope(`{"params":${value},"jsonrpc":"2.0","id":1,"method":"${method}"}`).name
  assert.equal(nameOf('tools/call'), 'n')
  assert.equal(nameOf('prompts/get'), 'n')
  assert.equal(nameOf('resources/read'), 'u')
  assert.equal(nameOf('resources/subscribe'), 'u')
  assert.equal(nameOf('resources/unsubscribe'), 'u')
  assert.equal(nameOf('tasks/get'), 't')
  assert.equal(nameOf('tasks/new-in-2030'), 't')
  assert.equal(nameOf('completion/complete'), 'r')
  assert.equal(nameOf('completion/complete', '{"ref":{"uri":"v"}}'), 'v')
  assert.equal(nameOf('vendor/thing'), 'n')
  assert.equal(nameOf('vendor/thing', '{"taskId":"t","uri":"u"}'), 'u')
  assert.equal(nameOf('vendor/thing', '{"taskId":"t"}'), 't')
  assert.equal(nameOf('tools/call', '{"uri":"u"}'), '')
  assert.equal(nameOf('tools/call', '{"name":7}'), '')
  assert.equal(nameOf('tools/call', '{"name":"a\\u0062\\n"}'), 'ab\n')
  assert.equal(nameOf('tools/call', `{"name":"${'long'.repeat(40)}"}`), 'long'.repeat(40))
})

test('keeps the exact text of an id', () => {
  for (const id of [
    '0',
    '-0',
    '-12',
    '123456789012345',
    '1234567890123456',
    '9007199254740993',
    '1.0',
    '""',
    '"\\u0061"',
    '"é"',
  ]) {
    assert.equal(envelope(`{"jsonrpc":"2.0","id": ${id} ,"method":"ping"}`).idText, id)
  }
})

test('agrees with JSON.parse on hostile input', () => {
  for (const text of HOSTILE) {
    assertAgrees(text)
    assertAgrees(`{"jsonrpc":"2.0","id":1,"method":"m","params":${text}}`)
    assertAgrees(`{"jsonrpc":"2.0","id":1,"method":"m","params":{"arguments":[{"x":${text}}]}}`)
    assertAgrees(`[{"x":${text}},1]`)
  }
})

test('agrees with JSON.parse on every truncation and every single damaged byte', () => {
  const damage = ['"', '\\', '{', '}', '[', ']', ',', ':', '0', 'e', '.', '-', ' ', '\n', '\u0000', 'x']
  for (const sample of SAMPLES) {
    for (let i = 0; i <= sample.length; i++) {
      assertAgrees(sample.slice(0, i))
      assertAgrees(sample.slice(i))
      for (const c of damage) assertAgrees(sample.slice(0, i) + c + sample.slice(i + 1))
    }
  }
})

test('agrees with JSON.parse on random JSON, spaced and damaged', () => {
  const texts = fc.json({ maxDepth: 6 })
  const edits = fc.array(fc.tuple(fc.nat(), fc.constantFrom(...'"\\{}[],:0e.-+ \n\t\u0001tfnu')), { maxLength: 3 })
  fc.assert(
    fc.property(texts, edits, fc.nat(3), (json, changes, indent) => {
      let text = JSON.stringify(JSON.parse(json), null, indent)
      for (const [at, c] of changes) {
        const place = at % (text.length + 1)
        text = text.slice(0, place) + c + text.slice(place + (at % 2))
      }
      assertAgrees(text)
      assertAgrees(`{"jsonrpc":"2.0","result":${text},"id":1}`)
    }),
    { numRuns: 1500 },
  )
})

test('agrees with JSON.parse on strings of every length around the word-wise search', () => {
  for (const odd of [
    '"',
    '\\',
    '\\n',
    '\u0000',
    '\u001f',
    '\u0020',
    '\u0021',
    '\u0023',
    '\u007f',
    '\u0080',
    'é',
    '日',
    '\\u00e9',
    '\\x',
  ]) {
    for (let length = 40; length < 62; length++) {
      for (let tail = 0; tail < 6; tail++) {
        const text = `"${'a'.repeat(length)}${odd}${'b'.repeat(tail)}"`
        assertAgrees(text)
        assertAgrees(`${' '.repeat(tail)}{"k":${text}}`)
        assertAgrees(text.slice(0, -1))
      }
    }
  }
})

test('finds what JSON.parse finds', () => {
  const names = fc.oneof(fc.string({ unit: 'binary' }), fc.constantFrom('a', 'search', 'é', 'x'.repeat(70), '"\\'))
  const member = fc.record(
    {
      name: names,
      uri: names,
      taskId: names,
      arguments: fc.jsonValue({ maxDepth: 3 }),
      _meta: fc.dictionary(
        fc.constantFrom('progressToken', 'io.modelcontextprotocol/protocolVersion', 'v/x'),
        fc.jsonValue(),
      ),
      other: fc.jsonValue(),
    },
    { requiredKeys: [] },
  )
  const message = fc.record({
    jsonrpc: fc.constant('2.0'),
    id: fc.oneof(fc.integer(), fc.string({ unit: 'binary' })),
    method: fc.oneof(
      fc.constantFrom('tools/call', 'tools/list', 'resources/read', 'tasks/get'),
      fc.string({ minLength: 1 }),
    ),
    params: member,
  })
  fc.assert(
    fc.property(message, fc.nat(2), (value, indent) => {
      const text = JSON.stringify(value, null, indent)
      const found = envelope(text)
      const parsed = JSON.parse(Buffer.from(text).toString()) as {
        params: JsonObject
        method: string
        id: string | number
      }
      const name = (key: string): string =>
        typeof parsed.params[key] === 'string' ? (parsed.params[key] as string) : ''
      const fields = new Map([
        ['tools/call', 'name'],
        ['resources/read', 'uri'],
        ['tasks/get', 'taskId'],
      ])
      const field = fields.get(parsed.method)
      assert.equal(found.method, parsed.method)
      assert.equal(found.id, parsed.id)
      assert.equal(found.name, field === undefined ? name('name') || name('uri') || name('taskId') : name(field))
      const version = (parsed.params['_meta'] as JsonObject | undefined)?.['io.modelcontextprotocol/protocolVersion']
      assert.equal(found.metaVersion, version === undefined ? null : typeof version === 'string' ? version : '')
    }),
    { numRuns: 1000 },
  )
})

test('counts depth and stops at the limit', () => {
  assert.equal(envelope('{"jsonrpc":"2.0","method":"m"}').depth, 1)
  assert.equal(envelope('{"jsonrpc":"2.0","method":"m","params":{"_meta":{"a":{}}}}').depth, 4)
  assert.equal(envelope('{"jsonrpc":"2.0","method":"m","params":{"x":[[[]],[]]}}').depth, 5)
  const nested = (levels: number): string =>
    `{"jsonrpc":"2.0","id":5,"method":"m","params":{"x":${'['.repeat(levels)}${']'.repeat(levels)}}}`
  assert.ok(scan(Buffer.from(nested(8)), 10) instanceof Envelope)
  const deep = fault(nested(9), 10)
  assert.deepEqual([deep.code, deep.idText], ['invalid_request', '5'])
  assert.equal(fault(nested(1_000_000)).code, 'invalid_request')
  assert.equal(fault(`${'[{"a":'.repeat(300_000)}`).code, 'invalid_request')
  assert.equal(fault('{"params":{"_meta":{}}}', 2).code, 'invalid_request')
})

test('a depth that was reached once does not raise the limit of the next message', () => {
  scan(Buffer.from(`{"a":${'['.repeat(50)}${']'.repeat(50)}}`), 64)
  assert.match(fault(`{"jsonrpc":"2.0","method":"m","x":${'['.repeat(9)}${']'.repeat(9)}}`, 5).text, /deeper than 5/)
})

test('refuses what is not UTF-8', () => {
  for (const bytes of [[0xc3], [0xc0, 0xaf], [0xed, 0xa0, 0x80], [0xf8, 0x88, 0x80, 0x80, 0x80], [0xff]]) {
    const text = Buffer.concat([Buffer.from('{"a":"'), Buffer.from(bytes), Buffer.from('"}')])
    assert.equal(fault(text).code, 'parse_error')
  }
})

test('refuses JSON that is no message, and keeps the id for the answer', () => {
  const cases: [text: string, why: RegExp, idText: string][] = [
    ['[]', /must be an object/, ''],
    ['"x"', /must be an object/, ''],
    ['null', /must be an object/, ''],
    ['{}', /"jsonrpc"/, ''],
    ['{"id":1,"method":"m"}', /"jsonrpc"/, '1'],
    ['{"jsonrpc":"1.0","id":1,"method":"m"}', /"jsonrpc"/, '1'],
    ['{"jsonrpc":2.0,"id":"a","method":"m"}', /"jsonrpc"/, '"a"'],
    ['{"jsonrpc":"2.00","id":"a","method":"m"}', /"jsonrpc"/, '"a"'],
    ['{"jsonrpc":"2.0","id":1}', /neither/, '1'],
    ['{"jsonrpc":"2.0","method":7,"id":1}', /"method"/, '1'],
    ['{"jsonrpc":"2.0","method":"","id":1}', /"method"/, '1'],
    ['{"jsonrpc":"2.0","method":null,"id":1}', /"method"/, '1'],
    ['{"jsonrpc":"2.0","method":"m","id":null}', /"id"/, ''],
    ['{"jsonrpc":"2.0","method":"m","id":1.5}', /"id"/, ''],
    ['{"jsonrpc":"2.0","method":"m","id":1e3}', /"id"/, ''],
    ['{"jsonrpc":"2.0","method":"m","id":true}', /"id"/, ''],
    ['{"jsonrpc":"2.0","method":"m","id":[1]}', /"id"/, ''],
    ['{"jsonrpc":"2.0","method":"m","id":{}}', /"id"/, ''],
    ['{"jsonrpc":"2.0","method":"m","id":1,"params":[]}', /"params"/, '1'],
    ['{"jsonrpc":"2.0","method":"m","id":1,"params":null}', /"params"/, '1'],
    ['{"jsonrpc":"2.0","method":"m","params":"x"}', /"params"/, ''],
    ['{"jsonrpc":"2.0","method":"m","id":1,"result":{}}', /both/, '1'],
    ['{"jsonrpc":"2.0","id":1,"result":{},"error":{}}', /both/, '1'],
    ['{"jsonrpc":"2.0","result":{}}', /"id"/, ''],
    ['{"jsonrpc":"2.0","id":null,"result":{}}', /"id"/, ''],
    ['{"jsonrpc":"2.0","id":{},"error":{}}', /"id"/, ''],
  ]
  for (const [text, why, idText] of cases) {
    const found = fault(text)
    assert.equal(found.code, 'invalid_request', text)
    assert.match(found.text, why, text)
    assert.equal(found.idText, idText, text)
  }
})

test('a parse error says where and carries no id', () => {
  const found = fault('{"jsonrpc":"2.0","id":1,}')
  assert.deepEqual([found.code, found.offset, found.idText], ['parse_error', 24, ''])
  assert.match(found.text, /expected a key in double quotes at byte 24/)
})
