import type { Random } from './random.ts'

/** Spliced in anywhere: what JSON, HTTP and SSE mean something by, and what some parsers read differently. */
const FRAGMENTS = [
  ...[
    '"method":"tools/list",',
    '"Method":"x",',
    '"m\\u0065thod":"x",',
    '"\\u017fmethod":1,',
    '"id":7,',
    '"ID":7,',
    '"params":{},',
  ],
  ...[
    '"name":"b",',
    '"NAME":"b",',
    '"_meta":{},',
    '"jsonrpc":"1.0",',
    '"result":{},',
    '"error":{"code":1,"message":""},',
  ],
  ...['"__proto__":{"method":"x"},', '"constructor":null,', '"argument\u017f":{},', '"to\u212aen":1,', '"":0,'],
  ...['{', '}', '[', ']', ',', ':', '"', '\\', '\\u0000', '\\ud800', 'null', 'true', '-0', '1e999', '9007199254740993'],
  ...[
    '\0',
    '\x01',
    '\x7f',
    '\xff',
    '\xc0\xaf',
    '\xed\xa0\x80',
    '\xef\xbb\xbf',
    '\u2028',
    '\r',
    '\n',
    '\r\n',
    '\r\n\r\n',
    ' ',
    '\t',
  ],
  ...[
    'Content-Length: 0\r\n',
    'Transfer-Encoding: chunked\r\n',
    '0\r\n\r\n',
    'POST /mcp HTTP/1.1\r\n',
    'HTTP/1.1 200 OK\r\n',
  ],
  ...['data: {}\n\n', 'data:', 'id: 1\n', 'event: x\n', 'retry: 1\n', ': c\n', '\n\n'],
].map(text => Buffer.from(text, text.length > 0 && /[\x80-\xff]/.test(text) ? 'latin1' : 'utf8'))

type Mutation = (bytes: Buffer, random: Random) => Buffer

function splice(bytes: Buffer, at: number, remove: number, insert: Uint8Array): Buffer {
  return Buffer.concat([bytes.subarray(0, at), insert, bytes.subarray(at + remove)])
}

const MUTATIONS: readonly Mutation[] = [
  function flipBit(bytes, random) {
    const copy = Buffer.from(bytes)
    const at = random.below(copy.length)
    copy[at] = (copy[at] ?? 0) ^ (1 << random.below(8))
    return copy
  },
  function setByte(bytes, random) {
    const copy = Buffer.from(bytes)
    copy[random.below(copy.length)] = random.below(256)
    return copy
  },
  function truncate(bytes, random) {
    return bytes.subarray(0, random.below(bytes.length))
  },
  function cutOut(bytes, random) {
    return splice(bytes, random.below(bytes.length), 1 + random.below(12), Buffer.alloc(0))
  },
  function insertFragment(bytes, random) {
    return splice(bytes, random.below(bytes.length + 1), 0, random.pick(FRAGMENTS))
  },
  function insertBytes(bytes, random) {
    return splice(bytes, random.below(bytes.length + 1), 0, random.bytes(1 + random.below(6)))
  },
  function repeatPart(bytes, random) {
    const at = random.below(bytes.length)
    const part = bytes.subarray(at, at + 1 + random.below(40))
    return splice(bytes, random.below(bytes.length + 1), 0, part)
  },
  function movePart(bytes, random) {
    const at = random.below(bytes.length)
    const part = Buffer.from(bytes.subarray(at, at + 1 + random.below(30)))
    const without = splice(bytes, at, part.length, Buffer.alloc(0))
    return splice(without, random.below(without.length + 1), 0, part)
  },
]

/** Bytes with so many mutations, each anywhere. */
export function mutate(bytes: Buffer, random: Random, count: number): Buffer {
  let mutated = bytes
  for (let i = 0; i < count && mutated.length > 0; i++) mutated = random.pick(MUTATIONS)(mutated, random)
  return mutated
}

const VALUES = [
  ...[
    'null',
    'true',
    '0',
    '-1',
    '1.5',
    '1.0',
    '1e3',
    '9007199254740993',
    '1e400',
    '""',
    '"x"',
    '"\\u0000"',
    '[]',
    '{}',
  ],
  ...['[[]]', '{"name":"b"}', '"tools/list"', '"=?base64?Yg==?="', '"\\ud800"', '{"a":1,"a":2}', '"2.0"', '[{"id":1}]'],
]
const KEYS = [
  'jsonrpc',
  'method',
  'id',
  'params',
  'result',
  'error',
  'name',
  'uri',
  'taskId',
  'arguments',
  '_meta',
  'inputResponses',
]

/** One key in another spelling that some parser takes for the same. */
function respell(key: string, random: Random): string {
  const at = random.below(key.length)
  const one = key[at] as string
  const others = [
    one.toUpperCase(),
    `\\u00${one.charCodeAt(0).toString(16)}`,
    one === 's' ? '\u017f' : one,
    one === 'i' ? '\u0131' : one,
  ]
  return key.slice(0, at) + random.pick(others) + key.slice(at + 1)
}

const STRUCTURAL: readonly ((text: string, random: Random) => string)[] = [
  function anotherValue(text, random) {
    const key = random.pick(KEYS)
    return text.replace(new RegExp(`("${key}":)("[^"]*"|[0-9.]+|\\{\\})`), (_, head) => head + random.pick(VALUES))
  },
  function anotherMember(text, random) {
    const member = `"${respell(random.pick(KEYS), random)}":${random.pick(VALUES)}`
    const opens = [...text.matchAll(/\{/g)].map(match => match.index)
    if (opens.length === 0) return text
    const at = random.pick(opens) + 1
    return `${text.slice(0, at)}${member}${text[at] === '}' ? '' : ','}${text.slice(at)}`
  },
  function anotherSpelling(text, random) {
    const key = random.pick(KEYS)
    return text.replace(`"${key}"`, `"${respell(key, random)}"`)
  },
  function nest(text, random) {
    const depth = random.pick([1, 5, 120, 128, 200, 5000])
    return text.replace(/"arguments":/, () => `"arguments":${'['.repeat(depth)}${']'.repeat(depth)},"x":`)
  },
  function wrap(text, random) {
    return random.pick([
      `[${text}]`,
      `[${text},${text}]`,
      `${text}${text}`,
      `${text}\n`,
      ` \t\r\n${text}`,
      `\ufeff${text}`,
      `"${text}"`,
    ])
  },
  function reorder(text, random) {
    const parts = text.slice(1, -1).split(',')
    const at = random.below(parts.length)
    return `{${[...parts.slice(at), ...parts.slice(0, at)].join(',')}}`
  },
]

/** JSON text with so many changes that mostly leave it JSON. */
export function restructure(text: string, random: Random, count: number): string {
  let changed = text
  for (let i = 0; i < count; i++) changed = random.pick(STRUCTURAL)(changed, random)
  return changed
}

const ODD_FIELDS = [
  ...[
    'Mcp-Method: ping',
    'mcp-method: tools/call',
    'Mcp-Name: a',
    'MCP-NAME: =?base64?YQ==?=',
    'Mcp-Name: =?base64?YQ?=',
    'Mcp-Name:',
  ],
  ...[
    'MCP-Protocol-Version: 2026-07-28',
    'MCP-Protocol-Version: 2025-11-25',
    'MCP-Protocol-Version: 9999-99-99',
    'MCP-Protocol-Version: \xa02026-07-28',
  ],
  ...[
    'Mcp-Param-A: 1',
    'Mcp-Param-A: =?base64?!!?=',
    'Mcp-Session-Id: made-up',
    'Last-Event-ID: 1',
    'Connection: mcp-method',
    'Connection: close',
  ],
  ...[
    'Content-Type: text/plain',
    'Content-Type: application/json; charset=utf-16',
    'Content-Encoding: gzip',
    'Content-Encoding: identity',
  ],
  ...[
    'Transfer-Encoding: chunked',
    'Content-Length: 3',
    'Content-Length: 99999999',
    'Host: evil.example',
    'Origin: http://evil.example',
    'Origin: null',
  ],
  ...[
    'Authorization: Bearer x',
    'X-Client-ID: a',
    'Cookie: a=b',
    'Expect: 100-continue',
    'Upgrade: h2c',
    'Connection: Upgrade',
    'TE: trailers',
    'X: \x80\xff',
  ],
]

/** The lines of a head with so many changes. */
export function refield(lines: readonly string[], random: Random, count: number): string[] {
  const changed = [...lines]
  for (let i = 0; i < count; i++) {
    const at = random.below(changed.length)
    const line = changed[at] ?? ''
    const kind = random.below(7)
    if (kind === 0) changed.splice(at, 1)
    else if (kind === 1) changed.splice(at, 0, random.pick(ODD_FIELDS))
    else if (kind === 2) changed.splice(at, 0, line)
    else if (kind === 3) changed[at] = line.toUpperCase()
    else if (kind === 4) changed.push(random.pick(ODD_FIELDS))
    else if (kind === 5) changed.reverse()
    else changed[at] = mutate(Buffer.from(line || 'x', 'latin1'), random, 1).toString('latin1')
  }
  return changed
}
