import type { ErrorCode } from '../api/index.ts'
import type { Era } from '../chain/ports.ts'
import type { Envelope } from '../message/envelope.ts'
import { decodeHeaderValue, needsMcpName } from '../message/mcp-headers.ts'
import type { RequestHead } from './request-head.ts'

/** The first stateless revision: every later one is modern too. */
export const FIRST_MODERN = '2026-07-28'
/** The only revision that had JSON-RPC batches. */
const BATCH_REVISION = '2025-03-26'
const DATE = /^\d{4}-\d{2}-\d{2}$/

/** Why a request's head and body do not fit together. */
export interface Mismatch {
  readonly code: ErrorCode
  readonly text: string
}

export function isModern(version: string): boolean {
  return DATE.test(version) && version >= FIRST_MODERN
}

/**
 * The era of a posted message, decided by the body first; the header is a cross-check (mcp-wire 3.1, after the
 * specification's rules for servers that serve both eras). A header that says something else than the body is refused,
 * because what stands behind us might follow the other one.
 */
export function classify(envelope: Envelope, head: RequestHead): Era | Mismatch {
  const { kind, metaVersion } = envelope
  if (kind === 'response') return 'legacy'
  if (metaVersion === null) return withoutEnvelope(envelope, head)
  if (metaVersion === '') return { code: 'invalid_params', text: `${META_KEY} must be a string` }
  if (kind === 'notification') return notification(metaVersion, envelope, head)
  if (metaVersion === FIRST_MODERN && !envelope.hasMetaCapabilities) {
    return { code: 'invalid_params', text: `params._meta lacks "io.modelcontextprotocol/clientCapabilities"` }
  }
  return versionMismatch(metaVersion, head) ?? methodMismatch(envelope, head, true) ?? 'modern'
}

const META_KEY = 'params._meta["io.modelcontextprotocol/protocolVersion"]'

/** The era of a request without a body of its own. */
export function isBatchAllowed(version: string): boolean {
  return version === '' || version === BATCH_REVISION
}

function withoutEnvelope(envelope: Envelope, head: RequestHead): Era | Mismatch {
  // A legacy server never looks at Mcp-Method and Mcp-Name, but somebody before us may have decided by them.
  if (!isModern(head.version)) return methodMismatch(envelope, head, false) ?? 'legacy'
  if (envelope.kind === 'notification') return methodMismatch(envelope, head, false) ?? 'modern'
  if (envelope.method === 'initialize') {
    return { code: 'header_mismatch', text: `initialize cannot be sent with MCP-Protocol-Version ${head.version}` }
  }
  const keys = '"io.modelcontextprotocol/protocolVersion" and "io.modelcontextprotocol/clientCapabilities"'
  return { code: 'invalid_params', text: `MCP-Protocol-Version is ${head.version}, but params._meta lacks ${keys}` }
}

/** No header rules exist for notifications; headers that are there must not lie all the same. */
function notification(metaVersion: string, envelope: Envelope, head: RequestHead): Era | Mismatch {
  if (head.version !== '' && head.version !== metaVersion) return versionMismatch(metaVersion, head) ?? 'modern'
  return methodMismatch(envelope, head, false) ?? 'modern'
}

function versionMismatch(metaVersion: string, head: RequestHead): Mismatch | null {
  if (head.version === metaVersion) return null
  const text =
    head.version === '' ? 'the header MCP-Protocol-Version is missing' : 'MCP-Protocol-Version and params._meta differ'
  return { code: 'header_mismatch', text }
}

function methodMismatch(envelope: Envelope, head: RequestHead, required: boolean): Mismatch | null {
  const { method } = envelope
  if (head.mcpMethod === null) {
    if (required) return { code: 'header_mismatch', text: 'the header Mcp-Method is missing' }
  } else if (head.mcpMethod !== method) {
    return { code: 'header_mismatch', text: 'Mcp-Method and the body differ' }
  }
  return nameMismatch(envelope, head, required && envelope.metaVersion === FIRST_MODERN)
}

function nameMismatch(envelope: Envelope, head: RequestHead, required: boolean): Mismatch | null {
  if (!needsMcpName(envelope.method)) return null
  if (head.mcpName === null) {
    return required ? { code: 'header_mismatch', text: `the header Mcp-Name is missing for ${envelope.method}` } : null
  }
  const name = decodeHeaderValue(head.mcpName)
  if (name === null)
    return { code: 'header_mismatch', text: 'Mcp-Name is neither visible ASCII nor valid Base64 of UTF-8' }
  return name === envelope.name ? null : { code: 'header_mismatch', text: 'Mcp-Name and the body differ' }
}
