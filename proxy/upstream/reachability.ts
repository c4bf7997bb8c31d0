import { connect, type NetConnectOpts } from 'node:net'
import type { ServerPlaces } from './replica-table.ts'

/** How long an answer holds: probes come in bursts, from several load balancers. */
const HOLD_MS = 1000
const CONNECT_TIMEOUT_MS = 1000

/** A server and the endpoints of its replicas. */
export interface Target {
  readonly name: string
  /** http, https, or `unix:/path/of.sock`. */
  readonly urls: readonly string[]
  /** Whether a replica is started when one is needed, so that none needs to be there. Default false. */
  readonly coming?: boolean
}

/** What a table says, as something to reach. */
export function targetOf({ server, places, coming }: ServerPlaces): Target {
  const urls = places.map(({ url, socketPath }) => (socketPath === '' ? url : `unix:${socketPath}`))
  return { name: server, urls, coming: coming && urls.length === 0 }
}

export interface Reach {
  /** Whether at least one server has a replica that takes connections. */
  readonly ready: boolean
  /** The servers that have none, one sentence each. */
  readonly reasons: readonly string[]
}

/**
 * Whether servers can be reached now, by opening a TCP connection to their replicas. Asked actively: who is told "not
 * ready" sends no traffic, so traffic alone would never find out that a server is back.
 */
export class Reachability {
  readonly #targets: () => readonly Target[]
  #last: Promise<Reach> | null = null
  #expiresAt = 0

  /** @param targets servers, or what gives those of the moment */
  constructor(targets: readonly Target[] | (() => readonly Target[])) {
    this.#targets = typeof targets === 'function' ? targets : () => targets
  }

  /** Never rejects. Answers are held for a second and shared. */
  ready(): Promise<Reach> {
    if (this.#last === null || performance.now() > this.#expiresAt) {
      this.#expiresAt = performance.now() + HOLD_MS
      this.#last = this.#probe()
    }
    return this.#last
  }

  async #probe(): Promise<Reach> {
    const targets = this.#targets()
    const reached = await Promise.all(targets.map(reach))
    const lost = targets.filter((_, index) => !reached[index])
    // One server that can be reached is enough to be of use.
    return { ready: lost.length < targets.length, reasons: lost.map(({ name }) => `"${name}" cannot be reached`) }
  }
}

function reach({ urls, coming = false }: Target): Promise<boolean> {
  return coming ? Promise.resolve(true) : Promise.any(urls.map(accepts)).catch(() => false)
}

/** Resolves to true, or rejects: so that the first replica that accepts decides. */
function accepts(url: string): Promise<true> {
  return new Promise((resolve, reject) => {
    const socket = connect(placeOf(url))
    socket.setTimeout(CONNECT_TIMEOUT_MS, () => socket.destroy(new Error('timed out')))
    socket.once('error', reject)
    socket.once('connect', () => {
      socket.destroy()
      resolve(true)
    })
  })
}

function placeOf(url: string): NetConnectOpts {
  const { hostname, pathname, port, protocol } = new URL(url)
  if (protocol === 'unix:') return { path: decodeURIComponent(pathname) }
  return { host: hostname.replace(/^\[|\]$/g, ''), port: Number(port) || (protocol === 'https:' ? 443 : 80) }
}
