import type { LoggedLine } from '../fleet/output-log.ts'
import { channels, type Output } from '../observe/channels.ts'

/** Lines that wait for a reader who is slower than the server; further ones are counted and left out. */
const MAX_WAITING = 1_000

/**
 * What replicas of a server write from now on, as it comes, until `signal` is aborted. It listens from this call on; it must
 * be iterated, or aborted.
 */
export function followOutput(server: string, signal: AbortSignal): AsyncIterable<LoggedLine[]> {
  const follower = new Follower(server)
  channels.output.subscribe(follower.hear)
  const stop = (): void => {
    channels.output.unsubscribe(follower.hear)
    follower.end()
  }
  if (signal.aborted) stop()
  else signal.addEventListener('abort', stop, { once: true })
  return follower.lines()
}

class Follower {
  readonly #server: string
  #waiting: LoggedLine[] = []
  #lost = 0
  #wake: (() => void) | null = null
  #isOver = false

  constructor(server: string) {
    this.#server = server
  }

  readonly hear = (message: unknown): void => {
    const { server, replica, line } = message as Output
    if (server !== this.#server) return
    if (this.#waiting.length >= MAX_WAITING) this.#lost++
    else this.#waiting.push({ replica, at: Date.now(), line })
    this.#wake?.()
  }

  end(): void {
    this.#isOver = true
    this.#wake?.()
  }

  async *lines(): AsyncGenerator<LoggedLine[]> {
    while (!this.#isOver) {
      if (this.#waiting.length === 0) await this.#news()
      const some = this.#waiting
      this.#waiting = []
      if (this.#lost > 0) some.push({ replica: '', at: Date.now(), line: `(${this.#lost} lines left out)` })
      this.#lost = 0
      if (some.length > 0) yield some
    }
  }

  #news(): Promise<void> {
    return new Promise(resolve => {
      this.#wake = resolve
      if (this.#isOver) resolve()
    })
  }
}
