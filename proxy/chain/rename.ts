import type { Json, JsonObject } from '../api/index.ts'
import {
  decodeHeaderValue,
  encodeHeaderValue,
  needsMcpName,
  paramFields,
  sameParamValue,
} from '../message/mcp-headers.ts'
import type { WireMessage } from '../message/message.ts'
import { callServer } from './call.ts'
import type { LiveExchange } from './exchange.ts'
import type { Inbound, RelayServices } from './ports.ts'

const PARAM_PREFIX = 'mcp-param-'
/** Most pages of `tools/list` read to learn one tool's schema. */
const MAX_PAGES = 50

/** Makes `Mcp-Method` and `Mcp-Name` say what an edited message says (SEP-2243). Only where the client sent them. */
export function renameHeaders(headers: string[], message: WireMessage): void {
  for (let i = 0; i < headers.length; i += 2) {
    if (headers[i] === 'mcp-method') headers[i + 1] = message.method
    else if (headers[i] === 'mcp-name' && needsMcpName(message.method)) headers[i + 1] = encodeHeaderValue(message.name)
  }
}

/**
 * Whether headers mirror arguments of an edited call, or may have to from now on, so that the tool's schema is needed to
 * make them true.
 */
export function needsTools(services: RelayServices, message: WireMessage, inbound: Inbound): boolean {
  if (message.method !== 'tools/call') return false
  if (inbound.era === 'modern' && services.tools.get(inbound.server)?.has(message.name)) return true
  const headers = inbound.upstreamHeaders
  for (let i = 0; i < headers.length; i += 2) if ((headers[i] as string).startsWith(PARAM_PREFIX)) return true
  return false
}

/**
 * Recomputes the `Mcp-Param-*` fields of an edited call from the tool's `x-mcp-header` annotations. The schema comes from
 * a `tools/list` seen before, else from one asked for now; a call of a tool that nobody describes keeps its fields.
 *
 * Only a field that told the truth before the edit is made to tell it again: one that disagreed with the client's own
 * arguments goes on as it came, so that the server refuses what it would have refused without us.
 */
export async function fixHeaders(
  services: RelayServices,
  inbound: Inbound,
  exchange: LiveExchange,
  message: WireMessage,
): Promise<void> {
  const known = services.tools.get(inbound.server)?.get(message.name)
  if (known === undefined) await learn(services, inbound, exchange, message)
  const tool = known ?? services.tools.get(inbound.server)?.get(message.name)
  if (tool === undefined) return
  const original = JSON.parse(message.original.toString()) as JsonObject
  const before = new Map(paramFields(tool['inputSchema'], argumentsOf(original)))
  const after = new Map(paramFields(tool['inputSchema'], argumentsOf(message.json())))
  rewrite(inbound.upstreamHeaders, before, after)
}

type ParamValue = string | number | boolean

function argumentsOf(message: Readonly<JsonObject>): Json | undefined {
  return (message['params'] as JsonObject | undefined)?.['arguments']
}

function rewrite(
  headers: string[],
  before: ReadonlyMap<string, ParamValue>,
  after: ReadonlyMap<string, ParamValue>,
): void {
  for (const name of new Set([...before.keys(), ...after.keys()])) {
    const at = headers.indexOf(PARAM_PREFIX + name)
    const was = before.get(name)
    const agreed = at === -1 ? was === undefined : was !== undefined && isSame(headers[at + 1] as string, was)
    if (!agreed) continue
    const value = after.get(name)
    if (at !== -1) headers.splice(at, 2)
    if (value !== undefined) headers.push(PARAM_PREFIX + name, encodeHeaderValue(String(value)))
  }
}

function isSame(header: string, value: ParamValue): boolean {
  const decoded = decodeHeaderValue(header)
  return decoded !== null && sameParamValue(decoded, value)
}

async function learn(
  services: RelayServices,
  inbound: Inbound,
  exchange: LiveExchange,
  message: WireMessage,
): Promise<void> {
  const caller = exchange.session ?? exchange.principal.id
  if (services.tools.isMissing(inbound.server, caller, message.name)) return
  let cursor: Json | undefined
  for (let page = 0; page < MAX_PAGES; page++) {
    const params: JsonObject = cursor === undefined ? {} : { cursor }
    const answer = await callServer(services, inbound, exchange, message, { method: 'tools/list', params })
    const result = answer.json()['result'] as JsonObject | undefined
    services.tools.learn(inbound.server, result, cursor === undefined)
    cursor = result?.['nextCursor']
    if (cursor === undefined) break
  }
  if (!services.tools.get(inbound.server)?.has(message.name)) services.tools.miss(inbound.server, caller, message.name)
}
