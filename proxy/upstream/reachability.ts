import { connect } from 'node:net'

/** How long an answer holds: probes come in bursts, from several load balancers. */
const HOLD_MS = 1000
const CONNECT_TIMEOUT_MS = 1000

/** A server and the endpoints of its replicas. */
export interface Target {
  readonly name: string
  readonly urls: readonly string[]
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
  readonly #targets: readonly Target[]
  #last: Promise<Reach> | null = null
  #expiresAt = 0

  constructor(targets: readonly Target[]) {
    this.#targets = targets
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
    const reached = await Promise.all(
      this.#targets.map(({ urls }) => Promise.any(urls.map(accepts)).catch(() => false)),
    )
    const lost = this.#targets.filter((_, index) => reached[index] === false)
    // One server that can be reached is enough to be of use.
    return { ready: lost.length < this.#targets.length, reasons: lost.map(({ name }) => `"${name}" cannot be reached`) }
  }
}

/** Resolves to true, or rejects: so that the first replica that accepts decides. */
function accepts(url: string): Promise<true> {
  const { hostname, port, protocol } = new URL(url)
  const host = hostname.replace(/^\[|\]$/g, '')
  return new Promise((resolve, reject) => {
    const socket = connect({ host, port: Number(port) || (protocol === 'https:' ? 443 : 80) })
    socket.setTimeout(CONNECT_TIMEOUT_MS, () => socket.destroy(new Error('timed out')))
    socket.once('error', reject)
    socket.once('connect', () => {
      socket.destroy()
      resolve(true)
    })
  })
}
