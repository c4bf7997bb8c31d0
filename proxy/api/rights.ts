import type { AccessControl, ClientRules } from './environment.ts'
import { GlobList } from './glob.ts'

/** What one client may do with one server. */
export class Access {
  /** Whether it may use the server at all. */
  readonly server: boolean
  /** Whether it may call every tool of it, so that there is nothing to hide. */
  readonly everyTool: boolean
  readonly #tools: GlobList

  constructor(server: boolean, tools: GlobList) {
    this.server = server
    this.everyTool = server && tools.any
    this.#tools = tools
  }

  mayCall(tool: string): boolean {
    return this.server && this.#tools.fits(tool)
  }
}

const EVERYTHING = new GlobList(['*'])

/** The most answers for unnamed clients that are kept; their names may come from the clients themselves. */
const MAX_SERVERS_KEPT = 1000

/** The rules of `access_control`, made ready: one or two look-ups by map for each message. */
export class Rights {
  /** By client, then by server; filled when first asked. */
  readonly #named = new Map<string, Map<string, Access>>()
  /** By server, for clients without rules of their own: all of them have the same rights. */
  readonly #others = new Map<string, Access>()
  readonly #rules: AccessControl

  constructor(rules: AccessControl) {
    this.#rules = rules
    for (const client of rules.clients.keys()) this.#named.set(client, new Map())
  }

  of(client: string, server: string): Access {
    const kept = this.#named.get(client) ?? this.#others
    const access = kept.get(server)
    if (access !== undefined) return access
    const rules = this.#rules.clients.get(client) ?? this.#rules.clients.get('*') ?? null
    const made = decide(rules, server, this.#rules.defaultPolicy)
    if (kept.size < MAX_SERVERS_KEPT) kept.set(server, made)
    return made
  }
}

/** A client without rules, and what its rules do not say, fall to the default policy. */
function decide(rules: ClientRules | null, server: string, defaultPolicy: 'allow' | 'deny'): Access {
  const byDefault = defaultPolicy === 'allow'
  if (rules === null) return new Access(byDefault, EVERYTHING)
  const servers = rules.allowedServers
  return new Access(servers === null ? byDefault : new GlobList(servers).fits(server), toolsOf(rules, server))
}

/** The list of the server itself, else that of `*`; a server that neither names has no restriction. */
function toolsOf({ allowedTools }: ClientRules, server: string): GlobList {
  if (allowedTools === null) return EVERYTHING
  const list = Object.hasOwn(allowedTools, server) ? allowedTools[server] : allowedTools['*']
  return list === undefined ? EVERYTHING : new GlobList(list)
}
