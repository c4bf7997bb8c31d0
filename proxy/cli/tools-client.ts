import { isObject } from '../../interceptors/schema/check/json.ts'
import { isTool, readList } from '../../interceptors/schema/learn/read-list.ts'
import type { Json, JsonObject } from '../api/index.ts'
import { SseSplitter } from '../message/sse.ts'
import { version } from './version.ts'

/** Where a server is, and what it is told besides the messages. */
export interface Endpoint {
  readonly url: string
  readonly headers: readonly (readonly [name: string, value: string])[]
}

const LEGACY = '2025-11-25'
const MODERN = '2026-07-28'
const META = 'io.modelcontextprotocol/'
/** For one answer, in milliseconds and bytes. */
const TIMEOUT_MS = 30_000
const MAX_BYTES = 32 * 1024 * 1024
const MAX_PAGES = 100

/** What a server said to one message. */
interface Answer {
  readonly status: number
  readonly headers: Headers
  /** `null` where there was no JSON-RPC answer. */
  readonly message: JsonObject | null
}

/**
 * All tools of a server, as it tells them to a client without any capabilities: by `initialize` (2025-11-25 and before),
 * or, where it refuses that, in the stateless manner (2026-07-28).
 * @throws Error that says what the server did instead
 */
export async function listTools(endpoint: Endpoint): Promise<JsonObject[]> {
  const connection = new Connection(endpoint)
  try {
    await connection.open()
    return await readAll(connection)
  } finally {
    await connection.close()
  }
}

async function readAll(connection: Connection): Promise<JsonObject[]> {
  const tools: JsonObject[] = []
  let cursor: string | null = null
  for (let pages = 0; pages < MAX_PAGES; pages++) {
    const page = readList(await connection.request('tools/list', cursor === null ? {} : { cursor }))
    if (page === null) throw new Error('it answered tools/list with no list')
    tools.push(...page.tools.filter(isTool))
    cursor = page.nextCursor
    if (cursor === null) return tools
  }
  throw new Error(`its list of tools does not end within ${MAX_PAGES} pages`)
}

class Connection {
  readonly #endpoint: Endpoint
  #isModern = false
  #version = ''
  #session: string | null = null
  #id = 0

  constructor(endpoint: Endpoint) {
    this.#endpoint = endpoint
  }

  async open(): Promise<void> {
    const params = { protocolVersion: LEGACY, capabilities: {}, clientInfo: clientInfo() }
    const { status, headers, message } = await this.#send('initialize', params)
    const result = message?.['result']
    if (!isObject(result)) {
      if (status === 401 || status === 403 || status >= 500)
        throw new Error(`it answered initialize with HTTP ${status}`)
      this.#isModern = true
      this.#version = MODERN
      return
    }
    this.#version = typeof result['protocolVersion'] === 'string' ? result['protocolVersion'] : LEGACY
    this.#session = headers.get('mcp-session-id')
    await this.#post({ jsonrpc: '2.0', method: 'notifications/initialized' }, '')
  }

  /** @returns the whole answer, which has a `result` */
  async request(method: string, params: JsonObject): Promise<JsonObject> {
    const { status, message } = await this.#send(method, params)
    const error = message?.['error']
    if (isObject(error)) throw new Error(`it answered ${method} with error ${String(error['code'])}`)
    if (message === null) throw new Error(`it answered ${method} with HTTP ${status} and no message`)
    return message
  }

  /** Says good-bye; a server that knows no sessions need not understand it. */
  async close(): Promise<void> {
    if (this.#session === null) return
    try {
      await this.#fetch('DELETE', {}, undefined)
    } catch {
      // It forgets the session by itself.
    }
  }

  #send(method: string, params: JsonObject): Promise<Answer> {
    const meta = {
      [`${META}protocolVersion`]: MODERN,
      [`${META}clientCapabilities`]: {},
      [`${META}clientInfo`]: clientInfo(),
    }
    const own = this.#isModern ? { ...params, _meta: meta } : params
    return this.#post({ jsonrpc: '2.0', id: ++this.#id, method, params: own }, method)
  }

  async #post(message: JsonObject, method: string): Promise<Answer> {
    const headers: Record<string, string> = {
      'content-type': 'application/json',
      accept: 'application/json, text/event-stream',
    }
    if (this.#isModern && method !== '') headers['mcp-method'] = method
    const response = await this.#fetch('POST', headers, JSON.stringify(message))
    const id = message['id']
    const answer = id === undefined ? await drop(response) : await readAnswer(response, id)
    return { status: response.status, headers: response.headers, message: answer }
  }

  async #fetch(method: string, own: Record<string, string>, body: string | undefined): Promise<Response> {
    const headers = new Headers(own)
    for (const [name, value] of this.#endpoint.headers) headers.set(name, value)
    if (this.#version !== '') headers.set('mcp-protocol-version', this.#version)
    if (this.#session !== null) headers.set('mcp-session-id', this.#session)
    const signal = AbortSignal.timeout(TIMEOUT_MS)
    try {
      return await fetch(this.#endpoint.url, {
        method,
        headers,
        redirect: 'error',
        signal,
        ...(body !== undefined && { body }),
      })
    } catch (error) {
      const cause = (error as Error).cause
      throw new Error(cause instanceof Error ? cause.message : (error as Error).message)
    }
  }
}

function clientInfo(): JsonObject {
  return { name: 'sluice', version: version() }
}

async function drop(response: Response): Promise<null> {
  await response.body?.cancel()
  return null
}

/** The JSON-RPC answer with this id, from a JSON body or an event stream. */
async function readAnswer(response: Response, id: Json): Promise<JsonObject | null> {
  const isStream = response.headers.get('content-type')?.startsWith('text/event-stream') ?? false
  const found = new Finder(id)
  const splitter = isStream ? new SseSplitter(MAX_BYTES) : null
  const chunks: Buffer[] = []
  let bytes = 0
  for await (const part of response.body ?? []) {
    const chunk = Buffer.from(part as Uint8Array)
    bytes += chunk.length
    if (bytes > MAX_BYTES) throw new Error(`its answer is larger than ${MAX_BYTES} bytes`)
    if (splitter === null) chunks.push(chunk)
    else splitter.push(chunk, found)
    if (found.message !== null) break
  }
  if (splitter === null) found.take(Buffer.concat(chunks))
  return found.message
}

class Finder {
  message: JsonObject | null = null
  readonly #id: Json

  constructor(id: Json) {
    this.#id = id
  }

  onEvent(_raw: Buffer, data: Buffer | null): void {
    if (data !== null) this.take(data)
  }

  onOversize(): void {
    throw new Error(`its answer is larger than ${MAX_BYTES} bytes`)
  }

  take(text: Buffer): void {
    try {
      const message = JSON.parse(text.toString()) as Json
      if (isObject(message) && message['id'] === this.#id) this.message = message
    } catch {
      // An error page, or nothing.
    }
  }
}
