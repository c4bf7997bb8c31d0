import { z } from 'zod'
import { duration } from '../../api/units.ts'
import type { HealthSpec, LifeSpec, Source, StaticPlace } from '../../fleet/spec.ts'

const DISCOVERY_INTERVAL_MS = 30_000

/** How replicas live where the configuration says nothing about it. */
export const LIFE_DEFAULTS: LifeSpec = Object.freeze({
  min: 0,
  max: 1,
  targetInFlight: 8,
  idleTimeoutMs: 300_000,
  restart: Object.freeze({ delayMs: 5_000, maxAttempts: 3, windowMs: 600_000 }),
  health: Object.freeze({
    kind: 'auto',
    path: '',
    startPeriodMs: 40_000,
    intervalMs: 30_000,
    timeoutMs: 10_000,
    retries: 3,
  }),
  stopGraceMs: 10_000,
})

const VARIABLE = /^[A-Za-z_][A-Za-z0-9_]*$/
const MAX_REPLICAS = 1000

const needed = (least = 1, text = '1ms'): z.ZodType<number> =>
  duration().refine(value => value >= least, { error: `expected at least ${text}` })

const port = z.number().int().min(1).max(65535)

const path = z.string().regex(/^\/[\x21-\x22\x24-\x7e]*$/, { error: 'expected a path such as /mcp' })

const dns = z.strictObject({
  dns: z.string().min(1).meta({ description: 'the name to ask for' }),
  port: port.optional().meta({ description: 'needed for A and AAAA; SRV records have their own' }),
  path: path.default('/mcp'),
  type: z.enum(['A', 'AAAA', 'SRV']).default('A'),
  interval: needed(1000, '1s').default(DISCOVERY_INTERVAL_MS),
  tls: z.boolean().default(false).meta({ description: 'whether replicas speak https' }),
})

const docker = z.strictObject({
  docker: z
    .strictObject({ label: z.string().min(1).optional(), service: z.string().min(1).optional() })
    .extend({ port, path: path.default('/mcp'), network: z.string().min(1).optional() })
    .refine(value => (value.label === undefined) !== (value.service === undefined), {
      error: 'expected either "label" or "service"',
    }),
})

const discover = z
  .union([dns, docker], { error: 'expected { dns: NAME, port: … } or { docker: { label: …, port: … } }' })
  .superRefine((value, context) => {
    if ('dns' in value && value.type !== 'SRV' && value.port === undefined) {
      context.addIssue({ code: 'custom', message: 'missing "port": only SRV records tell it', path: ['port'] })
    }
  })

const replicas = z
  .union(
    [
      z.number().int().min(1).max(MAX_REPLICAS),
      z
        .strictObject({
          min: z.number().int().min(0).max(MAX_REPLICAS),
          max: z.number().int().min(1).max(MAX_REPLICAS),
        })
        .partial()
        .refine(({ min = 0, max = Math.max(1, min) }) => min <= max, { error: 'expected "min" not above "max"' }),
    ],
    { error: 'expected a number of replicas, or { min: 0, max: 10 }' },
  )
  .prefault({})
  .meta({ description: 'how many run; with a range as many as are needed' })

const restart = z.strictObject({
  delay: duration().default(LIFE_DEFAULTS.restart.delayMs),
  max_attempts: z.number().int().min(0).default(LIFE_DEFAULTS.restart.maxAttempts),
  window: needed().default(LIFE_DEFAULTS.restart.windowMs),
})

const health = z
  .strictObject({
    http: path.optional().meta({ description: 'a path that answers 2xx' }),
    tcp: z.literal(true).optional().meta({ description: 'that it takes connections is enough' }),
    mcp: z.literal(true).optional().meta({ description: 'that it answers server/discover, or ping in a session' }),
    start_period: needed().default(LIFE_DEFAULTS.health.startPeriodMs),
    interval: needed(100, '100ms').default(LIFE_DEFAULTS.health.intervalMs),
    timeout: needed().default(LIFE_DEFAULTS.health.timeoutMs),
    retries: z.number().int().min(1).default(LIFE_DEFAULTS.health.retries),
  })
  .refine(value => [value.http, value.tcp, value.mcp].filter(one => one !== undefined).length <= 1, {
    error: 'expected only one of "http", "tcp" and "mcp"',
  })

/** Variables of a replica's environment, as text. */
export const variables = z.record(
  z.string().regex(VARIABLE, { error: 'expected the name of a variable' }),
  z.union([z.string(), z.number(), z.boolean()]).transform(String),
)

/** Keys of a server in `sluice.yaml` about where replicas come from and how they live. */
export const sourceKeys = {
  discover: discover.optional(),
  command: z
    .array(z.string())
    .min(1)
    .refine(([program]) => program !== '', { error: 'expected a program' })
    .optional()
    .meta({ description: 'program and arguments; never a secret, everybody can see them' }),
  transport: z.enum(['stdio', 'http']).default('stdio').meta({ description: 'how a command or an image speaks' }),
  port_env: z
    .string()
    .regex(VARIABLE, { error: 'expected the name of a variable' })
    .optional()
    .meta({ description: 'the variable that tells a command its port; needed for transport: http' }),
  path: path.default('/mcp').meta({ description: 'for transport: http, path of the endpoint' }),
  cwd: z.string().min(1).default('.').meta({ description: 'where a command runs' }),
  env: variables
    .default({})
    .meta({ description: 'variables for a command or an image; secrets belong to credentials' }),
  replicas,
  target_in_flight: z
    .number()
    .int()
    .min(1)
    .default(LIFE_DEFAULTS.targetInFlight)
    .meta({ description: 'requests in flight per replica beyond which another one is started' }),
  idle_timeout: duration()
    .default(LIFE_DEFAULTS.idleTimeoutMs)
    .meta({ description: 'stop what was not needed for so long; 0 = never' }),
  restart: restart.prefault({}),
  health: health.prefault({}),
  stop_grace: duration().default(LIFE_DEFAULTS.stopGraceMs),
} satisfies Record<string, z.ZodType>

const raw = z.strictObject({
  ...sourceKeys,
  url: z.string().optional(),
  urls: z.array(z.string()).optional(),
  image: z.string().optional(),
})
type RawServer = z.infer<typeof raw>

const SOURCES = ['url', 'urls', 'discover', 'command', 'image'] as const

/** What single keys cannot tell. @returns the key it is about (`''` = the server) and what is wrong */
export function sourceProblem(server: RawServer): readonly [key: string, text: string] | null {
  const given = SOURCES.filter(key => server[key] !== undefined)
  if (given.length === 0) return ['', 'give one of "url", "urls", "discover", "command" and "image"']
  if (given.length > 1) return ['', `give either ${given.map(key => `"${key}"`).join(' or ')}`]
  if (server.command === undefined || server.transport === 'stdio') return null
  return server.port_env === undefined
    ? ['transport', 'http needs "port_env", the variable that tells the command its port']
    : null
}

/** About replicas that Sluice runs. */
const OWN = [
  'replicas',
  'target_in_flight',
  'idle_timeout',
  'restart',
  'health',
  'stop_grace',
  'env',
  'transport',
] as const
const OF_COMMANDS = ['port_env', 'cwd'] as const

/** A key that says something about what there is not. @returns the key and what it needs */
export function strayKey(
  server: RawServer,
  isGiven: (key: string) => boolean,
): readonly [key: string, text: string] | null {
  const { command, image, transport } = server
  const own = command === undefined && image === undefined ? OWN.find(isGiven) : undefined
  if (own !== undefined) return [own, 'this is about replicas that Sluice runs: it needs "command" or "image"']
  const ofCommand = command === undefined ? OF_COMMANDS.find(isGiven) : undefined
  if (ofCommand !== undefined) return [ofCommand, 'this is about child processes: it needs "command"']
  if (transport === 'stdio' && isGiven('port_env')) return ['port_env', 'only with "transport: http"']
  return null
}

/** @param absolute makes the path of a file absolute */
export function resolveSource(server: RawServer, absolute: (path: string) => string): Source {
  if (server.command !== undefined) return processSource(server, server.command, absolute)
  if (server.image !== undefined) return { kind: 'image', image: server.image }
  if (server.discover !== undefined) return discoverySource(server.discover)
  return staticSource(server.urls ?? (server.url === undefined ? [] : [server.url]))
}

/** @param urls as `serverUrl` gives them */
export function staticSource(urls: readonly string[]): Source {
  return { kind: 'static', places: urls.map(staticPlace) }
}

function staticPlace(id: string): StaticPlace {
  if (!id.startsWith('unix:')) return { id, url: id, socketPath: '' }
  const { pathname, searchParams } = new URL(id)
  const target = new URL(searchParams.get('path') ?? '/mcp', 'http://localhost')
  return { id, url: target.href, socketPath: decodeURIComponent(pathname) }
}

function processSource(server: RawServer, command: readonly string[], absolute: (path: string) => string): Source {
  const { transport, port_env: portEnv = '', path: endpoint, env } = server
  return { kind: 'process', command, transport, portEnv, path: endpoint, cwd: absolute(server.cwd), env }
}

function discoverySource(value: NonNullable<RawServer['discover']>): Source {
  if ('dns' in value) {
    const { dns: name, port: number = 0, path: endpoint, type, interval: intervalMs, tls } = value
    return { kind: 'dns', name, port: number, path: endpoint, type, intervalMs, tls }
  }
  const { label = '', service = '', port: number, path: endpoint, network = '' } = value.docker
  return { kind: 'docker', label, service, port: number, path: endpoint, network }
}

export function resolveLife(server: RawServer): LifeSpec {
  const { replicas: count, restart: again } = server
  const { min = 0, max = Math.max(1, min) } = typeof count === 'number' ? { min: count, max: count } : count
  return Object.freeze({
    min,
    max,
    targetInFlight: server.target_in_flight,
    idleTimeoutMs: server.idle_timeout,
    restart: { delayMs: again.delay, maxAttempts: again.max_attempts, windowMs: again.window },
    health: resolveHealth(server.health),
    stopGraceMs: server.stop_grace,
  })
}

function resolveHealth(value: RawServer['health']): HealthSpec {
  const kind = value.http !== undefined ? 'http' : value.tcp ? 'tcp' : value.mcp ? 'mcp' : 'auto'
  return {
    kind,
    path: value.http ?? '',
    startPeriodMs: value.start_period,
    intervalMs: value.interval,
    timeoutMs: value.timeout,
    retries: value.retries,
  }
}
