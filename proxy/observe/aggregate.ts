import { type FamilySnapshot, type MetricsSnapshot, mergeSnapshots, renderSnapshot } from './exposition.ts'

/**
 * The metrics of all workers, kept by the primary process. The counts of a worker that ended stay in the sum: a counter
 * that falls looks like a restart to Prometheus, which then counts everything of the other workers again.
 */
export class Aggregate {
  readonly #living = new Map<string, MetricsSnapshot>()
  #retired: MetricsSnapshot = { worker: '', families: [] }

  /** Takes a worker's newest snapshot in place of the one before. */
  update(snapshot: MetricsSnapshot): void {
    this.#living.set(snapshot.worker, snapshot)
  }

  /** A worker ended: its counters and histograms stay as last seen, its gauges and process metrics go. */
  retire(worker: string): void {
    const last = this.#living.get(worker)
    if (last === undefined) return
    this.#living.delete(worker)
    const lasting = last.families.filter(outlives)
    this.#retired = mergeSnapshots([this.#retired, { worker: '', families: lasting }])
  }

  /** @param own snapshot of the primary process itself, if it has any */
  snapshot(own?: MetricsSnapshot): MetricsSnapshot {
    return mergeSnapshots([...(own === undefined ? [] : [own]), ...this.#living.values(), this.#retired])
  }

  render(own?: MetricsSnapshot): string {
    return renderSnapshot(this.snapshot(own))
  }
}

function outlives(family: FamilySnapshot): boolean {
  return family.type !== 'gauge' && family.merge !== 'each'
}
