import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { fileURLToPath } from 'node:url'
import { deferred, type Scope, within } from './scope.ts'

const SLUICE = fileURLToPath(new URL('../../proxy/cli/sluice.ts', import.meta.url))

/** A program of a test that runs in a child process. */
export interface Program {
  readonly child: ChildProcess
  /** What made `ready` match: its first group, for example a URL. */
  readonly ready: string
  /** Standard output and standard error so far, for messages of failing tests. */
  readonly output: string
  /** Sends SIGTERM and waits for the end, SIGKILL after 5 s; gives the exit code, `null` after a signal. */
  stop(): Promise<number | null>
}

export interface ProgramOptions {
  /** Matched against each line of standard output and standard error; its first group becomes `Program.ready`. */
  ready: RegExp
  env?: NodeJS.ProcessEnv
  cwd?: string
  /** Default 20 s: a busy machine may be slow to start Node. */
  deadlineMs?: number
}

const STOP_MS = 5000

/**
 * Starts a program and waits until it says it is ready; it is stopped with `scope`.
 * @param command the program and its arguments; `node` means the Node that runs the test
 * @throws Error with its output when it ends before, or is not ready in time
 */
export async function startProgram(
  scope: Scope,
  command: readonly string[],
  options: ProgramOptions,
): Promise<Program> {
  const [name = '', ...args] = command
  const child = spawn(name === 'node' ? process.execPath : name, args, {
    stdio: ['pipe', 'pipe', 'pipe'],
    env: { ...process.env, ...options.env },
    ...(options.cwd !== undefined && { cwd: options.cwd }),
  })
  const lines = new Lines(child, options.ready)
  const stop = () => stopChild(child)
  scope.after(async () => void (await stop()))
  try {
    const ready = await within(lines.ready, `${command.join(' ')} to be ready`, options.deadlineMs ?? 20_000)
    return {
      child,
      ready,
      stop,
      get output() {
        return lines.output
      },
    }
  } catch (error) {
    throw new Error(`${(error as Error).message}\n${lines.output}`, { cause: error })
  }
}

/** A Sluice started by its command line. */
export interface RunningSluice extends Program {
  /** Its endpoint for clients: `http://127.0.0.1:<port>/mcp`. */
  readonly url: string
}

/**
 * Starts `sluice run` with these arguments on a free port of 127.0.0.1, without the admin listener unless the arguments name one.
 * Waits for the line with `listening`.
 */
export async function startSluice(
  scope: Scope,
  args: readonly string[],
  options: { env?: NodeJS.ProcessEnv; cwd?: string } = {},
): Promise<RunningSluice> {
  const admin = args.includes('--admin') ? [] : ['--admin', 'off']
  const command = ['node', SLUICE, 'run', ...args, '--listen', '127.0.0.1:0', ...admin, '--log-format', 'json']
  const program = await startProgram(scope, command, { ready: /listening.*?(https?:\/\/[^\s"',]+)/, ...options })
  const url = new URL(program.ready)
  if (url.pathname === '/') url.pathname = '/mcp'
  return Object.defineProperty(program, 'url', { value: url.href, enumerable: true }) as RunningSluice
}

/** Collects output and looks for the line that says ready. */
class Lines {
  output = ''
  readonly ready: Promise<string>

  constructor(child: ChildProcess, pattern: RegExp) {
    const found = deferred<string>()
    this.ready = found.promise
    for (const stream of [child.stdout, child.stderr]) {
      let line = ''
      stream?.setEncoding('utf8').on('data', (text: string) => {
        this.#add(text)
        const lines = (line + text).split('\n')
        line = lines.pop() ?? ''
        const match = lines.map(whole => pattern.exec(whole)).find(match => match !== null)
        if (match) found.resolve(match[1] ?? match[0])
      })
    }
    child.once('error', found.reject)
    child.once('exit', (code, signal) => found.reject(new Error(`it ended before (${signal ?? `exit code ${code}`})`)))
  }

  /** The last 64 KiB: a program of a test may log for long. */
  #add(text: string): void {
    this.output = (this.output + text).slice(-65_536)
  }
}

async function stopChild(child: ChildProcess): Promise<number | null> {
  if (child.exitCode !== null || child.signalCode !== null) return child.exitCode
  const ended = once(child, 'exit')
  child.kill('SIGTERM')
  const killer = setTimeout(() => child.kill('SIGKILL'), STOP_MS)
  const [code] = (await ended) as [number | null]
  clearTimeout(killer)
  return code
}
