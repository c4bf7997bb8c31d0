import { createHash } from 'node:crypto'
import type { ContainerCreateOptions } from 'dockerode'
import type { ContainerSpec } from '../spec/container.ts'
import type { ReadyImage } from './images.ts'
import type { Mount } from './volumes.ts'

/** Who a server runs as where nobody says: `nobody`, in any image. */
export const DEFAULT_USER = '65534:65534'

const NANO = 1_000_000_000
const LOG_OPTIONS = { 'max-size': '10m', 'max-file': '2' }

/** What a container is made of, besides its specification. */
export interface ContainerParts {
  /** Container name. */
  readonly name: string
  readonly image: ReadyImage
  readonly labels: Readonly<Record<string, string>>
  readonly mounts: readonly Mount[]
  /** Variables that tell where files with secrets are; the specification goes before. */
  readonly fileEnv: Readonly<Record<string, string>>
  /** Variables with secrets; everybody who may ask the engine can see them. */
  readonly secretEnv: Readonly<Record<string, string>>
  /** As the engine knows it. */
  readonly network: string
  /** Whether its port is published on 127.0.0.1. */
  readonly isPublished: boolean
}

/** The user of a container: the configured one, the image's own where that cannot be root, else nobody. */
export function userOf(spec: Pick<ContainerSpec, 'user'>, image: Pick<ReadyImage, 'user'>): string {
  if (spec.user !== '') return spec.user
  return /^[1-9]\d*(:\d+)?$/.test(image.user) ? image.user : DEFAULT_USER
}

/**
 * Options for `POST /containers/create`. The safe choice wherever the specification does not say otherwise: no new
 * privileges, no capabilities, a read-only root, limits for processes, processors and memory without swap.
 */
export function createOptions(spec: ContainerSpec, parts: ContainerParts): ContainerCreateOptions {
  const isStdio = spec.port === 0
  const user = userOf(spec, parts.image)
  return {
    name: parts.name,
    Image: parts.image.reference,
    ...(spec.entrypoint !== null && { Entrypoint: [...spec.entrypoint] }),
    ...(spec.args.length > 0 && { Cmd: [...spec.args] }),
    ...(spec.workdir !== '' && { WorkingDir: spec.workdir }),
    User: user,
    Env: environment(spec, parts, user),
    Labels: { ...spec.labels, ...parts.labels },
    Tty: false,
    OpenStdin: isStdio,
    StdinOnce: isStdio,
    AttachStdin: isStdio,
    AttachStdout: true,
    AttachStderr: true,
    ...(!isStdio && { ExposedPorts: { [`${spec.port}/tcp`]: {} } }),
    HostConfig: hostConfig(spec, parts),
  }
}

function hostConfig(spec: ContainerSpec, parts: ContainerParts): NonNullable<ContainerCreateOptions['HostConfig']> {
  const isStdio = spec.port === 0
  return {
    NetworkMode: parts.network,
    ...(parts.isPublished && { PortBindings: { [`${spec.port}/tcp`]: [{ HostIp: '127.0.0.1', HostPort: '' }] } }),
    SecurityOpt: ['no-new-privileges:true'],
    CapDrop: ['ALL'],
    CapAdd: [...spec.capAdd],
    Privileged: false,
    ReadonlyRootfs: spec.readOnly,
    Tmpfs: Object.fromEntries(Object.entries(spec.tmpfs).map(([path, bytes]) => [path, tmpfsOptions(bytes)])),
    Mounts: parts.mounts as never,
    PidsLimit: spec.pids,
    NanoCpus: Math.round(spec.cpus * NANO),
    Memory: spec.memoryBytes,
    // As much as memory alone: no swap, so that the limit is one.
    MemorySwap: spec.memoryBytes,
    ...(spec.memoryReservationBytes > 0 && { MemoryReservation: spec.memoryReservationBytes }),
    OomScoreAdj: spec.oomScoreAdj,
    Init: spec.init,
    AutoRemove: false,
    RestartPolicy: { Name: 'no' },
    // What goes over stdio is messages: they do not belong on the engine's disk.
    LogConfig: isStdio ? { Type: 'none', Config: {} } : { Type: 'json-file', Config: LOG_OPTIONS },
  }
}

function tmpfsOptions(bytes: number): string {
  return `rw,noexec,nosuid,nodev,mode=1777,size=${bytes}`
}

function environment(spec: ContainerSpec, parts: ContainerParts, user: string): string[] {
  const own: Record<string, string> = { ...parts.fileEnv, ...spec.env, ...parts.secretEnv }
  // Nobody's home is a folder that is not there; programs want one they can write to.
  const isHomeless = user === DEFAULT_USER && own.HOME === undefined && !parts.image.variables.has('HOME')
  if (isHomeless && spec.tmpfs['/tmp'] !== undefined) own.HOME = '/tmp'
  return Object.entries(own).map(([name, value]) => `${name}=${value}`)
}

/** A digest over all that makes a container what it is; of secrets only how they are called. */
export function fingerprintOf(spec: ContainerSpec, secretNames: readonly string[]): string {
  const text = JSON.stringify([spec, [...secretNames].sort()], sortedKeys)
  return createHash('sha256').update(text).digest('hex').slice(0, 32)
}

function sortedKeys(_: string, value: unknown): unknown {
  if (typeof value !== 'object' || value === null || Array.isArray(value)) return value
  return Object.fromEntries(Object.entries(value).sort(([a], [b]) => (a < b ? -1 : 1)))
}
