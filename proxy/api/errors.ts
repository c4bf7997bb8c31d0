/** Who is to blame for an error: the one that has to change something. */
export type ErrorSource = 'client' | 'upstream' | 'interceptor' | 'proxy'

/**
 * Whether a caller may send the same message again: `never`; `unsent` = nothing reached the server, so it is safe;
 * `safe` = only where repeating the call does no harm.
 */
export type Retry = 'never' | 'unsent' | 'safe'

/** One row of the error table. */
export interface ErrorSpec {
  /** JSON-RPC error number: the specification's own where it defines one, else ours, outside -32768..-32000. */
  readonly rpc: number
  /** The number in the legacy era (2024-11-05 to 2025-11-25), where the specification had another one then; else the same. */
  readonly legacyRpc: number
  /** HTTP status, where no answer has begun yet. */
  readonly http: number
  readonly source: ErrorSource
  readonly retry: Retry
  /** Whether the model can act on it: then a `tools/call` is answered by a result with `isError: true`. */
  readonly actionable: boolean
}

function row(
  rpc: number,
  http: number,
  source: ErrorSource,
  retry: Retry,
  actionable = false,
  legacyRpc = rpc,
): ErrorSpec {
  return Object.freeze({ rpc, legacyRpc, http, source, retry, actionable })
}

/**
 * Every error that Sluice itself answers with. One table, one place that turns it into an answer
 * (`message/jsonrpc.ts`). Numbers of ours lie outside -32768..-32000 (JSON-RPC 2.0, 5.1; MCP basic, "Error Codes").
 */
export const ERRORS = Object.freeze({
  // The specification's own codes, for what it tells an intermediary to refuse.
  parse_error: row(-32700, 400, 'client', 'never'),
  invalid_request: row(-32600, 400, 'client', 'never'),
  invalid_params: row(-32602, 400, 'client', 'never'),
  header_mismatch: row(-32020, 400, 'client', 'never'),
  // Before the chain.
  unauthorized: row(-31001, 401, 'client', 'never'),
  access_denied: row(-31003, 403, 'interceptor', 'never'),
  origin_denied: row(-31004, 403, 'client', 'never'),
  host_denied: row(-31005, 403, 'client', 'never'),
  not_found: row(-31006, 404, 'client', 'never'),
  session_not_found: row(-31007, 404, 'client', 'never'),
  method_not_allowed: row(-31008, 405, 'client', 'never'),
  request_timeout: row(-31009, 408, 'client', 'never'),
  message_too_large: row(-31010, 413, 'client', 'never'),
  unsupported_media_type: row(-31011, 415, 'client', 'never'),
  headers_too_large: row(-31012, 431, 'client', 'never'),
  // Verdicts of interceptors.
  denied: row(-31020, 403, 'interceptor', 'never'),
  invalid_arguments: row(-31021, 400, 'interceptor', 'never', true),
  rate_limited: row(-31022, 429, 'interceptor', 'unsent', true),
  secret_found: row(-31023, 403, 'interceptor', 'never', true),
  tool_not_found: row(-31024, 404, 'interceptor', 'never', true),
  content_denied: row(-31025, 403, 'interceptor', 'never', true),
  // 2026-07-28 has no number of its own for it any more (resources, "Error Handling").
  resource_not_found: row(-32602, 404, 'interceptor', 'never', false, -32002),
  // The chain itself.
  interceptor_failed: row(-31030, 500, 'interceptor', 'unsent'),
  interceptor_timeout: row(-31031, 504, 'interceptor', 'unsent'),
  uninspectable: row(-31032, 502, 'upstream', 'never'),
  // Behind the chain.
  upstream_unreachable: row(-31040, 503, 'upstream', 'unsent'),
  upstream_timeout: row(-31041, 504, 'upstream', 'safe'),
  upstream_broken: row(-31042, 502, 'upstream', 'safe'),
  upstream_empty: row(-31043, 502, 'upstream', 'safe'),
  upstream_unauthorized: row(-31044, 502, 'upstream', 'never'),
  circuit_open: row(-31045, 503, 'proxy', 'unsent'),
  acquire_timeout: row(-31046, 503, 'proxy', 'unsent'),
  overloaded: row(-31047, 503, 'proxy', 'unsent'),
  draining: row(-31048, 503, 'proxy', 'unsent'),
  store_unreachable: row(-31049, 503, 'proxy', 'unsent'),
  credential_unavailable: row(-31051, 503, 'proxy', 'unsent'),
  internal: row(-31050, 500, 'proxy', 'never'),
})

/** A key of the error table; also `data.code` of every error object Sluice answers with. */
export type ErrorCode = keyof typeof ERRORS

/**
 * An error with a row in the table. `message` goes to the client, so it never holds a secret; `cause` goes to the
 * log only.
 */
export class SluiceError extends Error {
  readonly code: ErrorCode
  /** Milliseconds after which another try makes sense; -1 where unknown. */
  readonly retryAfterMs: number

  constructor(code: ErrorCode, message: string, cause?: unknown, retryAfterMs = -1) {
    super(message, cause === undefined ? undefined : { cause })
    this.name = 'SluiceError'
    this.code = code
    this.retryAfterMs = retryAfterMs
  }
}
