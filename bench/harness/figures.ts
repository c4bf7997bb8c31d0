/** What is known of one system under load, for one round. `NaN` = not measured. */
export interface Sample {
  readonly system: string
  readonly round: number
  readonly requests: number
  readonly failed: number
  readonly errors: Readonly<Record<string, number>>
  readonly figures: Readonly<Record<FigureName, number>>
  /** Shares of one core, 0 to 1. */
  readonly loadCpuShare: number
  /** Whether the load generator waited for times that requests were due at, which takes a core in any case. */
  readonly isPaced?: boolean
  readonly upstreamCpuShare: number
  /** What programs that are no part of the benchmark used, in cores. */
  readonly otherCpuShare: number
}

export interface Figure {
  readonly title: string
  readonly unit: string
  readonly digits: number
  readonly better: 'less' | 'more'
}

export type FigureName =
  | 'cpu'
  | 'rate'
  | 'megabytes'
  | 'p50'
  | 'p90'
  | 'p99'
  | 'p999'
  | 'first'
  | 'rss'
  | 'growth'
  | 'share'
  | 'failures'
  | 'drift'
  | 'leaked'

/** CPU is user and system time of all processes of the system under test. */
export const FIGURES: Readonly<Record<FigureName, Figure>> = {
  cpu: { title: 'CPU us/req', unit: 'us CPU a request', digits: 1, better: 'less' },
  rate: { title: 'req/s', unit: 'requests/s', digits: 0, better: 'more' },
  megabytes: { title: 'MB/s', unit: 'MB/s', digits: 1, better: 'more' },
  p50: { title: 'p50 ms', unit: 'ms', digits: 3, better: 'less' },
  p90: { title: 'p90', unit: 'ms', digits: 2, better: 'less' },
  p99: { title: 'p99', unit: 'ms', digits: 2, better: 'less' },
  p999: { title: 'p99.9', unit: 'ms', digits: 2, better: 'less' },
  first: { title: 'first ms', unit: 'ms', digits: 3, better: 'less' },
  rss: { title: 'RSS MB', unit: 'MB', digits: 1, better: 'less' },
  growth: { title: 'RSS +MB', unit: 'MB', digits: 1, better: 'less' },
  share: { title: 'CPU %', unit: '% of a core', digits: 1, better: 'less' },
  failures: { title: 'failed %', unit: '% of the requests', digits: 2, better: 'less' },
  drift: {
    title: 'drift %',
    unit: '% more memory at most in the last sixth of the time than in the second',
    digits: 1,
    better: 'less',
  },
  leaked: { title: 'leaked', unit: 'open sockets more than before', digits: 0, better: 'less' },
}

export function median(values: readonly number[]): number {
  const sorted = values.toSorted((a, b) => a - b)
  const middle = sorted.length >> 1
  const upper = sorted[middle] ?? Number.NaN
  return sorted.length % 2 === 1 ? upper : (upper + (sorted[middle - 1] ?? Number.NaN)) / 2
}

/** Of any number of values: a day has more of them than a call may have arguments. `NaN` of none. */
export function most(values: readonly number[]): number {
  return values.reduce((a, b) => Math.max(a, b), values[0] ?? Number.NaN)
}

/**
 * How much more memory there was at most in the last sixth of the time than in the second; percent. At most, because between
 * two collections, which may lie minutes apart, it goes up and down by a quarter.
 */
export function drift(bytes: readonly number[]): number {
  const part = Math.max(1, Math.floor(bytes.length / 6))
  return (most(bytes.slice(-part)) / most(bytes.slice(part, part * 2)) - 1) * 100
}

/** A figure over all rounds. */
export interface Summary {
  readonly median: number
  readonly best: number
  /** From the least to the largest, as a share of the median. */
  readonly spread: number
  readonly rounds: readonly number[]
}

export function summary(samples: readonly Sample[], system: string, figure: FigureName): Summary {
  const rounds = samples.filter(one => one.system === system).map(one => one.figures[figure])
  const [least, most] = [Math.min(...rounds), Math.max(...rounds)]
  const middle = median(rounds)
  const best = FIGURES[figure].better === 'less' ? least : most
  return { median: middle, best, spread: (most - least) / middle, rounds }
}
