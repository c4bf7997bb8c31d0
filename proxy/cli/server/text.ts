import type { ReplicaView, ServerView } from '../../wiring/server-report.ts'
import { printable } from '../audit-table.ts'
import { age, type Column, cpu, known, size, table } from './table.ts'

/** `2/3`: how many are ready, of how many there should be. */
function readyOf({ replicas, desired }: ServerView): string {
  const ready = replicas.filter(({ state }) => state === 'ready').length
  return `${ready}/${desired < 0 ? replicas.length : desired}`
}

/** `0-4`, or what there always are. */
function boundsOf({ min, max }: ServerView): string {
  if (max < 0) return ''
  return min === max ? String(max) : `${min}-${max}`
}

/** Processor time and memory of all replicas together; -1 = not known. */
function sum(replicas: readonly ReplicaView[], what: 'memory_bytes' | 'cpu_seconds'): number {
  const values = replicas.map(replica => replica[what]).filter(value => value >= 0)
  return values.length === 0 ? -1 : values.reduce((total, value) => total + value, 0)
}

const SERVERS: readonly Column<ServerView>[] = [
  { title: 'SERVER', of: server => server.name },
  { title: 'SOURCE', of: server => server.source },
  { title: 'STATE', of: server => server.state },
  { title: 'READY', isNumber: true, of: readyOf },
  { title: 'BOUNDS', isNumber: true, of: boundsOf },
  { title: 'IN FLIGHT', isNumber: true, of: server => known(server.in_flight) },
  { title: 'WAITING', isNumber: true, of: server => known(server.waiting) },
  { title: 'RESTARTS', isNumber: true, of: server => (server.max < 0 ? '' : String(server.restarts)) },
  { title: 'MEMORY', isNumber: true, of: server => size(sum(server.replicas, 'memory_bytes')) },
  { title: 'CPU', isNumber: true, of: server => cpu(sum(server.replicas, 'cpu_seconds')) },
  { title: 'WHY', of: reasonOf },
]

const REPLICAS: readonly Column<ReplicaView>[] = [
  { title: 'REPLICA', of: replica => replica.id },
  { title: 'STATE', of: replica => (replica.outdated ? `${replica.state} (outdated)` : replica.state) },
  { title: 'UP', isNumber: true, of: replica => age(replica.uptime_seconds) },
  { title: 'IN FLIGHT', isNumber: true, of: replica => known(replica.in_flight) },
  { title: 'BREAKER', of: breakerOf },
  { title: 'MEMORY', isNumber: true, of: replica => size(replica.memory_bytes) },
  { title: 'CPU', isNumber: true, of: replica => cpu(replica.cpu_seconds) },
  { title: 'RUNS AS', of: replica => shortHandle(replica.handle) },
  { title: 'PROBLEM', of: problemOf },
]

function breakerOf({ breaker, avoided }: ReplicaView): string {
  const text = breaker.replace('_', ' ')
  return avoided && breaker === 'closed' ? `${text} (avoided)` : text
}

function problemOf({ problem, failed_checks: checks, failures }: ReplicaView): string {
  if (problem !== '') return checks > 0 ? `${problem} (${checks} checks failed)` : problem
  return failures > 0 ? `${failures} calls failed in a row` : ''
}

/** A container id as engines show it. A bridge runs several processes. */
function shortHandle(handle: string): string {
  const parts = handle.split(' ').filter(part => part !== '')
  const short = parts.map(part => (/^[0-9a-f]{64}$/.test(part) ? part.slice(0, 12) : part))
  const shown = short.slice(0, 3).map(part => (/^\d+$/.test(part) ? `pid ${part}` : part))
  return shown.join(', ') + (parts.length > 3 ? ` and ${parts.length - 3} more` : '')
}

/** Without the server's name, which stands beside it. */
function reasonOf({ name, reason }: ServerView): string {
  return reason.startsWith(`${name}: `) ? reason.slice(name.length + 2) : reason
}

/** Table of servers. */
export function serversText(servers: readonly ServerView[]): string {
  return servers.length === 0 ? 'no servers\n' : table(SERVERS, servers)
}

/** One server: what it is about, and the table of its replicas. */
export function serverText(server: ServerView): string {
  const { name, source, state, replicas, in_flight, waiting, restarts, max } = server
  const bounds = boundsOf(server)
  const many = bounds === '' ? '' : `, ${readyOf(server)} ready (${bounds})`
  const life = max < 0 ? '' : `, restarts ${restarts}`
  const head = `${name}: ${state}, ${source}${many}, in flight ${known(in_flight)}, waiting ${waiting}${life}\n`
  const reason = reasonOf(server)
  const label = state === 'ready' || state === 'updating' ? 'last trouble' : 'why'
  const why = reason === '' ? '' : `  ${label}: ${printable(reason)}\n`
  return head + why + (replicas.length === 0 ? '  no replicas\n' : table(REPLICAS, replicas, '  '))
}
