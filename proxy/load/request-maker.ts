import { randomUUID } from 'node:crypto'
import type { Json, JsonObject } from '../api/index.ts'
import { encodeHeaderValue } from '../message/mcp-headers.ts'
import type { Step } from './scenario.ts'

export const MODERN = '2026-07-28'
export const LEGACY = '2025-11-25'

/** Stands where the number of a request goes; no operator's text holds it. */
const ID_MARK = `id-${randomUUID()}`

const INFO = { name: 'sluice-bench', version: '1' }

/** One message, ready to be sent but for its id, which stands between each two of its parts. */
export interface PreparedRequest {
  readonly step: number
  readonly parts: readonly string[]
  /** Flat: name, value, name, value. */
  readonly headers: readonly string[]
}

/** Makes the messages of one era. */
export class RequestMaker {
  readonly era: 'modern' | 'legacy'
  readonly #own: readonly string[]

  /** @param headers what the operator adds to every request */
  constructor(era: 'modern' | 'legacy', headers: Readonly<Record<string, string>>) {
    this.era = era
    this.#own = Object.entries(headers).flat()
  }

  /** @param session of a legacy server; `''` = none */
  step(step: Step, index: number, session: string): PreparedRequest {
    const { method, params, name } = messageOf(step)
    return this.request(method, { ...params, ...this.#meta(step.progress) }, { name, session, index })
  }

  request(
    method: string,
    params: JsonObject,
    options: { readonly name?: string; readonly session?: string; readonly index?: number } = {},
  ): PreparedRequest {
    const { name = '', session = '', index = -1 } = options
    const text = JSON.stringify({ jsonrpc: '2.0', id: ID_MARK, method, params })
    return { step: index, parts: text.split(`"${ID_MARK}"`), headers: this.headers(method, name, session) }
  }

  notification(method: string, session: string): { readonly body: Buffer; readonly headers: string[] } {
    return { body: Buffer.from(JSON.stringify({ jsonrpc: '2.0', method })), headers: this.headers(method, '', session) }
  }

  headers(method: string, name: string, session: string): string[] {
    const common = ['content-type', 'application/json', 'accept', 'application/json, text/event-stream']
    if (this.era === 'legacy') {
      const known = session === '' ? [] : ['mcp-session-id', session]
      const version = method === 'initialize' ? [] : ['mcp-protocol-version', LEGACY]
      return [...common, ...version, ...known, ...this.#own]
    }
    const named = name === '' ? [] : ['mcp-name', encodeHeaderValue(name)]
    return [...common, 'mcp-protocol-version', MODERN, 'mcp-method', method, ...named, ...this.#own]
  }

  /** What a modern request says about itself. */
  meta(): JsonObject {
    return {
      'io.modelcontextprotocol/protocolVersion': MODERN,
      'io.modelcontextprotocol/clientInfo': INFO,
      'io.modelcontextprotocol/clientCapabilities': {},
    }
  }

  initialize(): JsonObject {
    return { protocolVersion: LEGACY, capabilities: {}, clientInfo: INFO }
  }

  #meta(progress: boolean): { _meta?: JsonObject } {
    const meta = { ...(this.era === 'modern' && this.meta()), ...(progress && { progressToken: ID_MARK }) }
    return Object.keys(meta).length > 0 ? { _meta: meta } : {}
  }
}

function messageOf(step: Step): { method: string; params: JsonObject; name: string } {
  const args = (step.arguments ?? {}) as JsonObject
  if (step.call !== undefined)
    return { method: 'tools/call', params: { name: step.call, arguments: args }, name: step.call }
  if (step.read !== undefined) return { method: 'resources/read', params: { uri: step.read }, name: step.read }
  if (step.prompt !== undefined)
    return { method: 'prompts/get', params: { name: step.prompt, arguments: args }, name: step.prompt }
  const params = (step.params ?? {}) as JsonObject
  const name = params['name'] as Json | undefined
  return { method: step.method ?? '', params, name: typeof name === 'string' ? name : '' }
}
