import { z } from 'zod'
import { byteSize } from '../../api/units.ts'
import type { ContainerSpec, CosignSpec, VolumeSpec } from '../../fleet/spec/container.ts'

const MIB = 1024 * 1024
/** Less than this the engine itself refuses. */
const LEAST_MEMORY = 6 * MIB

/** What a container gets where the configuration says nothing. */
export const CONTAINER_DEFAULTS = Object.freeze({
  pull: 'missing',
  cpus: 1,
  memoryBytes: 2048 * MIB,
  pids: 256,
  tmpBytes: 64 * MIB,
  readOnly: true,
} as const)

const IMAGE = /^[A-Za-z0-9][A-Za-z0-9._/:-]*(@sha256:[0-9a-f]{64})?$/
const NETWORK = /^[a-zA-Z0-9][a-zA-Z0-9_.-]*$/
const USER = /^[A-Za-z0-9_][A-Za-z0-9_.-]*(:[A-Za-z0-9_][A-Za-z0-9_.-]*)?$/
const VOLUME = /^([^:]+):(\/[^:]*)(?::(ro|rw))?$/
const VOLUME_NAME = /^[a-zA-Z0-9][a-zA-Z0-9_.-]+$/
const CAPABILITY = /^(?:CAP_)?([A-Z][A-Z_]+)$/

const memory = (least: number, text: string): z.ZodType<number> =>
  byteSize().refine(value => value >= least, { error: `expected at least ${text}` })

const volume = z
  .string()
  .regex(VOLUME, { error: 'expected SOURCE:/TARGET, SOURCE:/TARGET:ro or SOURCE:/TARGET:rw' })
  .refine(text => isHostPath(text) || VOLUME_NAME.test(text.slice(0, text.indexOf(':'))), {
    error: 'expected a host path that begins with / or ./, or the name of a volume',
  })

const inside = z.string().regex(/^\/[^:,]*$/, { error: 'expected a path inside of the container, such as /var/cache' })

const network = z
  .string()
  .regex(NETWORK, { error: 'expected none, internal, bridge, or the name of a network' })
  .refine(name => name !== 'host', { error: 'the network of the host would let the server reach everything on it' })

const capability = z
  .string()
  .regex(CAPABILITY, { error: 'expected a capability such as NET_BIND_SERVICE' })
  .refine(name => !/^(CAP_)?ALL$/.test(name), { error: 'all capabilities at once are not given: name those it needs' })
  .transform(name => name.replace(/^CAP_/, ''))

const verify = z.union(
  [
    z.literal('cosign'),
    z.strictObject({
      cosign: z
        .strictObject({
          key: z.string().min(1).optional(),
          certificate_identity: z.string().min(1).optional(),
          certificate_oidc_issuer: z.string().min(1).optional(),
        })
        .meta({ description: 'a public key, or whom the certificate of a keyless signature must name' }),
    }),
  ],
  { error: 'expected cosign, or { cosign: { key: FILE } }' },
)

/** Keys of a server in `sluice.yaml` about the containers of an image. */
export const containerKeys = {
  image: z
    .string()
    .regex(IMAGE, { error: 'expected an image such as mcp/kb:1.2 or mcp/kb@sha256:…' })
    .optional()
    .meta({ description: 'image of the containers that are its replicas' }),
  port: z
    .number()
    .int()
    .min(1)
    .max(65535)
    .optional()
    .meta({ description: 'where the server listens inside of its container; with it, it speaks HTTP' }),
  entrypoint: z.array(z.string()).min(1).optional().meta({ description: "instead of the image's own" }),
  args: z.array(z.string()).optional().meta({ description: 'arguments; never a secret' }),
  workdir: z.string().min(1).optional(),
  user: z
    .union([z.string(), z.number().int().min(0)])
    .transform(String)
    .pipe(z.string().regex(USER, { error: 'expected a user such as 1000, 1000:1000 or node' }))
    .optional(),
  cpus: z.number().gt(0).max(1024).optional().meta({ description: 'processors, fractions allowed' }),
  memory: memory(LEAST_MEMORY, '6MiB').optional(),
  memory_reservation: memory(LEAST_MEMORY, '6MiB').optional(),
  pids: z.number().int().min(1).max(4_194_304).optional().meta({ description: 'most processes and threads' }),
  network: network.optional(),
  volumes: z.array(volume).optional(),
  labels: z
    .record(
      z.string().refine(name => !name.startsWith('sluice.'), { error: 'labels that begin with "sluice." are ours' }),
      z.union([z.string(), z.number(), z.boolean()]).transform(String),
    )
    .optional(),
  tmpfs: z
    .record(inside, memory(4096, '4KiB'))
    .optional()
    .meta({ description: 'file systems in memory: path -> size' }),
  read_only: z.boolean().optional(),
  cap_add: z.array(capability).optional(),
  oom_score_adj: z.number().int().min(-1000).max(1000).optional(),
  init: z.boolean().optional(),
  pull: z.enum(['missing', 'always', 'never']).optional(),
  pin: z.boolean().optional().meta({ description: 'run it by the digest that was seen first' }),
  verify: verify.optional(),
} satisfies Record<string, z.ZodType>

const raw = z.strictObject({
  ...containerKeys,
  transport: z.enum(['stdio', 'http']),
  path: z.string(),
  env: z.record(z.string(), z.string()),
})
type RawContainer = z.infer<typeof raw>

/** What single keys cannot tell. @returns the key it is about and what is wrong */
export function containerProblem(server: RawContainer): readonly [key: string, text: string] | null {
  if (server.image === undefined) {
    const stray = (Object.keys(containerKeys) as (keyof typeof containerKeys)[]).find(key => server[key] !== undefined)
    return stray === undefined ? null : [stray, 'this is about containers: it needs "image"']
  }
  if (server.transport === 'http' && server.port === undefined) {
    return ['transport', 'http needs "port", where the server listens inside of its container']
  }
  if (server.network === 'none' && server.port !== undefined) return ['network', 'a server that speaks HTTP needs one']
  const limit = server.memory ?? CONTAINER_DEFAULTS.memoryBytes
  return (server.memory_reservation ?? 0) > limit ? ['memory_reservation', 'more than "memory"'] : null
}

/** `null` = the server has no containers of ours. @param absolute makes a host path absolute */
export function resolveContainer(server: RawContainer, absolute: (path: string) => string): ContainerSpec | null {
  if (server.image === undefined) return null
  return Object.freeze({
    image: server.image,
    pull: server.pull ?? CONTAINER_DEFAULTS.pull,
    pin: server.pin ?? false,
    verify: resolveVerify(server.verify),
    entrypoint: server.entrypoint ?? null,
    args: server.args ?? [],
    env: server.env,
    workdir: server.workdir ?? '',
    port: server.port ?? 0,
    path: server.path,
    user: server.user ?? '',
    cpus: server.cpus ?? CONTAINER_DEFAULTS.cpus,
    memoryBytes: server.memory ?? CONTAINER_DEFAULTS.memoryBytes,
    memoryReservationBytes: server.memory_reservation ?? 0,
    pids: server.pids ?? CONTAINER_DEFAULTS.pids,
    network: server.network ?? '',
    volumes: (server.volumes ?? []).map(text => resolveVolume(text, absolute)),
    labels: server.labels ?? {},
    tmpfs: { '/tmp': CONTAINER_DEFAULTS.tmpBytes, ...server.tmpfs },
    readOnly: server.read_only ?? CONTAINER_DEFAULTS.readOnly,
    capAdd: server.cap_add ?? [],
    oomScoreAdj: server.oom_score_adj ?? 0,
    init: server.init ?? false,
  })
}

function isHostPath(volumeText: string): boolean {
  return /^(\/|\.\.?\/)/.test(volumeText)
}

/** Without `rw` it is read-only. */
export function resolveVolume(text: string, absolute: (path: string) => string): VolumeSpec {
  const [, source = '', target = '', mode = 'ro'] = VOLUME.exec(text) ?? []
  const rest = { target, readOnly: mode === 'ro' }
  return isHostPath(text) ? { kind: 'host', source: absolute(source), ...rest } : { kind: 'named', source, ...rest }
}

function resolveVerify(value: RawContainer['verify']): CosignSpec | null {
  if (value === undefined) return null
  const {
    key = '',
    certificate_identity: identity = '',
    certificate_oidc_issuer: issuer = '',
  } = value === 'cosign' ? {} : value.cosign
  return { key, identity, issuer }
}
