import { OTHER } from './methods.ts'

/** Upper bounds of every histogram, in seconds: from 50 µs (a proxy's own work) to 5 minutes (long tools). */
export const BUCKETS: readonly number[] = [
  0.00005, 0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 120,
  300,
]

/** One number of a counter or gauge. */
export class Value {
  value = 0
}

/** One histogram. `counts[i]` is what fell between bound i-1 and bound i, not cumulative; the last is above all bounds. */
export class Histogram {
  readonly counts = new Float64Array(BUCKETS.length + 1)
  sum = 0

  /** Negative and unreadable durations (a clock's fault) count as 0. */
  observe(seconds: number): void {
    const value = seconds > 0 ? seconds : 0
    let index = 0
    while (index < BUCKETS.length && value > (BUCKETS[index] as number)) index++
    this.counts[index] = (this.counts[index] as number) + 1
    this.sum += value
  }
}

/** How the values of several workers become one: added up, the largest, or each with its `worker` label. */
export type Merge = 'sum' | 'max' | 'each'

export interface FamilySpec {
  readonly name: string
  readonly help: string
  readonly type: 'counter' | 'gauge' | 'histogram'
  readonly labels: readonly string[]
  readonly merge?: Merge
  /** Labels that become `other` in a new series once the family is full. Default: all. */
  readonly fold?: readonly string[]
}

/** All series of one metric. Hot code keeps what `get` gives; it never looks a series up by its labels twice. */
export class Family<T extends Value | Histogram> {
  readonly spec: FamilySpec
  readonly series = new Map<string, T>()
  readonly #make: () => T
  readonly #maxSeries: number

  constructor(spec: FamilySpec, make: () => T, maxSeries: number) {
    this.spec = spec
    this.#make = make
    this.#maxSeries = maxSeries
  }

  /** Whether one more series would have labels of its own. `share` = the part of the limit that may be used, 0 to 1. */
  hasRoom(share = 1): boolean {
    return this.series.size < this.#maxSeries * share
  }

  /** The series with these label values, in the order of the family's labels; a full family gives its `other`. */
  get(...values: readonly string[]): T {
    const text = labelText(this.spec.labels, values)
    const known = this.series.get(text)
    if (known !== undefined) return known
    if (this.hasRoom()) return this.#add(text)
    const fold = this.spec.fold ?? this.spec.labels
    const folded = values.map((value, index) => (fold.includes(this.spec.labels[index] as string) ? OTHER : value))
    const other = labelText(this.spec.labels, folded)
    return this.series.get(other) ?? this.#add(other)
  }

  #add(text: string): T {
    const made = this.#make()
    this.series.set(text, made)
    return made
  }
}

/** `server="demo",method="tools/call"`: escaped as the text format 0.0.4 asks (backslash, quote, line feed). */
export function labelText(names: readonly string[], values: readonly string[]): string {
  return names.map((name, index) => `${name}="${escapeLabel(values[index] ?? '')}"`).join(',')
}

function escapeLabel(value: string): string {
  const text = value.length > 128 ? value.slice(0, 128) : value
  return /[\\"\n]/.test(text) ? text.replace(/[\\"\n]/g, unit => (unit === '\n' ? '\\n' : `\\${unit}`)) : text
}
