import type { Json, Logger } from '#api'
import { type Bounds, type Caller, ExternalError } from './caller.ts'
import type { Command } from './command.ts'
import { Deadline } from './deadline.ts'
import { tooMany } from './gate.ts'
import { type Job, LineProcess, type LineProcessOwner } from './line-process.ts'

const FIRST_PAUSE_MS = 100
const LONGEST_PAUSE_MS = 30_000

export interface LinePoolSettings extends Bounds {
  readonly processes: number
  /** Most lines that a process has at a time. */
  readonly inFlight: number
}

/**
 * Processes that stay. They start when there is work; one that ends is replaced when there is work again: at once where it had
 * answered something, else after a pause that doubles each time. While nothing runs and the pause lasts, calls fail at
 * once. A line that is not answered in time costs its process its life, because nobody knows what it does.
 */
export class LinePool implements Caller, LineProcessOwner {
  readonly #command: Command
  readonly #settings: LinePoolSettings
  readonly #logger: Logger
  readonly #stderr: Logger | null
  readonly #processes = new Set<LineProcess>()
  readonly #queue: Job[] = []
  #failures = 0
  #startAt = 0
  #closed = false

  constructor(command: Command, settings: LinePoolSettings, logger: Logger, logStderr: boolean) {
    this.#command = command
    this.#settings = settings
    this.#logger = logger
    this.#stderr = logStderr ? logger : null
  }

  call(body: string, signal: AbortSignal): Promise<Json | undefined> {
    if (this.#closed) return Promise.reject(new ExternalError('the policy was replaced'))
    return new Promise((resolve, reject) => {
      const deadline = new Deadline(this.#settings.timeoutMs, signal)
      const settle = (then: () => void): void => {
        deadline.clear()
        then()
      }
      const job: Job = {
        body,
        done: answer => settle(() => resolve(answer)),
        failed: error => settle(() => reject(error)),
      }
      deadline.signal.addEventListener('abort', () => this.#giveUp(job, deadline.signal.reason, signal.aborted), {
        once: true,
      })
      if (deadline.signal.aborted) job.failed(deadline.signal.reason)
      else this.#take(job)
    })
  }

  async close(): Promise<void> {
    this.#closed = true
    this.#failQueue('the policy was replaced')
    await Promise.all([...this.#processes].map(process => process.close()))
  }

  answered(process: LineProcess): void {
    this.#failures = 0
    this.#fill(process)
  }

  gone(process: LineProcess, ending: string): void {
    this.#processes.delete(process)
    if (this.#closed) return
    const wasUseful = process.isUseful
    this.#failures = wasUseful ? 0 : this.#failures + 1
    const pauseMs = wasUseful ? 0 : Math.min(LONGEST_PAUSE_MS, FIRST_PAUSE_MS * 2 ** (this.#failures - 1))
    this.#startAt = performance.now() + pauseMs
    this.#logger.warn({ ending, pause_ms: pauseMs }, 'the process of an external interceptor ended')
    try {
      while (this.#queue.length > 0 && this.#mayStart()) this.#fill(this.#start())
    } catch (error) {
      this.#logger.error({ error: String(error) }, 'the process of an external interceptor cannot be started')
    }
    if (this.#processes.size === 0) this.#failQueue(this.#paused())
  }

  #take(job: Job): void {
    const process = this.#free()
    if (process !== null) process.send(job)
    else if (this.#processes.size === 0) job.failed(new ExternalError(this.#paused()))
    else if (this.#queue.length < this.#settings.queue) this.#queue.push(job)
    else job.failed(new ExternalError(tooMany(this.#settings.queue)))
  }

  /** The one with the least to do; a new one where all are busy; `null` = none has room. */
  #free(): LineProcess | null {
    let best: LineProcess | null = null
    for (const one of this.#processes) {
      if (!one.isDoomed && one.inFlight < (best?.inFlight ?? this.#settings.inFlight)) best = one
    }
    if (best !== null && best.inFlight === 0) return best
    return this.#mayStart() ? this.#start() : best
  }

  #mayStart(): boolean {
    return this.#processes.size < this.#settings.processes && performance.now() >= this.#startAt
  }

  #start(): LineProcess {
    const process = new LineProcess(this.#command, this.#settings.maxOutputBytes, this.#stderr, this)
    this.#processes.add(process)
    return process
  }

  #fill(process: LineProcess): void {
    while (!process.isDoomed && process.inFlight < this.#settings.inFlight) {
      const job = this.#queue.shift()
      if (job === undefined) return
      process.send(job)
    }
  }

  /** @param left whether the client left: then the process may answer yet, and nobody hears it */
  #giveUp(job: Job, reason: ExternalError, left: boolean): void {
    const at = this.#queue.indexOf(job)
    if (at !== -1) this.#queue.splice(at, 1)
    job.failed(reason)
    if (!left) this.#endHolderOf(job)
    else setTimeout(() => this.#endHolderOf(job), this.#settings.timeoutMs).unref()
  }

  #endHolderOf(job: Job): void {
    for (const process of this.#processes) {
      if (process.has(job)) process.doom('the process was ended: an answer was late')
    }
  }

  #failQueue(reason: string): void {
    for (const job of this.#queue.splice(0)) job.failed(new ExternalError(reason))
  }

  #paused(): string {
    const waitMs = Math.max(0, Math.ceil(this.#startAt - performance.now()))
    return `no process runs: it ended ${this.#failures} times without an answer; next start in ${waitMs} ms`
  }
}
