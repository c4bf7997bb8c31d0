import type { HostPort } from '../base/host-port.ts'

/** Where what workers and instances share is kept. */
export type StoreConfig = 'memory' | RedisConfig

/** How Redis is reached. Values of secrets appear in no log and no error. */
export interface RedisConfig {
  /** One server; the members of a Cluster to begin with; or Sentinels. */
  readonly mode: 'standalone' | 'cluster' | 'sentinel'
  /** Where it listens, or where the first of them do. At least one. */
  readonly nodes: readonly HostPort[]
  /** For Sentinel: the name of the master; else `''`. */
  readonly masterName: string
  readonly sentinelUsername: string
  readonly sentinelPassword: string
  /** `''` = none. */
  readonly username: string
  readonly password: string
  /** Number of the database; a Cluster has only 0. */
  readonly db: number
  /** `null` = not encrypted. */
  readonly tls: RedisTls | null
  /** Stands before every key. */
  readonly prefix: string
  /** How long a command may take. */
  readonly timeoutMs: number
  readonly connectTimeoutMs: number
  /** How many instances share it, roughly: how much each may take ahead of a limit. */
  readonly instances: number
}

export interface RedisTls {
  /** Files of PEM text; `''` = the system's roots, no certificate of our own. */
  readonly ca: string
  readonly cert: string
  readonly key: string
  /** Name that the certificate must be for; `''` = the host's. */
  readonly serverName: string
}
