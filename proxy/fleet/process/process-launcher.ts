import { createHash } from 'node:crypto'
import { connect } from 'node:net'
import { channels } from '../../observe/channels.ts'
import { TextLines } from '../docker/text-lines.ts'
import { type Ended, type Instance, LaunchError, type Launcher, type Usage } from '../launcher.ts'
import type { ProcessSource } from '../spec.ts'
import { givePortBack, isTaken, takePort } from './free-port.ts'
import { type Child, spawnChild } from './spawn.ts'

export interface ProcessOptions {
  readonly server: string
  /** `transport` is `http`. */
  readonly source: ProcessSource
  /** All of the environment that its source asks for, secrets too; asked at each start. */
  readonly env: () => Promise<Readonly<Record<string, string>>>
  /** Takes secrets out of what it says. Default: leaves it as it is. */
  readonly redact?: (line: string) => string
}

/** How often a port is chosen anew when somebody else was quicker. */
const PORT_TRIES = 3
/** How long a launch waits for a child to listen, or to fail because its port is taken. Health checks wait on. */
const LISTEN_MS = 1_500
const LISTEN_POLL_MS = 25

/** Starts child processes that speak Streamable HTTP on a port that an environment variable tells them. */
export class ProcessLauncher implements Launcher {
  readonly fingerprint: string
  readonly #options: ProcessOptions

  constructor(options: ProcessOptions) {
    this.#options = options
    this.fingerprint = fingerprintOf(options.source)
  }

  async launch(id: string, signal: AbortSignal): Promise<Instance> {
    for (let tries = 1; ; tries++) {
      const instance = await this.#start(id)
      try {
        const ended = await instance.listens(LISTEN_MS, signal)
        signal.throwIfAborted()
        if (ended === null) return instance
        // Who is quicker than the child has the port; the child then ends by itself.
        if (tries < PORT_TRIES && (await isTaken(instance.port))) continue
        throw new LaunchError(ended.reason, false)
      } catch (error) {
        await instance.stop(0)
        throw error
      }
    }
  }

  /** What dead proxies left behind is reaped for all servers together, by their state files. */
  reap(): Promise<number> {
    return Promise.resolve(0)
  }

  async #start(id: string): Promise<HttpProcess> {
    const { server, source, redact = asIs } = this.#options
    const env = await this.#options.env()
    const port = await takePort()
    try {
      const own = { ...source.env, ...env, [source.portEnv]: String(port) }
      const child = await spawnChild(source.command, { cwd: source.cwd, env: own, stdin: 'ignore', id })
      speak(child, line => channels.output.publish({ server, replica: id, line: redact(line) }))
      return new HttpProcess(id, port, source.path, child)
    } catch (error) {
      givePortBack(port)
      throw error
    }
  }
}

/** What makes a running child of this source out of date. */
export function fingerprintOf(source: ProcessSource, more: unknown = null): string {
  const { command, transport, portEnv, path, cwd, env } = source
  const text = JSON.stringify([command, transport, portEnv, path, cwd, Object.entries(env).toSorted(), more])
  return createHash('sha256').update(text).digest('hex')
}

function asIs(line: string): string {
  return line
}

function speak({ process: { stdout, stderr } }: Child, onLine: (line: string) => void): void {
  for (const stream of [stdout, stderr]) {
    if (stream === null) continue
    const lines = new TextLines(onLine)
    stream.on('data', (chunk: Buffer) => lines.push(chunk))
    stream.on('end', () => lines.end())
    stream.on('error', () => {})
  }
}

class HttpProcess implements Instance {
  readonly id: string
  readonly url: string
  readonly socketPath = ''
  readonly handle: string
  readonly ended: Promise<Ended>
  readonly port: number
  readonly #child: Child

  constructor(id: string, port: number, path: string, child: Child) {
    this.id = id
    this.port = port
    this.url = `http://127.0.0.1:${port}${path}`
    this.handle = String(child.pid)
    this.ended = child.ended
    this.#child = child
    void child.ended.then(() => givePortBack(port))
  }

  /** Resolves to its end if it ends before it listens, else to `null`, as soon as it listens or the time is over. */
  async listens(limitMs: number, signal: AbortSignal): Promise<Ended | null> {
    const until = performance.now() + limitMs
    while (performance.now() < until && !signal.aborted) {
      const ended = await Promise.race([this.ended, accepts(this.port)])
      // A port that answers although its process has ended is somebody else's.
      if (typeof ended === 'object') return ended
      const over = await Promise.race([this.ended, pause(ended ? 0 : LISTEN_POLL_MS)])
      if (over !== undefined) return over
      if (ended) return null
    }
    return null
  }

  stop(graceMs: number): Promise<void> {
    return this.#child.stop(graceMs)
  }

  usage(): Promise<Usage | null> {
    return this.#child.usage()
  }

  selfCheck(): Promise<null> {
    return Promise.resolve(null)
  }
}

function accepts(port: number): Promise<boolean> {
  return new Promise(resolve => {
    const socket = connect({ host: '127.0.0.1', port })
    socket.once('error', () => resolve(false))
    socket.once('connect', () => {
      socket.destroy()
      resolve(true)
    })
  })
}

function pause(ms: number): Promise<undefined> {
  return new Promise(resolve => setTimeout(resolve, ms, undefined))
}
