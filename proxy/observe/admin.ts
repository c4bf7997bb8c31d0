import type { IncomingMessage, Server, ServerResponse } from 'node:http'
import { type AddressInfo, isIP } from 'node:net'
import type { Json } from '../api/index.ts'
import { http } from '../base/node-modules.ts'
import { channels } from './channels.ts'

export interface Readiness {
  readonly ready: boolean
  /** Why not, one sentence each; empty when ready. */
  readonly reasons: readonly string[]
}

export interface AdminOptions {
  readonly host: string
  /** 0 = any free one. */
  readonly port: number
  /** Whether the process works at all; `false` asks the supervisor to restart it. */
  live(): boolean
  /** Whether clients may be sent here: policy loaded, a replica reachable, not draining. */
  ready(): Readiness | Promise<Readiness>
  /** Prometheus text. Concurrent scrapes share one call. */
  metrics(): string | Promise<string>
  /** What `/servers` shows. Without it the path does not exist. */
  servers?(): Json
  /** Names that a `Host` header may have besides `localhost` and IP addresses, where the bind is a loopback one. */
  readonly hosts?: readonly string[]
  /** Limit for what `ready` and `metrics` promise. Default 5000. */
  readonly timeoutMs?: number
}

export interface Admin {
  /** `http://127.0.0.1:8081`, without a path. */
  readonly url: string
  /** Stops listening and ends idle connections; resolves when the last answer is out. */
  close(): Promise<void>
}

/** Connections at a time; further ones are closed at once. */
const MAX_CONNECTIONS = 128
const MAX_HEADER_BYTES = 8192
const HEAD_TIMEOUT_MS = 5000
/** How long `close` waits for answers that somebody reads slowly. */
const CLOSE_TIMEOUT_MS = 2000
const JSON_TYPE = 'application/json; charset=utf-8'
const METRICS_TYPE = 'text/plain; version=0.0.4; charset=utf-8'

/** One answer: status, content type, text. */
interface Reply {
  readonly status: number
  readonly type: string
  readonly text: string
}

type Route = () => Reply | Promise<Reply>

/**
 * The operator's listener: `/health`, `/ready`, `/metrics`, `/servers`. It only reads (GET and HEAD), and it has no
 * authentication: bind it to loopback or to a network that only operators reach. On a loopback bind the `Host` header
 * must be `localhost` or an IP address, so that a web page cannot read it by DNS rebinding.
 * @throws Error that names the address when it cannot listen there
 */
export async function createAdmin(options: AdminOptions): Promise<Admin> {
  const routes = createRoutes(options)
  const names = isLoopback(options.host) ? new Set(options.hosts?.map(name => name.toLowerCase())) : null
  const server = http.createServer(
    { maxHeaderSize: MAX_HEADER_BYTES, headersTimeout: HEAD_TIMEOUT_MS, requestTimeout: HEAD_TIMEOUT_MS },
    (request, response) => {
      const refusal = checkRequest(request, names)
      if (refusal !== null) send(request, response, refusal)
      else void answer(routes, request, response)
    },
  )
  server.maxConnections = MAX_CONNECTIONS
  await listen(server, options.host, options.port)
  return { url: urlOf(server, options.host), close: () => closeServer(server) }
}

function createRoutes(options: AdminOptions): ReadonlyMap<string, Route> {
  const timeoutMs = options.timeoutMs ?? 5000
  const metrics = shareCalls(() => withTimeout(options.metrics(), timeoutMs, '/metrics'))
  const routes = new Map<string, Route>([
    ['/health', () => (options.live() ? json(200, { status: 'healthy' }) : json(503, { status: 'unhealthy' }))],
    ['/ready', async () => readiness(await withTimeout(options.ready(), timeoutMs, '/ready'))],
    ['/metrics', async () => ({ status: 200, type: METRICS_TYPE, text: await metrics() })],
  ])
  const servers = options.servers
  if (servers !== undefined) routes.set('/servers', () => json(200, servers()))
  return routes
}

function readiness(state: Readiness): Reply {
  if (state.ready) return json(200, { status: 'ready' })
  return json(503, { status: 'not_ready', reasons: [...state.reasons] })
}

function checkRequest(request: IncomingMessage, names: ReadonlySet<string> | null): Reply | null {
  if (names !== null && !isOwnHost(request.headers.host, names)) {
    return json(403, {
      error: 'this Host header is not allowed on a loopback listener: use localhost or the IP address',
    })
  }
  if (request.method === 'GET' || request.method === 'HEAD') return null
  return json(405, { error: `${request.method} is not allowed: this listener only reads`, allowed: ['GET', 'HEAD'] })
}

async function answer(
  routes: ReadonlyMap<string, Route>,
  request: IncomingMessage,
  response: ServerResponse,
): Promise<void> {
  const path = (request.url ?? '/').split('?', 1)[0] as string
  const route = routes.get(path)
  if (route === undefined) {
    send(request, response, json(404, { error: 'there is nothing at this path', paths: [...routes.keys()] }))
    return
  }
  try {
    send(request, response, await route())
  } catch (error) {
    // What went wrong is for the log: this answer may leave the machine.
    channels.notice.publish({ level: 'error', text: 'the admin listener could not answer', fields: { path, error } })
    send(request, response, json(503, { error: 'the answer could not be made; the log says why' }))
  }
}

function send(request: IncomingMessage, response: ServerResponse, reply: Reply): void {
  if (response.destroyed) return
  const hasBody = request.headers['content-length'] !== undefined || 'transfer-encoding' in request.headers
  response.writeHead(reply.status, {
    'content-type': reply.type,
    'content-length': Buffer.byteLength(reply.text),
    'cache-control': 'no-store',
    'x-content-type-options': 'nosniff',
    ...(reply.status === 405 && { allow: 'GET, HEAD' }),
    // Nobody reads the body of a request here, so the connection cannot be used again.
    ...(hasBody && { connection: 'close' }),
  })
  response.end(request.method === 'HEAD' ? undefined : reply.text)
}

function json(status: number, value: Json): Reply {
  return { status, type: JSON_TYPE, text: `${JSON.stringify(value)}\n` }
}

/** Rebinding needs a name that an attacker owns, so every IP address is fine. HTTP/1.0 without a Host is no browser. */
function isOwnHost(header: string | undefined, names: ReadonlySet<string>): boolean {
  if (header === undefined) return true
  const name = header.replace(/:\d*$/, '').toLowerCase()
  if (name === 'localhost' || name.endsWith('.localhost') || names.has(name)) return true
  return isIP(name.startsWith('[') && name.endsWith(']') ? name.slice(1, -1) : name) !== 0
}

function isLoopback(host: string): boolean {
  return host === 'localhost' || host === '::1' || host === '[::1]' || /^127\./.test(host)
}

/** Calls that come while one runs get its result. */
function shareCalls(call: () => Promise<string>): () => Promise<string> {
  let running: Promise<string> | null = null
  return () => {
    running ??= call().finally(() => {
      running = null
    })
    return running
  }
}

async function withTimeout<T>(value: T | Promise<T>, timeoutMs: number, path: string): Promise<T> {
  let timer: NodeJS.Timeout | undefined
  const late = new Promise<never>((_resolve, reject) => {
    timer = setTimeout(() => reject(new Error(`${path}: no answer within ${timeoutMs} ms`)), timeoutMs)
  })
  try {
    return await Promise.race([value, late])
  } finally {
    clearTimeout(timer)
  }
}

function listen(server: Server, host: string, port: number): Promise<void> {
  return new Promise((resolve, reject) => {
    server.on('error', error => {
      if (!server.listening) reject(listenError(error, host, port))
      else channels.notice.publish({ level: 'error', text: 'the admin listener had an error', fields: { error } })
    })
    server.listen({ host: host.replace(/^\[|\]$/g, ''), port }, resolve)
  })
}

const LISTEN_ADVICE: Readonly<Record<string, string>> = {
  EADDRINUSE: 'the address is already in use; stop the other process or choose another one with --admin HOST:PORT',
  EACCES: 'this user may not listen there; choose a port above 1023',
  EADDRNOTAVAIL: 'this machine has no such address',
  ENOTFOUND: 'the host name is not known',
}

function listenError(error: NodeJS.ErrnoException, host: string, port: number): Error {
  const advice = LISTEN_ADVICE[error.code ?? ''] ?? error.message
  return Object.assign(new Error(`admin listener ${host}:${port}: ${advice}`, { cause: error }), { code: error.code })
}

function urlOf(server: Server, host: string): string {
  const { port } = server.address() as AddressInfo
  const bare = host.replace(/^\[|\]$/g, '')
  return `http://${bare.includes(':') ? `[${bare}]` : bare}:${port}`
}

function closeServer(server: Server): Promise<void> {
  return new Promise(resolve => {
    const timer = setTimeout(() => server.closeAllConnections(), CLOSE_TIMEOUT_MS)
    server.close(() => {
      clearTimeout(timer)
      resolve()
    })
    server.closeIdleConnections()
  })
}
