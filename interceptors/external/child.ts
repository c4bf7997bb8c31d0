import { type ChildProcess, spawn } from 'node:child_process'
import type { Socket } from 'node:net'
import { PassThrough, type Readable, type Writable } from 'node:stream'
import type { Logger } from '#api'
import type { Command } from './command.ts'
import { reaper } from './reaper.ts'

/** How long a process may take to end after its input has, and after it was asked to. */
const GRACE_MS = 1000
const MAX_LOGGED = 1024
const MAX_LOGGED_LINES = 100

/** How a process ended: `code 1`, `signal SIGKILL`, `ENOENT`. */
export type Ending = string

/**
 * A process in a group of its own, so that what it starts ends with it. It never keeps the event loop alive by itself, and
 * it does not outlive this process.
 */
export class Child {
  readonly stdin: Writable
  readonly stdout: Readable
  /** Settles when it has ended, for whatever reason; never rejects. */
  readonly ended: Promise<Ending>
  readonly #process: ChildProcess
  readonly #container: string
  #isOver = false
  #logged = 0

  /** @param logger for what it writes to stderr; `null` = nobody reads that */
  constructor(command: Command, logger: Logger | null) {
    const { args, container } = command.start()
    reaper.prepare()
    if (container !== '') reaper.watch('c', container)
    const child = spawn(command.file, args, {
      cwd: command.cwd,
      env: command.env,
      detached: true,
      stdio: ['pipe', 'pipe', logger === null ? 'ignore' : 'pipe'],
    })
    if (child.pid !== undefined) reaper.watch('g', String(child.pid))
    this.#process = child
    this.#container = container
    // Without file descriptors left there are no pipes; the error follows.
    this.stdin = child.stdin ?? new PassThrough()
    this.stdout = child.stdout ?? new PassThrough()
    // A script that does not read its input is none that failed.
    this.stdin.on('error', () => undefined)
    this.stdout.on('error', () => undefined)
    if (logger !== null && child.stderr) this.#log(child.stderr, logger)
    child.unref()
    for (const pipe of child.stdio ?? []) (pipe as Socket | null)?.unref?.()
    this.ended = new Promise(resolve => {
      child.once('error', error => {
        this.#exited()
        resolve((error as NodeJS.ErrnoException).code ?? error.name)
      })
      child.once('exit', () => this.#exited())
      // After the exit, when everything that it wrote has been read.
      child.once('close', (code, signal) => resolve(signal === null ? `code ${code}` : `signal ${signal}`))
    })
  }

  get pid(): number | undefined {
    return this.#process.pid
  }

  /** Ends it and all that it started, now. */
  kill(): void {
    this.#signal('SIGKILL')
    this.#killContainer()
  }

  /** Closes its input, and waits; asks it to end, and waits; ends it. */
  async close(): Promise<void> {
    this.stdin.end()
    if (await this.#endsSoon()) return
    this.#signal('SIGTERM')
    if (await this.#endsSoon()) return
    this.kill()
    await this.ended
  }

  async #endsSoon(): Promise<boolean> {
    let timer: NodeJS.Timeout | undefined
    const late = new Promise<false>(resolve => {
      timer = setTimeout(resolve, GRACE_MS, false)
    })
    try {
      return (await Promise.race([this.ended.then(() => true as const), late])) !== false
    } finally {
      clearTimeout(timer)
    }
  }

  #signal(signal: NodeJS.Signals): void {
    const { pid } = this.#process
    if (pid === undefined || this.#isOver) return
    try {
      process.kill(-pid, signal)
    } catch {
      // It has ended just now.
    }
  }

  #exited(): void {
    // What it left behind in its group goes too.
    this.#signal('SIGKILL')
    this.#isOver = true
    if (this.#process.pid !== undefined) reaper.forget('g', String(this.#process.pid))
    if (this.#container !== '') reaper.forget('c', this.#container)
    // Something that left the group may hold the pipe open for ever.
    const timer = setTimeout(() => this.stdout.destroy(), GRACE_MS)
    this.stdout.once('close', () => clearTimeout(timer))
  }

  /** A container does not end with the client that started it. */
  #killContainer(): void {
    if (this.#container === '') return
    const killer = spawn('docker', ['kill', this.#container], { stdio: 'ignore', env: process.env })
    killer.on('error', () => undefined)
    killer.unref()
  }

  #log(stderr: Readable, logger: Logger): void {
    stderr.setEncoding('utf8')
    stderr.on('error', () => undefined)
    stderr.on('data', (text: string) => {
      for (const line of text.split('\n')) {
        if (line.trim() === '' || ++this.#logged > MAX_LOGGED_LINES) continue
        logger.warn({ stderr: line.slice(0, MAX_LOGGED) }, 'an external interceptor wrote to stderr')
      }
    })
  }
}
