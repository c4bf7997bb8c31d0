import { Lru } from '../base/lru.ts'

export type OriginVerdict = 'ok' | 'host_denied' | 'origin_denied'

export interface OriginGuardOptions {
  /** Whether the listener is bound to a loopback address. */
  readonly loopback: boolean
  /** `example.com` (any port), `example.com:8443`, `*.example.com`. Empty = see `OriginGuard`. */
  readonly allowedHosts: readonly string[]
  /** Serialised origins, `https://app.example.com`; `*` = every one but `null`. */
  readonly allowedOrigins: readonly string[]
}

/** Host and Origin values whose verdict is kept. */
export const maxCachedHosts = 256
const MAX_LENGTH = 512
const HOST = /^(\[[0-9a-f:.]+\]|[a-z0-9._-]+)(?::(\d{1,5}))?$/
const LOOPBACK_V4 = /^127(?:\.(?:25[0-5]|2[0-4]\d|1?\d?\d)){3}$/

/**
 * Protection against DNS rebinding and foreign pages (MCP 2026-07-28, transports, "Security Warning").
 *
 * Host: a loopback listener answers only for loopback names and `allowedHosts`; another listener checks Host only
 * when `allowedHosts` says something. Origin: absent is fine (no browser); `null` is refused; else it must be listed
 * or, on a loopback listener, be an http(s) origin on a loopback host.
 */
export class OriginGuard {
  readonly #loopback: boolean
  readonly #checksHost: boolean
  readonly #hosts: ReadonlySet<string>
  readonly #suffixes: readonly string[]
  readonly #origins: ReadonlySet<string>
  readonly #hostVerdicts = new Lru<string, boolean>(maxCachedHosts)
  readonly #originVerdicts = new Lru<string, boolean>(maxCachedHosts)

  constructor(options: OriginGuardOptions) {
    const hosts = options.allowedHosts.map(host => host.toLowerCase())
    this.#loopback = options.loopback
    this.#checksHost = options.loopback || hosts.length > 0
    this.#hosts = new Set(hosts.filter(host => !host.startsWith('*.')))
    this.#suffixes = hosts.filter(host => host.startsWith('*.')).map(host => host.slice(1))
    this.#origins = new Set(options.allowedOrigins.map(normalizeOrigin))
  }

  /**
   * @param host the Host field, `''` when absent
   * @param origin the Origin field, `''` when absent
   */
  check(host: string, origin: string): OriginVerdict {
    if (this.#checksHost && !this.#hostAllowed(host)) return 'host_denied'
    if (origin !== '' && !this.#originAllowed(origin)) return 'origin_denied'
    return 'ok'
  }

  /** What `Access-Control-Allow-Origin` says to this origin; `''` = no CORS answer. */
  corsOrigin(origin: string): string {
    return origin !== '' && this.#originAllowed(origin) ? origin : ''
  }

  #hostAllowed(host: string): boolean {
    const known = this.#hostVerdicts.get(host)
    if (known !== undefined) return known
    if (host.length > MAX_LENGTH) return false
    const allowed = this.#judgeHost(host.toLowerCase())
    this.#hostVerdicts.set(host, allowed)
    return allowed
  }

  #judgeHost(host: string): boolean {
    const name = HOST.exec(host)?.[1]
    if (name === undefined) return false
    if (this.#loopback && isLoopbackHost(name)) return true
    return this.#hosts.has(name) || this.#hosts.has(host) || this.#suffixes.some(suffix => name.endsWith(suffix))
  }

  #originAllowed(origin: string): boolean {
    const known = this.#originVerdicts.get(origin)
    if (known !== undefined) return known
    if (origin.length > MAX_LENGTH) return false
    const allowed = this.#judgeOrigin(origin)
    this.#originVerdicts.set(origin, allowed)
    return allowed
  }

  #judgeOrigin(origin: string): boolean {
    if (origin === 'null') return false
    if (this.#origins.has('*') || this.#origins.has(origin.toLowerCase())) return true
    if (!this.#loopback || !URL.canParse(origin)) return false
    const url = new URL(origin)
    if (url.protocol !== 'http:' && url.protocol !== 'https:') return false
    // A browser sends exactly the serialised origin: anything else (a path, user info) is not one.
    return url.origin === origin.toLowerCase() && isLoopbackHost(url.hostname)
  }
}

/**
 * Whether a host name or address means this machine: `localhost`, `*.localhost` (RFC 6761, 6.3), 127.0.0.0/8, `::1`.
 * IPv6 with or without brackets.
 */
export function isLoopbackHost(host: string): boolean {
  const name = host.toLowerCase().replace(/\.$/, '')
  if (name === 'localhost' || name.endsWith('.localhost') || LOOPBACK_V4.test(name)) return true
  return name === '[::1]' || name === '::1' || name === '[0:0:0:0:0:0:0:1]'
}

/** `HTTPS://App.example.com:443/` -> `https://app.example.com`; what is no http(s) URL stays, in lower case. */
function normalizeOrigin(origin: string): string {
  if (!URL.canParse(origin)) return origin.toLowerCase()
  const normal = new URL(origin).origin
  return normal === 'null' ? origin.toLowerCase() : normal
}
