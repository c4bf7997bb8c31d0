import { Latencies, type LatencySummary } from './latencies.ts'

/** How one request ended. */
export interface Ending {
  readonly step: number
  /** `''` = well; else what reports count it under: `connect`, `timeout`, `http 503`, `json-rpc -32602`, `tool error`. */
  readonly error: string
  /** From when it was due until its answer was complete, in milliseconds. */
  readonly latencyMs: number
  /** Until the first byte of the answer's body; of a stream, its first event. */
  readonly firstByteMs: number
  readonly bytesSent: number
  readonly bytesReceived: number
  /** Messages of a stream; 0 = the answer was plain JSON. */
  readonly events: number
}

/** One second of a run. */
export interface Second {
  readonly second: number
  readonly requests: number
  readonly errors: number
  readonly p50: number
  readonly p99: number
}

export interface StepSummary {
  readonly name: string
  readonly requests: number
  readonly errors: number
  readonly latency_ms: LatencySummary
}

/** More kinds of errors than these are counted as `other`. */
const MAX_KINDS = 50

/** Everything that is counted in a run. */
export class Tally {
  readonly latency = new Latencies()
  readonly firstByte = new Latencies()
  readonly timeline: Second[] = []
  readonly errors = new Map<string, number>()
  requests = 0
  failed = 0
  bytesSent = 0
  bytesReceived = 0
  events = 0
  readonly #steps: readonly { readonly name: string; readonly latency: Latencies; requests: number; errors: number }[]
  readonly #second = new Latencies()
  #secondRequests = 0
  #secondErrors = 0

  constructor(steps: readonly string[]) {
    this.#steps = steps.map(name => ({ name, latency: new Latencies(), requests: 0, errors: 0 }))
  }

  /** Latencies of failures are not among the others: a refusal is quick. */
  add(ending: Ending): void {
    const step = this.#steps[ending.step]
    this.requests++
    this.#secondRequests++
    this.bytesSent += ending.bytesSent
    this.bytesReceived += ending.bytesReceived
    this.events += ending.events
    if (step !== undefined) step.requests++
    if (ending.error !== '') {
      this.fail(ending.error)
      if (step !== undefined) step.errors++
      return
    }
    this.latency.record(ending.latencyMs)
    this.firstByte.record(ending.firstByteMs)
    this.#second.record(ending.latencyMs)
    step?.latency.record(ending.latencyMs)
  }

  /** Counts an error that belongs to no step. */
  fail(kind: string): void {
    const known = this.errors.has(kind) || this.errors.size < MAX_KINDS ? kind : 'other'
    this.errors.set(known, (this.errors.get(known) ?? 0) + 1)
    this.failed++
    this.#secondErrors++
  }

  /** Ends a second of the timeline. */
  tick(): Second {
    const second = {
      second: this.timeline.length + 1,
      requests: this.#secondRequests,
      errors: this.#secondErrors,
      p50: this.#second.at(50),
      p99: this.#second.at(99),
    }
    this.timeline.push(second)
    this.#second.reset()
    this.#secondRequests = 0
    this.#secondErrors = 0
    return second
  }

  steps(): StepSummary[] {
    return this.#steps.map(({ name, requests, errors, latency }) => ({
      name,
      requests,
      errors,
      latency_ms: latency.summary(),
    }))
  }
}
