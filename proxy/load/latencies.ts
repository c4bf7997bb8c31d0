import { build, encodeIntoCompressedBase64, type Histogram } from 'hdr-histogram-js'

/** Latencies in milliseconds; three significant digits. */
export interface LatencySummary {
  readonly count: number
  readonly min: number
  readonly mean: number
  readonly p50: number
  readonly p90: number
  readonly p99: number
  readonly p999: number
  readonly max: number
}

const CURVE = [
  0, 10, 20, 30, 40, 50, 60, 70, 80, 85, 90, 92.5, 95, 97.5, 98, 99, 99.5, 99.75, 99.9, 99.95, 99.99, 99.999,
]

/** An hour: what takes longer counts as that. */
const MAX_MICROS = 3_600_000_000

/** A histogram of latencies, in whole microseconds. */
export class Latencies {
  readonly #histogram: Histogram

  constructor() {
    this.#histogram = build({
      lowestDiscernibleValue: 1,
      highestTrackableValue: MAX_MICROS,
      numberOfSignificantValueDigits: 3,
    })
  }

  record(ms: number): void {
    this.#histogram.recordValue(Math.min(MAX_MICROS, Math.max(1, Math.round(ms * 1000))))
  }

  get count(): number {
    return this.#histogram.totalCount
  }

  /** Milliseconds within which this share of all ended; 0 when there were none. */
  at(percentile: number): number {
    // The upper end of a bucket may lie above the largest value in it.
    const value = this.#histogram.getValueAtPercentile(percentile)
    return this.count === 0 ? 0 : Math.min(value, this.#histogram.maxValue) / 1000
  }

  summary(): LatencySummary {
    const { count } = this
    if (count === 0) return { count, min: 0, mean: 0, p50: 0, p90: 0, p99: 0, p999: 0, max: 0 }
    return {
      count,
      min: this.#histogram.minNonZeroValue / 1000,
      mean: Math.round(this.#histogram.mean) / 1000,
      p50: this.at(50),
      p90: this.at(90),
      p99: this.at(99),
      p999: this.at(99.9),
      max: this.#histogram.maxValue / 1000,
    }
  }

  /** Points of the curve of percentiles, denser towards its end; those that one value in `count` cannot show are left out. */
  curve(): [percentile: number, ms: number][] {
    return CURVE.filter(share => share < 100 * (1 - 1 / Math.max(1, this.count))).map(share => [share, this.at(share)])
  }

  /** The HDR format that other tools read (compressed, base64). */
  encoded(): string {
    return encodeIntoCompressedBase64(this.#histogram)
  }

  reset(): void {
    this.#histogram.reset()
  }
}
