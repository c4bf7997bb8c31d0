import type { Duplex } from 'node:stream'
import { channels } from '../../observe/channels.ts'
import { type Ended, type Instance, LaunchError, type Launcher, type Usage } from '../launcher.ts'
import type { DockerEngine } from './engine.ts'
import { FrameReader } from './frames.ts'
import { reapContainers } from './reap.ts'
import type { RunningContainer } from './running.ts'
import { type ContainerOptions, type StartedContainer, startContainer } from './start.ts'
import { TextLines } from './text-lines.ts'

/** Starts containers of one server that speaks Streamable HTTP. */
export class ContainerLauncher implements Launcher {
  readonly fingerprint: string
  readonly #options: ContainerOptions

  constructor(options: ContainerOptions) {
    this.fingerprint = options.fingerprint
    this.#options = options
  }

  async launch(id: string, signal: AbortSignal): Promise<Instance> {
    const { engine, spec, whose } = this.#options
    const { redact = asIs } = this.#options
    const log = new ContainerLog(engine, line => {
      channels.output.publish({ server: whose.server, replica: id, line: redact(line) })
    })
    const started = await startContainer(this.#options, id, signal, () => log.attach(started.running.id))
    log.follow(started.socket)
    try {
      const address = await this.#address(started)
      return new HttpContainer(id, `http://${address}${spec.path}`, started.running)
    } catch (error) {
      await started.running.stop(0)
      throw error
    }
  }

  reap(): Promise<number> {
    return reapContainers(this.#options.engine, this.#options.whose)
  }

  /** Where its port is: published on this machine, or its own address in its network. */
  async #address({ running, network }: StartedContainer): Promise<string> {
    const { engine, spec, whose } = this.#options
    const { NetworkSettings, State } = await running.inspect()
    const published = NetworkSettings.Ports?.[`${spec.port}/tcp`]?.[0]
    if (published !== undefined && engine.socketPath === '') {
      const advice = 'name a "network" that this proxy is in, too'
      const where = `the Docker engine at ${engine.text} may be another machine, whose 127.0.0.1 cannot be reached`
      throw new LaunchError(`${where}: ${advice}`, true)
    }
    if (published !== undefined) return `127.0.0.1:${published.HostPort}`
    const own = NetworkSettings.Networks?.[network]?.IPAddress ?? ''
    if (own !== '') return `${own}:${spec.port}`
    // A container that has ended has no address any more.
    if (!State.Running) throw new LaunchError(`${whose.server}: ${(await running.ended).reason}`, false)
    throw new LaunchError(`the container has no address in the network ${network}`, true)
  }
}

class HttpContainer implements Instance {
  readonly id: string
  readonly url: string
  readonly socketPath = ''
  readonly handle: string
  readonly ended: Promise<Ended>
  readonly #running: RunningContainer

  constructor(id: string, url: string, running: RunningContainer) {
    this.id = id
    this.url = url
    this.handle = running.id.slice(0, 12)
    this.ended = running.ended
    this.#running = running
  }

  stop(graceMs: number): Promise<void> {
    return this.#running.stop(graceMs)
  }

  usage(): Promise<Usage | null> {
    return this.#running.usage()
  }

  selfCheck(): Promise<boolean | null> {
    return this.#running.health()
  }
}

/** What a container says, line by line into the log. */
class ContainerLog {
  readonly #engine: DockerEngine
  readonly #onLine: (line: string) => void

  constructor(engine: DockerEngine, onLine: (line: string) => void) {
    this.#engine = engine
    this.#onLine = onLine
  }

  /** Again, after the engine was away. What was said meanwhile is in the engine's own log. */
  attach(container: string): void {
    this.#engine.attach(container, false).then(
      socket => this.follow(socket),
      () => {},
    )
  }

  follow(socket: Duplex): void {
    const out = new TextLines(this.#onLine)
    const err = new TextLines(this.#onLine)
    const frames = new FrameReader({ onStdout: chunk => out.push(chunk), onStderr: chunk => err.push(chunk) })
    socket.on('data', (chunk: Buffer) => {
      try {
        frames.push(chunk)
      } catch (error) {
        socket.destroy(error as Error)
      }
    })
    socket.once('close', () => {
      out.end()
      err.end()
    })
  }
}

function asIs(line: string): string {
  return line
}
