import type { SluiceError } from '../api/index.ts'
import { channels } from '../observe/channels.ts'
import type { Circuit } from './breaker.ts'
import { count } from './counts.ts'
import type { HttpCall } from './http-call.ts'
import type { Replica, ReplicaState } from './replica.ts'

/** One replica, as the admin endpoint shows it. */
export interface ReplicaReport {
  readonly id: string
  readonly state: ReplicaState
  readonly circuit: Circuit
  /** Whether requests go elsewhere, for a while, because calls failed. */
  readonly avoided: boolean
  readonly inFlight: number
  /** In a row. */
  readonly failures: number
}

export function describeReplica(replica: Replica, now: number): ReplicaReport {
  const { id, state, circuit, inFlight, failures } = replica
  return { id, state, circuit, avoided: replica.avoided(now), inFlight, failures }
}

/** How many replicas there are of each state. One whose circuit is not closed counts as that, ready or not. */
export interface StateCounts {
  readonly server: string
  readonly ready: number
  readonly draining: number
  readonly open: number
  readonly half_open: number
  readonly waiting: number
}

export function countStates(server: string, replicas: Iterable<Replica>, waiting: number): StateCounts {
  const counts = { server, ready: 0, draining: 0, open: 0, half_open: 0, waiting }
  for (const { circuit, state } of replicas) {
    if (circuit !== 'closed') counts[circuit]++
    else if (state !== 'removed') counts[state]++
  }
  return counts
}

/** Tells the log of a circuit that opened or closed. */
export function reportCircuit(server: string, replica: string, circuit: Circuit): void {
  if (circuit === 'open') count(server, 'circuit_open')
  if (!channels.notice.hasSubscribers) return
  const level = circuit === 'open' ? 'warn' : 'info'
  channels.notice.publish({ level, text: `circuit ${circuit.replace('_', ' ')}`, fields: { server, replica } })
}

/** Tells the log of a call that failed, with the cause that the client does not learn. */
export function reportFailure(server: string, call: HttpCall, error: SluiceError, cause: unknown): void {
  if (!channels.notice.hasSubscribers) return
  const own = error.code === 'internal'
  const detail = own && cause instanceof Error ? cause.stack : String(cause)
  const fields = { server, replica: call.replica?.id ?? '', code: error.code, tries: call.tries, error: detail }
  channels.notice.publish({ level: own ? 'error' : 'warn', text: 'upstream failed', fields })
}
