import type { Clock } from '../api/index.ts'
import type { FoundServer } from './found-server.ts'
import type { ManagedServer } from './managed-server.ts'
import type { Replica, ReplicaState } from './replica.ts'
import type { ServerSpec } from './spec.ts'

/**
 * `idle`: none runs, none is needed. `waiting`: until the next try to start one. `starting`: none is ready yet. `updating`:
 * some replicas are of an older configuration. `failed`: too many failures. `stopped`: by the operator. `closed`: it goes.
 */
export type ServerState = 'idle' | 'waiting' | 'starting' | 'ready' | 'updating' | 'failed' | 'stopped' | 'closed'

/** One replica as people see it. Plain data; times in milliseconds since the epoch, 0 = not yet. */
export interface ReplicaStatus {
  readonly id: string
  /** A pid or a container id; `''` = none yet. */
  readonly handle: string
  readonly state: ReplicaState
  readonly startedAt: number
  readonly readyAt: number
  /** Whether a newer configuration waits to take its place. */
  readonly outdated: boolean
  readonly failedChecks: number
  /** What the last failed check said; `''` = all is well. */
  readonly problem: string
  /** -1 = not known. */
  readonly memoryBytes: number
  readonly cpuSeconds: number
  /** Processors in use, on the average of the last seconds; -1 = not known. */
  readonly cpuCores: number
}

/** One server as people see it. Plain data. */
export interface ServerStatus {
  readonly name: string
  readonly source: 'static' | 'dns' | 'docker' | 'process' | 'image'
  readonly state: ServerState
  /** Why it is not ready, or what went wrong last; `''` = nothing to say. */
  readonly reason: string
  /** How many replicas there should be now, and the bounds of that; -1 = others decide. */
  readonly desired: number
  readonly min: number
  readonly max: number
  readonly inFlight: number
  readonly waiting: number
  /** Replicas that were lost and replaced since the start. */
  readonly restarts: number
  readonly replicas: readonly ReplicaStatus[]
}

export function describeReplica(replica: Replica, outdated: boolean, clock: Clock): ReplicaStatus {
  const epochMs = (monotonic: number): number =>
    monotonic === 0 ? 0 : Math.round(clock.now() - clock.monotonic() + monotonic)
  return {
    id: replica.id,
    handle: replica.instance?.handle ?? '',
    state: replica.state,
    startedAt: epochMs(replica.startedAt),
    readyAt: epochMs(replica.readyAt),
    outdated,
    failedChecks: replica.failedChecks,
    problem: replica.problem,
    memoryBytes: replica.usage?.memoryBytes ?? -1,
    cpuSeconds: replica.usage?.cpuSeconds ?? -1,
    cpuCores: replica.cpuCores,
  }
}

export function describeManaged(spec: ServerSpec, server: ManagedServer): ServerStatus {
  const { name, state, reason, desired, inFlight, waiting, restarts } = server
  const { min, max } = server.life
  const replicas = server.describeReplicas()
  return { name, source: spec.source.kind, state, reason, desired, min, max, inFlight, waiting, restarts, replicas }
}

export function describeFound(spec: ServerSpec, { name, state, reason, places }: FoundServer): ServerStatus {
  const replicas = places.places.map(({ id }) => foreign(id))
  return { ...OTHERS_DECIDE, name, source: spec.source.kind, state, reason, replicas }
}

export function describeStatic({ name, source }: ServerSpec): ServerStatus {
  const replicas = source.kind === 'static' ? source.places.map(({ id }) => foreign(id)) : []
  return { ...OTHERS_DECIDE, name, source: source.kind, state: 'ready', reason: '', replicas }
}

const OTHERS_DECIDE = { desired: -1, min: -1, max: -1, inFlight: -1, waiting: -1, restarts: 0 } as const

/** A replica that somebody else runs: no more is known than where it is. A query may hold a key. */
function foreign(id: string): ReplicaStatus {
  const none = { handle: '', startedAt: 0, readyAt: 0, outdated: false, failedChecks: 0, problem: '' }
  return { ...none, id: id.split('?', 1)[0] as string, state: 'ready', memoryBytes: -1, cpuSeconds: -1, cpuCores: -1 }
}
