import { z } from 'zod'
import { byteSize, duration } from '../api/units.ts'
import { parseHostPort } from '../base/host-port.ts'
import { DEFAULTS } from './config.ts'
import { credentialsSchema } from './credentials-schema.ts'
import { fleetSchema } from './fleet-schema.ts'
import { headerFields, serverUrl } from './server-schema.ts'
import { bridgeKeys } from './servers/bridge-keys.ts'
import { containerKeys, containerProblem } from './servers/container-keys.ts'
import { sourceKeys, sourceProblem } from './servers/source-keys.ts'
import { upstreamKeys } from './servers/upstream-keys.ts'
import { shadowPolicies, shadowSchema } from './shadow-schema.ts'
import { storeSchema } from './store-schema.ts'

const SERVER_NAME = /^[a-z0-9][a-z0-9._-]*$/
const CLIENT_NAME = /^[A-Za-z0-9][A-Za-z0-9._@-]*$/
const KIB = 1024

const LOG_LEVELS = ['trace', 'debug', 'info', 'warn', 'error', 'fatal', 'silent'] as const

/** A log level in any case; `warning` is understood. */
export const logLevel = z.preprocess(value => {
  const lower = typeof value === 'string' ? value.toLowerCase() : value
  return lower === 'warning' ? 'warn' : lower
}, z.enum(LOG_LEVELS))

const hostPort = z
  .union([z.string(), z.number()], { error: 'expected HOST:PORT' })
  .transform((value, context) => {
    const place = parseHostPort(value)
    if (place !== null) return place
    context.addIssue({ code: 'custom', message: 'expected HOST:PORT, [IPV6]:PORT or PORT' })
    return z.NEVER
  })
  .meta({ description: 'HOST:PORT, [IPV6]:PORT, or a PORT on 127.0.0.1', examples: ['127.0.0.1:8080', 8080] })

/** YAML 1.2 reads `off` as text, older ones as false. */
const off = z.union([z.literal('off'), z.literal(false)]).transform(() => null)

/** `on`, `off` or a boolean. */
const onOff = z
  .union([z.boolean(), z.enum(['on', 'off'])], { error: 'expected on or off' })
  .transform(value => value === true || value === 'on')

const positive = (): z.ZodNumber => z.number().int().min(1)
const atLeast = (schema: z.ZodType<number>, least: number, text: string): z.ZodType<number> =>
  schema.refine(value => value >= least, { error: `expected at least ${text}` })

/** Timers treat 0 as "no limit" where that is safe; the others need at least a millisecond. */
const needed = (): z.ZodType<number> => atLeast(duration(), 1, '1ms')
const size = (): z.ZodType<number> => atLeast(byteSize(), KIB, '1KiB')

const limits = z.strictObject({
  max_body_bytes: size().default(DEFAULTS.limits.maxBodyBytes),
  max_header_bytes: size().default(DEFAULTS.limits.maxHeaderBytes),
  max_headers: positive().default(DEFAULTS.limits.maxHeaders),
  max_depth: positive().max(10_000).default(DEFAULTS.limits.maxDepth),
  max_batch: positive().default(DEFAULTS.limits.maxBatch),
  max_event_bytes: size().default(DEFAULTS.limits.maxEventBytes),
  max_buffered_bytes: size().default(DEFAULTS.limits.maxBufferedBytes),
  max_connections: positive().default(DEFAULTS.limits.maxConnections),
  max_in_flight: positive().default(DEFAULTS.limits.maxInFlight),
})

const timeouts = z.strictObject({
  connect: needed().default(DEFAULTS.timeouts.connectMs),
  first_byte: duration().default(DEFAULTS.timeouts.firstByteMs).meta({ description: '0 = none' }),
  idle: duration().default(DEFAULTS.timeouts.idleMs).meta({ description: 'silence on a stream; 0 = none' }),
  header: needed().default(DEFAULTS.timeouts.headerMs),
  body: needed().default(DEFAULTS.timeouts.bodyMs),
  drain: duration().default(DEFAULTS.timeouts.drainMs),
  stall: needed().default(DEFAULTS.timeouts.stallMs),
  keep_alive: needed().default(DEFAULTS.timeouts.keepAliveMs),
})

const server = z
  .strictObject({
    url: serverUrl.optional(),
    urls: z.array(serverUrl).min(1).optional(),
    forward_authorization: z.boolean().default(false),
    headers: headerFields.default([]),
    connections: positive().default(DEFAULTS.connections),
    ...upstreamKeys,
    ...sourceKeys,
    ...containerKeys,
    ...bridgeKeys,
  })
  .superRefine((value, context) => {
    const problem = sourceProblem(value) ?? containerProblem(value)
    if (problem === null) return
    const [key, message] = problem
    context.addIssue({ code: 'custom', message, path: key === '' ? [] : [key] })
  })

const keyHash = z.string().regex(/^[0-9a-fA-F]{64}$/, {
  error: 'expected 64 hexadecimal digits, the SHA-256 of a key (`sluice key create NAME` prints one)',
})

const client = z.strictObject({ api_key_sha256: z.union([keyHash, z.array(keyHash).min(1)]) })

const clientName = z
  .string()
  .regex(CLIENT_NAME, { error: 'expected a client name of letters, digits and . _ @ -' })
  .refine(name => name !== 'anonymous', { error: 'the name "anonymous" belongs to clients without a key' })

const sessionKey = z
  .string()
  .min(32, { error: 'expected at least 32 characters, such as `openssl rand -base64 32` prints' })

const host = z.string().regex(/^[A-Za-z0-9._[\]:-]+$/, { error: 'expected a host name, with or without a port' })

const origin = z.string().refine(value => value === '*' || isOrigin(value), {
  error: 'expected an origin such as https://app.example.com, or *',
})

function isOrigin(text: string): boolean {
  const url = URL.parse(text)
  return url !== null && (url.origin === text || (url.origin === 'null' && url.pathname === '' && url.host !== ''))
}

/** `sluice.yaml`; `policy` and `access_control` are checked by the policy room. */
export const configSchema = z.strictObject({
  $schema: z.string().optional(),
  version: z.literal(1).default(1),
  listen: hostPort.default(DEFAULTS.listen),
  admin: z.union([off, hostPort]).default(DEFAULTS.admin),
  workers: z.union([z.literal('auto'), positive().max(1024)]).default(DEFAULTS.workers),
  log_level: logLevel.default(DEFAULTS.logLevel),
  log_format: z.enum(['auto', 'json', 'pretty']).default(DEFAULTS.logFormat),
  access_log: onOff.default(DEFAULTS.accessLog),
  tls: z.strictObject({ cert: z.string().min(1), key: z.string().min(1) }).optional(),
  session_key: sessionKey.optional(),
  state_dir: z.string().min(1).optional(),
  control_socket: z
    .union([off, z.string().min(1)], { error: 'expected a path, auto or off' })
    .default(DEFAULTS.controlSocket)
    .meta({ description: 'path of the control socket; auto = in state_dir; off = none' }),
  store: storeSchema.default(DEFAULTS.store),
  clients: z.record(clientName, client).default({}),
  anonymous: z.enum(['allow', 'deny']).default(DEFAULTS.anonymous),
  trust_client_id: z.boolean().default(DEFAULTS.trustClientId),
  allowed_hosts: z.array(host).default([]),
  allowed_origins: z.array(origin).default([]),
  limits: limits.prefault({}),
  timeouts: timeouts.prefault({}),
  servers: z
    .record(
      z
        .string()
        .regex(SERVER_NAME, { error: 'expected a server name of a-z, 0-9 and . _ -, beginning with a-z or 0-9' }),
      server,
    )
    .default({}),
  credentials: credentialsSchema.optional(),
  fleet: fleetSchema.prefault({}),
  policies: z.array(z.string().min(1)).default([]),
  policy: z.record(z.string(), z.unknown()).optional(),
  access_control: z.record(z.string(), z.unknown()).optional(),
  shadow_policy: shadowPolicies.optional(),
  shadow: shadowSchema.optional(),
  interceptor_dirs: z.array(z.string().min(1)).default([]),
  interceptor_modules: z.array(z.string().min(1)).default([]),
  gateway: z
    .strictObject({ port: z.number().int().min(0).max(65535).optional(), log_level: logLevel.optional() })
    .optional(),
})

export type RawConfig = z.infer<typeof configSchema>

/** JSON Schema of `sluice.yaml` for editors. */
export function configJsonSchema(): Record<string, unknown> {
  return z.toJSONSchema(configSchema, { io: 'input', unrepresentable: 'any' })
}
