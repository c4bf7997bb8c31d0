import { resolve } from 'node:path'
import { z } from 'zod'
import { duration } from '../api/index.ts'
import { type HostPort, parseHostPort } from '../base/host-port.ts'
import type { RedisConfig, RedisTls, StoreConfig } from './store-config.ts'

const REDIS_PORT = 6379
const MAX_DB = 65_535

/** Problems do not begin with `expected`, so that the text is not repeated: it may hold a password. */
const redisUrl = z
  .string()
  .superRefine((text, context) => {
    const url = URL.parse(text)
    const fits =
      url !== null && /^rediss?:$/.test(url.protocol) && url.hostname !== '' && /^\/?\d{0,5}$/.test(url.pathname)
    if (fits && url.search === '' && url.hash === '' && isDecodable(url)) return
    const message = 'no URL of Redis: it looks like redis://127.0.0.1:6379 or rediss://redis.internal:6380/0'
    context.addIssue({ code: 'custom', message })
  })
  .meta({ description: 'redis:// or, with TLS, rediss://' })

/** Never repeated in a message, whatever it is. */
const secret = z.string({ error: 'a secret is text: put it in quotes' })

const node = z
  .string()
  .transform((text, context) => {
    const place = parseHostPort(/:\d+$/.test(text) ? text : `${text}:${REDIS_PORT}`)
    if (place !== null) return place
    context.addIssue({ code: 'custom', message: 'expected HOST:PORT or HOST' })
    return z.NEVER
  })
  .meta({ description: 'HOST:PORT' })

const tls = z.strictObject({
  ca: z.string().min(1).optional().meta({ description: 'file with the certificates that are trusted, PEM' }),
  cert: z.string().min(1).optional().meta({ description: 'file with a certificate of our own, PEM' }),
  key: z.string().min(1).optional(),
  server_name: z.string().min(1).optional(),
})

const needed = (): z.ZodType<number> => duration().refine(ms => ms >= 1, { error: 'expected at least 1ms' })

/** What holds where `store.redis` is silent. */
export const REDIS_DEFAULTS = Object.freeze({
  prefix: 'sluice:',
  timeoutMs: 500,
  connectTimeoutMs: 2000,
  instances: 3,
})

const redis = z
  .strictObject({
    url: redisUrl.optional(),
    nodes: z.array(node).min(1).optional().meta({ description: 'members of a Cluster; the others are found by them' }),
    sentinels: z.array(node).min(1).optional(),
    master_name: z.string().min(1).optional().meta({ description: 'for sentinels: the name of the master' }),
    sentinel_username: z.string().optional(),
    sentinel_password: secret.optional(),
    username: z.string().optional(),
    password: secret.optional(),
    db: z.number().int().min(0).max(MAX_DB).optional(),
    tls: z.union([z.boolean(), tls], { error: 'expected true, false, or ca, cert, key and server_name' }).optional(),
    prefix: z.string().max(128).default(REDIS_DEFAULTS.prefix),
    timeout: needed().default(REDIS_DEFAULTS.timeoutMs).meta({ description: 'for each command' }),
    connect_timeout: needed().default(REDIS_DEFAULTS.connectTimeoutMs),
    instances: z.number().int().min(1).max(1000).default(REDIS_DEFAULTS.instances),
  })
  .superRefine((value, context) => {
    const complain = (path: string, message: string): void =>
      void context.addIssue({ code: 'custom', path: [path], message })
    const places = ['url', 'nodes', 'sentinels'].filter(key => value[key as 'url'] !== undefined)
    if (places.length !== 1) context.addIssue({ code: 'custom', message: 'give one of "url", "nodes" and "sentinels"' })
    if ((value.sentinels === undefined) !== (value.master_name === undefined)) {
      complain('master_name', '"sentinels" and "master_name" go together')
    }
    if (value.nodes !== undefined && (value.db ?? 0) !== 0) complain('db', 'a Cluster has only database 0')
    if (value.url !== undefined) checkTwice(value.url, value, complain)
    if (typeof value.tls === 'object' && (value.tls.cert === undefined) !== (value.tls.key === undefined)) {
      complain('tls', '"cert" and "key" go together')
    }
  })

type RawRedis = z.infer<typeof redis>

/** `store:` of `sluice.yaml`. */
export const storeSchema = z.union([z.literal('memory'), z.strictObject({ redis })], {
  error: ({ input }) => (typeof input === 'object' && input !== null ? undefined : 'expected memory, or { redis: … }'),
})

export type RawStore = z.infer<typeof storeSchema>

/** @param baseDir where relative paths start */
export function resolveStore(raw: RawStore, baseDir: string): StoreConfig {
  return raw === 'memory' ? 'memory' : resolveRedis(raw.redis, baseDir)
}

function resolveRedis(raw: RawRedis, baseDir: string): RedisConfig {
  const url = raw.url === undefined ? null : new URL(raw.url)
  return Object.freeze({
    mode: modeOf(raw),
    nodes: url === null ? (raw.nodes ?? raw.sentinels ?? []) : [placeOf(url)],
    masterName: raw.master_name ?? '',
    sentinelUsername: raw.sentinel_username ?? '',
    sentinelPassword: raw.sentinel_password ?? '',
    username: raw.username ?? decodeURIComponent(url?.username ?? ''),
    password: raw.password ?? decodeURIComponent(url?.password ?? ''),
    db: raw.db ?? Number(url?.pathname.slice(1) ?? 0),
    tls: resolveTls(raw.tls ?? url?.protocol === 'rediss:', baseDir),
    prefix: raw.prefix,
    timeoutMs: raw.timeout,
    connectTimeoutMs: raw.connect_timeout,
    instances: raw.instances,
  })
}

function modeOf(raw: RawRedis): RedisConfig['mode'] {
  if (raw.nodes !== undefined) return 'cluster'
  return raw.sentinels === undefined ? 'standalone' : 'sentinel'
}

function placeOf(url: URL): HostPort {
  return { host: url.hostname.replace(/^\[|\]$/g, ''), port: url.port === '' ? REDIS_PORT : Number(url.port) }
}

function resolveTls(raw: Exclude<RawRedis['tls'], undefined>, baseDir: string): RedisTls | null {
  if (raw === false) return null
  const given = raw === true ? {} : raw
  const path = (file: string | undefined): string => (file === undefined ? '' : resolve(baseDir, file))
  return { ca: path(given.ca), cert: path(given.cert), key: path(given.key), serverName: given.server_name ?? '' }
}

/** A URL that says what a key says too says two things. */
function checkTwice(text: string, value: RawRedis, complain: (path: string, message: string) => void): void {
  const url = URL.parse(text)
  if (url === null) return
  if (url.username !== '' && value.username !== undefined) complain('username', 'the URL has one too: give one of them')
  if (url.password !== '' && value.password !== undefined) complain('password', 'the URL has one too: give one of them')
  if (url.pathname.length > 1 && value.db !== undefined) complain('db', 'the URL has one too: give one of them')
  if (url.protocol === 'rediss:' && value.tls === false) complain('tls', 'the URL says rediss://, which is TLS')
}

function isDecodable(url: URL): boolean {
  try {
    decodeURIComponent(url.username + url.password)
    return true
  } catch {
    return false
  }
}
