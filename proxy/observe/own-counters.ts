import type { Counted } from './channels.ts'
import { type FamilySnapshot, snapshotFamily } from './exposition.ts'
import { Family, Value } from './series.ts'

/** Counters that interceptors may bring; further ones are not counted. */
const MAX_COUNTERS = 200

/** The counters that interceptors made themselves. The first one with a name settles its help and labels. */
export class OwnCounters {
  readonly #families = new Map<string, Family<Value>>()
  readonly #maxSeries: number

  constructor(maxSeries: number) {
    this.#maxSeries = maxSeries
  }

  count({ name, help, labels, by, values }: Counted): void {
    const family = this.#families.get(name) ?? this.#add(name, help, labels)
    if (family === null || family.spec.labels.length !== values.length || !(by >= 0)) return
    family.get(...values).value += by
  }

  snapshot(): FamilySnapshot[] {
    return [...this.#families.values()].map(snapshotFamily)
  }

  #add(name: string, help: string, labels: readonly string[]): Family<Value> | null {
    if (this.#families.size >= MAX_COUNTERS) return null
    const family = new Family({ name, help, type: 'counter', merge: 'sum', labels }, () => new Value(), this.#maxSeries)
    this.#families.set(name, family)
    return family
  }
}
