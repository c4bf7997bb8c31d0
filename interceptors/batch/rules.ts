import { type Environment, type Exchange, GlobList } from '#api'
import type { Merge, Options } from './options.ts'

/** Requests that only read, whatever the server. */
const READS = [
  'server/discover',
  'tools/list',
  'prompts/list',
  'resources/list',
  'resources/templates/list',
  'resources/read',
]

/** What may be put together, and whose. */
export class Rules {
  /** The methods that are looked at: of requests, and of the answers to them. */
  readonly methods: { readonly request: readonly string[]; readonly response: readonly string[] }
  readonly #environment: Environment
  readonly #reads: ReadonlySet<string>
  readonly #tools: ReadonlyMap<string, GlobList | null>
  readonly #trusted: ReadonlySet<string>
  readonly #clientless: ReadonlySet<string>
  readonly #sessionless: ReadonlySet<string>
  /** By server, then by tool: the first rule that fits. */
  readonly #merges: ReadonlyMap<string, ReadonlyMap<string, Merge>>

  constructor(options: Options, environment: Environment) {
    const { servers } = environment
    const fitting = (patterns: readonly string[]): ReadonlySet<string> => {
      const globs = new GlobList(patterns)
      return new Set(servers.filter(server => globs.fits(server)))
    }
    this.#environment = environment
    this.#reads = new Set(options.coalesce ? READS : [])
    this.#tools = new Map(servers.map(server => [server, options.coalesce ? toolsOf(options.tools, server) : null]))
    this.#trusted = fitting(options.coalesce ? options.trust_annotations : [])
    this.#clientless = fitting(options.share_clients)
    this.#sessionless = fitting(options.share_sessions)
    this.#merges = new Map(servers.map(server => [server, mergesOf(options.merge, server)]))
    const callable = this.#trusted.size > 0 || [...this.#tools.values()].some(globs => globs !== null)
    const response = callable ? [...this.#reads, 'tools/call'] : [...this.#reads]
    this.methods = { request: options.merge.length > 0 ? [...this.#reads, 'tools/call'] : response, response }
  }

  mergeOf(server: string, method: string, name: string): Merge | null {
    return method === 'tools/call' ? (this.#merges.get(server)?.get(name) ?? null) : null
  }

  isRead(server: string, method: string, name: string): boolean {
    if (method !== 'tools/call') return this.#reads.has(method)
    return this.#tools.get(server)?.fits(name) === true || (this.#trusted.has(server) && this.#isReadOnly(server, name))
  }

  /** What two requests must have in common besides what they ask for: server, session, caller. */
  placeOf(exchange: Exchange): string {
    const { server } = exchange
    const caller = this.#clientless.has(server) ? '' : exchange.callerKey
    const own = exchange.session !== null && !this.#sessionless.has(server)
    // Where the session does not count, or there is none, the revision does; a modern request says it itself.
    const session = own ? exchange.session : (exchange.header('mcp-protocol-version') ?? '')
    return `${server}\n${session}\n${caller}\n`
  }

  #isReadOnly(server: string, name: string): boolean {
    const annotations = this.#environment.tools(server)?.get(name)?.annotations
    if (typeof annotations !== 'object' || annotations === null || !('readOnlyHint' in annotations)) return false
    return annotations.readOnlyHint === true
  }
}

function toolsOf(tools: Options['tools'], server: string): GlobList | null {
  const patterns = Array.isArray(tools)
    ? tools
    : Object.entries(tools).flatMap(([name, list]) => (name === '*' || name === server ? list : []))
  return patterns.length === 0 ? null : new GlobList(patterns)
}

function mergesOf(merges: readonly Merge[], server: string): Map<string, Merge> {
  const byTool = new Map<string, Merge>()
  for (const merge of merges) {
    const globs = new GlobList(typeof merge.server === 'string' ? [merge.server] : merge.server)
    if (globs.fits(server) && !byTool.has(merge.tool)) byTool.set(merge.tool, merge)
  }
  return byTool
}
