import { z } from 'zod'
import { globProblem } from '../../api/glob.ts'
import { duration } from '../../api/units.ts'
import type { Balance, BreakerSettings, UpstreamSettings, UpstreamTls } from '../../upstream/settings.ts'

const WINDOW = { failures: 0, errorThresholdPercentage: 50, volumeThreshold: 10, rollingWindowMs: 10_000 } as const

/** What holds for a server that says nothing about spreading. */
export const UPSTREAM_DEFAULTS: UpstreamSettings = Object.freeze({
  balance: 'least_in_flight',
  breaker: Object.freeze({ ...WINDOW, resetTimeoutMs: 60_000 }),
  retry: Object.freeze({ budget: 0.2, tools: [] }),
  hedge: null,
  maxInFlight: 1_000,
  maxWaiting: 1_000,
  acquireTimeoutMs: 5_000,
  slowStartMs: 10_000,
  http2: false,
  tls: null,
  sessions: 'strict',
  timeouts: Object.freeze({ connectMs: -1, firstByteMs: -1, idleMs: -1, keepAliveMs: 4_000 }),
})

const HEADER_NAME = /^[A-Za-z0-9!#$%&'*+.^_`|~-]+$/

const off = z.union([z.literal('off'), z.literal(false)]).transform(() => null)

const needed = (): z.ZodType<number> => duration().refine(value => value >= 1, { error: 'expected at least 1ms' })

const tool = z.string().superRefine((pattern, context) => {
  const problem = globProblem(pattern)
  if (problem !== null) context.addIssue({ code: 'custom', message: problem })
})

const tools = z.array(tool).default([]).meta({ description: 'globs of tools that the operator vouches for' })

/** `20%` or 0.2, as a part of 1. */
const share = z
  .union([z.string().regex(/^\d+(\.\d+)?%$/), z.number().min(0).max(1)], {
    error: 'expected a percentage such as 20%, or a number from 0 to 1',
  })
  .transform(value => (typeof value === 'number' ? value : Number(value.slice(0, -1)) / 100))
  .refine(value => value <= 1, { error: 'expected at most 100%' })

const hashBy = z
  .strictObject({
    header: z.string().regex(HEADER_NAME, { error: 'expected the name of a header field' }).optional(),
    argument: z.string().min(1).optional(),
  })
  .refine(by => (by.header === undefined) !== (by.argument === undefined), {
    error: 'expected either "header" or "argument"',
  })

const balance = z
  .union([z.enum(['least_in_flight', 'round_robin']), z.strictObject({ hash: hashBy })], {
    error: 'expected least_in_flight, round_robin, or { hash: { header: NAME } } or { hash: { argument: NAME } }',
  })
  .default('least_in_flight')
  .meta({ description: 'how the replica of a request without a session is chosen' })

const breaker = z
  .union([
    off,
    z.strictObject({
      failures: z.number().int().min(1).optional().meta({ description: 'open after so many failures in a row' }),
      error_threshold_percentage: z.number().min(0).max(100).optional(),
      volume_threshold: z.number().int().min(1).optional(),
      rolling_window: duration()
        .refine(value => value >= 100, { error: 'expected at least 100ms' })
        .optional(),
      reset_timeout: needed().default(60_000),
    }),
  ])
  .prefault({})
  .meta({ description: 'when a replica that fails gets no more requests; off = never' })

const retry = z
  .union([off, z.strictObject({ budget: share.default(0.2), tools })])
  .prefault({})
  .meta({ description: 'further tries of what may be sent twice; off = none' })

const hedge = z
  .union([off, z.strictObject({ after: needed(), tools })])
  .default(null)
  .meta({ description: 'a second try beside a slow first one, of what only reads' })

const tls = z
  .strictObject({
    ca: z.string().min(1).optional(),
    cert: z.string().min(1).optional(),
    key: z.string().min(1).optional(),
    server_name: z.string().min(1).optional(),
  })
  .refine(value => (value.cert === undefined) === (value.key === undefined), {
    error: 'expected "cert" and "key" together',
  })

const timeouts = z.strictObject({
  connect: needed().optional(),
  first_byte: duration().optional().meta({ description: '0 = none' }),
  idle: duration().optional().meta({ description: 'silence on a stream; 0 = none' }),
  keep_alive: needed().default(UPSTREAM_DEFAULTS.timeouts.keepAliveMs),
})

const count = (least: number): z.ZodNumber => z.number().int().min(least)

/** Keys of a server in `sluice.yaml` about how requests are spread over its replicas and guarded. */
export const upstreamKeys = {
  balance,
  breaker,
  retry,
  hedge,
  max_in_flight: count(1).default(UPSTREAM_DEFAULTS.maxInFlight).meta({ description: 'calls at a time, per worker' }),
  max_waiting: count(0).default(UPSTREAM_DEFAULTS.maxWaiting).meta({ description: 'requests that wait, per worker' }),
  acquire_timeout: needed().default(UPSTREAM_DEFAULTS.acquireTimeoutMs),
  slow_start: duration().default(UPSTREAM_DEFAULTS.slowStartMs).meta({ description: '0 = none' }),
  http2: z.boolean().default(UPSTREAM_DEFAULTS.http2),
  tls: tls.optional(),
  sessions: z.enum(['strict', 'recover']).default(UPSTREAM_DEFAULTS.sessions),
  timeouts: timeouts.prefault({}),
} satisfies Record<string, z.ZodType>

const raw = z.strictObject(upstreamKeys)
type RawUpstream = z.infer<typeof raw>

/** @param absolute makes the path of a file absolute */
export function resolveUpstream(server: RawUpstream, absolute: (path: string) => string): UpstreamSettings {
  return Object.freeze({
    balance: resolveBalance(server.balance),
    breaker: resolveBreaker(server.breaker),
    retry: server.retry,
    hedge: server.hedge === null ? null : { afterMs: server.hedge.after, tools: server.hedge.tools },
    maxInFlight: server.max_in_flight,
    maxWaiting: server.max_waiting,
    acquireTimeoutMs: server.acquire_timeout,
    slowStartMs: server.slow_start,
    http2: server.http2,
    tls: resolveTls(server.tls, absolute),
    sessions: server.sessions,
    timeouts: {
      connectMs: server.timeouts.connect ?? -1,
      firstByteMs: server.timeouts.first_byte ?? -1,
      idleMs: server.timeouts.idle ?? -1,
      keepAliveMs: server.timeouts.keep_alive,
    },
  })
}

function resolveBalance(value: RawUpstream['balance']): Balance {
  if (typeof value === 'string') return value
  const { header, argument } = value.hash
  if (header !== undefined) return { from: 'header', name: header.toLowerCase() }
  return { from: 'argument', name: argument ?? '' }
}

function resolveBreaker(value: RawUpstream['breaker']): BreakerSettings | null {
  if (value === null) return null
  return {
    failures: value.failures ?? 0,
    errorThresholdPercentage: value.error_threshold_percentage ?? WINDOW.errorThresholdPercentage,
    volumeThreshold: value.volume_threshold ?? WINDOW.volumeThreshold,
    rollingWindowMs: value.rolling_window ?? WINDOW.rollingWindowMs,
    resetTimeoutMs: value.reset_timeout,
  }
}

function resolveTls(value: RawUpstream['tls'], absolute: (path: string) => string): UpstreamTls | null {
  if (value === undefined) return null
  const file = (path: string | undefined): string => (path === undefined ? '' : absolute(path))
  return {
    ca: file(value.ca),
    cert: file(value.cert),
    key: file(value.key),
    serverName: value.server_name ?? '',
  }
}
