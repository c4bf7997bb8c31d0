import type { LatencySummary } from './latencies.ts'
import type { Second, StepSummary } from './tally.ts'

/** What a run found, as JSON files hold it. Latencies in milliseconds, from when a request was due. */
export interface LoadResult {
  readonly version: 1
  readonly name: string
  /** Without query: it may hold a secret. */
  readonly target: string
  readonly era: 'modern' | 'legacy'
  readonly loop: 'open' | 'closed'
  readonly started_at: string
  /** Of the counted part. */
  readonly seconds: number
  readonly connections: number
  readonly sessions: number
  /** Asked for; `null` = closed loop. */
  readonly rate: number | null
  readonly requests: number
  readonly requests_per_second: number
  readonly failed: number
  readonly errors: Readonly<Record<string, number>>
  readonly bytes_sent: number
  readonly bytes_received: number
  readonly events: number
  readonly latency_ms: LatencySummary
  /** Pairs of percentile and milliseconds, for a curve. */
  readonly latency_curve: readonly (readonly [percentile: number, ms: number])[]
  readonly first_byte_ms: LatencySummary
  readonly steps: readonly StepSummary[]
  readonly timeline: readonly Second[]
  readonly idle_streams: { readonly asked: number; readonly open: number; readonly broken: number }
  /** What the generator itself did: above 0.9 of a core, or late by milliseconds, it measured itself. */
  readonly generator: { readonly cpu_share: number; readonly late_ms: LatencySummary }
  /** HDR histogram of the latencies in microseconds, compressed, base64. */
  readonly histogram: string
}

/** Above this share of a core the generator was the bottleneck. */
export const BUSY_SHARE = 0.9

/** What makes the figures of a run doubtful, one sentence each. */
export function doubtsAbout(result: LoadResult): string[] {
  const doubts: string[] = []
  const { cpu_share: share, late_ms: late } = result.generator
  // In an open loop it looks at the clock between requests: only being late tells.
  if (result.loop === 'closed' && share > BUSY_SHARE) {
    doubts.push(
      `the load generator used ${Math.round(share * 100)} % of a core: it, and not the target, may be the limit`,
    )
  }
  if (result.loop === 'open' && late.p99 > 5) {
    doubts.push(`requests were sent up to ${late.p99.toFixed(1)} ms late (p99): this machine was too busy for the rate`)
  }
  const short = result.rate !== null && result.requests_per_second < result.rate * 0.95
  if (short)
    doubts.push(
      `${Math.round(result.requests_per_second)} of ${result.rate} requests/s were done: the target did not keep up`,
    )
  if (result.failed > 0) doubts.push(`${result.failed} requests failed; their latencies are not among the figures`)
  if (result.idle_streams.broken > 0)
    doubts.push(`${result.idle_streams.broken} of ${result.idle_streams.asked} streams broke`)
  return doubts
}
