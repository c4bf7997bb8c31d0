import { type Comparison, comparisonLine } from './comparison.ts'
import { FIGURES, type FigureName, median, type Sample, summary } from './figures.ts'

/** A program that took more of a core than this may have set the pace itself. */
const BOTTLENECK_SHARE = 0.9
/** Other programs that took more of a core than this disturb the figures: caches, clocks and kernel time are shared. */
const DISTURBED_SHARE = 0.2
const NAME_WIDTH = 24

/** Everything that a run has found, as `--json` writes it. */
export interface Findings {
  readonly version: 1
  readonly scenario: string
  readonly description: string
  readonly at: string
  readonly machine: string
  readonly generator: string
  readonly systems: readonly { readonly name: string; readonly what: string }[]
  readonly comparisons: readonly Comparison[]
  readonly doubts: readonly string[]
  readonly samples: readonly Sample[]
}

/** Those that anything is known of. */
export function shownFigures(samples: readonly Sample[]): FigureName[] {
  const always: readonly FigureName[] = ['cpu', 'rate', 'p50', 'p90', 'p99', 'p999', 'rss']
  const sometimes: Readonly<Partial<Record<FigureName, (value: number) => boolean>>> = {
    megabytes: value => value > 100,
    first: value => !Number.isNaN(value),
    failures: value => value > 0,
    growth: value => value > 32,
  }
  return (Object.keys(FIGURES) as FigureName[]).filter(
    name => always.includes(name) || samples.some(sample => sometimes[name]?.(sample.figures[name]) === true),
  )
}

/** One line a system: medians over all rounds, and how far the rounds' CPU lies apart. */
export function table({ systems, samples }: Findings): string {
  const shown = shownFigures(samples)
  const head = shown.flatMap(name => (name === 'cpu' ? [FIGURES[name].title, 'spread'] : [FIGURES[name].title]))
  const lines = systems.map(({ name }) => {
    const cells = shown.flatMap(figure => {
      const { median: middle, spread } = summary(samples, name, figure)
      const text = Number.isNaN(middle) ? '-' : middle.toFixed(FIGURES[figure].digits)
      return figure === 'cpu' ? [text, Number.isNaN(spread) ? '-' : `${Math.round(spread * 100)} %`] : [text]
    })
    return name.padEnd(NAME_WIDTH) + cells.map(cell => cell.padStart(11)).join('')
  })
  return ['median'.padEnd(NAME_WIDTH) + head.map(cell => cell.padStart(11)).join(''), ...lines].join('\n')
}

export function sampleLine(sample: Sample): string {
  const { system, round, figures, loadCpuShare, upstreamCpuShare } = sample
  const percent = (share: number): string => `${Math.round(share * 100)} %`
  const cpu = Number.isNaN(figures.cpu) ? '' : `${figures.cpu.toFixed(1)} us/req`
  const shares = `load ${percent(loadCpuShare)}, upstream ${percent(upstreamCpuShare)} of a core`
  return `round ${round + 1}  ${system.padEnd(NAME_WIDTH)}${cpu.padStart(14)}${figures.rate.toFixed(0).padStart(8)} req/s  p50 ${figures.p50.toFixed(3)} ms  (${shares})`
}

/** What makes the figures doubtful, in words. */
export function doubts(samples: readonly Sample[]): string[] {
  const found = new Set<string>()
  for (const name of new Set(samples.map(({ system }) => system))) {
    const own = samples.filter(({ system }) => system === name)
    const check = (shares: readonly number[], what: string): void => {
      const share = median(shares)
      if (share > BOTTLENECK_SHARE)
        found.add(
          `${name}: ${what} used ${Math.round(share * 100)} % of a core and may be the bottleneck: read CPU, not req/s`,
        )
    }
    check(
      own.map(one => (one.isPaced === true ? 0 : one.loadCpuShare)),
      'the load generator',
    )
    check(
      own.map(one => one.upstreamCpuShare),
      'the upstream',
    )
  }
  const other = samples.map(sample => sample.otherCpuShare)
  if (Math.max(...other) > DISTURBED_SHARE) {
    const text = `${median(other).toFixed(1)} cores on the median, ${Math.max(...other).toFixed(1)} at most`
    found.add(`other programs were at work (${text}): read the best rounds, or repeat on a quiet machine`)
  }
  return [...found]
}

export function textReport(findings: Findings): string {
  const notes = findings.doubts.map(doubt => `note: ${doubt}`)
  return [table(findings), '', ...notes, ...findings.comparisons.map(comparisonLine)].join('\n')
}
