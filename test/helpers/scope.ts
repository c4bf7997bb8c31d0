import { after } from 'node:test'

/**
 * Where a helper hangs its clean-up: a `TestContext`, or `suiteScope()` for a whole suite or file.
 * Whatever a helper opens is closed there, so that no test leaves a socket or a process behind.
 */
export interface Scope {
  after(close: () => void | Promise<void>): void
}

/** Things to close, the last one first; every one is closed, even if another one fails. */
export class Closers implements Scope {
  readonly #closers: (() => void | Promise<void>)[] = []

  after(close: () => void | Promise<void>): void {
    this.#closers.unshift(close)
  }

  /** @throws AggregateError with what went wrong while closing */
  async close(): Promise<void> {
    const errors: unknown[] = []
    for (const close of this.#closers.splice(0)) {
      try {
        await close()
      } catch (error) {
        errors.push(error)
      }
    }
    if (errors.length > 0) throw new AggregateError(errors, 'closing failed')
  }
}

/**
 * The scope of the suite (or file) it is called in. Call it there and use it in `before`: an `after()` inside of a hook would run
 * when that hook ends, not when the suite does.
 */
export function suiteScope(): Scope {
  const closers = new Closers()
  after(() => closers.close())
  return closers
}

/** How long a helper waits for something that should have happened before it fails the test. Not a measurement. */
export const DEADLINE_MS = 10_000

/**
 * Waits for `promise`, but not for ever: a test that would hang fails instead, and says for what it waited.
 * @throws Error after `deadlineMs` (default 10 s)
 */
export async function within<T>(promise: Promise<T>, what: string, deadlineMs = DEADLINE_MS): Promise<T> {
  let timer: NodeJS.Timeout | undefined
  const deadline = new Promise<never>((_, reject) => {
    timer = setTimeout(() => reject(new Error(`waited ${deadlineMs} ms for ${what}`)), deadlineMs)
  })
  try {
    return await Promise.race([promise, deadline])
  } finally {
    clearTimeout(timer)
  }
}

/**
 * Waits until `check` holds, looking again at every turn of the event loop and then every few milliseconds: for states
 * that no event announces, such as a counter in another object. Prefer an event where there is one.
 * @throws Error after `deadlineMs` (default 10 s)
 */
export async function until(check: () => boolean, what: string, deadlineMs = DEADLINE_MS): Promise<void> {
  const limit = performance.now() + deadlineMs
  while (!check()) {
    if (performance.now() > limit) throw new Error(`waited ${deadlineMs} ms for ${what}`)
    await new Promise(resolve => setTimeout(resolve, 2))
  }
}

/** A promise with its handles outside. */
export interface Deferred<T> {
  readonly promise: Promise<T>
  resolve(value: T): void
  reject(error: Error): void
}

/** Makes a promise that never counts as unhandled: somebody may never look at it. */
export function deferred<T>(): Deferred<T> {
  const made = Promise.withResolvers<T>()
  made.promise.catch(() => {})
  return made
}
