import { lookup, Resolver } from 'node:dns/promises'
import { isIPv6 } from 'node:net'
import type { ReplicaPlace } from '../../upstream/replica-table.ts'
import type { ReplicaSource } from '../source.ts'
import type { DnsSource } from '../spec.ts'
import { type Found, type OnPlaces, type OnTrouble, Watcher } from './watcher.ts'

/** A replica that cannot be reached makes us ask again, but not more often than this. */
const MIN_GAP_MS = 1_000
const TIMEOUT_MS = 2_000
const TRIES = 2
/** So many answers in a row must say that there is nobody before it is believed: servers in trouble say so, too. */
const EMPTY_ANSWERS = 3
/** Most replicas that one name may have. */
const MAX_PLACES = 1000

/** The questions that are asked; `dns.promises.Resolver` answers them. */
export interface NameResolver {
  resolve4(name: string): Promise<string[]>
  resolve6(name: string): Promise<string[]>
  resolveSrv(name: string): Promise<{ name: string; port: number; priority: number }[]>
}

/** @param servers `host:port` of DNS servers; none = those of the system */
export function nameResolver(servers: readonly string[] = []): NameResolver {
  const resolver = new Resolver({ timeout: TIMEOUT_MS, tries: TRIES })
  if (servers.length > 0) resolver.setServers(servers)
  return resolver
}

/**
 * The addresses behind a name (RFC 1035 A, RFC 3596 AAAA, RFC 2782 SRV, of which the lowest priority counts), asked for again
 * every `intervalMs`. While they cannot be asked for, the last good answer holds.
 */
export class DnsReplicaSource implements ReplicaSource {
  readonly #source: DnsSource
  readonly #resolver: NameResolver
  readonly #watcher: Watcher
  #empty = 0

  constructor(source: DnsSource, resolver: NameResolver = nameResolver()) {
    this.#source = source
    this.#resolver = resolver
    const minGapMs = Math.min(MIN_GAP_MS, source.intervalMs)
    this.#watcher = new Watcher({ look: () => this.#look(), intervalMs: () => source.intervalMs, minGapMs })
  }

  start(onPlaces: OnPlaces, onTrouble: OnTrouble): void {
    this.#watcher.start(onPlaces, onTrouble)
  }

  refresh(): void {
    this.#watcher.soon()
  }

  async close(): Promise<void> {
    this.#watcher.close()
  }

  async #look(): Promise<Found> {
    const { name, type } = this.#source
    try {
      const places = type === 'SRV' ? await this.#services() : (await this.#addresses()).map(one => this.#place(one, 0))
      this.#empty = 0
      return { places: places.slice(0, MAX_PLACES), trouble: '' }
    } catch (error) {
      const code = (error as NodeJS.ErrnoException).code ?? 'an unknown error'
      const isEmpty = code === 'ENOTFOUND' || code === 'ENODATA'
      this.#empty = isEmpty ? this.#empty + 1 : 0
      const trouble = `the name ${name} (${type}) cannot be resolved: ${code}`
      if (this.#empty < EMPTY_ANSWERS) throw new Error(trouble)
      return { places: [], trouble }
    }
  }

  async #addresses(): Promise<string[]> {
    const { name, type } = this.#source
    try {
      return await (type === 'AAAA' ? this.#resolver.resolve6(name) : this.#resolver.resolve4(name))
    } catch (error) {
      const known = await localAddresses(name, type === 'AAAA' ? 6 : 4)
      if (known.length === 0) throw error
      return known
    }
  }

  async #services(): Promise<ReplicaPlace[]> {
    const records = await this.#resolver.resolveSrv(this.#source.name)
    const first = Math.min(...records.map(record => record.priority))
    return records.filter(record => record.priority === first).map(record => this.#place(record.name, record.port))
  }

  #place(host: string, port: number): ReplicaPlace {
    const { path, tls } = this.#source
    const authority = `${isIPv6(host) ? `[${host}]` : host}:${this.#source.port || port}`
    const { href } = new URL(path, `${tls ? 'https' : 'http'}://${authority}`)
    return { id: href, url: href, socketPath: '', state: 'ready' }
  }
}

/** Names that only the system knows: those of /etc/hosts, and short ones. */
async function localAddresses(name: string, family: 4 | 6): Promise<string[]> {
  try {
    return (await lookup(name, { all: true, family })).map(found => found.address)
  } catch {
    return []
  }
}
