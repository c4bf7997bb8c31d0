import type { SluiceError } from '../api/index.ts'
import type { HashBy } from './settings.ts'

/** Holds one running upstream exchange. Every method may be called at any time, also twice. */
export interface Flow {
  /** Stops reading from the server until `resume`. */
  pause(): void
  resume(): void
  /** Ends the exchange now: the connection's request is cancelled, no further callback comes. */
  abort(): void
}

/** One HTTP request to send to some replica of a server. */
export interface UpstreamRequest {
  readonly method: 'POST' | 'GET' | 'DELETE'
  /** End-to-end request header fields, flat: name, value, name, value. No Host, no Content-Length. */
  readonly headers: string[]
  readonly body: Uint8Array | null
  /** The client's query string without `?`; `''` = none. */
  readonly query: string
  /** `call` = shares the replica's bounded connections; `stream` = has its own: long streams, and what calls wait for. */
  readonly lane: 'call' | 'stream'
  /** The replica a session lives on; `''` = any. An unknown one is an error, `session_not_found`. */
  readonly replica: string
  /** The id of the principal it is sent for: what it shows to the server may be its own. */
  readonly client: string
  /** Limit for silence between two chunks of the answer's body, in milliseconds; 0 = none. */
  readonly idleTimeoutMs: number
  /** Limit until the answer's head, in milliseconds; 0 = none. */
  readonly firstByteTimeoutMs: number
  /** Whether a second try on another replica is harmless even after the first one was sent. Asked only when needed. */
  readonly repeatable: boolean
  /** Whether it only reads, so that two of it at the same time are harmless. Asked only when needed. */
  readonly reads: boolean
  /** Its JSON-RPC method; `''` = a response, or no message at all. */
  readonly rpc: string
  /** The tool that it calls; `''` = none. */
  readonly tool: string
  /** The text that `by` names in this request; `''` = there is none. */
  hashKey(by: HashBy): string
}

/**
 * Receives what becomes of an `UpstreamRequest`. Order: `onFlow` once, then `onHead`, any number of `onData`, and
 * exactly one of `onEnd` and `onFail`; `onFail` may come at any time after `onFlow`.
 */
export interface UpstreamSink {
  onFlow(flow: Flow): void
  /** @param headers end-to-end header fields of the answer, lower-case, flat; hop-by-hop ones are gone */
  onHead(status: number, headers: string[], replica: string): void
  /** `chunk` may be kept for as long as `isFlushed` does not say otherwise; it is never written to. */
  onData(chunk: Buffer): void
  onEnd(): void
  onFail(error: SluiceError): void
  /** Whether it holds no chunk any more, so that their memory may be used again. Left out = it may hold them for ever. */
  isFlushed?(): boolean
  /** A secret goes to the server with the request: which, and what for. Before `onHead`; for the audit trail. */
  onSecret?(name: string, usedFor: string): void
}

/** Anything that answers an exchange: a pool of replicas, an era bridge around one, a test double. */
export interface Upstream {
  send(request: UpstreamRequest, sink: UpstreamSink): void
  /** Whether requests of `client` carry a configured `Authorization`. Left out = never. */
  authorizes?(client: string): boolean
  /** Whether a replica is known to be reachable now. */
  readonly ready: boolean
  /** Ends idle connections; running exchanges finish. */
  close(): Promise<void>
}
