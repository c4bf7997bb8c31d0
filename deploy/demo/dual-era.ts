import { randomUUID } from 'node:crypto'
import type { IncomingMessage, ServerResponse } from 'node:http'
import {
  localhostHostValidation,
  localhostOriginValidation,
  type NodeIncomingMessageLike,
  toWebRequest,
} from '@modelcontextprotocol/node'
import {
  createMcpHandler,
  type EventStore,
  isInitializeRequest,
  isLegacyRequest,
  type McpHttpHandler,
  type McpServer,
  WebStandardStreamableHTTPServerTransport,
} from '@modelcontextprotocol/server'
import { singleJson } from './single-json.ts'
import { writeResponse } from './write-response.ts'

export interface DualEraOptions {
  /** Makes the server of one legacy session, or of one modern request. */
  makeServer(era: 'legacy' | 'modern'): McpServer
  /** Called when a legacy session's server is connected, and gives what to do when the session is over. */
  onSession?(server: McpServer): () => void
  /** Whether a legacy POST is answered as JSON instead of SSE. Its answer must not bring notifications. Default: never. */
  answersJson?(message: unknown): boolean
  /** Makes the event store of a legacy session; without one, streams cannot be resumed. */
  eventStore?(): EventStore
  /** The `retry` a legacy stream tells its client, in ms. */
  retryMs?: number
  /** Live legacy sessions; the oldest one is closed for a new one. Default 1000. */
  maxSessions?: number
  /** Largest request body in bytes. Default 64 MiB. */
  maxBodyBytes?: number
}

const DEFAULT_MAX_SESSIONS = 1000
const DEFAULT_MAX_BODY_BYTES = 64 * 1024 * 1024

interface Session {
  readonly server: McpServer
  readonly transport: WebStandardStreamableHTTPServerTransport
}

/**
 * One MCP endpoint for both eras: requests with the 2026-07-28 envelope are served one by one, everything else by sessions of the
 * revisions from 2025-03-26 to 2025-11-25. The SDK's own handler serves the legacy era without sessions, hence this one.
 */
export class DualEra {
  readonly #options: DualEraOptions
  readonly #modern: McpHttpHandler
  readonly #sessions = new Map<string, Session>()
  readonly #maxBodyBytes: number
  #standaloneStreams = 0
  readonly #checkHost = localhostHostValidation()
  readonly #checkOrigin = localhostOriginValidation()

  constructor(options: DualEraOptions) {
    this.#options = options
    this.#maxBodyBytes = options.maxBodyBytes ?? DEFAULT_MAX_BODY_BYTES
    this.#modern = createMcpHandler(() => options.makeServer('modern'), {
      legacy: 'reject',
      maxRequestBodySize: this.#maxBodyBytes,
    })
  }

  /** Tells the modern era's `subscriptions/listen` streams of a change. */
  get notify(): McpHttpHandler['notify'] {
    return this.#modern.notify
  }

  /** Standalone streams (legacy GET) that are open. */
  get standaloneStreams(): number {
    return this.#standaloneStreams
  }

  /** A node:http request listener. */
  async handle(incoming: IncomingMessage, outgoing: ServerResponse): Promise<void> {
    if (!this.#checkHost(incoming, outgoing) || !this.#checkOrigin(incoming, outgoing)) return
    const gone = new AbortController()
    outgoing.once('close', () => {
      if (!outgoing.writableFinished) gone.abort()
    })
    try {
      const request = await toWebRequest(incoming as NodeIncomingMessageLike, undefined, {
        signal: gone.signal,
        maxRequestBodySize: this.#maxBodyBytes,
      })
      const response = await this.#serve(request)
      if (incoming.method === 'GET' && response.ok) this.#countStandalone(outgoing)
      await writeResponse(response, outgoing)
    } catch (error) {
      refuse(outgoing, error)
    }
  }

  async close(): Promise<void> {
    await Promise.all([...this.#sessions.values()].map(session => session.server.close()))
    await this.#modern.close()
  }

  #countStandalone(outgoing: ServerResponse): void {
    this.#standaloneStreams += 1
    outgoing.once('close', () => {
      this.#standaloneStreams -= 1
    })
  }

  async #serve(request: Request): Promise<Response> {
    if (!(await isLegacyRequest(request, undefined, { maxRequestBodySize: this.#maxBodyBytes }))) {
      return this.#modern.fetch(request)
    }
    const message = await readJson(request)
    const response = await this.#serveLegacy(request, message)
    return this.#options.answersJson?.(message) ? singleJson(response) : response
  }

  async #serveLegacy(request: Request, message: unknown): Promise<Response> {
    const id = request.headers.get('mcp-session-id')
    if (id === null && isInitializeRequest(message)) return (await this.#open()).transport.handleRequest(request)
    if (id === null) return failure(400, -32000, 'Bad Request: Mcp-Session-Id header is required')
    const session = this.#sessions.get(id)
    return session ? session.transport.handleRequest(request) : failure(404, -32001, 'Session not found')
  }

  async #open(): Promise<Session> {
    const server = this.#options.makeServer('legacy')
    const transport = new WebStandardStreamableHTTPServerTransport({
      sessionIdGenerator: () => randomUUID(),
      onsessioninitialized: id => this.#keep(id, session),
      maxRequestBodySize: this.#maxBodyBytes,
      ...(this.#options.eventStore && { eventStore: this.#options.eventStore() }),
      ...(this.#options.retryMs !== undefined && { retryInterval: this.#options.retryMs }),
    })
    const session = { server, transport }
    await server.connect(transport)
    const forget = this.#options.onSession?.(server)
    server.server.onclose = () => {
      forget?.()
      this.#sessions.delete(transport.sessionId ?? '')
    }
    return session
  }

  #keep(id: string, session: Session): void {
    this.#sessions.set(id, session)
    if (this.#sessions.size <= (this.#options.maxSessions ?? DEFAULT_MAX_SESSIONS)) return
    const [oldest] = this.#sessions.values()
    void oldest?.server.close()
  }
}

async function readJson(request: Request): Promise<unknown> {
  if (request.method !== 'POST') return undefined
  try {
    return await request.clone().json()
  } catch {
    return undefined
  }
}

function failure(status: number, code: number, message: string): Response {
  return Response.json({ jsonrpc: '2.0', error: { code, message }, id: null }, { status })
}

function refuse(outgoing: ServerResponse, error: unknown): void {
  if (outgoing.headersSent) return void outgoing.destroy()
  const status = (error as { status?: number }).status ?? 500
  const message = error instanceof Error ? error.message : 'Internal error'
  outgoing.writeHead(status, { 'content-type': 'application/json', connection: 'close' })
  outgoing.end(JSON.stringify({ jsonrpc: '2.0', error: { code: -32603, message }, id: null }))
}
