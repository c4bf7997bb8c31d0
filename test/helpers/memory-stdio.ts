import type { Ended } from '../../proxy/fleet/launcher.ts'
import type { StdioChannel, StdioListener, StdioOpener } from '../../proxy/fleet/stdio-channel.ts'
import { until } from './scope.ts'

// biome-ignore lint/suspicious/noExplicitAny: a test knows what was written
type Any = any

/** A server over stdio, played by the test: nothing of it is a process. */
export class MemoryServer implements StdioChannel {
  readonly handle: string
  readonly ended: Promise<Ended>
  readonly listener: StdioListener
  /** Every line it was sent, without its line feed. */
  readonly lines: string[] = []
  /** The same, parsed. */
  readonly messages: Any[] = []
  /** Whether writes are refused until `drain`. */
  isFull = false
  isPaused = false
  /** Called with each message it gets; what it returns is written as its answer. */
  react: ((message: Any) => Any) | null = null
  readonly #end: (ended: Ended) => void
  #rest = ''

  constructor(handle: string, listener: StdioListener) {
    const { promise, resolve } = Promise.withResolvers<Ended>()
    this.handle = handle
    this.listener = listener
    this.ended = promise
    this.#end = resolve
  }

  write(bytes: Uint8Array): boolean {
    const lines = (this.#rest + Buffer.from(bytes).toString()).split('\n')
    this.#rest = lines.pop() ?? ''
    for (const line of lines) this.#take(line)
    return !this.isFull
  }

  #take(line: string): void {
    this.lines.push(line)
    const message = JSON.parse(line)
    this.messages.push(message)
    const answer = this.react?.(message)
    if (answer !== undefined) queueMicrotask(() => this.say(answer))
  }

  /** Writes a message, or text as it is, and a line feed. */
  say(message: object | string): void {
    this.writeOut(`${typeof message === 'string' ? message : JSON.stringify(message)}\n`)
  }

  /** Writes bytes as they are. */
  writeOut(bytes: string | Buffer): void {
    this.listener.onData(Buffer.from(bytes as string))
  }

  drain(): void {
    this.isFull = false
    this.listener.onDrain()
  }

  pause(): void {
    this.isPaused = true
  }

  resume(): void {
    this.isPaused = false
  }

  /** Ends as a process does. */
  die(reason = 'ended with exit code 1'): void {
    this.#end({ code: 1, signal: null, oomKilled: false, reason })
  }

  async stop(): Promise<void> {
    this.die('stopped')
  }

  usage(): Promise<null> {
    return Promise.resolve(null)
  }

  /** Waits for the `count`th message with this method; gives it. */
  async got(method: string, count = 1): Promise<Any> {
    const matching = (): Any[] => this.messages.filter(message => message.method === method)
    await until(() => matching().length >= count, `${method} at the server`)
    return matching()[count - 1]
  }
}

/** Opens servers that the test plays. */
export class MemoryOpener implements StdioOpener {
  readonly servers: MemoryServer[] = []
  /** Called with each server before anything is written to it. */
  readonly #prepare: (server: MemoryServer, index: number) => void

  constructor(prepare: (server: MemoryServer, index: number) => void = () => {}) {
    this.#prepare = prepare
  }

  async open(_id: string, listener: StdioListener): Promise<StdioChannel> {
    const server = new MemoryServer(`memory-${this.servers.length + 1}`, listener)
    this.servers.push(server)
    this.#prepare(server, this.servers.length - 1)
    return server
  }

  /** The server of this index, once it is there. */
  async server(index = 0): Promise<MemoryServer> {
    await until(() => this.servers.length > index, `server ${index}`)
    return this.servers[index] as MemoryServer
  }
}

const DISCOVERED = {
  supportedVersions: ['2026-07-28'],
  capabilities: { tools: {} },
  resultType: 'complete',
  ttlMs: 0,
  cacheScope: 'private',
}
const INITIALIZED = {
  protocolVersion: '2025-11-25',
  capabilities: { tools: {} },
  serverInfo: { name: 'memory', version: '1' },
}

/** Answers what every modern server answers; `more` answers the rest. */
export function modernServer(more: (message: Any) => Any = () => undefined): (message: Any) => Any {
  return message => {
    if (message.method !== 'server/discover') return more(message)
    return { jsonrpc: '2.0', id: message.id, result: DISCOVERED }
  }
}

/** Answers what every legacy server answers; `more` answers the rest. */
export function legacyServer(more: (message: Any) => Any = () => undefined): (message: Any) => Any {
  return message => {
    if (message.method === 'initialize') return { jsonrpc: '2.0', id: message.id, result: INITIALIZED }
    if (message.method === 'server/discover') {
      return { jsonrpc: '2.0', id: message.id, error: { code: -32601, message: 'Method not found' } }
    }
    return more(message)
  }
}
