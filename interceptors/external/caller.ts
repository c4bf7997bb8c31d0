import type { Json } from '#api'

/** Asks something outside about a message. */
export interface Caller {
  /**
   * @param body a JSON object as text, on one line
   * @param signal aborted when nobody waits for the answer any more
   * @returns what it answered; `undefined` = nothing. Rejects with an `ExternalError`.
   */
  call(body: string, signal: AbortSignal): Promise<Json | undefined>
  close(): Promise<void>
}

/**
 * Something outside failed: what the entry's `on_failure` is for. The message goes to the log: it never holds what was
 * sent or answered.
 */
export class ExternalError extends Error {
  constructor(message: string) {
    super(message)
    this.name = 'ExternalError'
  }
}

/** Bounds that every caller keeps. */
export interface Bounds {
  /** For one message, waiting included. */
  readonly timeoutMs: number
  readonly maxOutputBytes: number
  /** Most messages that wait. */
  readonly queue: number
}
