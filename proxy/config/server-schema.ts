import { z } from 'zod'

/** The longest path that a socket can be bound to, on Linux, in bytes. */
const MAX_SOCKET_PATH = 107

const HEADER_NAME = /^[A-Za-z0-9!#$%&'*+.^_`|~-]+$/
// Field values: visible ASCII, space and tab inside, and obs-text (RFC 9110, 5.5). No line breaks.
const HEADER_VALUE = /^[\t\x20-\x7e\x80-\xff]*$/

/** Fields the proxy writes itself, or that belong to one connection (RFC 9110, 7.6.1). */
const OWN_FIELDS = new Set([
  'accept',
  'connection',
  'content-encoding',
  'content-length',
  'content-type',
  'expect',
  'host',
  'keep-alive',
  'last-event-id',
  'mcp-method',
  'mcp-name',
  'mcp-protocol-version',
  'mcp-session-id',
  'proxy-connection',
  'te',
  'trailer',
  'transfer-encoding',
  'upgrade',
])

/** An endpoint of an MCP server. Texts of errors never repeat it: it may hold a secret. */
export const serverUrl = z
  .string()
  .transform((text, context) => {
    const url = URL.parse(text)
    const problem = url === null ? 'expected a URL such as http://127.0.0.1:3001/mcp' : urlProblem(url)
    if (url !== null && problem === '') return url.href
    context.addIssue({ code: 'custom', message: problem })
    return z.NEVER
  })
  .meta({
    description: 'http or https URL of a Streamable HTTP endpoint, or unix:/path/of.sock?path=/mcp',
    format: 'uri',
  })

function urlProblem(url: URL): string {
  if (url.protocol === 'unix:') return socketProblem(url)
  if (url.protocol !== 'http:' && url.protocol !== 'https:')
    return 'expected a URL that begins with http:// or https://'
  if (url.username !== '' || url.password !== '') return 'a URL with user or password: put credentials into "headers"'
  if (url.hash !== '') return 'a URL with a fragment (#…): leave it out'
  return ''
}

function socketProblem({ host, pathname, hash, searchParams }: URL): string {
  if (host !== '' || !pathname.startsWith('/') || pathname === '/' || hash !== '') {
    return 'expected a socket such as unix:/run/kb.sock?path=/mcp'
  }
  if (Buffer.byteLength(decodeURIComponent(pathname)) > MAX_SOCKET_PATH) {
    return `the path of a socket is at most ${MAX_SOCKET_PATH} bytes long`
  }
  const others = [...searchParams.keys()].filter(key => key !== 'path')
  return others.length > 0 || !(searchParams.get('path') ?? '/').startsWith('/')
    ? 'expected only ?path=/… behind the path of a socket'
    : ''
}

const headerName = z
  .string()
  .regex(HEADER_NAME, { error: 'expected the name of a header field' })
  .refine(name => !OWN_FIELDS.has(name.toLowerCase()), { error: 'this header field is written by the proxy itself' })

const headerValue = z.string().regex(HEADER_VALUE, { error: 'a character that a header field cannot hold' })

/** Static fields for upstream requests, names made lower-case. */
export const headerFields = z.record(headerName, headerValue).transform((fields, context) => {
  const pairs = Object.entries(fields).map(([name, value]) => [name.toLowerCase(), value.trim()] as const)
  const names = new Set(pairs.map(([name]) => name))
  if (names.size < pairs.length) {
    context.addIssue({ code: 'custom', message: 'the same header field twice, in different spelling' })
  }
  return pairs
})

export { headerName, headerValue }
