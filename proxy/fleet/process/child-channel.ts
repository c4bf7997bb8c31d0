import type { Readable, Writable } from 'node:stream'
import { TextLines } from '../docker/text-lines.ts'
import type { Ended, Usage } from '../launcher.ts'
import type { StdioChannel, StdioListener, StdioOpener } from '../stdio-channel.ts'
import { type Child, spawnChild } from './spawn.ts'

/** How long a child that has ended may leave its pipes open: something it started may hold them. */
const PIPES_MS = 1_000
/** Part of the grace that a child has to end by itself once its input is closed, before it is told to. */
const QUIET_PART = 0.5

/** A command that speaks MCP over its standard input and output. */
export interface ChildCommand {
  readonly command: readonly string[]
  /** Absolute. */
  readonly cwd: string
  readonly env: Readonly<Record<string, string>>
}

/** Starts children and opens channels to them. */
export class ChildOpener implements StdioOpener {
  readonly #what: () => ChildCommand | Promise<ChildCommand>

  /** @param what asked at each start: its environment may hold a secret that has been renewed */
  constructor(what: () => ChildCommand | Promise<ChildCommand>) {
    this.#what = what
  }

  async open(id: string, listener: StdioListener, signal: AbortSignal): Promise<StdioChannel> {
    const { command, cwd, env } = await this.#what()
    signal.throwIfAborted()
    const child = await spawnChild(command, { cwd, env, stdin: 'pipe', id })
    return new ChildChannel(child, listener)
  }
}

/** The pipes of a child process. */
export class ChildChannel implements StdioChannel {
  readonly handle: string
  readonly ended: Promise<Ended>
  readonly #child: Child
  readonly #stdin: Writable
  readonly #stdout: Readable

  constructor(child: Child, listener: StdioListener) {
    const { stdin, stdout, stderr } = child.process
    this.handle = String(child.pid)
    this.#child = child
    this.#stdin = stdin as Writable
    this.#stdout = stdout as Readable
    this.#stdout.on('data', (chunk: Buffer) => listener.onData(chunk))
    this.#stdin.on('drain', () => listener.onDrain())
    const lines = new TextLines(line => listener.onStderr(line))
    stderr?.on('data', (chunk: Buffer) => lines.push(chunk))
    this.ended = this.#whenRead(child, lines)
  }

  write(line: Uint8Array): boolean {
    return this.#stdin.destroyed ? true : this.#stdin.write(line)
  }

  pause(): void {
    this.#stdout.pause()
  }

  resume(): void {
    this.#stdout.resume()
  }

  /** Closes its input, then SIGTERM, then SIGKILL (MCP, stdio transport, "Shutdown"). */
  async stop(graceMs: number): Promise<void> {
    this.#stdin.end()
    // What it still writes must not keep it from ending.
    this.#stdout.resume()
    const quietMs = Math.floor(graceMs * QUIET_PART)
    if (quietMs > 0) await within(this.#child.ended, quietMs)
    await this.#child.stop(graceMs - quietMs)
    await this.ended
  }

  usage(): Promise<Usage | null> {
    return this.#child.usage()
  }

  /** The end, once everything has been read that it wrote before. */
  async #whenRead(child: Child, lines: TextLines): Promise<Ended> {
    const closed = new Promise<void>(resolve => {
      child.process.once('close', () => resolve())
    })
    const ended = await child.ended
    await within(closed, PIPES_MS)
    this.#stdout.destroy()
    child.process.stderr?.destroy()
    lines.end()
    return ended
  }
}

async function within(promise: Promise<unknown>, ms: number): Promise<void> {
  const { promise: late, resolve } = Promise.withResolvers<void>()
  const timer = setTimeout(resolve, ms)
  await Promise.race([promise, late])
  clearTimeout(timer)
}
