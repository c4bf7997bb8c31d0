/** What a server may rely on behind the proxy, checked without any of the proxy's own code. */

const TOP = ['jsonrpc', 'method', 'id', 'params', 'result', 'error']
const PARAMS = ['name', 'uri', 'taskId', 'arguments', '_meta', 'inputResponses', 'requestState', 'ref']
const META = ['io.modelcontextprotocol/protocolVersion', 'io.modelcontextprotocol/clientCapabilities']
const NAMED: Readonly<Record<string, string>> = {
  'tools/call': 'name',
  'prompts/get': 'name',
  'resources/read': 'uri',
  'tasks/get': 'taskId',
  'tasks/update': 'taskId',
  'tasks/cancel': 'taskId',
}

type Members = readonly (readonly [key: string, value: unknown])[]

/** An object with every one of its members, repeated ones too. */
class Parsed {
  readonly members: [string, unknown][] = []
}

/** Reads JSON that `JSON.parse` accepts, and keeps what that forgets. */
function parseAll(text: string): unknown {
  const tokens = text.match(/"(?:[^"\\]|\\.)*"|[{}[\],:]|[^\s{}[\],:"]+/gs) ?? []
  let at = 0
  const value = (): unknown => {
    const token = tokens[at++] as string
    if (token === '{') return object()
    if (token === '[') return array()
    return JSON.parse(token)
  }
  const object = (): Parsed => {
    const made = new Parsed()
    while (tokens[at] !== '}') {
      if (tokens[at] === ',') at++
      const key = JSON.parse(tokens[at] as string) as string
      at += 2
      made.members.push([key, value()])
    }
    at++
    return made
  }
  const array = (): unknown[] => {
    const made: unknown[] = []
    while (tokens[at] !== ']') {
      if (tokens[at] === ',') at++
      made.push(value())
    }
    at++
    return made
  }
  return value()
}

function fold(key: string): string {
  return key
    .replace(/[\u0130\u0131]/g, 'i')
    .toLowerCase()
    .replaceAll('\u017f', 's')
}

/** The value of the one member that could be taken for `key`. @throws Error where another parser could take another one */
function only(members: Members, key: string): unknown {
  const alike = members.filter(([name]) => fold(name) === fold(key))
  if (alike.length > 1 || (alike.length === 1 && alike[0]?.[0] !== key)) {
    throw new Error(`ambiguous "${key}": ${JSON.stringify(alike.map(([name]) => name))}`)
  }
  return alike[0]?.[1]
}

function membersOf(value: unknown): Members {
  return value instanceof Parsed ? value.members : []
}

/** The values of one header field. */
function fieldOf(rawHeaders: readonly string[], name: string): string | undefined {
  const values = rawHeaders.filter((_, i) => i % 2 === 1 && rawHeaders[i - 1]?.toLowerCase() === name)
  if (values.length > 1) throw new Error(`${name} occurs ${values.length} times`)
  return values[0]
}

function decoded(field: string): string {
  const match = /^=\?base64\?(.*)\?=$/.exec(field)
  return match === null ? field : Buffer.from(match[1] as string, 'base64').toString()
}

const FORBIDDEN = [
  'authorization',
  'cookie',
  'proxy-authorization',
  'x-client-id',
  'origin',
  'upgrade',
  'te',
  'content-encoding',
  'expect',
]

/**
 * Judges one POST as the server got it.
 * @throws Error when the proxy let pass what it must not
 */
export function judgePost(rawHeaders: readonly string[], body: Buffer): void {
  const text = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true }).decode(body)
  JSON.parse(text)
  const whole = parseAll(text)
  for (const name of FORBIDDEN)
    if (fieldOf(rawHeaders, name) !== undefined) throw new Error(`${name} reached the server`)
  if (!/^application\/json\s*(;|$)/i.test(fieldOf(rawHeaders, 'content-type') ?? ''))
    throw new Error('not sent as JSON')
  if (Array.isArray(whole)) for (const one of whole) judgeBatched(one, rawHeaders)
  else judgeMessage(whole, rawHeaders)
}

function judgeBatched(message: unknown, rawHeaders: readonly string[]): void {
  if (message instanceof Parsed) judgeMessage(message, rawHeaders)
}

function judgeMessage(message: unknown, rawHeaders: readonly string[]): void {
  const members = membersOf(message)
  for (const key of TOP) only(members, key)
  if (only(members, 'jsonrpc') !== '2.0') throw new Error('not JSON-RPC 2.0')
  const method = only(members, 'method')
  const params = membersOf(only(members, 'params'))
  for (const key of PARAMS) only(params, key)
  const meta = membersOf(only(params, '_meta'))
  for (const key of META) only(meta, key)
  if (typeof method !== 'string') return
  const saidMethod = fieldOf(rawHeaders, 'mcp-method')
  if (saidMethod !== undefined && saidMethod !== method) throw new Error(`Mcp-Method ${saidMethod}, method ${method}`)
  const saidName = fieldOf(rawHeaders, 'mcp-name')
  const name = NAMED[method] === undefined ? undefined : only(params, NAMED[method] as string)
  if (saidName !== undefined && NAMED[method] !== undefined && decoded(saidName) !== (name ?? '')) {
    throw new Error(`Mcp-Name ${saidName}, name ${JSON.stringify(name)}`)
  }
  judgeVersion(only(meta, META[0] as string), only(members, 'id') !== undefined, rawHeaders, method)
}

function judgeVersion(version: unknown, isRequest: boolean, rawHeaders: readonly string[], method: string): void {
  if (version === undefined) return
  const said = fieldOf(rawHeaders, 'mcp-protocol-version')
  if (said !== version && (isRequest || said !== undefined))
    throw new Error(`version ${said}, in the body ${String(version)}`)
  if (isRequest && fieldOf(rawHeaders, 'mcp-method') === undefined) throw new Error(`${method} without Mcp-Method`)
}
