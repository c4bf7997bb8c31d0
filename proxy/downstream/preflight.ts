import type { ServerResponse } from 'node:http'
import type { LeanRequest } from './lean-request.ts'

const METHODS = 'GET, POST, DELETE'
/** What a client of any revision may send; each `Mcp-Param-*` must be named, so those asked for are granted too. */
const FIELDS = [
  'accept',
  'authorization',
  'content-type',
  'last-event-id',
  'mcp-method',
  'mcp-name',
  'mcp-protocol-version',
  'mcp-session-id',
  'traceparent',
  'tracestate',
  'x-client-id',
]
const PARAM = /^mcp-param-[!#$%&'*+.^_`|~0-9a-z-]+$/
const MAX_AGE_S = '600'

/**
 * Answers `OPTIONS`: a browser's question whether it may send a request (Fetch, "CORS-preflight"). It carries no
 * credential, so it comes before authentication and tells nothing but what the allow-list says.
 */
export function preflight(request: LeanRequest, response: ServerResponse, cors: readonly string[] | null): void {
  const fields: Record<string, string> = { allow: `${METHODS}, OPTIONS`, 'content-length': '0' }
  if (cors !== null) {
    for (let i = 0; i < cors.length; i += 2) fields[cors[i] as string] = cors[i + 1] as string
    fields['access-control-allow-methods'] = METHODS
    fields['access-control-allow-headers'] = allowedFields(request.head.requestedHeaders)
    fields['access-control-max-age'] = MAX_AGE_S
  }
  response.writeHead(204, fields)
  response.end()
  request.resume()
}

function allowedFields(asked: string): string {
  if (asked === '') return FIELDS.join(', ')
  const params = asked
    .toLowerCase()
    .split(',')
    .map(name => name.trim())
    .filter(name => PARAM.test(name))
    .slice(0, 50)
  return [...FIELDS, ...params].join(', ')
}
