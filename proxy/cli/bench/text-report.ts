import type { LatencySummary } from '../../load/latencies.ts'
import { doubtsAbout, type LoadResult } from '../../load/load-result.ts'

/** What people read at the end of a run. */
export function textReport(result: LoadResult): string {
  const rate = result.rate === null ? 'closed loop' : `open loop, ${result.rate} requests/s asked for`
  const lines = [
    `${result.name}: ${result.target} (${result.era}, ${rate}, ${result.connections} connections)`,
    '',
    `  requests   ${result.requests} in ${result.seconds.toFixed(1)} s: ${result.requests_per_second.toFixed(1)}/s, ${result.failed} failed`,
    `  bytes      ${bytes(result.bytes_sent)} sent, ${bytes(result.bytes_received)} received`,
    ...(result.events > 0 ? [`  events     ${result.events}`] : []),
    ...idleStreams(result),
    '',
    `  ms         ${COLUMNS.map(({ title }) => title.padStart(10)).join('')}`,
    `  latency    ${row(result.latency_ms)}`,
    `  first byte ${row(result.first_byte_ms)}`,
    ...(result.steps.length > 1 ? stepLines(result) : []),
    ...errorLines(result),
    '',
    `  generator  ${Math.round(result.generator.cpu_share * 100)} % of a core`,
    ...doubtsAbout(result).map(doubt => `  ! ${doubt}`),
  ]
  return `${lines.join('\n')}\n`
}

const COLUMNS: readonly { title: string; of: (one: LatencySummary) => number }[] = [
  { title: 'p50', of: one => one.p50 },
  { title: 'p90', of: one => one.p90 },
  { title: 'p99', of: one => one.p99 },
  { title: 'p99.9', of: one => one.p999 },
  { title: 'max', of: one => one.max },
  { title: 'mean', of: one => one.mean },
]

function row(summary: LatencySummary): string {
  return COLUMNS.map(({ of }) => (summary.count === 0 ? '-' : ms(of(summary))).padStart(10)).join('')
}

function stepLines(result: LoadResult): string[] {
  const steps = result.steps.map(
    step =>
      `  ${step.name.slice(0, 10).padEnd(10)} ${row(step.latency_ms)}   ${step.requests} requests, ${step.errors} failed`,
  )
  return ['', ...steps]
}

function errorLines({ errors }: LoadResult): string[] {
  const kinds = Object.entries(errors).sort((a, b) => b[1] - a[1])
  return kinds.length === 0 ? [] : ['', ...kinds.map(([kind, count]) => `  failed     ${count} × ${kind}`)]
}

function idleStreams({ idle_streams: { asked, open, broken } }: LoadResult): string[] {
  return asked === 0 ? [] : [`  streams    ${open} of ${asked} open at the end, ${broken} broken`]
}

/** Three significant digits. */
export function ms(value: number): string {
  if (value >= 100) return value.toFixed(0)
  return value >= 10 ? value.toFixed(1) : value >= 1 ? value.toFixed(2) : value.toFixed(3)
}

export function bytes(count: number): string {
  const units = ['B', 'KB', 'MB', 'GB', 'TB']
  let value = count
  let unit = 0
  while (value >= 1000 && unit < units.length - 1) {
    value /= 1000
    unit++
  }
  return `${unit === 0 ? value : value.toFixed(1)} ${units[unit]}`
}
