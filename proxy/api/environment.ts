import type { JsonObject } from './json.ts'

/** Time, so that tests can hold it still. */
export interface Clock {
  /** Milliseconds since the epoch. */
  now(): number
  /** Milliseconds of a clock that never goes back; fractions allowed. */
  monotonic(): number
}

/** Structured log. Fields never hold secrets or argument values. */
export interface Logger {
  debug(fields: Readonly<Record<string, unknown>>, text: string): void
  info(fields: Readonly<Record<string, unknown>>, text: string): void
  warn(fields: Readonly<Record<string, unknown>>, text: string): void
  error(fields: Readonly<Record<string, unknown>>, text: string): void
}

/** How much may be taken from a key of the store, and over which time. Amounts are whole numbers. */
export interface Quota {
  /** At least 1. */
  readonly limit: number
  readonly windowMs: number
  /**
   * `sliding`: at most `limit` in any stretch of `windowMs`. `fixed`: at most `limit` from each multiple of `windowMs`
   * since the epoch to the next; a day is a day in UTC. `smooth`: `limit` per `windowMs` spread evenly, with at most
   * `burst` at once (GCRA).
   */
  readonly window: 'sliding' | 'fixed' | 'smooth'
  /** For `smooth`, at least 1; otherwise nobody looks at it. */
  readonly burst: number
  /** While the store cannot be reached: `local` = this process counts on its own, `refuse` = taking rejects. */
  readonly whenDown: 'local' | 'refuse'
}

/** What the store says to somebody who takes. */
export interface Grant {
  readonly granted: boolean
  /** What is left, never negative; an estimate where other processes take from the same key. */
  readonly remaining: number
  /** Refused: milliseconds until the same amount could be granted, unless others take it first. Granted: 0. */
  readonly retryMs: number
  /** Whether this process counted on its own, because the store could not be reached. */
  readonly local: boolean
}

/** A place among those that may be taken at one time. */
export interface Hold {
  /** Gives the place back. Only the first call counts. */
  release(): void
}

/**
 * Everything shared between workers or instances. Keys are prefixed per chain entry. Where the store cannot be reached,
 * promises reject with a `SluiceError` of code `store_unreachable`.
 */
export interface Store {
  get(key: string): Promise<Uint8Array | null>
  /** @param ttlMs lifetime in milliseconds; a store always needs one, so that nothing stays for ever */
  set(key: string, value: Uint8Array, ttlMs: number): Promise<void>
  delete(key: string): Promise<void>
  /** Adds `by` to a counter that lives `ttlMs` from its first use, and gives the new value. */
  increment(key: string, by: number, ttlMs: number): Promise<number>
  /**
   * Takes `amount` from a quota, all of it or nothing; 0 only asks whether anything is left. Nearly always answers
   * without a promise: in memory, or from what the process has taken ahead (docs/redis.md says how exact that is). A key
   * belongs to one quota.
   */
  take(key: string, amount: number, quota: Quota): Grant | Promise<Grant>
  /**
   * Counts what has been used already, even beyond the limit, so that the next ones wait for it. A negative amount gives
   * back what was taken and not used. Never waits, never fails.
   */
  spend(key: string, amount: number, quota: Quota): void
  /**
   * Takes one of `limit` places; `null` when all are taken. The places of a process that dies are free again at the latest
   * after 30 seconds.
   */
  hold(key: string, limit: number, whenDown: Quota['whenDown']): Hold | null | Promise<Hold | null>
}

/** Rights and limits of one client, as the policy's `access_control.clients.<id>` says (R040-R045). */
export interface ClientRules {
  /** Servers it may use; `*` = all. `null` = the policy does not say, so `default_policy` decides. */
  readonly allowedServers: readonly string[] | null
  /** Tools it may call, by server (`*` = any server); names are globs. `null` = every tool of an allowed server. */
  readonly allowedTools: Readonly<Record<string, readonly string[]>> | null
  /** `100/minute`, as written. */
  readonly rateLimit: string | null
  readonly requestsPerMinute: number | null
  readonly tokensPerDay: number | null
}

/** The policy's `access_control` section. */
export interface AccessControl {
  readonly defaultPolicy: 'allow' | 'deny'
  /** By client name; `*` holds for a client that is not named. */
  readonly clients: ReadonlyMap<string, ClientRules>
}

/** Adds to a counter. `values` = those of its labels, in order; more or fewer of them throw a TypeError. */
export type Count = (by: number, ...values: string[]) => void

/**
 * The policy is only tried out, by `sluice test` or `sluice replay` or as a shadow of the one in force: store and counters are not
 * the real ones, and nothing an interceptor does may leave the process.
 */
export interface Rehearsal {
  /** Takes what would have been written to a file: a test can say what it expects. */
  record(text: string): void
}

/** What an interceptor gets besides its options, once, at load. */
export interface Environment {
  /** The chain entry's own name: `audit`, `jq#2`. */
  readonly entry: string
  readonly clock: Clock
  readonly logger: Logger
  readonly store: Store
  /** The names of the servers that are configured. */
  readonly servers: readonly string[]
  /** The policy's `access_control`; `null` when it has none. */
  readonly accessControl: AccessControl | null
  /** `null` = this is no rehearsal. Whoever writes files looks here first. */
  readonly rehearsal: Rehearsal | null
  /**
   * A counter of the interceptor's own at `/metrics`. Make it once, in `create`; entries that name the same one share it.
   * @param name in snake_case, ends in `_total`; `sluice_` is put before it where it is missing
   * @param labels names of its labels, at most 4; the number of different values is bounded (`other` beyond)
   * @throws TypeError when a name is not one that Prometheus takes
   */
  counter(name: string, help: string, labels?: readonly string[]): Count
  /**
   * Whether this entry's `match` fits a message: for an interceptor whose look says `always`. Tools of servers are many and
   * their names are theirs to choose, so it does not remember what was asked.
   */
  applies(server: string, method: string, name: string, client: string): boolean
  /** Where relative paths in options start: the folder of the policy file. */
  readonly baseDir: string
  /** Reads a file of options relative to `baseDir`. */
  resolve(path: string): string
  /**
   * The tools of a server as its last `tools/list` told them, by name; `null` when none passed yet. Untrusted input.
   */
  tools(server: string): ReadonlyMap<string, JsonObject> | null
}
