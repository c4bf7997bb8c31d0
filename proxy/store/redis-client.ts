import { readFileSync } from 'node:fs'
import type { ConnectionOptions } from 'node:tls'
import { Cluster, type ClusterOptions, Redis, type RedisOptions } from 'ioredis'
import { SCRIPTS, type Scripts } from './redis-scripts.ts'

/** How Redis is reached; what `store.redis` of the configuration resolves to. */
export interface RedisPlace {
  readonly mode: 'standalone' | 'cluster' | 'sentinel'
  readonly nodes: readonly { readonly host: string; readonly port: number }[]
  readonly masterName: string
  readonly sentinelUsername: string
  readonly sentinelPassword: string
  readonly username: string
  readonly password: string
  readonly db: number
  readonly tls: {
    readonly ca: string
    readonly cert: string
    readonly key: string
    readonly serverName: string
  } | null
  readonly timeoutMs: number
  readonly connectTimeoutMs: number
}

/** Answers are those of RESP2: every server speaks it. */
type Options = Omit<RedisOptions, 'replyMapping'>

/** A client of one server, of a Cluster, or of the master that Sentinels name, with our scripts as commands. */
export type RedisClient = (Redis | Cluster) & Scripts

/** The first try to connect again comes after this, each further one after twice as long… */
const FIRST_RETRY_MS = 50
/** …but at most after this. */
const MAX_RETRY_MS = 2000

/** How long to wait before try number `tries`: a part of it by chance, so that instances do not come all at once. */
export function retryDelay(tries: number, random: () => number = Math.random): number {
  const most = Math.min(MAX_RETRY_MS, FIRST_RETRY_MS * 2 ** (tries - 1))
  return Math.round(most / 2 + (most / 2) * random())
}

/** Makes a client; it connects when told to, and for ever tries again. */
export function createRedisClient(place: RedisPlace): RedisClient {
  const client =
    place.mode === 'cluster' ? new Cluster([...place.nodes], clusterOptions(place)) : new Redis(redisOptions(place))
  return client as RedisClient
}

/** For one server, or the master of Sentinels. */
export function redisOptions(place: RedisPlace): Options {
  const retry = (tries: number): number => retryDelay(tries)
  const own = { ...connection(place), db: place.db, retryStrategy: retry, enableOfflineQueue: false, ...COMMON }
  if (place.mode === 'standalone') return { ...own, ...place.nodes[0] }
  const tls = tlsOf(place)
  return {
    ...own,
    sentinels: [...place.nodes],
    name: place.masterName,
    sentinelRetryStrategy: retry,
    sentinelCommandTimeout: place.timeoutMs,
    ...(place.sentinelUsername !== '' && { sentinelUsername: place.sentinelUsername }),
    ...(place.sentinelPassword !== '' && { sentinelPassword: place.sentinelPassword }),
    ...(tls !== undefined && { sentinelTLS: tls, enableTLSForSentinelMode: true }),
  }
}

export function clusterOptions(place: RedisPlace): Omit<ClusterOptions, 'redisOptions'> & { redisOptions: Options } {
  return {
    ...COMMON,
    clusterRetryStrategy: tries => retryDelay(tries),
    enableOfflineQueue: false,
    slotsRefreshTimeout: place.connectTimeoutMs,
    // Nodes name themselves by address; with TLS the certificate is for a name.
    ...(place.tls !== null && { dnsLookup: (address, callback) => callback(null, address) }),
    redisOptions: connection(place),
  }
}

/** Commands wait for no connection and are sent together where several are made in one turn of the loop. */
const COMMON = { lazyConnect: true, enableAutoPipelining: true, scripts: SCRIPTS }

function connection(place: RedisPlace): Options {
  const tls = tlsOf(place)
  return {
    connectTimeout: place.connectTimeoutMs,
    commandTimeout: place.timeoutMs,
    maxRetriesPerRequest: 1,
    // Something that is not told again: what was on its way when a connection broke may have been done already.
    autoResendUnfulfilledCommands: false,
    protocol: 2,
    // After a failover the old master may live on as a replica that takes no writes.
    reconnectOnError: isReplica,
    connectionName: 'sluice',
    disableClientInfo: true,
    ...(place.username !== '' && { username: place.username }),
    ...(place.password !== '' && { password: place.password }),
    ...(tls !== undefined && { tls }),
  }
}

function isReplica(error: Error): boolean {
  return error.message.startsWith('READONLY')
}

/** @throws Error where a file cannot be read */
function tlsOf({ tls }: RedisPlace): ConnectionOptions | undefined {
  if (tls === null) return undefined
  return {
    ...(tls.ca !== '' && { ca: readFileSync(tls.ca) }),
    ...(tls.cert !== '' && { cert: readFileSync(tls.cert), key: readFileSync(tls.key) }),
    ...(tls.serverName !== '' && { servername: tls.serverName }),
  }
}
