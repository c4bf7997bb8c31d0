import { type Exchange, SluiceError } from '#api'
import { CoProcess, type Job, type ProcessOwner, type ProcessSpec } from './co-process.ts'

/** Bytes of messages that may wait for a process. */
export const MAX_WAITING_BYTES = 64 * 1024 * 1024
/** So many processes in a row may end without having answered anything before the next one has to wait. */
const FREE_SETBACKS = 2
const FIRST_PAUSE_MS = 50
const LONGEST_PAUSE_MS = 1000

export interface PoolOptions extends ProcessSpec {
  /** How many messages are worked on at one time, each by a process of its own. */
  readonly processes: number
  /** How many more may wait. */
  readonly queue: number
  /** Told when no process can be started any more. */
  onTrouble(error: Error): void
}

interface Waiting extends Job {
  /** `null` = nobody who could leave. */
  readonly exchange: Exchange | null
}

/** The processes of one filter, and the messages that wait for them. Processes are started when there is work for them. */
export class Pool implements ProcessOwner {
  readonly #options: PoolOptions
  readonly #processes = new Set<CoProcess>()
  #queue: Waiting[] = []
  #waitingBytes = 0
  /** Processes in a row that ended without an answer. */
  #setbacks = 0
  #pause: NodeJS.Timeout | null = null
  #closed = false

  constructor(options: PoolOptions) {
    this.#options = options
  }

  /** Process ids; for tests and benchmarks. */
  get pids(): number[] {
    return [...this.#processes].map(process => process.pid)
  }

  /** Messages that wait for a process now. */
  get waiting(): number {
    return this.#queue.length
  }

  /** Starts a process and waits until it speaks, so that trouble shows at once. @throws Error where it does not */
  async start(): Promise<void> {
    await this.ask('null\n', null)
  }

  /**
   * Sends a line to a process and gives the line it answers. Rejects with a `SluiceError` where that takes too long, or
   * too many wait already, and with an Error where the process ends over it.
   */
  ask(line: string, exchange: Exchange | null): Promise<Buffer> {
    return new Promise((done, failed) => {
      const job = { line, done, failed, exchange }
      const idle = this.#idle()
      if (this.#closed) failed(new Error('the policy was replaced'))
      else if (idle !== undefined) idle.take(job)
      else this.#wait(job)
    })
  }

  /** Ends all processes. Resolves when they are gone. */
  async close(): Promise<void> {
    this.#closed = true
    if (this.#pause !== null) clearTimeout(this.#pause)
    this.#failAll(new Error('the policy was replaced'))
    await Promise.all([...this.#processes].map(process => process.close()))
  }

  processIdle(process: CoProcess): void {
    const job = this.#next()
    if (job !== undefined) process.take(job)
  }

  processGone(process: CoProcess, useful: boolean, error: Error): void {
    this.#processes.delete(process)
    this.#setbacks = useful ? 0 : this.#setbacks + 1
    if (this.#closed) return
    // One that never spoke says that none can be started: whoever waits would wait in vain.
    if (this.#processes.size === 0 && !process.hasStarted) {
      this.#options.onTrouble(error)
      this.#failAll(error)
    }
    this.#grow()
  }

  #idle(): CoProcess | undefined {
    for (const process of this.#processes) if (process.isIdle) return process
    return undefined
  }

  #wait(job: Waiting): void {
    const { queue } = this.#options
    if (this.#queue.length >= queue || this.#waitingBytes + job.line.length > MAX_WAITING_BYTES) {
      job.failed(new SluiceError('overloaded', `${this.#queue.length} messages wait for the filter already`))
      return
    }
    this.#queue.push(job)
    this.#waitingBytes += job.line.length
    this.#grow()
  }

  /** The next one whose exchange still wants an answer. */
  #next(): Waiting | undefined {
    for (;;) {
      const job = this.#queue.shift()
      if (job === undefined) return undefined
      this.#waitingBytes -= job.line.length
      if (job.exchange?.signal.aborted !== true) return job
      job.failed(new Error('the exchange has ended'))
    }
  }

  /** Starts a process where one is missing, but slowly where they end without having answered anything. */
  #grow(): void {
    if (this.#pause !== null || !this.#lacksProcess()) return
    if (this.#setbacks <= FREE_SETBACKS) {
      this.#processes.add(new CoProcess(this.#options, this))
      return
    }
    const pause = FIRST_PAUSE_MS * 2 ** (this.#setbacks - FREE_SETBACKS - 1)
    this.#pause = setTimeout(() => this.#resume(), Math.min(pause, LONGEST_PAUSE_MS)).unref()
  }

  #resume(): void {
    this.#pause = null
    if (this.#lacksProcess()) this.#processes.add(new CoProcess(this.#options, this))
  }

  /** Whether more messages wait than processes are about to be ready, and one more is allowed. */
  #lacksProcess(): boolean {
    if (this.#closed || this.#processes.size >= this.#options.processes) return false
    let starting = 0
    for (const process of this.#processes) if (!process.hasStarted) starting++
    return this.#queue.length > starting
  }

  #failAll(error: Error): void {
    const queue = this.#queue
    this.#queue = []
    this.#waitingBytes = 0
    for (const job of queue) job.failed(error)
  }
}
