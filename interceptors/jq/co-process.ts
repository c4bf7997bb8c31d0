import { type ChildProcess, spawn } from 'node:child_process'
import type { Socket } from 'node:net'
import { SluiceError } from '#api'
import { type Command, MAX_CPU_S } from './limits.ts'

/** How long a process may take until it answers at all. */
const START_MS = 10_000
/** Work after which a process is replaced between two messages, well before the system's limit ends it. */
const RETIRE_MS = (MAX_CPU_S * 1000) / 2
/** How long a process that was told to end may take. */
const END_MS = 1000

const NEWLINE = 10
const PROBE = 'null\n'

/** One line for the process, and who waits for the line that answers it. */
export interface Job {
  /** With its line end. */
  readonly line: string
  /** @param line with its line end */
  done(line: Buffer): void
  failed(error: Error): void
}

/** Told of what happens to a process. */
export interface ProcessOwner {
  /** It waits for work: after its start, and after each line. */
  processIdle(process: CoProcess): void
  /** It takes no more work. Its job has been told. @param useful whether it answered any message */
  processGone(process: CoProcess, useful: boolean, error: Error): void
}

export interface ProcessSpec {
  readonly command: Command
  /** For one line, in milliseconds. */
  readonly deadlineMs: number
  /** Of one answer. */
  readonly maxOutputBytes: number
}

/** Whatever ends this process ends these too: a filter in an endless loop does not see that its input is closed. */
const living = new Set<CoProcess>()
process.on('exit', () => {
  for (const one of living) one.kill()
})

/**
 * A jq that answers line by line, one at a time, so that no line can be taken for the answer to another one. Any doubt (no
 * answer in time, too much of it, two lines for one) ends it. It never keeps the event loop alive by itself.
 */
export class CoProcess {
  readonly #spec: ProcessSpec
  readonly #owner: ProcessOwner
  readonly #child: ChildProcess
  readonly #exited = Promise.withResolvers<void>()
  #state: 'starting' | 'idle' | 'busy' | 'gone' = 'starting'
  #hasStarted = false
  #job: Job | null = null
  #timer: NodeJS.Timeout | null
  #chunks: Buffer[] = []
  #bytes = 0
  #answered = 0
  #busySince = 0
  #busyMs = 0

  constructor(spec: ProcessSpec, owner: ProcessOwner) {
    this.#spec = spec
    this.#owner = owner
    const { file, args, options } = spec.command
    this.#child = spawn(file, args, { ...options, stdio: ['pipe', 'pipe', 'ignore'] })
    living.add(this)
    this.#child.once('error', error => this.#ended(`does not start: ${error.message}`))
    this.#child.once('exit', (code, signal) =>
      this.#ended(signal === null ? `ended with code ${code}` : `was ended by ${signal}`),
    )
    this.#child.stdout?.on('data', (chunk: Buffer) => this.#read(chunk))
    // What a write fails of, the end of the process tells.
    this.#child.stdin?.on('error', () => undefined)
    this.#child.unref()
    for (const pipe of [this.#child.stdin, this.#child.stdout]) (pipe as Socket | null)?.unref()
    this.#timer = setTimeout(onLate, START_MS, this)
    this.#child.stdin?.write(PROBE)
  }

  /** 0 where it never started. */
  get pid(): number {
    return this.#child.pid ?? 0
  }

  /** Whether it has shown that it runs. */
  get hasStarted(): boolean {
    return this.#hasStarted
  }

  get isIdle(): boolean {
    return this.#state === 'idle'
  }

  /** Only while it is idle. */
  take(job: Job): void {
    this.#state = 'busy'
    this.#job = job
    this.#busySince = performance.now()
    this.#timer = setTimeout(onLate, this.#spec.deadlineMs, this)
    this.#child.stdin?.write(job.line)
  }

  /** Lets it end when it has nothing to do, kills it when it has. Resolves when it is gone; never rejects. */
  async close(): Promise<void> {
    if (this.#state === 'idle') this.#child.stdin?.end()
    else this.kill()
    this.#leave(new Error('the policy was replaced'))
    const timer = setTimeout(() => this.kill(), END_MS)
    await this.#exited.promise
    clearTimeout(timer)
  }

  kill(): void {
    this.#child.kill('SIGKILL')
  }

  /** No answer in time. */
  late(): void {
    const { deadlineMs } = this.#spec
    const limit = this.#hasStarted
      ? `the filter took longer than ${deadlineMs} ms`
      : `jq did not start within ${START_MS} ms`
    this.kill()
    this.#leave(new SluiceError('interceptor_timeout', limit))
  }

  #read(chunk: Buffer): void {
    if (this.#state === 'gone') return
    const end = chunk.indexOf(NEWLINE)
    this.#bytes += chunk.length
    if (this.#state === 'idle' || (end !== -1 && end !== chunk.length - 1)) this.#break('wrote a line nobody asked for')
    else if (this.#bytes > this.#spec.maxOutputBytes) this.#break('gave more than max_output')
    else if (end === -1) this.#chunks.push(chunk)
    else this.#lineDone(this.#whole(chunk))
  }

  #whole(last: Buffer): Buffer {
    const line = this.#chunks.length === 0 ? last : Buffer.concat([...this.#chunks, last])
    this.#chunks = []
    this.#bytes = 0
    return line
  }

  #lineDone(line: Buffer): void {
    const job = this.#job
    this.#stopTimer()
    this.#job = null
    this.#state = 'idle'
    if (job !== null) {
      this.#answered++
      this.#busyMs += performance.now() - this.#busySince
      job.done(line)
    } else if (line.toString() === PROBE) this.#hasStarted = true
    else return this.#break('does not speak as expected')
    if (this.#busyMs >= RETIRE_MS) this.#retire()
    else this.#owner.processIdle(this)
  }

  #retire(): void {
    this.#child.stdin?.end()
    this.#leave(new Error('retired'))
  }

  #break(what: string): void {
    this.kill()
    this.#leave(new Error(`jq ${what}`))
  }

  #ended(how: string): void {
    living.delete(this)
    this.#exited.resolve()
    this.#leave(new Error(`jq ${how}: out of memory (max_memory), or an input it cannot read`))
  }

  #leave(error: Error): void {
    if (this.#state === 'gone') return
    this.#state = 'gone'
    this.#stopTimer()
    this.#chunks = []
    this.#job?.failed(error)
    this.#job = null
    this.#owner.processGone(this, this.#answered > 0, error)
  }

  #stopTimer(): void {
    if (this.#timer !== null) clearTimeout(this.#timer)
    this.#timer = null
  }
}

function onLate(late: CoProcess): void {
  late.late()
}
