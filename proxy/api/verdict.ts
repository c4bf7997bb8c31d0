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
  /** For `deny`: header fields of the HTTP answer, where the refusal is a whole answer of its own; names in lower case. */
  readonly headers: Readonly<Record<string, string>> | null

  private constructor(
    action: VerdictAction,
    reason: string,
    code: ErrorCode | null,
    result: JsonObject | Uint8Array | null,
    data: JsonObject | null,
    headers: Readonly<Record<string, string>> | null,
  ) {
    this.action = action
    this.reason = reason
    this.code = code
    this.result = result
    this.data = data
    this.headers = headers
  }

  /**
   * Answers a request from here, or puts another result in place of the one a response carries. An answer made at
   * depth d is seen only by the interceptors before d.
   * @param result the JSON-RPC `result`: an object, or its UTF-8 JSON text
   */
  static reply(result: JsonObject | Uint8Array, reason: string): Verdict {
    return new Verdict('reply', reason, null, result, null, null)
  }

  /**
   * Refuses a message: its sender gets an error made from the table's row `code`, with `reason` as its text.
   * @param headers for an answer that is this refusal alone; on a stream that runs, and in a batch, there is no place
   * for them. Those that the proxy writes itself cannot be set.
   * @throws TypeError for a field that cannot be sent
   */
  static deny(
    code: ErrorCode,
    reason: string,
    data: JsonObject | null = null,
    headers: Readonly<Record<string, string>> | null = null,
  ): Verdict {
    if (headers !== null) checkFields(headers)
    return new Verdict('deny', reason, code, null, data, headers)
  }

  /** Lets a notification vanish. On a request or a response it counts as a failure of the interceptor. */
  static drop(reason: string): Verdict {
    return new Verdict('drop', reason, null, null, null, null)
  }
}

/** RFC 9110, 5.1: a token, here in lower case. */
const FIELD_NAME = /^[a-z0-9!#$%&'*+.^_`|~-]+$/
/** RFC 9110, 5.5, without what is not ASCII. */
const FIELD_VALUE = /^[\x20-\x7e\t]*$/
/** Fields that say how an answer is framed, whom it is for, or which session it belongs to. */
const OWN_FIELD =
  /^(?:connection|content-(?:encoding|length|type)|date|keep-alive|mcp-.*|retry-after|set-cookie|te|trailer|transfer-encoding|upgrade|access-control-.*)$/

function checkFields(headers: Readonly<Record<string, string>>): void {
  for (const [name, value] of Object.entries(headers)) {
    if (!FIELD_NAME.test(name)) throw new TypeError(`header field "${name}": expected a name in lower case`)
    if (OWN_FIELD.test(name)) throw new TypeError(`header field "${name}": the proxy writes it itself`)
    if (!FIELD_VALUE.test(value)) throw new TypeError(`header field "${name}": a character that no field can hold`)
  }
}
