/** Messages and headers of both eras, as a plain client would send them. */

export const MODERN_VERSION = '2026-07-28'
export const LEGACY_VERSION = '2025-11-25'

export const META_PREFIX = 'io.modelcontextprotocol/'

export type Id = string | number

/** The headers every POST needs in both eras. */
export const POST_HEADERS = {
  'content-type': 'application/json',
  accept: 'application/json, text/event-stream',
} as const

/** A JSON-RPC request as an object. */
export function rpc(id: Id, method: string, params?: object): object {
  return params === undefined ? { jsonrpc: '2.0', id, method } : { jsonrpc: '2.0', id, method, params }
}

/** A JSON-RPC notification. */
export function notification(method: string, params?: object): object {
  return params === undefined ? { jsonrpc: '2.0', method } : { jsonrpc: '2.0', method, params }
}

/** A JSON-RPC result. */
export function result(id: Id, value: object): object {
  return { jsonrpc: '2.0', id, result: value }
}

/** A JSON-RPC error. */
export function error(id: Id, code: number, message: string, data?: unknown): object {
  return { jsonrpc: '2.0', id, error: data === undefined ? { code, message } : { code, message, data } }
}

/** The `_meta` envelope of a modern request. */
export function envelope(capabilities: object = {}, extra: object = {}): Record<string, unknown> {
  return {
    [`${META_PREFIX}protocolVersion`]: MODERN_VERSION,
    [`${META_PREFIX}clientCapabilities`]: capabilities,
    [`${META_PREFIX}clientInfo`]: { name: 'test-client', version: '1.0.0' },
    ...extra,
  }
}

/** A request and its headers, ready for `send(scope, url, modern(…))`. */
export interface McpPost {
  readonly method: 'POST'
  readonly headers: Record<string, string>
  readonly body: string
}

/** A modern (2026-07-28) request with its envelope and standard headers. */
export function modern(
  id: Id,
  method: string,
  params: Record<string, unknown> = {},
  options: { headers?: Record<string, string>; capabilities?: object; meta?: object } = {},
): McpPost {
  const name = params.name ?? params.uri ?? params.taskId
  const headers: Record<string, string> = {
    ...POST_HEADERS,
    'mcp-protocol-version': MODERN_VERSION,
    'mcp-method': method,
    ...(typeof name === 'string' && NAMED.test(method) ? { 'mcp-name': headerValue(name) } : {}),
    ...options.headers,
  }
  const body = rpc(id, method, { ...params, _meta: envelope(options.capabilities, options.meta) })
  return { method: 'POST', headers, body: JSON.stringify(body) }
}

const NAMED = /^(tools\/call|prompts\/get|resources\/read|tasks\/(get|update|cancel))$/

/** A legacy POST of any message; `session` as the server gave it with `initialize`. */
export function legacy(
  message: object,
  options: { session?: string; version?: string; headers?: Record<string, string> } = {},
): McpPost {
  const headers: Record<string, string> = { ...POST_HEADERS, 'mcp-protocol-version': options.version ?? LEGACY_VERSION }
  if (options.session !== undefined) headers['mcp-session-id'] = options.session
  return { method: 'POST', headers: { ...headers, ...options.headers }, body: JSON.stringify(message) }
}

/** The legacy handshake's first message (no version header yet). */
export function initialize(id: Id = 0, version: string = LEGACY_VERSION, capabilities: object = {}): McpPost {
  const clientInfo = { name: 'test-client', version: '1.0.0' }
  const body = rpc(id, 'initialize', { protocolVersion: version, capabilities, clientInfo })
  return { method: 'POST', headers: { ...POST_HEADERS }, body: JSON.stringify(body) }
}

/** What a server answers to `initialize`. */
export function initializeResult(
  id: Id = 0,
  version: string = LEGACY_VERSION,
  capabilities: object = { tools: {} },
): object {
  return result(id, { protocolVersion: version, capabilities, serverInfo: { name: 'scripted', version: '1.0.0' } })
}

/** A value of `Mcp-Name` or `Mcp-Param-*` (SEP-2243): plain where it may be, else the base64 sentinel form. */
export function headerValue(value: string): string {
  const plain = /^[\x21-\x7e]([\x20-\x7e]*[\x21-\x7e])?$|^$/.test(value) && !/^=\?base64\?.*\?=$/.test(value)
  return plain ? value : `=?base64?${Buffer.from(value, 'utf8').toString('base64')}?=`
}
