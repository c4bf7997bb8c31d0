/** What one client, or everybody else, shows to one server now. Plain data: it crosses process borders, over IPC only. */
export interface ShownValues {
  readonly server: string
  /** `''` = everybody without an entry of their own. */
  readonly client: string
  /** Header fields, flat; `null` = there is nothing to show. These are the secrets themselves. */
  readonly fields: readonly string[] | null
  /** Names of secrets and what each is used for, flat. */
  readonly uses: readonly string[]
  /** Another one for each change of `fields`. */
  readonly version: number
  /** Milliseconds since the epoch; `null` = never. */
  readonly expiresAt: number | null
  readonly renewable: boolean
  /** Whether a newer one is being fetched. */
  readonly coming: boolean
  /** Why there is none, one sentence without secrets; `''` = there is one. */
  readonly reason: string
  /** When the next try is due, milliseconds since the epoch; 0 = none is. */
  readonly retryAt: number
  /** Whether `authorization` is among the fields, or would be. */
  readonly authorizes: boolean
}

/** Most requests that wait for one credential at a time. */
export const MAX_WAITING = 1000

/** Asks whoever renews credentials for a newer one. */
export type Renew = (server: string, client: string, version: number) => boolean

/** Told when what it waits for has come, or will not. */
export interface Waiter {
  credentialSettled(): void
}

/** One credential as requests see it. One hidden class; changed in place, so that whoever holds it sees it as it is. */
export class Shown {
  fields: readonly string[] | null
  uses: readonly string[]
  version: number
  expiresAt: number
  renewable: boolean
  coming: boolean
  reason: string
  retryAt: number
  authorizes: boolean
  private readonly server: string
  private readonly client: string
  private readonly renewer: Renew
  private readonly waiting: Set<Waiter>

  constructor(server: string, client: string, renewer: Renew) {
    this.fields = null
    this.uses = []
    this.version = 0
    this.expiresAt = 0
    this.renewable = false
    this.coming = false
    this.reason = ''
    this.retryAt = 0
    this.authorizes = false
    this.server = server
    this.client = client
    this.renewer = renewer
    this.waiting = new Set()
  }

  set(values: ShownValues): void {
    this.fields = values.fields
    this.uses = values.uses
    this.version = values.version
    this.expiresAt = values.expiresAt ?? Number.POSITIVE_INFINITY
    this.renewable = values.renewable
    this.coming = values.coming
    this.reason = values.reason
    this.retryAt = values.retryAt
    this.authorizes = values.authorizes
    if (!this.coming) this.settle()
  }

  /** Nothing is configured any more: who waits goes without. */
  drop(): void {
    this.fields = null
    this.renewable = false
    this.coming = false
    this.settle()
  }

  renew(version: number): boolean {
    if (!this.renewable) return false
    if (this.coming) return true
    this.coming = this.renewer(this.server, this.client, version)
    return this.coming
  }

  join(waiter: Waiter): boolean {
    if (this.waiting.size >= MAX_WAITING) return false
    this.waiting.add(waiter)
    return true
  }

  leave(waiter: Waiter): void {
    this.waiting.delete(waiter)
  }

  private settle(): void {
    const told = [...this.waiting]
    this.waiting.clear()
    for (const waiter of told) waiter.credentialSettled()
  }
}

/** What is shown to one server. */
export class ServerShown {
  everybody: Shown | null = null
  readonly clients = new Map<string, Shown>()

  find(client: string): Shown | null {
    return this.clients.size === 0 ? this.everybody : (this.clients.get(client) ?? this.everybody)
  }

  authorizes(client: string): boolean {
    return this.find(client)?.authorizes === true
  }
}

/** All that is shown, in memory. Requests read it; whoever keeps credentials writes it. */
export class CredentialTable {
  readonly #renew: Renew
  readonly #servers = new Map<string, ServerShown>()

  constructor(renew: Renew) {
    this.#renew = renew
  }

  /** The same object for a name for ever, whatever is configured for it now. */
  server(name: string): ServerShown {
    const known = this.#servers.get(name)
    if (known !== undefined) return known
    const made = new ServerShown()
    this.#servers.set(name, made)
    return made
  }

  /** Takes these and no others. */
  replace(all: readonly ShownValues[]): void {
    const kept = new Set<Shown>()
    for (const values of all) {
      const shown = this.#shown(values)
      kept.add(shown)
      shown.set(values)
    }
    for (const server of this.#servers.values()) sweep(server, kept)
  }

  #shown({ server, client }: ShownValues): Shown {
    const place = this.server(server)
    const known = client === '' ? place.everybody : place.clients.get(client)
    if (known !== null && known !== undefined) return known
    const made = new Shown(server, client, this.#renew)
    if (client === '') place.everybody = made
    else place.clients.set(client, made)
    return made
  }
}

function sweep(server: ServerShown, kept: ReadonlySet<Shown>): void {
  if (server.everybody !== null && !kept.has(server.everybody)) {
    const { everybody } = server
    server.everybody = null
    everybody.drop()
  }
  for (const [client, shown] of server.clients) {
    if (kept.has(shown)) continue
    server.clients.delete(client)
    shown.drop()
  }
}
