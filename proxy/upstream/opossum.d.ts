/** The part of opossum 10 that is used here; the package has no types of its own. */
declare module 'opossum' {
  import type { EventEmitter } from 'node:events'

  interface Status {
    /** Adds one to a number of the newest bucket. */
    increment(property: 'fires' | 'successes' | 'failures', runTimeMs?: number): void
    readonly stats: { readonly fires: number; readonly failures: number }
  }

  interface Options {
    /** `false` = calls have no time limit here. */
    timeout: number | false
    resetTimeout: number
    /** Opens above it, not at it. */
    errorThresholdPercentage: number
    volumeThreshold: number
    rollingCountTimeout: number
    rollingCountBuckets: number
    rollingPercentilesEnabled: boolean
    enableSnapshots: boolean
    /** Emits `rotate` when a bucket is over; in place of a timer of each breaker's own. */
    rotateBucketController: EventEmitter
    name: string
    state?: { readonly closed: boolean; readonly halfOpen: boolean }
  }

  class CircuitBreaker<A extends unknown[], R> extends EventEmitter {
    constructor(action: (...args: A) => Promise<R>, options: Options)
    fire(...args: A): Promise<R>
    open(): void
    shutdown(): void
    readonly status: Status
  }

  export = CircuitBreaker
}
