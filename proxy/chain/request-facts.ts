import type { Json, JsonObject } from '../api/index.ts'
import type { WireMessage } from '../message/message.ts'
import type { UpstreamRequest } from '../upstream/upstream.ts'
import type { Inbound, RelayServices } from './ports.ts'

type HashBy = Parameters<UpstreamRequest['hashKey']>[0]

/** Methods that only read: sending them twice does no harm. */
const READS = new Set([
  'ping',
  'server/discover',
  'tools/list',
  'prompts/list',
  'prompts/get',
  'resources/list',
  'resources/templates/list',
  'resources/read',
  'completion/complete',
])

/** Longest text of an argument that replicas are chosen by; what follows counts for nothing. */
const MAX_KEY_LENGTH = 1024

/** Whether a request only reads: by its method, or because the server says so of the tool (`readOnlyHint`). */
export function isRead(services: RelayServices, server: string, message: WireMessage): boolean {
  if (message.kind !== 'request') return false
  return READS.has(message.method) || hints(services, server, message)?.['readOnlyHint'] === true
}

/** Whether a request may be sent twice: because it reads, or the server says so of the tool (`idempotentHint`). */
export function isRepeatable(services: RelayServices, server: string, message: WireMessage): boolean {
  if (isRead(services, server, message)) return true
  return message.kind === 'request' && hints(services, server, message)?.['idempotentHint'] === true
}

/** Annotations of the tool that is called, as the server listed it; `undefined` where there are none. */
function hints(services: RelayServices, server: string, message: WireMessage): JsonObject | undefined {
  if (message.method !== 'tools/call') return undefined
  const annotations = services.tools.get(server)?.get(message.name)?.['annotations']
  return isObject(annotations) ? annotations : undefined
}

/** The text by which a replica is chosen: the client's header field, or an argument of the call. */
export function hashKeyOf(inbound: Inbound, message: WireMessage | null, by: HashBy): string {
  if (by.from === 'header') return headerOf(inbound.rawHeaders, by.name)
  return message === null || inbound.httpMethod !== 'POST' ? '' : argumentOf(message, by.name)
}

/** @param name lower-case */
function headerOf(rawHeaders: readonly string[], name: string): string {
  for (let i = 0; i < rawHeaders.length; i += 2) {
    if (rawHeaders[i]?.toLowerCase() === name) return rawHeaders[i + 1] ?? ''
  }
  return ''
}

/** @param path names, separated by dots */
function argumentOf(message: WireMessage, path: string): string {
  if (message.method !== 'tools/call') return ''
  const params = message.json()['params']
  let value: Json | undefined = isObject(params) ? params['arguments'] : undefined
  for (const name of path.split('.')) value = isObject(value) && Object.hasOwn(value, name) ? value[name] : undefined
  if (value === undefined || value === null) return ''
  const text = typeof value === 'string' ? value : JSON.stringify(value)
  return text.slice(0, MAX_KEY_LENGTH)
}

function isObject(value: Json | undefined): value is JsonObject {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
}
