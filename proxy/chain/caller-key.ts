import { hash } from 'node:crypto'
import type { Inbound } from './ports.ts'

/**
 * Fields by which a server does not tell callers apart: of the transport, about the message (which is compared itself),
 * of tracing, of the way the request took, and a browser's or program's own.
 */
const SAME_FOR_ALL = new Set([
  ...['accept', 'accept-charset', 'accept-encoding', 'cache-control', 'content-type', 'pragma', 'priority'],
  ...['last-event-id', 'mcp-method', 'mcp-name', 'mcp-protocol-version', 'mcp-session-id'],
  ...['b3', 'baggage', 'sentry-trace', 'traceparent', 'tracestate', 'x-amzn-trace-id', 'x-cloud-trace-context'],
  ...['x-correlation-id', 'x-request-id', 'request-id', 'x-trace-id'],
  ...['forwarded', 'via', 'x-forwarded-for', 'x-forwarded-host', 'x-forwarded-port', 'x-forwarded-proto', 'x-real-ip'],
  ...['dnt', 'referer', 'user-agent'],
])

/**
 * Who asks, as far as the server can tell: the principal, and whatever else of the request goes to the server that could
 * make it answer differently, as a digest. A field nobody knows counts: what is for one must never go to another.
 */
export function callerKey(inbound: Inbound): string {
  const { principal, upstreamHeaders, query } = inbound
  const id = `${principal.via} ${JSON.stringify(principal.id)}`
  let told = ''
  for (let i = 0; i < upstreamHeaders.length; i += 2) {
    const name = upstreamHeaders[i] as string
    if (!tells(name)) continue
    const value = upstreamHeaders[i + 1] as string
    told += `${name}:${value.length}:${value}\n`
  }
  if (told === '' && query === '') return id
  return `${id} ${hash('sha256', `${told}\n${query}`, 'base64url')}`
}

function tells(name: string): boolean {
  if (SAME_FOR_ALL.has(name)) return false
  return !name.startsWith('sec-') && !name.startsWith('mcp-param-') && !name.startsWith('x-b3-')
}
