/** What happens to a header field of a client's request. */
type Rule =
  /** Goes on to the server as it is. */
  | 'pass'
  /** Belongs to this connection, or is none of the server's business. */
  | 'drop'
  | Special

/** Fields that mean something to the proxy. Each may occur once: two could be read differently by two parsers. */
type Special =
  | 'host'
  | 'origin'
  | 'authorization'
  | 'x-client-id'
  | 'accept-encoding'
  | 'connection'
  | 'content-type'
  | 'mcp-session-id'
  | 'mcp-protocol-version'
  | 'mcp-method'
  | 'mcp-name'
  | 'once'
  | 'framing'

const FIELDS: Readonly<Record<string, Rule>> = {
  host: 'host',
  origin: 'origin',
  authorization: 'authorization',
  'x-client-id': 'x-client-id',
  'accept-encoding': 'accept-encoding',
  connection: 'connection',
  'content-type': 'content-type',
  'mcp-session-id': 'mcp-session-id',
  'mcp-protocol-version': 'mcp-protocol-version',
  'mcp-method': 'mcp-method',
  'mcp-name': 'mcp-name',
  'last-event-id': 'once',
  // RFC 9110, 7.6.1, and what only makes sense between two neighbours.
  'keep-alive': 'drop',
  'proxy-authenticate': 'drop',
  'proxy-authorization': 'drop',
  'proxy-connection': 'drop',
  te: 'drop',
  trailer: 'drop',
  'transfer-encoding': 'framing',
  upgrade: 'drop',
  expect: 'framing',
  'content-length': 'framing',
  'access-control-request-method': 'drop',
  'access-control-request-headers': 'framing',
  'content-encoding': 'framing',
  // The browser's, not the server's: credentials of another hop, and a fetch's own context.
  cookie: 'drop',
}
/** A map, because an object also has what nobody put there, such as `constructor`. */
const RULES: ReadonlyMap<string, Rule> = new Map(Object.entries(FIELDS))

/** Exact spellings seen so far, so that the usual field costs one look-up and no new string. */
const spellings = new Map<string, Field>()
const MAX_SPELLINGS = 2_000

interface Field {
  readonly lower: string
  readonly rule: Rule
}

function fieldOf(name: string): Field {
  const known = spellings.get(name)
  if (known !== undefined) return known
  const lower = name.toLowerCase()
  const rule = RULES.get(lower) ?? (lower.startsWith('mcp-param-') ? 'once' : 'pass')
  const field = { lower, rule }
  if (spellings.size < MAX_SPELLINGS) spellings.set(name, field)
  return field
}

/** The head of a client's request, read in one pass over its raw fields. One hidden class; `''` = absent. */
export class RequestHead {
  host: string
  /** How many Host fields there are. */
  hosts: number
  /** As node asks for it; `undefined` = absent. */
  expect: string | undefined
  transferEncoding: string
  /** -1 = not declared. */
  contentLength: number
  /**
   * Whether `Connection` says `upgrade`. That is never done, but node stops reading behind such a request and loses what
   * came with it: were the next request cut by that, its rest would be taken for a request of its own.
   */
  upgrade: boolean
  /** `''` = the body is not compressed. */
  contentEncoding: string
  /** `Access-Control-Request-Headers`. */
  requestedHeaders: string
  origin: string
  authorization: string
  clientId: string
  acceptEncoding: string
  contentType: string
  sessionToken: string
  version: string
  mcpMethod: string | null
  mcpName: string | null
  /** End-to-end fields for the server, flat, lower-case. */
  readonly upstream: string[]
  /** A field that occurs twice although it must not; `''` when all is well. */
  repeated: string
  private connection: string

  constructor(raw: readonly string[]) {
    this.host = ''
    this.hosts = 0
    this.expect = undefined
    this.transferEncoding = ''
    this.contentLength = -1
    this.upgrade = false
    this.contentEncoding = ''
    this.requestedHeaders = ''
    this.origin = ''
    this.authorization = ''
    this.clientId = ''
    this.acceptEncoding = ''
    this.contentType = ''
    this.sessionToken = ''
    this.version = ''
    this.mcpMethod = null
    this.mcpName = null
    this.upstream = []
    this.repeated = ''
    this.connection = ''
    for (let i = 0; i < raw.length; i += 2) {
      const field = fieldOf(raw[i] as string)
      if (field.rule === 'pass') this.upstream.push(field.lower, raw[i + 1] as string)
      else if (field.rule !== 'drop') this.take(field.rule, field.lower, raw[i + 1] as string)
    }
    if (this.connection !== '' && this.connection !== 'keep-alive') this.dropNamed()
  }

  private take(rule: Special, lower: string, value: string): void {
    switch (rule) {
      case 'host':
        this.host = value
        this.hosts++
        break
      case 'framing':
        this.takeFraming(lower, value)
        break
      case 'origin':
        this.once(lower, this.origin)
        this.origin = value
        break
      case 'authorization':
        this.once(lower, this.authorization)
        this.authorization = value
        break
      case 'x-client-id':
        this.once(lower, this.clientId)
        this.clientId = value
        break
      case 'accept-encoding':
        this.acceptEncoding = this.acceptEncoding === '' ? value : `${this.acceptEncoding}, ${value}`
        break
      case 'connection':
        this.connection = this.connection === '' ? value : `${this.connection}, ${value}`
        break
      default:
        this.takeMcp(rule, lower, value)
    }
  }

  private takeFraming(lower: string, value: string): void {
    if (lower === 'content-length') this.contentLength = Number(value)
    else if (lower === 'transfer-encoding') {
      this.transferEncoding = this.transferEncoding === '' ? value : `${this.transferEncoding}, ${value}`
    } else if (lower === 'expect') this.expect = value
    else if (lower === 'content-encoding') this.contentEncoding = value.trim().toLowerCase()
    else this.requestedHeaders = value
  }

  private takeMcp(rule: Special, lower: string, value: string): void {
    switch (rule) {
      case 'mcp-session-id':
        this.once(lower, this.sessionToken)
        this.sessionToken = value
        return
      case 'content-type':
        if (this.forwards(lower)) this.repeated = lower
        this.contentType = value
        break
      case 'mcp-protocol-version':
        if (this.forwards(lower)) this.repeated = lower
        this.version = value
        break
      case 'mcp-method':
        if (this.mcpMethod !== null) this.repeated = lower
        this.mcpMethod = value
        break
      case 'mcp-name':
        if (this.mcpName !== null) this.repeated = lower
        this.mcpName = value
        break
      default:
        if (this.forwards(lower)) this.repeated = lower
    }
    this.upstream.push(lower, value)
  }

  private once(name: string, before: string): void {
    if (before !== '') this.repeated = name
  }

  /** Whether a field of this name goes to the server already. */
  private forwards(name: string): boolean {
    for (let i = 0; i < this.upstream.length; i += 2) if (this.upstream[i] === name) return true
    return false
  }

  /** Fields that `Connection` names belong to this connection (RFC 9110, 7.6.1). */
  private dropNamed(): void {
    const named = this.connection.toLowerCase().split(',')
    for (const token of named) {
      const name = token.trim()
      if (name === 'upgrade') this.upgrade = true
      if (name === '' || name === 'close' || name.startsWith('mcp-') || name === 'content-type') continue
      for (let i = this.upstream.length - 2; i >= 0; i -= 2) {
        if (this.upstream[i] === name) this.upstream.splice(i, 2)
      }
    }
  }
}

/** Whether a body is declared as JSON in UTF-8 (RFC 8259, 8.1). */
export function isJson(contentType: string): boolean {
  if (contentType === 'application/json') return true
  const [essence, ...parameters] = contentType.toLowerCase().split(';')
  if (essence?.trim() !== 'application/json') return false
  return parameters.every(parameter => {
    const text = parameter.trim()
    return (
      !text.startsWith('charset=') || text === 'charset=utf-8' || text === 'charset="utf-8"' || text === 'charset=utf8'
    )
  })
}
