import { META_PREFIX, MODERN_VERSION } from '../../helpers/mcp-messages.ts'
import { mutate, restructure } from '../../wire/fuzz/mutate.ts'
import type { Random } from '../../wire/fuzz/random.ts'
import { anyObject, anyString, anyValue, secretText, TOKEN } from './values.ts'

/** One request as it goes over the wire, and what is known of it. */
export interface HostileRequest {
  readonly fields: readonly string[]
  readonly body: Buffer
  /** Whether it is as it was made: no byte of it was changed afterwards. */
  readonly isPlain: boolean
}

/** Tools that the server of the fuzz lists. */
export const TOOLS = [
  {
    name: 'echo',
    inputSchema: {
      type: 'object',
      properties: {
        text: { type: 'string' },
        n: { type: 'number', maximum: 1e6 },
        items: { type: 'array', maxItems: 40 },
      },
    },
    outputSchema: { type: 'object', properties: { value: { type: 'string' }, n: { type: 'number' } } },
  },
  {
    name: 'count',
    inputSchema: {
      type: 'object',
      properties: { count: { type: 'integer', minimum: 0 }, mode: { enum: ['a', 'b'] } },
      required: ['count'],
      additionalProperties: false,
    },
  },
  { name: 'table', inputSchema: { type: 'object' } },
  { name: 'read', inputSchema: { $schema: 'http://json-schema.org/draft-07/schema#', type: 'object' } },
]

const ENVELOPE = `"${META_PREFIX}protocolVersion":"${MODERN_VERSION}","${META_PREFIX}clientCapabilities":{}`
const VERSION = 'MCP-Protocol-Version: '

interface Plain {
  readonly method: string
  readonly name: string
  /** Members of `params`, as JSON text. */
  readonly members: readonly string[]
}

function argumentsFor(tool: string, random: Random): string {
  if (random.chance(0.1)) return anyValue(random)
  if (random.chance(0.1)) return anyObject(random, 0, 2, [`"text":${JSON.stringify(`use ${TOKEN} now`)}`])
  if (tool === 'count') return `{"count":${random.pick(['1', '0', '1e2', '1.0', '-1', '"5"'])}}`
  if (tool === 'echo')
    return `{"text":${anyString(random)},"n":${random.pick(['1', '1.0', '2e3', '-0', '1e7', '"1"'])}}`
  return anyObject(random)
}

function plainRequest(random: Random): Plain {
  const kind = random.below(12)
  if (kind < 7) {
    const tool = random.pick(['echo', 'echo', 'echo', 'count', 'table', 'table', 'read', 'read', 'missing'])
    const blocks = `[{"type":"text","text":${JSON.stringify(TOKEN.slice(0, 20))}},{"type":"text","text":${JSON.stringify(`${TOKEN.slice(20)} x`)}}]`
    const args = random.chance(0.05) ? `{"items":${blocks}}` : argumentsFor(tool, random)
    return { method: 'tools/call', name: tool, members: [`"name":"${tool}"`, `"arguments":${args}`] }
  }
  if (kind === 7)
    return { method: 'prompts/get', name: 'p', members: ['"name":"p"', `"arguments":${anyObject(random)}`] }
  if (kind === 8) {
    const uri = random.chance(0.2) ? `db://h/?t=${TOKEN}` : random.pick(['a:b', 'file:///a b', 'ü:x', 'data:,%00'])
    return { method: 'resources/read', name: uri, members: [`"uri":${JSON.stringify(uri)}`] }
  }
  if (kind === 9) return { method: 'x/unheard', name: '', members: [`"a":${anyValue(random)}`] }
  if (kind === 10)
    return {
      method: 'completion/complete',
      name: '',
      members: ['"ref":{"type":"ref/prompt","name":"p"}', `"argument":${anyObject(random)}`],
    }
  return { method: 'ping', name: '', members: [] }
}

function headerOf(name: string): string {
  return /^[\x21-\x7e]*$/.test(name) ? name : `=?base64?${Buffer.from(name).toString('base64')}?=`
}

function textOf({ method, members }: Plain, id: string, random: Random, meta: string): string {
  const all = [
    ...members,
    ...(meta === '' ? [] : [`"_meta":{${meta}${random.chance(0.2) ? `,"x":${anyValue(random)}` : ''}}`]),
  ]
  const params = all.length === 0 ? '' : `,"params":{${all.join(random.pick([',', ', ', ',\r\n']))}}`
  return `{"jsonrpc":"2.0",${id === '' ? '' : `"id":${id},`}"method":"${method}"${params}}`
}

const IDS = ['1', '7', '"x"', '"ü"', '9007199254740993', '"1"', '0', '-1']

function legacyText(random: Random): { fields: string[]; text: string } {
  const kind = random.below(12)
  const fields = [`${VERSION}2025-11-25`]
  const id = random.pick(IDS)
  if (kind === 0) {
    const params = `{"progressToken":${random.pick(IDS)},"progress":1,"message":${anyString(random)}}`
    return { fields, text: `{"jsonrpc":"2.0","method":"notifications/progress","params":${params}}` }
  }
  if (kind === 1) return { fields, text: `{"jsonrpc":"2.0","id":${id},"result":${anyObject(random)}}` }
  if (kind === 2) {
    const many = Array.from({ length: 1 + random.below(4) }, (_, at) =>
      textOf(plainRequest(random), `"b${at}"`, random, ''),
    )
    return { fields: [], text: `[${many.join(',')}]` }
  }
  const meta = random.chance(0.3) ? `"progressToken":${id}` : ''
  return { fields, text: textOf(plainRequest(random), id, random, meta) }
}

function modernText(random: Random): { fields: string[]; text: string } {
  const plain = plainRequest(random)
  const fields = [`${VERSION}${MODERN_VERSION}`, `Mcp-Method: ${plain.method}`]
  if (plain.name !== '') fields.push(`Mcp-Name: ${headerOf(plain.name)}`)
  return { fields, text: textOf(plain, random.pick(IDS), random, ENVELOPE) }
}

/** A request: two thirds as a client may send it, the others with changes. */
export function hostileRequest(random: Random): HostileRequest {
  const { fields, text } = random.chance(0.5) ? legacyText(random) : modernText(random)
  if (random.chance(0.67)) {
    const blank = random.pick(['', '', '', ' ', '\r\n', '\n', '\t'])
    return { fields, body: Buffer.from(`${blank}${text}${blank}`), isPlain: true }
  }
  const changed = restructure(text, random, random.below(3))
  const secret = random.chance(0.2)
    ? changed.replace('"method"', () => `${JSON.stringify(secretText(random))}:1,"method"`)
    : changed
  return { fields, body: mutate(Buffer.from(secret), random, random.below(3)), isPlain: false }
}
