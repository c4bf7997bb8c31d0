import { type Answer, askHttp, type Endpoint } from './http-ask.ts'

const MODERN = '2026-07-28'
const LEGACY = '2025-11-25'
const CLIENT = { name: 'sluice-health', version: '1' }

const COMMON = { 'content-type': 'application/json', accept: 'application/json, text/event-stream' }

/** JSON-RPC errors of 2026-07-28 that only a server of that era answers with. */
const MODERN_ERRORS = new Set([-32020, -32021, -32022])

interface Reply {
  readonly result?: unknown
  readonly error?: { readonly code?: unknown; readonly message?: unknown }
}

/** Asks `server/discover`, which opens no session. Any HTTP answer resolves. */
export function askDiscover(endpoint: Endpoint, timeoutMs: number): Promise<Answer> {
  const _meta = {
    'io.modelcontextprotocol/protocolVersion': MODERN,
    'io.modelcontextprotocol/clientInfo': CLIENT,
    'io.modelcontextprotocol/clientCapabilities': {},
  }
  const headers = { ...COMMON, 'mcp-protocol-version': MODERN, 'mcp-method': 'server/discover' }
  return post(endpoint, headers, { id: 1, method: 'server/discover', params: { _meta } }, timeoutMs)
}

/**
 * Whether a server answers MCP: `server/discover` where it is known, else `ping` in one legacy session that is kept from
 * question to question and opened again only when the server has forgotten it.
 */
export class McpAsk {
  readonly #endpoint: Endpoint
  #isLegacy = false
  /** Of the session; `null` = none was opened yet. A server without sessions has `''`. */
  #session: string | null = null
  #version = LEGACY
  #id = 1

  constructor(endpoint: Endpoint) {
    this.#endpoint = endpoint
  }

  /** @returns what is wrong, `''` = nothing. Rejects when there is no answer */
  async ask(timeoutMs: number): Promise<string> {
    const endMs = performance.now() + timeoutMs
    if (!this.#isLegacy) {
      const answer = await askDiscover(this.#endpoint, timeoutMs)
      const reply = replyOf(answer.text)
      if (reply?.result !== undefined) return ''
      if (answer.status >= 500) return `answers HTTP ${answer.status}`
      if (typeof reply?.error?.code === 'number' && MODERN_ERRORS.has(reply.error.code)) return ''
      this.#isLegacy = true
    }
    const left = (): number => Math.max(1, endMs - performance.now())
    if (this.#session !== null) {
      const problem = await this.#ping(left())
      if (this.#session !== null) return problem
    }
    return (await this.#open(left())) || this.#ping(left())
  }

  /** Ends its session, if it has one. */
  async close(): Promise<void> {
    const session = this.#session
    this.#session = null
    if (session === null || session === '') return
    const question = { method: 'DELETE', path: '', headers: this.#headers(session), body: '' } as const
    await askHttp(this.#endpoint, question, 1_000).catch(() => {})
  }

  async #open(timeoutMs: number): Promise<string> {
    const params = { protocolVersion: LEGACY, capabilities: {}, clientInfo: CLIENT }
    const answer = await post(this.#endpoint, COMMON, { id: ++this.#id, method: 'initialize', params }, timeoutMs)
    const reply = replyOf(answer.text)
    if (reply?.result === undefined) return `initialize: ${wordsOf(answer, reply)}`
    const { protocolVersion } = reply.result as { protocolVersion?: unknown }
    if (typeof protocolVersion === 'string') this.#version = protocolVersion
    this.#session = String(answer.headers['mcp-session-id'] ?? '')
    const told = { method: 'notifications/initialized' }
    await post(this.#endpoint, this.#headers(this.#session), told, timeoutMs)
    return ''
  }

  async #ping(timeoutMs: number): Promise<string> {
    const question = { id: ++this.#id, method: 'ping' }
    const answer = await post(this.#endpoint, this.#headers(this.#session ?? ''), question, timeoutMs)
    const reply = replyOf(answer.text)
    if (reply?.result !== undefined) return ''
    // It has forgotten the session, as it may.
    if (answer.status === 404 || answer.status === 400) this.#session = null
    return `ping: ${wordsOf(answer, reply)}`
  }

  #headers(session: string): Record<string, string> {
    return { ...COMMON, 'mcp-protocol-version': this.#version, ...(session !== '' && { 'mcp-session-id': session }) }
  }
}

function post(
  endpoint: Endpoint,
  headers: Record<string, string>,
  message: object,
  timeoutMs: number,
): Promise<Answer> {
  const body = JSON.stringify({ jsonrpc: '2.0', ...message })
  const isAnswered = (text: string): boolean => text.includes('\n\n') && replyOf(text) !== null
  return askHttp(endpoint, { method: 'POST', path: '', headers, body }, timeoutMs, isAnswered)
}

/** The response in a body, be it JSON or an event stream; `null` = there is none. */
function replyOf(text: string): Reply | null {
  const isStream = /^(event|data|id|retry|:)/.test(text)
  const parts = isStream ? text.split(/\r?\n\r?\n/).map(dataOf) : [text]
  for (const part of parts) {
    const value = parsed(part)
    if (value !== null && ('result' in value || 'error' in value)) return value
  }
  return null
}

function dataOf(event: string): string {
  const lines = event.split(/\r?\n/).filter(line => line.startsWith('data:'))
  return lines.map(line => line.slice(5)).join('\n')
}

function parsed(text: string): Reply | null {
  try {
    const value: unknown = JSON.parse(text)
    return typeof value === 'object' && value !== null ? (value as Reply) : null
  } catch {
    return null
  }
}

function wordsOf({ status }: Answer, reply: Reply | null): string {
  if (typeof reply?.error?.message === 'string') return `${reply.error.message.slice(0, 200)} (${reply.error.code})`
  return `HTTP ${status} without an answer to it`
}
