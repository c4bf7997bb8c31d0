import { type Environment, GlobList } from '#api'
import type { Options } from './options.ts'

/** What becomes out of date together. */
export type Group = 'calls' | 'tools' | 'prompts' | 'resources' | 'reads' | 'discover'

/** Methods whose results say themselves how long they hold and for whom (2026-07-28, "Caching"). */
const HINTED: ReadonlyMap<string, Group> = new Map([
  ['server/discover', 'discover'],
  ['tools/list', 'tools'],
  ['prompts/list', 'prompts'],
  ['resources/list', 'resources'],
  ['resources/templates/list', 'resources'],
  ['resources/read', 'reads'],
])

/** Which requests may be answered from the cache, and how widely. */
export class Rules {
  /** The methods of such requests. */
  readonly methods: readonly string[]
  /** By configured server; `null` = the policy names none of its tools. */
  readonly #tools: ReadonlyMap<string, GlobList | null>
  readonly #trusted: ReadonlySet<string>
  readonly #public: ReadonlySet<string>
  readonly #sessionless: ReadonlySet<string>
  readonly #environment: Environment

  constructor(options: Options, environment: Environment) {
    const { servers } = environment
    const fitting = (patterns: readonly string[]): ReadonlySet<string> => {
      const globs = new GlobList(patterns)
      return new Set(servers.filter(server => globs.fits(server)))
    }
    this.#tools = new Map(servers.map(server => [server, toolsOf(options.tools, server)]))
    this.#trusted = fitting(options.trust_annotations)
    this.#public = fitting(options.public_from)
    this.#sessionless = fitting(options.share_sessions)
    this.#environment = environment
    const callable = this.#trusted.size > 0 || [...this.#tools.values()].some(globs => globs !== null)
    this.methods = callable ? [...HINTED.keys(), 'tools/call'] : [...HINTED.keys()]
  }

  /** `null` = never from the cache. */
  groupOf(server: string, method: string, name: string): Group | null {
    if (method !== 'tools/call') return HINTED.get(method) ?? null
    if (this.#tools.get(server)?.fits(name) === true) return 'calls'
    return this.#trusted.has(server) && this.#isReadOnly(server, name) ? 'calls' : null
  }

  /** Whether what a server calls public may be given to all. */
  sharesClients(server: string, group: Group): boolean {
    return group !== 'calls' && this.#public.has(server)
  }

  sharesSessions(server: string): boolean {
    return this.#sessionless.has(server)
  }

  #isReadOnly(server: string, name: string): boolean {
    const annotations = this.#environment.tools(server)?.get(name)?.annotations
    return typeof annotations === 'object' && annotations !== null && 'readOnlyHint' in annotations
      ? annotations.readOnlyHint === true
      : false
  }
}

function toolsOf(tools: Options['tools'], server: string): GlobList | null {
  const patterns = Array.isArray(tools)
    ? tools
    : Object.entries(tools).flatMap(([name, list]) => (name === '*' || name === server ? list : []))
  return patterns.length === 0 ? null : new GlobList(patterns)
}
