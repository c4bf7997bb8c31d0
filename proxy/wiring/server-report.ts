import type { ReplicaStatus, ServerStatus } from '../fleet/status.ts'
import type { ReplicaPool } from '../upstream/pool.ts'
import type { ReplicaReport } from '../upstream/pool-report.ts'

/** What the pools of one worker say: server -> its replicas. Plain data: it crosses process borders. */
export type PoolReports = Readonly<Record<string, readonly ReplicaReport[]>>

/** What these pools say now. */
export function poolReports(pools: readonly ReplicaPool[]): PoolReports {
  return Object.fromEntries(pools.map(pool => [pool.name, pool.list()]))
}

/** One replica for people, as JSON. Times are ISO 8601, `null` = not yet; sizes and seconds -1 = not known. */
export interface ReplicaView {
  readonly id: string
  readonly state: string
  /** A pid or a container id; `''` = none. */
  readonly handle: string
  readonly started_at: string | null
  readonly ready_at: string | null
  /** Since it became ready. */
  readonly uptime_seconds: number
  readonly outdated: boolean
  /** Of all workers; -1 = no worker knows it. */
  readonly in_flight: number
  /** `closed`, `half_open`, `open`: the worst that a worker sees; `''` = no worker knows it. */
  readonly breaker: string
  /** Whether some worker sends requests elsewhere, because calls failed. */
  readonly avoided: boolean
  /** Calls that failed in a row, the most that a worker counts. */
  readonly failures: number
  readonly failed_checks: number
  readonly problem: string
  readonly memory_bytes: number
  readonly cpu_seconds: number
}

/** One server for people, as JSON. */
export interface ServerView {
  readonly name: string
  readonly source: string
  readonly state: string
  readonly reason: string
  /** -1 = others decide. */
  readonly desired: number
  readonly min: number
  readonly max: number
  readonly in_flight: number
  readonly waiting: number
  readonly restarts: number
  readonly replicas: readonly ReplicaView[]
}

/** What the fleet knows of a server, with what the pools of all workers know of its replicas. */
export function viewOf(status: ServerStatus, workers: readonly PoolReports[], nowMs: number): ServerView {
  const { name, source, state, reason, desired, min, max, waiting, restarts } = status
  const seen = workers.map(pools => pools[name] ?? [])
  const replicas = status.replicas.map(replica => replicaView(replica, seen, nowMs))
  const known = replicas.filter(replica => replica.in_flight >= 0)
  const counted = known.reduce((sum, replica) => sum + replica.in_flight, 0)
  const in_flight = status.inFlight >= 0 && known.length === 0 ? status.inFlight : counted
  return {
    name,
    source,
    state,
    reason,
    desired,
    min,
    max,
    in_flight,
    waiting: Math.max(0, waiting),
    restarts,
    replicas,
  }
}

function replicaView(replica: ReplicaStatus, seen: readonly (readonly ReplicaReport[])[], nowMs: number): ReplicaView {
  const reports = seen.flatMap(pool => pool.filter(({ id }) => withoutQuery(id) === replica.id))
  const { id, state, handle, startedAt, readyAt, outdated, failedChecks, problem } = replica
  return {
    id,
    state,
    handle,
    started_at: isoOf(startedAt),
    ready_at: isoOf(readyAt),
    uptime_seconds: readyAt === 0 ? -1 : Math.max(0, Math.round((nowMs - readyAt) / 1000)),
    outdated,
    in_flight: reports.length === 0 ? -1 : reports.reduce((sum, { inFlight }) => sum + inFlight, 0),
    breaker: worst(reports),
    avoided: reports.some(({ avoided }) => avoided),
    failures: Math.max(0, ...reports.map(({ failures }) => failures)),
    failed_checks: failedChecks,
    problem,
    memory_bytes: replica.memoryBytes,
    cpu_seconds: replica.cpuSeconds,
  }
}

function worst(reports: readonly ReplicaReport[]): string {
  const order = ['open', 'half_open', 'closed'] as const
  return order.find(circuit => reports.some(report => report.circuit === circuit)) ?? ''
}

/** The id of a static replica is its URL, whose query may hold a key. */
function withoutQuery(id: string): string {
  return id.split('?', 1)[0] as string
}

function isoOf(epochMs: number): string | null {
  return epochMs === 0 ? null : new Date(epochMs).toISOString()
}
