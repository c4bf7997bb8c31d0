import type { Clock } from '../api/index.ts'
import type { ReplicaPlace } from '../upstream/replica-table.ts'
import { type Instance, LaunchError, type Launcher, type Usage } from './launcher.ts'
import type { HealthSpec } from './spec.ts'

/** Asks one instance whether it is well. */
export interface Checker {
  /** Resolves to what is wrong, one sentence, `''` = nothing. Never rejects, never takes longer than the limit. */
  check(timeoutMs: number): Promise<string>
  /** Ends what it holds, such as a session. Never rejects. */
  close(): Promise<void>
}

/**
 * `starting`: its launcher works on it. `warming`: it runs, no check has succeeded yet. `ready`. `draining`: it ends what
 * it has begun. `stopping`: nobody is sent to it any more. `gone`.
 */
export type ReplicaState = 'starting' | 'warming' | 'ready' | 'draining' | 'stopping' | 'gone'

/** What a replica needs of its server. */
export interface ReplicaHost {
  readonly clock: Clock
  checker(instance: Instance): Checker
  health(): HealthSpec
  stopGraceMs(): number
  /** Something happened: it may be ready, its next check may be due at another time. */
  changed(): void
  /** It ended although nobody asked it to, or is not fit to serve. Called at most once. */
  failed(replica: Replica, reason: string, isPermanent: boolean): void
}

/** The longest a launch may take: images may have to be fetched first. */
const LAUNCH_LIMIT_MS = 15 * 60_000
/** Checks while it warms up: the first ones follow quickly. */
const FIRST_CHECK_MS = 50
const MAX_WARM_CHECK_MS = 1_000
/** Pause between checks of a replica that somebody could not reach. */
const SUSPECT_CHECK_MS = 1_000
/** What a stop may take beyond its grace. */
const STOP_LIMIT_MS = 10_000
const NEVER = Number.POSITIVE_INFINITY

/** One replica from its launch to its end. Time comes from the clock, `tick` says that some has passed. */
export class Replica {
  readonly id: string
  /** The configuration it was started with: another number = it is out of date. */
  readonly generation: number
  readonly startedAt: number
  /** When it became ready; 0 = not yet. */
  readyAt = 0
  /** Whether it has served long enough to show that its server can run. */
  isStable = false
  /** Whether its server has taken note that it is ready. */
  isAnnounced = false
  state: ReplicaState = 'starting'
  instance: Instance | null = null
  /** What the last failed check said; `''` = it was good. */
  problem = ''
  failedChecks = 0
  usage: Usage | null = null
  /** Processors in use between the last two measurements; -1 = not known. */
  cpuCores = -1
  #measuredAt = 0
  /** Workers that have nothing left to do on it. */
  readonly drainedBy = new Set<string>()
  readonly #host: ReplicaHost
  readonly #abort = new AbortController()
  #checker: Checker | null = null
  #isChecking = false
  #isSuspect = false
  #warmChecks = 0
  #checkAt = NEVER
  /** When patience ends: with the launch, the warming up, or the draining. */
  #deadlineAt: number
  readonly #launching: Promise<void>
  readonly #gone = Promise.withResolvers<void>()

  constructor(id: string, generation: number, launcher: Launcher, host: ReplicaHost) {
    this.id = id
    this.generation = generation
    this.#host = host
    this.startedAt = host.clock.monotonic()
    this.#deadlineAt = this.startedAt + LAUNCH_LIMIT_MS
    this.#launching = this.#launch(launcher)
  }

  /** Whether it serves or will. */
  get isLive(): boolean {
    return this.state === 'starting' || this.state === 'warming' || this.state === 'ready'
  }

  /** Resolves when it is gone. */
  get gone(): Promise<void> {
    return this.#gone.promise
  }

  /** As workers see it; `null` = not at all. */
  get place(): ReplicaPlace | null {
    if (this.instance === null || (this.state !== 'ready' && this.state !== 'draining')) return null
    return { id: this.id, url: this.instance.url, socketPath: this.instance.socketPath, state: this.state }
  }

  get dueAt(): number {
    return Math.min(this.#isChecking ? NEVER : this.#checkAt, this.#deadlineAt)
  }

  tick(now: number): void {
    if (now >= this.#deadlineAt) this.#expire()
    else if (now >= this.#checkAt && !this.#isChecking) void this.#check()
  }

  /** Somebody could not reach it. */
  suspect(): void {
    if (this.state !== 'ready' || this.#isSuspect) return
    this.#isSuspect = true
    this.#checkAt = this.#host.clock.monotonic()
  }

  /** Takes no new work; what it has begun may end within `limitMs`. */
  drain(limitMs: number): void {
    if (this.state !== 'ready') {
      if (this.isLive) void this.stop()
      return
    }
    this.state = 'draining'
    this.#checkAt = NEVER
    this.#deadlineAt = this.#host.clock.monotonic() + limitMs
  }

  /** Ends it now. Resolves when it is gone. */
  stop(): Promise<void> {
    if (this.state !== 'stopping' && this.state !== 'gone') {
      this.state = 'stopping'
      this.#checkAt = NEVER
      this.#deadlineAt = NEVER
      this.#abort.abort()
      void this.#end()
    }
    return this.gone
  }

  /** Asks the instance what it uses. */
  async measure(): Promise<void> {
    const usage = (await this.instance?.usage().catch(() => null)) ?? null
    const now = this.#host.clock.monotonic()
    const seconds = (now - this.#measuredAt) / 1000
    const before = this.usage
    const isKnown = usage !== null && before !== null && seconds > 0
    this.cpuCores = isKnown ? Math.max(0, usage.cpuSeconds - before.cpuSeconds) / seconds : -1
    this.usage = usage
    this.#measuredAt = now
  }

  async #launch(launcher: Launcher): Promise<void> {
    try {
      const instance = await launcher.launch(this.id, this.#abort.signal)
      this.#launched(instance)
    } catch (error) {
      const isPermanent = error instanceof LaunchError && error.permanent
      this.#fail(text(error), isPermanent)
    }
  }

  #launched(instance: Instance): void {
    this.instance = instance
    void instance.ended.then(({ reason }) => this.#ended(reason))
    // It was given up meanwhile: then its end waits for it, or could not wait any longer.
    if (this.state === 'gone') void instance.stop(0).catch(() => {})
    if (this.state !== 'starting') return
    const now = this.#host.clock.monotonic()
    this.state = 'warming'
    this.#checker = this.#host.checker(instance)
    this.#checkAt = now
    this.#deadlineAt = now + this.#host.health().startPeriodMs
    this.#host.changed()
  }

  async #check(): Promise<void> {
    const checker = this.#checker
    if (checker === null) return
    this.#isChecking = true
    const problem = await checker.check(this.#host.health().timeoutMs)
    this.#isChecking = false
    if (this.state === 'warming') this.#warmed(problem)
    else if (this.state === 'ready') this.#checked(problem)
  }

  #warmed(problem: string): void {
    const now = this.#host.clock.monotonic()
    this.problem = problem
    if (problem !== '') {
      this.#checkAt = now + Math.min(MAX_WARM_CHECK_MS, FIRST_CHECK_MS * 2 ** this.#warmChecks++)
    } else {
      this.state = 'ready'
      this.readyAt = now
      this.#deadlineAt = NEVER
      this.#checkAt = now + this.#host.health().intervalMs
    }
    this.#host.changed()
  }

  #checked(problem: string): void {
    const { intervalMs, retries } = this.#host.health()
    this.problem = problem
    this.failedChecks = problem === '' ? 0 : this.failedChecks + 1
    if (problem === '') this.#isSuspect = false
    if (this.failedChecks >= retries) {
      this.#fail(`health check failed ${times(this.failedChecks)}: ${problem}`, false)
      return
    }
    const pauseMs = this.#isSuspect ? Math.min(SUSPECT_CHECK_MS, intervalMs) : intervalMs
    this.#checkAt = this.#host.clock.monotonic() + pauseMs
    this.#host.changed()
  }

  #expire(): void {
    if (this.state === 'draining') void this.stop()
    else if (this.state === 'starting') this.#fail(`did not start within ${LAUNCH_LIMIT_MS / 60_000} minutes`, false)
    else this.#fail(this.#lateReason(), false)
  }

  #lateReason(): string {
    const seconds = this.#host.health().startPeriodMs / 1000
    return `was not ready within ${seconds} s (start_period)${this.problem === '' ? '' : `: ${this.problem}`}`
  }

  /** The instance has ended, by itself or because it was told to. */
  #ended(reason: string): void {
    if (this.state === 'draining') void this.stop()
    else this.#fail(reason, false)
  }

  #fail(reason: string, isPermanent: boolean): void {
    if (!this.isLive) return
    this.problem = reason
    void this.stop()
    this.#host.failed(this, reason, isPermanent)
  }

  async #end(): Promise<void> {
    const graceMs = this.#host.stopGraceMs()
    const limit = Promise.withResolvers<void>()
    const timer = setTimeout(limit.resolve, graceMs + STOP_LIMIT_MS)
    await Promise.race([this.#endInstance(graceMs), limit.promise])
    clearTimeout(timer)
    this.state = 'gone'
    this.#gone.resolve()
    this.#host.changed()
  }

  async #endInstance(graceMs: number): Promise<void> {
    await this.#launching
    await this.#checker?.close()
    await this.instance?.stop(graceMs).catch((error: unknown) => {
      this.problem = `cannot be stopped: ${text(error)}`
    })
  }
}

function text(error: unknown): string {
  return error instanceof Error ? error.message : String(error)
}

function times(count: number): string {
  return count === 1 ? 'once' : `${count} times`
}
