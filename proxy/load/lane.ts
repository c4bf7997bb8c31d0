import { Client } from 'undici'
import { type CallEnd, LoadCall } from './load-call.ts'
import type { PreparedRequest } from './request-maker.ts'
import type { Ending } from './tally.ts'

/** Who decides what a lane does next. */
export interface LaneOwner {
  ended(lane: Lane, call: LoadCall, ending: Ending): void
}

/** One connection, with one request on it at a time. */
export class Lane implements CallEnd {
  readonly steps: readonly PreparedRequest[]
  readonly #client: Client
  readonly #path: string
  readonly #owner: LaneOwner
  #call: LoadCall | null = null
  #sentAt = 0

  constructor(url: URL, steps: readonly PreparedRequest[], owner: LaneOwner) {
    this.steps = steps
    this.#client = new Client(url.origin, { pipelining: 1, headersTimeout: 0, bodyTimeout: 0 })
    this.#path = url.pathname + url.search
    this.#owner = owner
  }

  /** @param dueAt when it should have been sent, by `performance.now()` */
  send(step: number, id: number, dueAt: number): void {
    const { parts, headers } = this.steps[step] as PreparedRequest
    const body = parts.join(String(id))
    const call = new LoadCall(step, Buffer.byteLength(body), dueAt, this)
    this.#call = call
    this.#sentAt = performance.now()
    this.#client.dispatch({ path: this.#path, method: 'POST', headers: headers as string[], body }, call)
  }

  ended(call: LoadCall, ending: Ending): void {
    this.#call = null
    this.#owner.ended(this, call, ending)
  }

  /** Gives up a call that has been under way for longer than this. */
  expire(now: number, timeoutMs: number): void {
    if (this.#call !== null && now - this.#sentAt > timeoutMs) this.#call.abort('timeout')
  }

  get busy(): boolean {
    return this.#call !== null
  }

  async close(): Promise<void> {
    this.#call?.abort('not finished')
    await this.#client.destroy()
  }
}
