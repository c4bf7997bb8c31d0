import CircuitBreaker from 'opossum'
import { BUCKETS, releaseWindow, useWindow } from './breaker-window.ts'
import type { BreakerSettings } from './settings.ts'

/** `closed` lets everything through, `open` nothing, `half_open` one call whose outcome decides. */
export type Circuit = 'closed' | 'open' | 'half_open'

/** What became of a call that was let through while half open; `unknown` = given up before there was an answer. */
export type ProbeOutcome = 'good' | 'bad' | 'unknown'

/** Told of a half-open breaker whose one call is still running. */
const RETRY_SOON_MS = 1_000

/**
 * The circuit breaker of one replica: opossum keeps window, thresholds, states and the reset timer. A call that went well
 * is one number more in opossum's window, without a promise; a failure and a probe go through `fire` (decision 15).
 */
export class Breaker {
  circuit: Circuit
  private readonly settings: BreakerSettings
  private readonly onChange: (circuit: Circuit | null) => void
  private opossum: CircuitBreaker<[Promise<void> | null], void>
  private probe: PromiseWithResolvers<void> | null
  /** For `failures`: how many failed since the last that did not. */
  private inRow: number
  private openedAt: number
  private closed: boolean

  /** @param onChange told of a new circuit; with `null` when the place of a probe is taken, or free again */
  constructor(settings: BreakerSettings, onChange: (circuit: Circuit | null) => void) {
    this.circuit = 'closed'
    this.settings = settings
    this.onChange = onChange
    this.probe = null
    this.inRow = 0
    this.openedAt = 0
    this.closed = false
    this.opossum = this.create(false)
  }

  /** A call went well. */
  succeeded(): void {
    if (this.settings.failures > 0) this.inRow = 0
    else if (this.circuit === 'closed') this.opossum.status.increment('fires')
  }

  /** A call failed; one that began before the circuit opened says nothing about the replica of now. */
  failed(): void {
    if (this.circuit !== 'closed' || this.closed) return
    if (this.settings.failures === 0) this.opossum.fire(null).catch(expected)
    else if (++this.inRow >= this.settings.failures) this.opossum.open()
  }

  /** Whether there is room for the one call of a half-open circuit. */
  get mayProbe(): boolean {
    return this.circuit === 'half_open' && this.probe === null && !this.closed
  }

  /** Takes that room; ask `mayProbe` before, and say with `endProbe` what became of the call. */
  beginProbe(): void {
    this.probe = Promise.withResolvers<void>()
    this.opossum.fire(this.probe.promise).catch(expected)
    this.onChange(null)
  }

  endProbe(outcome: ProbeOutcome): void {
    const { probe } = this
    if (probe === null) return
    this.probe = null
    if (outcome === 'good') probe.resolve()
    else if (outcome === 'bad') probe.reject(FAILURE)
    else this.freeProbe()
  }

  /** Milliseconds until another call may be let through. */
  retryAfterMs(now: number): number {
    if (this.circuit !== 'open') return RETRY_SOON_MS
    return Math.max(1, Math.ceil(this.openedAt + this.settings.resetTimeoutMs - now))
  }

  /** Lets everything through from now on, and stops its timers. */
  close(): void {
    if (this.closed) return
    this.closed = true
    this.opossum.shutdown()
    releaseWindow(this.settings.rollingWindowMs)
  }

  /** opossum waits for its one call for ever: where that was given up, another breaker takes over, half open. */
  private freeProbe(): void {
    if (this.closed) return
    this.opossum.shutdown()
    releaseWindow(this.settings.rollingWindowMs)
    this.opossum = this.create(true)
    this.onChange(null)
  }

  private create(halfOpen: boolean): CircuitBreaker<[Promise<void> | null], void> {
    const { settings } = this
    const made = new CircuitBreaker(outcomeOf, {
      timeout: false,
      resetTimeout: settings.resetTimeoutMs,
      errorThresholdPercentage: settings.errorThresholdPercentage,
      volumeThreshold: settings.volumeThreshold,
      rollingCountTimeout: settings.rollingWindowMs,
      rollingCountBuckets: BUCKETS,
      rollingPercentilesEnabled: false,
      enableSnapshots: false,
      rotateBucketController: useWindow(settings.rollingWindowMs),
      name: 'replica',
      ...(halfOpen && { state: { closed: false, halfOpen: true } }),
    })
    made.on('open', () => this.changed('open'))
    made.on('halfOpen', () => this.changed('half_open'))
    made.on('close', () => this.changed('closed'))
    return made
  }

  private changed(circuit: Circuit): void {
    this.circuit = circuit
    this.inRow = 0
    if (circuit === 'open') this.openedAt = performance.now()
    this.onChange(circuit)
  }
}

const FAILURE = new Error('the call failed')
FAILURE.stack = ''

/** opossum's action: a failure that has happened, or a call that is running. */
function outcomeOf(call: Promise<void> | null): Promise<void> {
  if (call === null) throw FAILURE
  return call
}

/** The promise of `fire` says again what is known here. */
function expected(): void {}
