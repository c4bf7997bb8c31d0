import type { ErrorCode, JsonObject } from '../../api/index.ts'
import { type BridgeContext, tell } from './context.ts'
import { Pipe, type PipeKeeper, type PipeOwner } from './pipe.ts'

/** Starts in a row that failed, with no process alive, after which the bridge gives up: the fleet decides what then. */
const MAX_FAILED_STARTS = 3
/** Pause after a failed start; each further one doubles it. */
const FIRST_PAUSE_MS = 250
const MAX_PAUSE_MS = 30_000
/** A process that ends later than this without having said anything did start. */
const START_MS = 60_000

/** Somebody who needs a process of its own. */
export interface Claim {
  granted(pipe: Pipe): void
  refused(code: ErrorCode, text: string, data: JsonObject | null): void
}

/** Nobody's process: what it says before a client has come is for nobody. */
const NOBODY: PipeOwner = { isShared: false, survives: () => false, onMessage() {}, onEnded() {} }

/**
 * All processes of a bridge: never more than `max_processes`, `warm` of them ready for sessions to come. Who comes when
 * all are taken waits, for `acquire_timeout` at most. A command that does not start is tried again after a pause that
 * grows, not by every client.
 */
export class Processes implements PipeKeeper {
  /** How many are kept started for sessions to come. */
  warmTarget: number
  private readonly context: BridgeContext
  private readonly onGiveUp: (reason: string) => void
  private readonly all: Set<Pipe>
  private readonly idle: Pipe[]
  private readonly queue: Map<Claim, NodeJS.Timeout>
  private failures: number
  private notBeforeMs: number
  private lastFailure: string
  private pauseTimer: NodeJS.Timeout | null
  private closed: boolean
  private count: number

  constructor(context: BridgeContext, onGiveUp: (reason: string) => void) {
    this.warmTarget = context.spec.warm
    this.context = context
    this.onGiveUp = onGiveUp
    this.all = new Set()
    this.idle = []
    this.queue = new Map()
    this.failures = 0
    this.notBeforeMs = 0
    this.lastFailure = ''
    this.pauseTimer = null
    this.closed = false
    this.count = 0
  }

  /** Starts the first process, so that a command that cannot run shows at once. Resolves when it runs or cannot. */
  async first(): Promise<{ reason: string; isPermanent: boolean }> {
    const pipe = this.make()
    this.idle.push(pipe)
    await pipe.open()
    this.fill()
    return { reason: pipe.isOver ? pipe.sentence : '', isPermanent: pipe.isPermanent }
  }

  /** Why processes do not start at present; `''` = they do. */
  get trouble(): string {
    return this.failures > 0 ? this.lastFailure : ''
  }

  get size(): number {
    return this.all.size
  }

  list(): readonly Pipe[] {
    return [...this.all]
  }

  take(claim: Claim): void {
    if (this.closed) return claim.refused('draining', `${this.context.server} is being stopped`, null)
    const ready = this.idle.shift()
    if (ready !== undefined) {
      claim.granted(ready)
      this.fill()
    } else if (this.all.size < this.context.spec.maxProcesses && this.queue.size === 0) {
      this.start(claim)
    } else {
      this.wait(claim)
    }
  }

  /** The claim is not needed any more. */
  leave(claim: Claim): void {
    clearTimeout(this.queue.get(claim))
    this.queue.delete(claim)
  }

  /** Takes back a process nobody has used in earnest. */
  putBack(pipe: Pipe): void {
    if (pipe.isOver || pipe.stopping) return
    pipe.owner = NOBODY
    const next = this.nextClaim()
    if (next !== null) next.granted(pipe)
    else if (this.idle.length < this.warmTarget) this.idle.push(pipe)
    else this.end(pipe)
  }

  end(pipe: Pipe): void {
    pipe.stop(this.context.stopGraceMs).catch(() => {})
  }

  /** Ends all processes. */
  async close(graceMs: number): Promise<void> {
    this.closed = true
    if (this.pauseTimer !== null) clearTimeout(this.pauseTimer)
    for (const claim of [...this.queue.keys()]) {
      this.leave(claim)
      claim.refused('draining', `${this.context.server} is being stopped`, null)
    }
    await Promise.all(this.list().map(pipe => pipe.stop(graceMs)))
  }

  onHeard(_pipe: Pipe): void {
    this.failures = 0
    this.notBeforeMs = 0
  }

  onEnded(pipe: Pipe): void {
    this.all.delete(pipe)
    const place = this.idle.indexOf(pipe)
    if (place >= 0) this.idle.splice(place, 1)
    if (this.closed) return
    const early = !pipe.heard && performance.now() - pipe.startedMs < START_MS
    if (early && !pipe.stopping && !pipe.isTrial) this.failed(pipe)
    // Whoever owned it is told first and may want another one.
    setImmediate(() => this.pump())
  }

  private start(claim: Claim): void {
    const waitMs = this.notBeforeMs - performance.now()
    if (waitMs > 0) {
      const data = { retry_after_ms: Math.ceil(waitMs) }
      return claim.refused('upstream_unreachable', this.lastFailure, data)
    }
    const pipe = this.make()
    claim.granted(pipe)
    pipe.open()
    this.fill()
  }

  private make(): Pipe {
    const pipe = new Pipe(this.context, `${this.context.id}-${++this.count}`, this, NOBODY)
    this.all.add(pipe)
    return pipe
  }

  private wait(claim: Claim): void {
    const { server, spec } = this.context
    const taken = `all ${spec.maxProcesses} processes of ${server} are taken (max_processes)`
    if (this.queue.size >= spec.maxWaiting) {
      return claim.refused('overloaded', `${taken}, and ${spec.maxWaiting} sessions wait`, RETRY)
    }
    const late = (): void => {
      this.queue.delete(claim)
      claim.refused('acquire_timeout', `Server acquisition timeout: ${taken}`, RETRY)
    }
    this.queue.set(claim, setTimeout(late, spec.acquireTimeoutMs))
  }

  private nextClaim(): Claim | null {
    const next = this.queue.keys().next().value
    if (next === undefined) return null
    this.leave(next)
    return next
  }

  private pump(): void {
    if (this.closed || this.isPausing()) return
    while (this.all.size < this.context.spec.maxProcesses) {
      const next = this.nextClaim()
      if (next === null) break
      this.start(next)
    }
    this.fill()
  }

  /** Keeps as many processes warm as there should be. */
  private fill(): void {
    if (this.closed || this.queue.size > 0 || this.isPausing()) return
    while (this.idle.length < this.warmTarget && this.all.size < this.context.spec.maxProcesses) {
      const pipe = this.make()
      this.idle.push(pipe)
      pipe.open()
    }
  }

  private isPausing(): boolean {
    const waitMs = this.notBeforeMs - performance.now()
    if (waitMs <= 0) return false
    this.pauseTimer ??= setTimeout(() => {
      this.pauseTimer = null
      this.pump()
    }, waitMs)
    return true
  }

  private failed(pipe: Pipe): void {
    this.failures++
    this.lastFailure = pipe.sentence
    this.notBeforeMs = performance.now() + Math.min(MAX_PAUSE_MS, FIRST_PAUSE_MS * 2 ** (this.failures - 1))
    const isHopeless = pipe.isPermanent || this.failures >= MAX_FAILED_STARTS
    if (!isHopeless || this.all.size > 0) return
    tell(this.context, 'error', 'gave up: processes do not start', { reason: this.lastFailure })
    this.onGiveUp(this.lastFailure)
  }
}

const RETRY: JsonObject = { retry_after_ms: 1_000 }
