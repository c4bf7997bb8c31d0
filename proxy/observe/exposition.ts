import { BUCKETS, type Family, type FamilySpec, Histogram, labelText, type Merge, type Value } from './series.ts'

/** One series of a snapshot: its labels as text, and a number or a histogram. */
export interface SeriesSnapshot {
  readonly labels: string
  /** Of a counter or gauge; for a histogram the sum of what was observed. */
  readonly value: number
  /** Of a histogram: not cumulative, by bound, the last one above all bounds. Else `null`. */
  readonly counts: readonly number[] | null
}

export interface FamilySnapshot {
  readonly name: string
  readonly help: string
  readonly type: FamilySpec['type']
  readonly merge: Merge
  readonly series: readonly SeriesSnapshot[]
}

/** All metrics of one process at one moment: plain data, so that it can be sent between processes, as JSON too. */
export interface MetricsSnapshot {
  /** Which worker it came from; `''` once merged. */
  readonly worker: string
  readonly families: readonly FamilySnapshot[]
}

/** A family's present numbers. */
export function snapshotFamily(family: Family<Value | Histogram>): FamilySnapshot {
  const { name, help, type, merge = 'sum' } = family.spec
  const series: SeriesSnapshot[] = []
  for (const [labels, entry] of family.series) {
    if (entry instanceof Histogram) series.push({ labels, value: entry.sum, counts: [...entry.counts] })
    else series.push({ labels, value: entry.value, counts: null })
  }
  return { name, help, type, merge, series }
}

/**
 * One snapshot out of those of several workers. Counters, histograms and gauges are added up; what is the same in all
 * workers (policy generation, active servers) takes the largest; process metrics stay apart by a `worker` label.
 */
export function mergeSnapshots(snapshots: readonly MetricsSnapshot[]): MetricsSnapshot {
  const families = new Map<string, { family: FamilySnapshot; series: Map<string, SeriesSnapshot> }>()
  for (const snapshot of snapshots) {
    for (const family of snapshot.families) {
      let target = families.get(family.name)
      if (target === undefined) {
        target = { family, series: new Map() }
        families.set(family.name, target)
      }
      for (const one of family.series) addSeries(target.series, one, family.merge, snapshot.worker)
    }
  }
  const merged = [...families.values()].map(({ family, series }) => ({ ...family, series: [...series.values()] }))
  return { worker: '', families: merged }
}

function addSeries(target: Map<string, SeriesSnapshot>, one: SeriesSnapshot, merge: Merge, worker: string): void {
  const labels = merge === 'each' ? withWorker(one.labels, worker) : one.labels
  const known = target.get(labels)
  target.set(labels, known === undefined ? { ...one, labels } : combine(known, one, merge))
}

function withWorker(labels: string, worker: string): string {
  if (worker === '') return labels
  const own = labelText(['worker'], [worker])
  return labels === '' ? own : `${labels},${own}`
}

function combine(a: SeriesSnapshot, b: SeriesSnapshot, merge: Merge): SeriesSnapshot {
  const value = merge === 'sum' ? a.value + b.value : Math.max(a.value, b.value)
  if (a.counts === null || b.counts === null) return { labels: a.labels, value, counts: a.counts ?? b.counts }
  const other = b.counts
  return { labels: a.labels, value, counts: a.counts.map((count, index) => count + (other[index] ?? 0)) }
}

/** Prometheus text format 0.0.4. */
export function renderSnapshot(snapshot: MetricsSnapshot): string {
  const parts: string[] = []
  for (const family of snapshot.families) {
    if (family.series.length === 0) continue
    parts.push(`# HELP ${family.name} ${escapeHelp(family.help)}\n# TYPE ${family.name} ${family.type}\n`)
    for (const one of family.series) {
      const labels = family.merge === 'each' ? withWorker(one.labels, snapshot.worker) : one.labels
      parts.push(one.counts === null ? numberLine(family.name, labels, one.value) : histogramLines(family, one, labels))
    }
  }
  return parts.join('')
}

const LE = [...BUCKETS.map(plainDecimal), '+Inf']

function histogramLines(family: FamilySnapshot, one: SeriesSnapshot, labels: string): string {
  const prefix = labels === '' ? '' : `${labels},`
  let lines = ''
  let total = 0
  const counts = one.counts ?? []
  for (let index = 0; index < LE.length; index++) {
    total += counts[index] ?? 0
    lines += `${family.name}_bucket{${prefix}le="${LE[index]}"} ${total}\n`
  }
  return `${lines}${numberLine(`${family.name}_sum`, labels, one.value)}${numberLine(`${family.name}_count`, labels, total)}`
}

function numberLine(name: string, labels: string, value: number): string {
  return `${name}${labels === '' ? '' : `{${labels}}`} ${formatNumber(value)}\n`
}

function formatNumber(value: number): string {
  if (Number.isFinite(value)) return String(value)
  return Number.isNaN(value) ? 'NaN' : value > 0 ? '+Inf' : '-Inf'
}

/** `5e-5` as `0.00005`: both are legal, but people search for the one that is written in rules. */
function plainDecimal(bound: number): string {
  return bound < 0.001 ? bound.toFixed(5).replace(/0+$/, '') : String(bound)
}

function escapeHelp(text: string): string {
  return text.replaceAll('\\', '\\\\').replaceAll('\n', '\\n')
}
