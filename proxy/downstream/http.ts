import type { IncomingMessage, ServerResponse } from 'node:http'
import type { ErrorCode } from '../api/index.ts'
import { ERRORS } from '../api/index.ts'
import type { RelayServices } from '../chain/ports.ts'
import { channels } from '../observe/channels.ts'
import type { Upstream } from '../upstream/upstream.ts'
import { BufferBudget } from './body.ts'
import type { Identity } from './identity.ts'
import { refuse } from './malformed.ts'
import type { OriginGuard } from './origin-guard.ts'
import { preflight } from './preflight.ts'
import { RequestHead } from './request-head.ts'
import type { SessionSealer } from './session.ts'
import { Visit } from './visit.ts'

/** One server as clients reach it. */
export interface ServerRoute {
  readonly name: string
  readonly upstream: Upstream
  readonly forwardAuthorization: boolean
  /** Header fields added to every request for it; names lower-case. May be secrets. */
  readonly headers: readonly (readonly [name: string, value: string])[]
}

export interface DownstreamLimits {
  readonly maxBodyBytes: number
  readonly maxBufferedBytes: number
  readonly maxBatch: number
  readonly maxInFlight: number
}

/** What requests from clients are handled with. */
export interface DownstreamServices {
  readonly relay: RelayServices
  readonly sessions: SessionSealer
  readonly identity: Identity
  readonly guard: OriginGuard
  readonly limits: DownstreamLimits
  /** How long a client may leave a full answer unread, in milliseconds; 0 = for ever. */
  readonly stallMs: number
}

const ALLOW = 'GET, POST, DELETE, OPTIONS'
const PATH = /^\/servers\/([^/]+)\/mcp$/

/**
 * Everything between a request's arrival and the chain: Host and Origin, path, method, identity, and then the body
 * (`Visit`). Refuses early and says why.
 */
export class Downstream {
  readonly services: DownstreamServices
  readonly budget: BufferBudget
  inFlight: number
  private routes: ReadonlyMap<string, ServerRoute>
  private single: ServerRoute | null

  constructor(services: DownstreamServices, routes: readonly ServerRoute[]) {
    this.services = services
    this.budget = new BufferBudget(services.limits.maxBufferedBytes)
    this.inFlight = 0
    this.routes = new Map()
    this.single = null
    this.setRoutes(routes)
  }

  /** Takes another set of servers into use; exchanges that run keep theirs. */
  setRoutes(routes: readonly ServerRoute[]): void {
    this.routes = new Map(routes.map((route) => [route.name, route]))
    this.single = routes.length === 1 ? (routes[0] as ServerRoute) : null
  }

  handle(request: IncomingMessage, response: ServerResponse): void {
    const startedMs = performance.now()
    const head = new RequestHead(request.rawHeaders)
    const allowed = this.services.guard.check(head.host, head.origin)
    if (allowed !== 'ok') {
      this.refuse(request, response, null, allowed, `${allowed === 'host_denied' ? 'Host' : 'Origin'} not allowed`)
      return
    }
    const cors = head.origin === '' ? null : corsFields(this.services.guard.corsOrigin(head.origin))
    if (request.method === 'OPTIONS') preflight(request, response, cors)
    else this.route(request, response, head, cors, startedMs)
  }

  private route(
    request: IncomingMessage,
    response: ServerResponse,
    head: RequestHead,
    cors: readonly string[] | null,
    startedMs: number,
  ): void {
    const url = request.url as string
    const question = url.indexOf('?')
    const route = this.find(question === -1 ? url : url.slice(0, question))
    if (route === null) {
      this.refuse(request, response, cors, 'not_found', this.paths())
      return
    }
    const method = request.method
    if (method !== 'POST' && method !== 'GET' && method !== 'DELETE') {
      response.setHeader('allow', ALLOW)
      this.refuse(request, response, cors, 'method_not_allowed', `${method} is not used by MCP: expected POST, GET or DELETE`)
    } else if (head.repeated !== '') {
      this.refuse(request, response, cors, 'invalid_request', `the header ${head.repeated} occurs more than once`)
    } else if (this.inFlight >= this.services.limits.maxInFlight) {
      response.setHeader('retry-after', '1')
      this.refuse(request, response, cors, 'overloaded', 'too many requests in flight (max_in_flight)')
    } else {
      const query = question === -1 ? '' : url.slice(question + 1)
      this.admit(request, response, head, cors, startedMs, route, method, query)
    }
  }

  private admit(
    request: IncomingMessage,
    response: ServerResponse,
    head: RequestHead,
    cors: readonly string[] | null,
    startedMs: number,
    route: ServerRoute,
    method: 'POST' | 'GET' | 'DELETE',
    query: string,
  ): void {
    const principal = this.services.identity.identify(head.authorization, head.clientId)
    if (principal === null) {
      response.setHeader('www-authenticate', 'Bearer realm="sluice"')
      this.refuse(request, response, cors, 'unauthorized', 'a valid API key is needed: Authorization: Bearer KEY')
      return
    }
    this.inFlight++
    const visit = new Visit(this, request, response, head, route, principal, method, query, cors, startedMs)
    visit.begin()
  }

  /** `/mcp` where there is one server, `/servers/NAME/mcp` always. */
  private find(path: string): ServerRoute | null {
    if (path === '/mcp') return this.single
    const name = PATH.exec(path)?.[1]
    return name === undefined ? null : (this.routes.get(name) ?? null)
  }

  private paths(): string {
    const paths = [...this.routes.keys()].slice(0, 20).map((name) => `/servers/${name}/mcp`)
    if (this.single !== null) paths.unshift('/mcp')
    return `no such path; there is: ${paths.join(', ')}`
  }

  private refuse(
    request: IncomingMessage,
    response: ServerResponse,
    cors: readonly string[] | null,
    code: ErrorCode,
    text: string,
  ): void {
    if (cors !== null) {
      for (let i = 0; i < cors.length; i += 2) response.setHeader(cors[i] as string, cors[i + 1] as string)
    }
    refuse(request, response, code, text)
  }
}

/** Tells who watches that a request was refused before it became an exchange. */
export function publishRefusal(code: ErrorCode, reason: string): void {
  if (channels.refusal.hasSubscribers) channels.refusal.publish({ code, status: ERRORS[code].http, reason })
}

/** What a browser needs to let a page of this origin read the answer (Fetch, "CORS protocol"). */
function corsFields(origin: string): readonly string[] | null {
  if (origin === '') return null
  return ['access-control-allow-origin', origin, 'access-control-expose-headers', EXPOSED, 'vary', 'origin']
}

const EXPOSED = 'mcp-session-id, mcp-protocol-version, www-authenticate, retry-after'
