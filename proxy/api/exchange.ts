import type { ErrorCode } from './errors.ts'
import type { JsonObject } from './json.ts'
import type { Direction, Kind, Message } from './message.ts'
import type { VerdictAction } from './verdict.ts'

/** The authenticated identity of a client. */
export interface Principal {
  /** The client's name as the configuration knows it; `anonymous` when it showed no credential. */
  readonly id: string
  /** How it was established. `claimed` = a bare `X-Client-ID`, which counts only where the operator allows it. */
  readonly via: 'anonymous' | 'api-key' | 'claimed'
}

/** How a message of an interceptor's own is sent. */
export interface CallOptions {
  /**
   * A chain entry, usually one's own (`environment.entry`): the message runs through those behind it, like a client's, and
   * its answer back up through them. Default: outside the chain, so that no interceptor sees either.
   */
  readonly below?: string
  /**
   * Ends the call. Default: the exchange's own signal: the call ends with the exchange. One that has another signal
   * goes on behind the exchange's back, for as long as its time lasts.
   */
  readonly signal?: AbortSignal
  /** The longest wait for the answer, in milliseconds. Default 30,000. */
  readonly timeoutMs?: number
}

/** One client request and everything that belongs to it until its answer ended; or one lone notification. */
export interface Exchange {
  /** Unique within this instance; appears in every log line about the exchange. */
  readonly id: string
  readonly server: string
  readonly method: string
  readonly name: string
  /** The client's session, as an opaque short fingerprint; `null` without one. Never a credential. */
  readonly session: string | null
  readonly principal: Principal
  /** Milliseconds since the epoch, by the environment's clock. */
  readonly startedAt: number
  /** Aborted when the exchange ends for any reason. Made on first use. */
  readonly signal: AbortSignal
  /**
   * Opaque; equal for two exchanges exactly if the server cannot tell by anything but session and message who asks: the
   * same principal, and the same of all header fields and the query that go on to it from the client, but for those of
   * the transport, of tracing and of the way the request took. What one got may be given to the other. Not for logs: it
   * has a digest of credentials. Made on first use, by a request hook.
   */
  readonly callerKey: string
  /** A header of the client's HTTP request; several fields are joined by `, `. Credentials are never shown: `null`. */
  header(name: string): string | null
  /**
   * Sends another message to the same server, in the same session, and gives its answer: a result or a JSON-RPC error of
   * the server. Notifications that come with the answer are dropped. Rejects with a `SluiceError` when the server did not
   * answer, or an interceptor `below` refused, or, `below`, when the server asked the client something on the way.
   * @param message a JSON-RPC request; its `id` is replaced by one of the proxy's own. `parseExact` keeps its digits
   */
  call(message: JsonObject, options?: CallOptions): Promise<Message>
  /** Adds a field to this exchange's access and audit line. Never a secret. At most 32 fields. */
  note(key: string, value: string | number | boolean): void
  /**
   * Marks this exchange as one whose contents must not be recorded, because they hold what nobody should read. Whoever
   * writes arguments, results or messages down (`audit`, captures) says `why` in their place instead, whatever its place in
   * the chain. Cannot be taken back; the first `why` stays.
   * @param why a few words for people: who found what. Never a secret
   * @param what `all` = what the message names (tool, prompt, URI) is not written either, in the access line too
   */
  withhold(why: string, what?: 'values' | 'all'): void
}

/** How an exchange ended. */
export type OutcomeStatus =
  /** Answered by the server with a result. */
  | 'ok'
  /** Answered by the server with a result that says `isError: true`. */
  | 'tool_error'
  /** Answered by the server with a JSON-RPC error or an HTTP error. */
  | 'error'
  /** Answered by an interceptor. */
  | 'replied'
  /** Refused by an interceptor. */
  | 'denied'
  /** A notification that an interceptor let vanish. */
  | 'dropped'
  /** The client left before the answer ended. */
  | 'aborted'
  /** The proxy could not get an answer, or an interceptor failed. */
  | 'failed'

/** A verdict, or a failure, of one interceptor in one exchange. */
export interface VerdictRecord {
  /** The chain entry: the interceptor's name, with `#2` and so on where it stands in the chain more than once. */
  readonly entry: string
  readonly mode: 'enforce' | 'shadow'
  readonly kind: Kind
  readonly direction: Direction
  /** `edit`: it changed the message; `fail`: it threw, timed out or met a message it could not read. */
  readonly action: VerdictAction | 'edit' | 'fail'
  readonly code: ErrorCode | null
  readonly reason: string
}

/** The end of an exchange, for `end` hooks, access log and metrics. */
export interface Outcome {
  readonly status: OutcomeStatus
  /** Our error code, where Sluice made the answer an error; else `null`. */
  readonly code: ErrorCode | null
  /** One sentence for people; `''` when all went well. */
  readonly reason: string
  readonly httpStatus: number
  /** From the first byte of the request's head to the last byte of the answer. */
  readonly durationMs: number
  /** From sending to the server until the end of its answer; 0 when it was not asked. */
  readonly upstreamMs: number
  /** From sending to the server until the head of its answer; 0 when it was not asked. */
  readonly firstByteMs: number
  /** Bytes of the message sent to the server, and of the answer's body sent to the client. */
  readonly bytesToServer: number
  readonly bytesToClient: number
  /** Messages passed to the client that the chain saw; 0 where nobody looked. */
  readonly messagesToClient: number
  /** The replica that answered; `''` when none was asked. */
  readonly replica: string
  readonly verdicts: readonly VerdictRecord[]
  /** Microseconds spent in each chain entry, by entry. */
  readonly interceptorMicros: Readonly<Record<string, number>>
  /** What `Exchange.note` collected. */
  readonly notes: Readonly<Record<string, string | number | boolean>>
  /** Why contents must not be recorded, as `Exchange.withhold` was told; `''` = they may be. */
  readonly withheld: string
  /** Whether that holds for `Exchange.name` too. `reason` and `verdicts` do not have it then. */
  readonly withheldName: boolean
}
