import type { ErrorCode } from './errors.ts'
import type { JsonObject } from './json.ts'

/** What a verdict does with the message. */
export type VerdictAction = 'reply' | 'deny' | 'drop'

/**
 * What an interceptor decides about a message. A hook that returns `undefined` says: go on.
 *
 * `reason` is shown to the client (as the error's message) and to the operator (access and audit lines): say what is
 * wrong and what to do, and never put a secret or an argument's value into it.
 */
export class Verdict {
  readonly action: VerdictAction
  readonly reason: string
  /** For `deny`: a row of the error table. */
  readonly code: ErrorCode | null
  /** For `reply`: the JSON-RPC `result`, as an object or as UTF-8 JSON text. */
  readonly result: JsonObject | Uint8Array | null
  /** For `deny`: further members of the error's `data`; `retry_after_ms` also becomes `Retry-After`. */
  readonly data: JsonObject | null

  private constructor(
    action: VerdictAction,
    reason: string,
    code: ErrorCode | null,
    result: JsonObject | Uint8Array | null,
    data: JsonObject | null,
  ) {
    this.action = action
    this.reason = reason
    this.code = code
    this.result = result
    this.data = data
  }

  /**
   * Answers a request from here, or puts another result in place of the one a response carries. An answer made at
   * depth d is seen only by the interceptors before d.
   * @param result the JSON-RPC `result`: an object, or its UTF-8 JSON text
   */
  static reply(result: JsonObject | Uint8Array, reason: string): Verdict {
    return new Verdict('reply', reason, null, result, null)
  }

  /** Refuses a message: its sender gets an error made from the table's row `code`, with `reason` as its text. */
  static deny(code: ErrorCode, reason: string, data: JsonObject | null = null): Verdict {
    return new Verdict('deny', reason, code, null, data)
  }

  /** Lets a notification vanish. On a request or a response it counts as a failure of the interceptor. */
  static drop(reason: string): Verdict {
    return new Verdict('drop', reason, null, null, null)
  }
}
