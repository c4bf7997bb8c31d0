import type { Clock } from '../api/index.ts'
import type { Replica, ReplicaState } from './replica.ts'

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
  }
}
