import { SluiceError } from '../api/index.ts'

/** Failures that happen before a byte of the request is written. */
const UNSENT = new Set([
  'ECONNREFUSED',
  'ENOTFOUND',
  'EAI_AGAIN',
  'EHOSTUNREACH',
  'ENETUNREACH',
  'EHOSTDOWN',
  'ENOENT',
  'UND_ERR_CONNECT_TIMEOUT',
  'UND_ERR_PRX_TLS',
  'CERT_HAS_EXPIRED',
  'DEPTH_ZERO_SELF_SIGNED_CERT',
  'SELF_SIGNED_CERT_IN_CHAIN',
  'UNABLE_TO_VERIFY_LEAF_SIGNATURE',
  'ERR_TLS_CERT_ALTNAME_INVALID',
])

/** Whether nothing can have reached the server, so that sending again is safe whatever the request does. */
export function isUnsent(cause: unknown): boolean {
  if (UNSENT.has(codeOf(cause))) return true
  // Several addresses of one name, none of which answered (happy eyeballs).
  return cause instanceof AggregateError && cause.errors.length > 0 && cause.errors.every(isUnsent)
}

/** Whether nobody listens where the replica was: its process is gone, and what it knew of sessions with it. */
export function isGone(cause: unknown): boolean {
  const code = codeOf(cause)
  if (code === 'ECONNREFUSED' || code === 'ENOENT') return true
  return cause instanceof AggregateError && cause.errors.length > 0 && cause.errors.every(isGone)
}

/** A server has kept silent for longer than its limit. */
export class SilenceError extends Error {
  /** Whether its answer had begun. */
  readonly inAnswer: boolean

  constructor(inAnswer: boolean) {
    super(inAnswer ? 'idle timeout' : 'first byte timeout')
    this.name = 'SilenceError'
    this.inAnswer = inAnswer
  }
}

/** A replica answered with a status that another one may not answer with. */
export class StatusError extends Error {
  readonly status: number

  constructor(status: number) {
    super(`HTTP ${status}`)
    this.name = 'StatusError'
    this.status = status
  }
}

/** Whether a failure is the proxy's own: it says nothing about the replica. */
export function isOwn(cause: unknown): boolean {
  if (cause instanceof SilenceError || cause instanceof StatusError || cause instanceof AggregateError) return false
  return codeOf(cause) === '' && !isParserError(cause)
}

/** The error a client may see for a failure of the connection to a replica. Its text names no address. */
export function toSluiceError(cause: unknown, server: string, headSeen: boolean): SluiceError {
  if (cause instanceof SluiceError) return cause
  if (cause instanceof SilenceError) {
    const what = cause.inAnswer
      ? 'fell silent in the middle of its answer (idle timeout)'
      : 'did not begin to answer in time (first_byte timeout)'
    return new SluiceError('upstream_timeout', `${server} ${what}`, cause)
  }
  // Whatever has no code was thrown by the proxy itself while it handled the answer; undici's parser errors have none.
  if (isOwn(cause)) return new SluiceError('internal', 'the proxy failed', cause)
  if (cause instanceof StatusError) return new SluiceError('upstream_broken', `${server} answered ${cause.message}`)
  if (isUnsent(cause)) return new SluiceError('upstream_unreachable', `${server} is not reachable`, cause, 1_000)
  const when = headSeen ? 'broke off in the middle of its answer' : 'closed the connection without an answer'
  return new SluiceError('upstream_broken', `${server} ${when}`, cause)
}

function isParserError(cause: unknown): boolean {
  return cause instanceof Error && cause.name === 'HTTPParserError'
}

function codeOf(cause: unknown): string {
  const code = (cause as { code?: unknown } | null)?.code
  return typeof code === 'string' ? code : ''
}
