import { Client, type Dispatcher } from 'undici'
import type { RequestMaker } from './request-maker.ts'

/** How many are opened at a time: servers have queues for new connections. */
const AT_ONCE = 64

/** Streams that are held open and that nothing need come over. */
export class IdleStreams {
  readonly #clients: Client[] = []
  #open = 0
  #broken = 0
  #closing = false

  get open(): number {
    return this.#open
  }

  /** Those that could not be opened, or ended before the run did. */
  get broken(): number {
    return this.#broken
  }

  async start(url: URL, maker: RequestMaker, sessions: readonly string[], count: number): Promise<void> {
    for (let done = 0; done < count; done += AT_ONCE) {
      const some = Array.from({ length: Math.min(AT_ONCE, count - done) }, (_, index) =>
        this.#start(url, maker, sessions[(done + index) % Math.max(1, sessions.length)] ?? '', done + index),
      )
      await Promise.all(some)
    }
  }

  async close(): Promise<void> {
    this.#closing = true
    const clients = this.#clients.splice(0)
    await Promise.all(clients.map(client => client.destroy()))
  }

  #start(url: URL, maker: RequestMaker, session: string, id: number): Promise<void> {
    const client = new Client(url.origin, { headersTimeout: 30_000, bodyTimeout: 0 })
    this.#clients.push(client)
    const { promise, resolve } = Promise.withResolvers<void>()
    client.dispatch(optionsOf(url, maker, session, id), new Listener(this.#watch(resolve)))
    return promise
  }

  #watch(settled: () => void): StreamWatch {
    let state: 'opening' | 'open' | 'over' = 'opening'
    return {
      opened: status => {
        state = status === 200 ? 'open' : 'over'
        if (state === 'open') this.#open++
        else this.#broken++
        settled()
      },
      ended: () => {
        if (state === 'open') this.#open--
        if (state !== 'over' && !this.#closing) this.#broken++
        state = 'over'
        settled()
      },
    }
  }
}

interface StreamWatch {
  opened(status: number): void
  ended(): void
}

class Listener implements Dispatcher.DispatchHandler {
  readonly #watch: StreamWatch

  constructor(watch: StreamWatch) {
    this.#watch = watch
  }

  onRequestStart(): void {}

  onResponseStart(_: Dispatcher.DispatchController, status: number): void {
    if (status >= 200) this.#watch.opened(status)
  }

  onResponseData(): void {}

  onResponseEnd(): void {
    this.#watch.ended()
  }

  onResponseError(): void {
    this.#watch.ended()
  }
}

function optionsOf(url: URL, maker: RequestMaker, session: string, id: number): Dispatcher.DispatchOptions {
  const path = url.pathname + url.search
  if (maker.era === 'legacy') {
    return { path, method: 'GET', headers: ['accept', 'text/event-stream', ...maker.headers('', '', session).slice(4)] }
  }
  const params = { notifications: { toolsListChanged: true }, _meta: maker.meta() }
  const { parts, headers } = maker.request('subscriptions/listen', params)
  return { path, method: 'POST', headers: headers as string[], body: parts.join(String(id)) }
}
