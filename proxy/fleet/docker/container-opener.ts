import type { Duplex } from 'node:stream'
import { setTimeout as delay } from 'node:timers/promises'
import type { Ended } from '../launcher.ts'
import type { StdioChannel, StdioListener, StdioOpener } from '../stdio-channel.ts'
import { FrameReader } from './frames.ts'
import { reapContainers } from './reap.ts'
import type { RunningContainer } from './running.ts'
import { type ContainerOptions, startContainer } from './start.ts'
import { TextLines } from './text-lines.ts'

/** How long the last output of a container that has ended may take to be read. */
const DRAIN_MS = 5_000
/** How long after its streams broke a container may take to be known as ended. */
const END_MS = 3_000

/** Opens channels to containers of one server that speaks over stdio. */
export class ContainerOpener implements StdioOpener {
  readonly fingerprint: string
  readonly #options: ContainerOptions

  constructor(options: ContainerOptions) {
    this.fingerprint = options.fingerprint
    this.#options = options
  }

  async open(id: string, listener: StdioListener, signal: AbortSignal): Promise<StdioChannel> {
    const { running, socket } = await startContainer(this.#options, id, signal, () => {})
    return new ContainerChannel(running, socket, listener, this.#options.engine.text)
  }

  /** Removes what earlier, dead proxies with this instance's name left behind. */
  reap(): Promise<number> {
    return reapContainers(this.#options.engine, this.#options.whose)
  }
}

/** A container behind the one connection that carries its input and, in frames, its output. */
class ContainerChannel implements StdioChannel {
  readonly handle: string
  readonly ended: Promise<Ended>
  readonly #running: RunningContainer
  readonly #socket: Duplex

  constructor(running: RunningContainer, socket: Duplex, listener: StdioListener, engine: string) {
    this.handle = running.id.slice(0, 12)
    this.#running = running
    this.#socket = socket
    const closed = this.#listen(listener)
    this.ended = Promise.race([this.#endedAndRead(closed), this.#cutOff(closed, engine)])
  }

  write(line: Uint8Array): boolean {
    // A channel that is closing takes everything: its end is told by `ended`.
    return this.#socket.writable ? this.#socket.write(line) : true
  }

  pause(): void {
    this.#socket.pause()
  }

  resume(): void {
    this.#socket.resume()
  }

  /** Half of the time for its input's end, half for the stop signal. */
  async stop(graceMs: number): Promise<void> {
    this.#running.expectEnd()
    this.#socket.end()
    // Nobody reads on: what is still to come must not keep it from ending.
    this.#socket.resume()
    await Promise.race([this.#running.ended, delay(graceMs / 2, null, { ref: false })])
    await this.#running.stop(graceMs / 2)
    this.#socket.destroy()
  }

  usage(): Promise<{ memoryBytes: number; cpuSeconds: number } | null> {
    return this.#running.usage()
  }

  #listen(listener: StdioListener): Promise<void> {
    const socket = this.#socket
    const errors = new TextLines(line => listener.onStderr(line))
    const frames = new FrameReader({
      onStdout: chunk => listener.onData(chunk),
      onStderr: chunk => errors.push(chunk),
    })
    socket.on('data', (chunk: Buffer) => {
      try {
        frames.push(chunk)
      } catch (error) {
        socket.destroy(error as Error)
      }
    })
    socket.on('drain', () => listener.onDrain())
    socket.on('error', () => {})
    return new Promise(resolve => {
      socket.once('close', () => {
        errors.end()
        resolve()
      })
    })
  }

  /** The usual end: the container's, told when its last output was read. */
  async #endedAndRead(closed: Promise<void>): Promise<Ended> {
    const ended = await this.#running.ended
    await Promise.race([closed, delay(DRAIN_MS, null, { ref: false })])
    this.#socket.destroy()
    return ended
  }

  /** The connection broke although the container may run: nobody can speak to it any more. */
  async #cutOff(closed: Promise<void>, engine: string): Promise<Ended> {
    await closed
    const ended = await Promise.race([this.#running.ended, delay(END_MS, null, { ref: false })])
    if (ended !== null) return ended
    this.#running.stop(0).catch(() => {})
    const reason = `the connection with it broke: the Docker engine at ${engine} closed it`
    return { code: null, signal: null, oomKilled: false, reason }
  }
}
