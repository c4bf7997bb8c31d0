import { type ChildProcess, spawn } from 'node:child_process'
import { statSync } from 'node:fs'
import { type Ended, LaunchError, type Usage } from '../launcher.ts'
import { children, OWNER_MARK } from './children.ts'
import { Sweeper, signalGroup, usageOf } from './process-table.ts'

/** Set in the environment of every process that is started, so that what it left behind can be told from others' processes. */
export const REPLICA_MARK = 'SLUICE_REPLICA'

const sweeper = new Sweeper()

/** What a child gets of our own environment: nothing that could be a secret. */
const INHERITED = ['PATH', 'HOME', 'LANG', 'TZ'] as const

export interface SpawnOptions {
  /** Absolute working directory. */
  readonly cwd: string
  /** What it gets besides PATH, HOME, LANG and TZ; goes before those. */
  readonly env: Readonly<Record<string, string>>
  /** `ignore` = its standard input is at its end. */
  readonly stdin: 'pipe' | 'ignore'
  /** The instance's id: in the mark, and in errors. */
  readonly id: string
}

/** A child process, its group, and whatever they started. */
export interface Child {
  /** Also the id of its process group. */
  readonly pid: number
  /** `stdout` and `stderr` are always there, `stdin` where it was asked for. */
  readonly process: ChildProcess
  /** Resolves when the child itself has ended and its group was told to; never rejects. */
  readonly ended: Promise<Ended>
  /**
   * SIGTERM for the group, after `graceMs` SIGKILL. Resolves when it is gone with all that it started; may be called
   * twice, the shorter grace counts.
   */
  stop(graceMs: number): Promise<void>
  /** Memory and processor time of it and its descendants; `null` where the system does not tell. */
  usage(): Promise<Usage | null>
}

/**
 * Starts a child in a session and process group of its own, with a clean environment. Resolves when the program runs.
 * @throws LaunchError (permanent) when the folder or the command is not there, or may not be run
 */
export async function spawnChild(command: readonly string[], options: SpawnOptions): Promise<Child> {
  const [file = '', ...args] = command
  checkFolder(options.cwd)
  const child = spawn(file, args, {
    cwd: options.cwd,
    env: { ...inherited(process.env), ...options.env, [REPLICA_MARK]: options.id, [OWNER_MARK]: children.token },
    stdio: [options.stdin, 'pipe', 'pipe'],
    // A session of its own: a terminal's Ctrl-C does not reach it, and one kill reaches all that it started.
    detached: true,
  })
  await started(child, file)
  return new ChildGroup(child, options.id)
}

export function inherited(env: NodeJS.ProcessEnv): Record<string, string> {
  const own: Record<string, string> = {}
  for (const name of INHERITED) if (env[name] !== undefined) own[name] = env[name]
  return own
}

/** Spawn says ENOENT for a missing folder and for a missing command alike. */
function checkFolder(cwd: string): void {
  if (statSync(cwd, { throwIfNoEntry: false })?.isDirectory() === true) return
  throw new LaunchError(`the working directory ${cwd} is not there`, true)
}

function started(child: ChildProcess, file: string): Promise<void> {
  return new Promise((resolve, reject) => {
    child.once('spawn', resolve)
    child.once('error', error => reject(launchError(error, file)))
  })
}

function launchError(error: NodeJS.ErrnoException, file: string): LaunchError {
  if (error.code === 'ENOENT') return new LaunchError(`the command "${file}" is not there`, true, error)
  if (error.code === 'EACCES') return new LaunchError(`the command "${file}" may not be run`, true, error)
  return new LaunchError(`the command "${file}" cannot be started (${error.code ?? error.message})`, false, error)
}

class ChildGroup implements Child {
  readonly pid: number
  readonly process: ChildProcess
  readonly ended: Promise<Ended>
  readonly #id: string
  #isOver = false
  #swept: Promise<number> | null = null
  #timer: NodeJS.Timeout | null = null
  #killAt = Number.POSITIVE_INFINITY
  /** What was sent to end it; `''` = nothing. */
  #sent = ''

  constructor(child: ChildProcess, id: string) {
    this.pid = child.pid as number
    this.process = child
    this.#id = id
    children.add(this.pid)
    // Writing to a child that is ending is its end's news, not an error of its own.
    child.on('error', () => {})
    child.stdin?.on('error', () => {})
    this.ended = new Promise(resolve => {
      child.once('exit', (code, signal) => {
        this.#over()
        resolve({ code, signal, oomKilled: false, reason: this.#reason(code, signal) })
      })
    })
  }

  async stop(graceMs: number): Promise<void> {
    if (!this.#isOver) {
      if (this.#sent === '') this.#signal('SIGTERM')
      this.#killAfter(graceMs)
    }
    await this.ended
    await this.#swept
  }

  usage(): Promise<Usage | null> {
    return this.#isOver ? Promise.resolve(null) : usageOf(this.pid)
  }

  #killAfter(graceMs: number): void {
    const at = performance.now() + graceMs
    if (at >= this.#killAt) return
    this.#killAt = at
    if (this.#timer !== null) clearTimeout(this.#timer)
    this.#timer = setTimeout(() => this.#signal('SIGKILL'), graceMs)
  }

  #signal(signal: NodeJS.Signals): void {
    if (this.#isOver) return
    this.#sent = signal
    signalGroup(this.pid, signal)
  }

  /** The leader has ended: what it started must not outlive it. */
  #over(): void {
    this.#isOver = true
    if (this.#timer !== null) clearTimeout(this.#timer)
    signalGroup(this.pid, 'SIGKILL')
    children.remove(this.pid)
    this.#swept = sweeper.sweep({ leader: this.pid, mark: `${REPLICA_MARK}=${this.#id}` })
  }

  #reason(code: number | null, signal: string | null): string {
    if (this.#sent !== '') return this.#sent === 'SIGKILL' ? 'killed: it did not stop in time' : 'stopped'
    if (signal === 'SIGKILL') return 'killed by SIGKILL from outside, perhaps for lack of memory'
    return signal === null ? `ended with exit code ${code}` : `ended by ${signal}`
  }
}
