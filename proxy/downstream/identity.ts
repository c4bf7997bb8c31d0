import { hash, timingSafeEqual } from 'node:crypto'
import type { Principal } from '../api/index.ts'
import { Lru } from '../base/lru.ts'

/** A client with API keys, as the configuration names it. */
export interface KeyedClient {
  readonly name: string
  /** SHA-256 of each of its keys, 32 bytes each. */
  readonly keyHashes: readonly Buffer[]
}

export interface IdentityOptions {
  /** Empty = no client has a key: then `Authorization` is none of our business. */
  readonly clients: readonly KeyedClient[]
  /** Whether a client that shows no credential is let in, as `anonymous`. */
  readonly anonymous: boolean
  /** Whether a bare `X-Client-ID` counts. Only for loopback listeners: the caller sees to that. */
  readonly trustClientId: boolean
}

/** Claimed ids whose principal object is kept for reuse. */
export const maxClaimedIds = 1000
/** Longest Authorization field that is looked at, in characters. */
const MAX_CREDENTIAL = 4096
const CLAIM = /^[A-Za-z0-9][A-Za-z0-9._:@-]{0,127}$/
const BEARER = /^bearer +([^\s]+)$/i
const ANONYMOUS: Principal = Object.freeze({ id: 'anonymous', via: 'anonymous' })

interface Entry {
  readonly hash: Buffer
  readonly principal: Principal
}

/** Who a request comes from. Principals are frozen and reused: nothing is allocated for a known client. */
export class Identity {
  #byHash: ReadonlyMap<string, Entry> = new Map()
  #keyed: ReadonlySet<string> = new Set()
  #claimed = new Lru<string, Principal>(maxClaimedIds)
  #anonymous: Principal | null = null
  #trustClientId = false

  /** @throws Error when two clients share a key, or a hash is not a SHA-256 */
  constructor(options: IdentityOptions) {
    this.replace(options)
  }

  /**
   * Takes other clients into use, from the next request on. @throws Error as the constructor; then nothing changes
   */
  replace(options: IdentityOptions): void {
    this.#byHash = indexByHash(options.clients)
    this.#keyed = new Set(options.clients.filter(client => client.keyHashes.length > 0).map(client => client.name))
    this.#claimed = new Lru(maxClaimedIds)
    this.#anonymous = options.anonymous ? ANONYMOUS : null
    this.#trustClientId = options.trustClientId
  }

  /**
   * The principal of one request; `null` = refuse it (401).
   * @param authorization the Authorization field, `''` when absent
   * @param clientId the X-Client-ID field, `''` when absent
   */
  identify(authorization: string, clientId: string): Principal | null {
    if (authorization !== '' && this.#byHash.size > 0) return this.#byKey(authorization)
    if (clientId !== '' && this.#trustClientId) return this.#byClaim(clientId)
    return this.#anonymous
  }

  #byKey(authorization: string): Principal | null {
    if (authorization.length > MAX_CREDENTIAL) return null
    const key = BEARER.exec(authorization)?.[1]
    if (key === undefined) return null
    const digest = hash('sha256', key, 'buffer')
    // The index is by hash, so its timing tells nothing about a key; the comparison itself takes constant time.
    const entry = this.#byHash.get(digest.toString('hex'))
    return entry !== undefined && timingSafeEqual(entry.hash, digest) ? entry.principal : null
  }

  #byClaim(clientId: string): Principal | null {
    const known = this.#claimed.get(clientId)
    if (known !== undefined) return known
    // A client that has a key must show it: its bare name would be an impersonation.
    if (!CLAIM.test(clientId) || this.#keyed.has(clientId)) return null
    const principal: Principal = Object.freeze({ id: clientId, via: 'claimed' })
    this.#claimed.set(clientId, principal)
    return principal
  }
}

function indexByHash(clients: readonly KeyedClient[]): Map<string, Entry> {
  const index = new Map<string, Entry>()
  for (const client of clients) {
    const principal: Principal = Object.freeze({ id: client.name, via: 'api-key' })
    for (const keyHash of client.keyHashes) {
      if (keyHash.length !== 32) throw new Error(`client "${client.name}": expected the SHA-256 of a key, 32 bytes`)
      const hex = keyHash.toString('hex')
      const owner = index.get(hex)?.principal.id ?? client.name
      if (owner !== client.name) throw new Error(`clients "${owner}" and "${client.name}" have the same key`)
      index.set(hex, { hash: keyHash, principal })
    }
  }
  return index
}
