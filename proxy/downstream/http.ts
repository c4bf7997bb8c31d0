import type { ServerResponse } from 'node:http'
import type { ErrorCode } from '../api/index.ts'
import { BufferBudget } from './body.ts'
import type { LeanRequest } from './lean-request.ts'
import { refuse } from './malformed.ts'
import { preflight } from './preflight.ts'
import type { RequestHead } from './request-head.ts'
import type { DownstreamServices, ServerRoute, VisitHost } from './services.ts'
import { StandingStreams } from './standing-streams.ts'
import { Visit } from './visit.ts'

const ALLOW = 'GET, POST, DELETE, OPTIONS'
const PATH = /^\/servers\/([^/]+)\/mcp$/

/**
 * Everything between a request's arrival and the chain: Host and Origin, path, method, identity, and then the body
 * (`Visit`). Refuses early and says why.
 */
export class Downstream implements VisitHost {
  readonly services: DownstreamServices
  readonly budget: BufferBudget
  inFlight: number
  readonly standing: StandingStreams
  private routes: ReadonlyMap<string, ServerRoute>
  private single: ServerRoute | null

  constructor(services: DownstreamServices, routes: readonly ServerRoute[]) {
    this.services = services
    this.budget = new BufferBudget(services.limits.maxBufferedBytes)
    this.inFlight = 0
    this.standing = new StandingStreams(services.onManyStreams)
    this.routes = new Map()
    this.single = null
    this.setRoutes(routes)
  }

  /** Takes another set of servers into use; exchanges that run keep theirs. */
  setRoutes(routes: readonly ServerRoute[]): void {
    this.routes = new Map(routes.map(route => [route.name, route]))
    this.single = routes.length === 1 ? (routes[0] as ServerRoute) : null
  }

  /**
   * Ends the streams that have no end of their own (a session's GET stream, `subscriptions/listen`): a drain would wait
   * for them in vain, and the client opens them again elsewhere.
   */
  cutStanding(): void {
    this.standing.cut()
  }

  handle(request: LeanRequest, response: ServerResponse): void {
    const startedMs = performance.now()
    const { head } = request
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
    request: LeanRequest,
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
      this.refuse(
        request,
        response,
        cors,
        'method_not_allowed',
        `${method} is not used by MCP: expected POST, GET or DELETE`,
      )
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
    request: LeanRequest,
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
    const paths = [...this.routes.keys()].slice(0, 20).map(name => `/servers/${name}/mcp`)
    if (this.single !== null) paths.unshift('/mcp')
    return `no such path; there is: ${paths.join(', ')}`
  }

  private refuse(
    request: LeanRequest,
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

/** What a browser needs to let a page of this origin read the answer (Fetch, "CORS protocol"). */
function corsFields(origin: string): readonly string[] | null {
  if (origin === '') return null
  return ['access-control-allow-origin', origin, 'access-control-expose-headers', EXPOSED, 'vary', 'origin']
}

const EXPOSED = 'mcp-session-id, mcp-protocol-version, www-authenticate, retry-after'
