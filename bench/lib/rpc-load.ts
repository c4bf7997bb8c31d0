import { type Dispatcher, Pool } from 'undici'
import { small } from './payload.ts'
import type { Gateway } from './stdio-systems.ts'

const VERSION = '2025-11-25'
const ACCEPT = { 'Content-Type': 'application/json', Accept: 'application/json, text/event-stream' }
const ANSWER_LIMIT_MS = 20_000

/**
 * Sends one tool call after the other on each connection, each with an id of its own, and looks whether the answer is the
 * one to that id: gateways that keep ids apart cannot be asked with the same bytes again and again.
 */
export class RpcLoad {
  private readonly pool: Pool
  private readonly path: string
  private readonly headers: Record<string, string>
  private readonly parts: readonly [before: string, behind: string]
  private readonly isFixed: boolean
  private nextId: number

  private constructor({ url: text, era, isFixed }: Gateway, connections: number) {
    const url = new URL(text)
    this.pool = new Pool(url.origin, { connections, headersTimeout: ANSWER_LIMIT_MS, bodyTimeout: ANSWER_LIMIT_MS })
    this.path = url.pathname
    this.headers = era === 'modern' ? { ...small.requestHeaders } : { ...ACCEPT, 'MCP-Protocol-Version': VERSION }
    this.parts = around(era)
    this.isFixed = isFixed
    this.nextId = 1_000_000
  }

  /** Opens a session where the era has them. */
  static async open(gateway: Gateway, connections: number): Promise<RpcLoad> {
    const load = new RpcLoad(gateway, connections)
    if (gateway.era === 'legacy') await load.initialize()
    return load
  }

  private async initialize(): Promise<void> {
    const params = { protocolVersion: VERSION, capabilities: {}, clientInfo: { name: 'bench', version: '1' } }
    const body = JSON.stringify({ jsonrpc: '2.0', id: 0, method: 'initialize', params })
    const { headers, statusCode } = await this.post(body, '"serverInfo"')
    const session = headers['mcp-session-id']
    if (statusCode !== 200 || typeof session !== 'string') throw new Error(`initialize: HTTP ${statusCode}, no session`)
    this.headers['Mcp-Session-Id'] = session
    const ready = JSON.stringify({ jsonrpc: '2.0', method: 'notifications/initialized' })
    await this.post(ready, '')
  }

  /** @returns how many calls were answered */
  async run(connections: number, seconds: number): Promise<number> {
    const end = performance.now() + seconds * 1e3
    let calls = 0
    const one = async (): Promise<void> => {
      while (performance.now() < end) {
        await this.call()
        calls++
      }
    }
    await Promise.all(Array.from({ length: connections }, one))
    return calls
  }

  private call(): Promise<unknown> {
    const id = this.nextId++
    return this.post(`${this.parts[0]}${id}${this.parts[1]}`, this.isFixed ? '"result"' : `"id":${id}`)
  }

  private post(body: string, expected: string): Promise<Answer> {
    return new Promise((resolve, reject) => {
      const request = { path: this.path, method: 'POST' as const, headers: this.headers, body }
      this.pool.dispatch(request, new Answer(expected, resolve, reject))
    })
  }

  close(): Promise<void> {
    return this.pool.destroy()
  }
}

/** The call of the other benchmarks around its id; for legacy servers without the envelope, and as long. */
function around(era: Gateway['era']): [string, string] {
  const text = small.requestBody.toString()
  const message = JSON.parse(text) as { params: { _meta?: unknown; arguments: { text: string } } }
  const whole = era === 'modern' ? text : legacyCall(message, text.length)
  const [before = '', behind = ''] = whole.split(/(?<="id":)\d+/)
  return [before, behind]
}

function legacyCall(message: { params: { _meta?: unknown; arguments: { text: string } } }, length: number): string {
  delete message.params._meta
  message.params.arguments.text += 'x'.repeat(length - JSON.stringify(message).length)
  return JSON.stringify(message)
}

class Answer implements Dispatcher.DispatchHandler {
  statusCode = 0
  headers: Record<string, string | string[] | undefined> = {}
  private readonly expected: string
  private readonly resolve: (answer: Answer) => void
  private readonly reject: (error: Error) => void
  private text = ''

  constructor(expected: string, resolve: (answer: Answer) => void, reject: (error: Error) => void) {
    this.expected = expected
    this.resolve = resolve
    this.reject = reject
  }

  onRequestStart(): void {}

  onResponseStart(_controller: unknown, statusCode: number, headers: Answer['headers']): void {
    this.statusCode = statusCode
    this.headers = headers
  }

  onResponseData(_controller: unknown, chunk: Buffer): void {
    this.text += chunk.toString('latin1')
  }

  onResponseEnd(): void {
    const isGood = this.statusCode < 300 && this.text.includes(this.expected)
    if (isGood) this.resolve(this)
    else this.reject(new Error(`wrong answer, HTTP ${this.statusCode}: ${this.text.slice(0, 300)}`))
  }

  onResponseError(_controller: unknown, error: Error): void {
    this.reject(error)
  }
}
