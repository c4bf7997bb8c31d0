/**
 * What went wrong on a plain connection. The codes are those of undici, which serves the others: a log line means the same
 * whichever it was.
 */
export class ConnectionError extends Error {
  /** `UND_ERR_…` */
  readonly code: ConnectionFault

  constructor(code: ConnectionFault, message: string, cause?: unknown) {
    super(message, cause === undefined ? undefined : { cause })
    this.name = 'ConnectionError'
    this.code = code
  }
}

export type ConnectionFault =
  | 'UND_ERR_CONNECT_TIMEOUT'
  | 'UND_ERR_DESTROYED'
  | 'UND_ERR_HEADERS_OVERFLOW'
  | 'UND_ERR_INVALID_ARG'
  | 'UND_ERR_SOCKET'

/** An answer that is no HTTP/1.1. It says what is wrong, never the text itself. */
export class MalformedAnswerError extends Error {
  constructor(what: string) {
    super(`malformed answer: ${what}`)
    this.name = 'HTTPParserError'
  }
}
