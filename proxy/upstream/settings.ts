/** What a request's hash is made of: a header field of the client, or an argument (dots go deeper) of its call. */
export interface HashBy {
  readonly from: 'header' | 'argument'
  /** Header names are lower-case. */
  readonly name: string
}

/** How the replica of a request is chosen; requests of a session go to the session's own. */
export type Balance = 'least_in_flight' | 'round_robin' | HashBy

/**
 * When a replica gets no more requests for `resetTimeoutMs`. Connect errors, time-outs, 5xx and broken answers count as
 * failures; JSON-RPC errors and 4xx do not.
 */
export interface BreakerSettings {
  /** Opens after this many failures in a row; 0 = by the rolling window. */
  readonly failures: number
  /** Opens when more than this part of the window's calls failed, 0 to 100 ... */
  readonly errorThresholdPercentage: number
  /** ... and it holds at least so many calls. */
  readonly volumeThreshold: number
  readonly rollingWindowMs: number
  readonly resetTimeoutMs: number
}

/** Further tries of requests that may have been processed. Those that were never sent are tried again in any case. */
export interface RetrySettings {
  /** Retries allowed for each request, 0.2 = one for five. */
  readonly budget: number
  /** Globs of tools that may be called twice, besides those that say so themselves. */
  readonly tools: readonly string[]
}

/** A second try beside the first one, where the server is slow to begin its answer. Only for what reads. */
export interface HedgeSettings {
  readonly afterMs: number
  /** Globs of tools that only read, besides those that say so themselves. */
  readonly tools: readonly string[]
}

/** PEM files, absolute paths; `''` = none. */
export interface UpstreamTls {
  /** Authorities that the server's certificate may come from, in place of the usual ones. */
  readonly ca: string
  /** The proxy's own certificate, with its key. */
  readonly cert: string
  readonly key: string
  /** Name to ask for and to expect in the certificate; `''` = the host of the URL. */
  readonly serverName: string
}

/** Time limits for one server; -1 = as `timeouts` says for all. */
export interface UpstreamTimeouts {
  readonly connectMs: number
  readonly firstByteMs: number
  readonly idleMs: number
  /** How long an idle connection is kept. */
  readonly keepAliveMs: number
}

/** How requests are spread over the replicas of one server, and what guards them. */
export interface UpstreamSettings {
  readonly balance: Balance
  /** `null` = off. */
  readonly breaker: BreakerSettings | null
  /** `null` = off. */
  readonly retry: RetrySettings | null
  /** `null` = off. */
  readonly hedge: HedgeSettings | null
  /** Most calls at a time in one worker; further ones wait. */
  readonly maxInFlight: number
  /** Most requests that wait for a replica or for room in one worker; further ones are refused at once. */
  readonly maxWaiting: number
  /** How long they wait. */
  readonly acquireTimeoutMs: number
  /** How long a new replica takes until it gets its full share; 0 = at once. */
  readonly slowStartMs: number
  /** Whether HTTP/2 is offered to https replicas. */
  readonly http2: boolean
  readonly tls: UpstreamTls | null
  /** What becomes of a session whose replica is gone: the client begins another one, or the proxy does so for it. */
  readonly sessions: 'strict' | 'recover'
  readonly timeouts: UpstreamTimeouts
}
