import { ExternalError } from './caller.ts'

/** A signal that is aborted with an `ExternalError` after a time, or when `outer` is. */
export class Deadline {
  readonly signal: AbortSignal
  readonly #controller = new AbortController()
  readonly #outer: AbortSignal
  readonly #timer: NodeJS.Timeout
  readonly #left = (): void => this.#controller.abort(new ExternalError('nobody waits for the answer any more'))

  constructor(timeoutMs: number, outer: AbortSignal) {
    this.signal = this.#controller.signal
    this.#outer = outer
    const late = new ExternalError(`no answer within ${timeoutMs} ms (timeout)`)
    this.#timer = setTimeout(() => this.#controller.abort(late), timeoutMs)
    outer.addEventListener('abort', this.#left, { once: true })
    if (outer.aborted) this.#left()
  }

  clear(): void {
    clearTimeout(this.#timer)
    this.#outer.removeEventListener('abort', this.#left)
  }
}
