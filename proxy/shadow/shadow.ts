import type { Clock, Exchange, Json } from '../api/index.ts'
import { PendingRequests } from '../chain/pending.ts'
import type { RelayServices } from '../chain/ports.ts'
import { ToolTable } from '../chain/tool-table.ts'
import { channels } from '../observe/channels.ts'
import type { PlanSource } from '../policy/plan.ts'
import { Budget } from './budget.ts'
import { type Comparison, compare, verdictOf } from './compare.ts'
import type { Recording } from './recording.ts'
import { runAgain, type SecondRun } from './run-again.ts'
import { Sampler } from './sampler.ts'
import { Totals } from './totals.ts'
import type { Watcher } from './witnesses.ts'

export interface ShadowSettings {
  /** Share of one processor, 0 to 1. */
  readonly maxCpu: number
  /** Share of the exchanges, 0 to 1. */
  readonly sample: number
  /** Exchanges that may wait to be run again. */
  readonly maxQueue: number
  /** What they may hold, in bytes. */
  readonly maxBytes: number
}

export interface ShadowOptions {
  readonly plans: PlanSource
  readonly settings: ShadowSettings
  readonly clock: Clock
  /** What the servers said about their tools: only read. */
  readonly tools: ToolTable
  readonly maxDepth: number
  readonly maxEventBytes: number
  /** Runs something later, when nobody waits for an answer. Default: in the next turn of the event loop. */
  readonly later?: (run: () => void) => void
}

type Result = Comparison['outcome'] | 'failed'

/** A run that hangs longer than this is given up: every hook has a limit that is shorter. */
const RUN_LIMIT_MS = 60_000
const HELP = 'Exchanges that were run again through the shadow policy, by how that differed.'

/**
 * Runs exchanges a second time through another policy, after they have ended, one at a time, and tells how that comes out
 * otherwise. Live traffic never waits for it: what does not fit into queue or budget is skipped, and counted.
 */
export class Shadow implements Watcher {
  readonly totals = new Totals()
  readonly #options: ShadowOptions
  readonly #services: RelayServices
  readonly #sampler: Sampler
  readonly #budget: Budget
  readonly #queue: Recording[] = []
  readonly #later: (run: () => void) => void
  #queuedBytes = 0
  #busy = false
  #closed = false

  constructor(options: ShadowOptions) {
    const { settings, plans, maxDepth, maxEventBytes, clock } = options
    this.#options = options
    this.#sampler = new Sampler(settings.sample)
    this.#budget = new Budget(settings.maxCpu, clock)
    this.#later = options.later ?? setImmediate
    this.#services = {
      plans,
      pending: new PendingRequests(),
      tools: new KnownTools(options.tools),
      firstByteTimeoutMs: 0,
      idleTimeoutMs: 0,
      maxDepth,
      maxEventBytes,
      sealSession: (_server, _replica, upstreamId) => upstreamId,
    }
  }

  wants(_exchange: Exchange): boolean {
    if (this.#closed || !this.#sampler.next()) return false
    if (!this.#isFull() && this.#budget.left > 0) return true
    this.#count('skipped')
    return false
  }

  take(recording: Recording | null): void {
    if (recording === null || this.#closed || this.#isFull() || this.#overflows(recording)) {
      this.#count('skipped')
      return
    }
    this.#queue.push(recording)
    this.#queuedBytes += recording.bytes
    this.#next()
  }

  /** What `GET /shadow` of the control socket answers. */
  about(): Json {
    return { generation: this.#options.plans.current.generation, ...this.totals.about() }
  }

  close(): void {
    this.#closed = true
    this.#queue.length = 0
    this.#queuedBytes = 0
  }

  #isFull(): boolean {
    return this.#queue.length >= this.#options.settings.maxQueue
  }

  #overflows({ bytes }: Recording): boolean {
    return this.#queuedBytes + bytes > this.#options.settings.maxBytes
  }

  #next(): void {
    if (this.#busy || this.#queue.length === 0) return
    this.#busy = true
    this.#later(() => this.#run())
  }

  #run(): void {
    const recording = this.#queue.shift()
    if (recording === undefined) {
      this.#busy = false
      return
    }
    this.#queuedBytes -= recording.bytes
    if (this.#budget.left <= 0 || !isWhole(recording)) this.#done('skipped')
    else this.#runOne(recording)
  }

  #runOne(recording: Recording): void {
    const { clock } = this.#options
    const began = clock.monotonic()
    let over = false
    const finish = (judge: () => Result): void => {
      if (over) return
      over = true
      clearTimeout(limit)
      const result = judge()
      this.#budget.spend(clock.monotonic() - began)
      this.#done(result)
    }
    const limit = setTimeout(() => finish(() => this.#failed(recording, 'it did not end')), RUN_LIMIT_MS).unref()
    try {
      runAgain(this.#services, recording, run => finish(() => this.#judge(recording, run)))
    } catch (error) {
      finish(() => this.#failed(recording, error))
    }
  }

  #done(result: Result): void {
    this.#count(result)
    this.#busy = false
    this.#next()
  }

  #judge(recording: Recording, run: SecondRun): Result {
    try {
      const { outcome, changes } = compare(recording, run)
      for (const change of changes) {
        this.totals.add(change, recording)
        channels.notice.publish({
          level: 'info',
          text: 'the shadow policy differs',
          fields: fieldsOf(recording, change),
        })
      }
      return outcome
    } catch (error) {
      return this.#failed(recording, error)
    }
  }

  #failed(recording: Recording, error: unknown): Result {
    const fields = { exchange: recording.id, server: recording.server, method: recording.method, error }
    channels.notice.publish({ level: 'warn', text: 'the shadow policy could not be run', fields })
    return 'failed'
  }

  #count(result: Result): void {
    this.totals.count(result)
    if (!channels.counted.hasSubscribers) return
    const name = 'sluice_shadow_exchanges_total'
    channels.counted.publish({ name, help: HELP, labels: ['outcome'], by: 1, values: [result] })
  }
}

/** Whether there is a message and an end: the client did not leave, and it is no batch that nobody took apart. */
function isWhole({ outcome, request }: Recording): boolean {
  return verdictOf(outcome).word !== 'aborted' && request[0] !== 0x5b
}

function fieldsOf(recording: Recording, change: Comparison['changes'][number]): Record<string, unknown> {
  const { id, server, method, principal, outcome } = recording
  return {
    exchange: id,
    server,
    method,
    name: outcome.withheldName ? '***WITHHELD***' : recording.name,
    client: principal.id,
    change: change.what,
    entry: change.entries.join(', '),
    ...(change.code !== '' && { code: change.code }),
    ...(change.paths.length > 0 && { paths: change.paths }),
  }
}

/** Reads what live traffic has learnt; what a second run sees is old, and is not learnt. */
class KnownTools extends ToolTable {
  readonly #known: ToolTable

  constructor(known: ToolTable) {
    super()
    this.#known = known
  }

  override get(server: string): ReturnType<ToolTable['get']> {
    return this.#known.get(server)
  }

  override learn(): void {}
}
