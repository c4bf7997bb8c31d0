import { ExternalError } from './caller.ts'

/** Lets a bounded number through at a time, a bounded number wait in order, and turns the rest away. */
export class Gate {
  readonly #most: number
  readonly #queue: number
  readonly #waiting: (() => void)[] = []
  #inside = 0

  constructor(most: number, queue: number) {
    this.#most = most
    this.#queue = queue
  }

  /**
   * Runs `work` when it is its turn, unless `signal` was aborted by then.
   * @throws ExternalError when too many wait already
   */
  async run<T>(signal: AbortSignal, work: () => Promise<T>): Promise<T> {
    await this.#enter(signal)
    try {
      return await work()
    } finally {
      this.#inside--
      this.#waiting.shift()?.()
    }
  }

  #enter(signal: AbortSignal): Promise<void> {
    if (this.#inside < this.#most && this.#waiting.length === 0) {
      this.#inside++
      return Promise.resolve()
    }
    if (this.#waiting.length >= this.#queue) return Promise.reject(new ExternalError(tooMany(this.#queue)))
    return new Promise((resolve, reject) => {
      const leave = (): void => {
        this.#waiting.splice(this.#waiting.indexOf(enter), 1)
        reject(signal.reason)
      }
      const enter = (): void => {
        signal.removeEventListener('abort', leave)
        this.#inside++
        resolve()
      }
      signal.addEventListener('abort', leave, { once: true })
      this.#waiting.push(enter)
    })
  }
}

/** What is said to a message that finds the queue full. */
export function tooMany(queue: number): string {
  return `busy: ${queue} messages wait already (queue)`
}
