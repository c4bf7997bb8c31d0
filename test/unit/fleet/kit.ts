import { type Ended, type Instance, LaunchError, type Launcher, type Usage } from '../../../proxy/fleet/launcher.ts'
import { ManagedServer, type ServerHost } from '../../../proxy/fleet/managed-server.ts'
import type { Checker } from '../../../proxy/fleet/replica.ts'
import type { LifeSpec } from '../../../proxy/fleet/spec.ts'

/** Time that stands still until it is told to go on. Begins above 0, as a running machine's does. */
export class StillClock {
  ms = 1_000_000
  now(): number {
    return this.ms
  }
  monotonic(): number {
    return this.ms
  }
}

/** An instance whose health and end a test decides. */
export class FakeInstance implements Instance {
  readonly id: string
  readonly url: string
  readonly socketPath = ''
  readonly handle: string
  readonly ended: Promise<Ended>
  /** What its next checks say; `''` = well. */
  problem = ''
  isStopped = false
  isGone = false
  /** Whether `stop` waits for `die`. */
  isSlowToStop = false
  checks = 0
  sessions = 0
  readonly #end = Promise.withResolvers<Ended>()

  constructor(id: string) {
    this.id = id
    this.url = `http://127.0.0.1:1/${id}`
    this.handle = `pid of ${id}`
    this.ended = this.#end.promise
  }

  die(reason = 'ended with exit code 1'): void {
    this.isGone = true
    this.#end.resolve({ code: 1, signal: null, oomKilled: false, reason })
  }

  async stop(): Promise<void> {
    this.isStopped = true
    if (!this.isSlowToStop) this.die('stopped')
    await this.ended
  }

  usage(): Promise<Usage> {
    return Promise.resolve({ memoryBytes: 1024, cpuSeconds: 0.5 })
  }

  selfCheck(): Promise<null> {
    return Promise.resolve(null)
  }
}

/** Starts fakes, or fails as told. */
export class FakeLauncher implements Launcher {
  fingerprint: string
  readonly all: FakeInstance[] = []
  /** What the next launches do: fail with this. */
  error: LaunchError | null = null
  /** What fresh instances say of their health. */
  problem = ''
  /** Held back until `release`. */
  #gate: PromiseWithResolvers<void> | null = null

  constructor(fingerprint = 'one') {
    this.fingerprint = fingerprint
  }

  hold(): void {
    this.#gate = Promise.withResolvers()
  }

  release(): void {
    this.#gate?.resolve()
    this.#gate = null
  }

  async launch(id: string, signal: AbortSignal): Promise<Instance> {
    const aborted = new Promise<never>((_, reject) => {
      signal.addEventListener('abort', () => reject(new LaunchError('given up', false)), { once: true })
    })
    aborted.catch(() => {})
    if (this.#gate !== null) await Promise.race([this.#gate.promise, aborted])
    if (this.error !== null) throw this.error
    const instance = new FakeInstance(id)
    instance.problem = this.problem
    this.all.push(instance)
    return instance
  }

  reap(): Promise<number> {
    return Promise.resolve(0)
  }

  get living(): FakeInstance[] {
    return this.all.filter(instance => !instance.isGone)
  }

  get last(): FakeInstance {
    return this.all.at(-1) as FakeInstance
  }
}

export const LIFE: LifeSpec = {
  min: 0,
  max: 1,
  targetInFlight: 8,
  idleTimeoutMs: 60_000,
  restart: { delayMs: 5_000, maxAttempts: 3, windowMs: 600_000 },
  health: { kind: 'auto', path: '', startPeriodMs: 40_000, intervalMs: 30_000, timeoutMs: 10_000, retries: 3 },
  stopGraceMs: 10_000,
}

/** One managed server with everything around it in the test's hand. */
export class Stage {
  readonly clock = new StillClock()
  readonly launcher: FakeLauncher
  readonly server: ManagedServer
  readonly workers = ['1']
  readonly lost: string[] = []
  readonly startedAfter: number[] = []
  #count = 0

  constructor(life: Partial<LifeSpec> = {}, launcher = new FakeLauncher()) {
    this.launcher = launcher
    const host: ServerHost = {
      clock: this.clock,
      checker: instance => new FakeChecker(instance as FakeInstance),
      newId: name => `${name}-${++this.#count}`,
      drainMs: 20_000,
      workers: () => this.workers,
      changed: () => {},
      started: (_, seconds) => this.startedAfter.push(seconds),
      lost: (_, replica, reason) => this.lost.push(`${replica}: ${reason}`),
    }
    this.server = new ManagedServer('kb', { ...LIFE, ...life }, launcher, host)
    this.server.tick()
  }

  /** Lets time pass: the server is woken whenever it asked to be. */
  async pass(ms: number): Promise<void> {
    const until = this.clock.ms + ms
    await settle()
    while (this.server.dueAt <= until) {
      this.clock.ms = Math.max(this.clock.ms, this.server.dueAt)
      this.server.tick()
      await settle()
    }
    this.clock.ms = until
    this.server.tick()
    await settle()
  }

  /** State of the server, and of its replicas by number. */
  get picture(): string {
    const { state } = this.server
    return [state, ...this.server.describeReplicas().map(({ id, state: one }) => `${id.slice(3)}:${one}`)].join(' ')
  }
}

class FakeChecker implements Checker {
  readonly #instance: FakeInstance
  constructor(instance: FakeInstance) {
    this.#instance = instance
  }
  async check(): Promise<string> {
    this.#instance.checks++
    return this.#instance.problem
  }
  async close(): Promise<void> {}
}

/** Lets everything that only waits for promises happen. */
export function settle(): Promise<void> {
  return new Promise(resolve => setImmediate(resolve))
}
