import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { type Ended, type Instance, LaunchError, type Launcher, type Usage } from '../launcher.ts'
import type { BridgeSpec } from '../spec/bridge.ts'
import type { StdioOpener } from '../stdio-channel.ts'
import { BRIDGE_PATH, Bridge } from './bridge.ts'
import type { BridgeContext } from './context.ts'
import { type EraMemory, newMemory } from './era.ts'
import { MAX_SOCKET_PATH_BYTES } from './http/listener.ts'

/** What a bridge needs to know of its server. */
export interface BridgeOptions {
  /** Name of the server, for people. */
  readonly server: string
  readonly spec: BridgeSpec
  /** Starts processes, or containers, of the server. */
  readonly opener: StdioOpener
  /** Folder for sockets, made with mode 0700; `''`, or one whose path is too long = a new one in the system's temporary folder. */
  readonly socketDir: string
  /** Digest of what the processes are started from. */
  readonly fingerprint: string
  /** Until a process that was told to stop is killed. */
  readonly stopGraceMs: number
  /** Takes secrets out of what processes say. Default: leaves it as it is. */
  readonly redact?: (line: string) => string
  /** Removes processes of earlier, dead proxies. Resolves to how many. */
  readonly reap?: () => Promise<number>
}

/** Makes a server that speaks over stdio an instance with an HTTP endpoint: one bridge, with as many processes as it needs. */
export class BridgeLauncher implements Launcher {
  readonly fingerprint: string
  readonly #options: BridgeOptions
  readonly #memory: EraMemory

  constructor(options: BridgeOptions) {
    this.fingerprint = options.fingerprint
    this.#options = options
    this.#memory = newMemory()
  }

  async launch(id: string, signal: AbortSignal): Promise<Instance> {
    const { server, spec, opener, stopGraceMs } = this.#options
    const context: BridgeContext = { server, id, spec, opener, stopGraceMs, redact: this.#options.redact ?? asIs }
    const socket = socketPlace(this.#options.socketDir, id)
    const instance = new BridgeInstance(context, socket, this.#memory)
    const stop = (): void => void instance.stop(0)
    signal.addEventListener('abort', stop, { once: true })
    try {
      await instance.start()
      signal.throwIfAborted()
    } catch (error) {
      await instance.stop(0)
      throw error
    } finally {
      signal.removeEventListener('abort', stop)
    }
    return instance
  }

  reap(): Promise<number> {
    return this.#options.reap?.() ?? Promise.resolve(0)
  }
}

function asIs(line: string): string {
  return line
}

interface SocketPlace {
  readonly path: string
  /** A folder made for this socket alone, removed with it; `''` = none. */
  readonly ownDir: string
}

/** Paths of unix sockets are short: 108 bytes on Linux, 104 elsewhere. */
function socketPlace(dir: string, id: string): SocketPlace {
  const path = join(dir, `${id}.sock`)
  if (dir !== '' && Buffer.byteLength(path) < MAX_SOCKET_PATH_BYTES) return { path, ownDir: '' }
  const ownDir = mkdtempSync(join(tmpdir(), 'sluice-'))
  return { path: join(ownDir, 's'), ownDir }
}

class BridgeInstance implements Instance {
  readonly id: string
  readonly url = `http://localhost${BRIDGE_PATH}`
  readonly socketPath: string
  readonly ended: Promise<Ended>
  readonly #bridge: Bridge
  readonly #place: SocketPlace
  readonly #context: BridgeContext
  #stopping: Promise<void> | null = null
  #end: (ended: Ended) => void

  constructor(context: BridgeContext, place: SocketPlace, memory: EraMemory) {
    this.id = context.id
    this.socketPath = place.path
    this.#place = place
    this.#context = context
    const { promise, resolve } = Promise.withResolvers<Ended>()
    this.ended = promise
    this.#end = resolve
    this.#bridge = new Bridge(context, place.path, memory, reason => this.#giveUp(reason))
  }

  /** @throws LaunchError */
  async start(): Promise<void> {
    try {
      await this.#bridge.listener.listen()
    } catch (error) {
      throw new LaunchError(`the socket of the bridge cannot be opened: ${(error as Error).message}`, true, error)
    }
    const { spec } = this.#context
    if (spec.warm === 0 && !spec.share && spec.era !== 'modern') return
    const { reason, isPermanent } = await this.#bridge.processes.first()
    if (reason !== '') throw new LaunchError(reason, isPermanent)
  }

  /** Process ids, or container ids, that run now. */
  get handle(): string {
    const handles = this.#bridge.processes.list().map(pipe => pipe.handle)
    return handles.filter(handle => handle !== '').join(' ')
  }

  get sessions(): number {
    return this.#bridge.sessionCount
  }

  /** Of the processes that run now. */
  async usage(): Promise<Usage | null> {
    const all = await Promise.all(this.#bridge.processes.list().map(pipe => pipe.usage()))
    let memoryBytes = 0
    let cpuSeconds = 0
    for (const one of all) {
      memoryBytes += one?.memoryBytes ?? 0
      cpuSeconds += one?.cpuSeconds ?? 0
    }
    return { memoryBytes, cpuSeconds }
  }

  selfCheck(): Promise<boolean | null> {
    return this.#bridge.check()
  }

  stop(graceMs: number): Promise<void> {
    this.#stopping ??= this.#close(graceMs, 'stopped')
    return this.#stopping
  }

  #giveUp(reason: string): void {
    this.#stopping ??= this.#close(0, reason)
  }

  async #close(graceMs: number, reason: string): Promise<void> {
    await this.#bridge.close(graceMs)
    if (this.#place.ownDir !== '') rmSync(dirname(this.#place.path), { recursive: true, force: true })
    this.#end({ code: null, signal: null, oomKilled: false, reason })
  }
}
