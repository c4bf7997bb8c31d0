import type { Duplex } from 'node:stream'
import { LaunchError } from '../launcher.ts'
import type { ContainerSpec } from '../spec/container.ts'
import { createOptions, userOf } from './create-options.ts'
import { type DockerEngine, unlessGone } from './engine.ts'
import { EngineError } from './engine-error.ts'
import type { Images, ReadyImage } from './images.ts'
import { LABELS, labelsFor, type Ownership } from './labels.ts'
import { dropNetwork, ensureNetwork, networkOf } from './network.ts'
import { RunningContainer } from './running.ts'
import { fileVariables, SecretFiles } from './secret-files.ts'
import { checkedMounts } from './volumes.ts'

/** A server's secrets, as they are when one of its containers starts. */
export interface ContainerSecrets {
  /** File name in /run/secrets -> content. Never visible in `docker inspect`. */
  readonly files: ReadonlyMap<string, Uint8Array>
  /** Variables; everybody who may ask the engine can see them. */
  readonly env: Readonly<Record<string, string>>
}

export const NO_SECRETS: ContainerSecrets = Object.freeze({ files: new Map(), env: Object.freeze({}) })

/** What all containers of one server have in common. */
export interface ContainerOptions {
  readonly engine: DockerEngine
  readonly images: Images
  readonly spec: ContainerSpec
  readonly whose: Ownership
  readonly fingerprint: string
  /** Host paths that volumes may show, absolute. */
  readonly allowedHostPaths: readonly string[]
  /** Asked at each start. */
  readonly secrets: () => Promise<ContainerSecrets>
  /** Takes secrets out of what a server prints over HTTP. Default: leaves it as it is. */
  readonly redact?: (line: string) => string
}

/** A container that runs. */
export interface StartedContainer {
  readonly running: RunningContainer
  /** Its streams, attached before it started. */
  readonly socket: Duplex
  /** The network it is in. */
  readonly network: string
}

/**
 * Gets the image, creates a container with its secrets, attaches to it and starts it. What was made is removed again when a
 * step fails or `signal` says so.
 * @throws LaunchError, or the signal's reason
 */
export async function startContainer(
  options: ContainerOptions,
  id: string,
  signal: AbortSignal,
  onBack: () => void,
): Promise<StartedContainer> {
  try {
    const image = await aborted(options.images.ready(options.spec), signal)
    return await new Start(options, id, image, await options.secrets()).run(signal, onBack)
  } catch (error) {
    if (signal.aborted || !(error instanceof EngineError)) throw error
    throw new LaunchError(error.message, isPermanent(error), error)
  }
}

/** A pull goes on for those who come later. */
function aborted<T>(work: Promise<T>, signal: AbortSignal): Promise<T> {
  return new Promise((resolve, reject) => {
    if (signal.aborted) reject(signal.reason)
    signal.addEventListener('abort', () => reject(signal.reason), { once: true })
    work.then(resolve, reject)
  })
}

/** Bad options, no such program in the image: the same again would fail the same way. */
function isPermanent(error: EngineError): boolean {
  return error.trouble === 'forbidden' || error.status === 400
}

/** One start, with what it has made so far. */
class Start {
  readonly #options: ContainerOptions
  readonly #id: string
  readonly #image: ReadyImage
  readonly #secrets: ContainerSecrets
  #files: SecretFiles | null = null
  #container = ''
  #socket: Duplex | null = null

  constructor(options: ContainerOptions, id: string, image: ReadyImage, secrets: ContainerSecrets) {
    this.#options = options
    this.#id = id
    this.#image = image
    this.#secrets = secrets
  }

  async run(signal: AbortSignal, onBack: () => void): Promise<StartedContainer> {
    const { engine, spec, whose } = this.#options
    const network = networkOf(spec, whose)
    const user = userOf(spec, this.#image)
    try {
      await ensureNetwork(engine, network, whose)
      await this.#create(user, signal)
      await this.#files?.fill(this.#container, this.#image.reference, user, signal)
      this.#socket = await engine.attach(this.#container, spec.port === 0, { signal })
      await this.#start(signal)
    } catch (error) {
      await this.#undo()
      throw error
    }
    await this.#files?.release()
    const running = new RunningContainer(engine, {
      id: this.#container,
      memoryBytes: spec.memoryBytes,
      cleanUp: () => this.#cleanUp(),
      onBack,
    })
    return { running, socket: this.#socket, network: network.name }
  }

  async #create(user: string, signal: AbortSignal): Promise<void> {
    const { engine, spec, whose, fingerprint } = this.#options
    const labels = { ...(await labelsFor(whose, this.#id)), [LABELS.fingerprint]: fingerprint }
    const network = networkOf(spec, whose)
    const mounts = checkedMounts(spec.volumes, this.#options.allowedHostPaths, engine)
    if (this.#secrets.files.size > 0) {
      this.#files = new SecretFiles(engine, `sluice-${this.#id}-secrets`, this.#secrets.files, labels)
      await this.#files.create(user)
      mounts.push(this.#files.mount)
    }
    const wanted = createOptions(spec, {
      name: `sluice-${this.#id}`,
      image: this.#image,
      labels,
      mounts,
      fileEnv: fileVariables(this.#secrets.files.keys()),
      secretEnv: this.#secrets.env,
      network: network.name,
      isPublished: network.isPublished,
    })
    // Not called off in the middle: the engine would make it all the same, and nobody would know its id.
    const create = (): Promise<{ id: string }> => engine.docker.createContainer(wanted)
    this.#container = (await engine.call(`create a container of ${this.#image.reference}`, create)).id
    signal.throwIfAborted()
  }

  async #start(signal: AbortSignal): Promise<void> {
    const { engine } = this.#options
    const container = engine.docker.getContainer(this.#container)
    const start = (abortSignal: AbortSignal): Promise<unknown> => container.start({ abortSignal })
    await engine.call(`start a container of ${this.#image.reference}`, start, { signal })
  }

  /** Takes everything back; what cannot be is left to the next start's reaping. */
  async #undo(): Promise<void> {
    this.#socket?.destroy()
    const { engine } = this.#options
    const steps = [
      () => this.#files?.release(),
      async () => {
        if (this.#container === '') return
        const container = engine.docker.getContainer(this.#container)
        await unlessGone(engine.call('remove container', () => container.remove({ force: true, v: true })))
      },
      () => this.#cleanUp(),
    ]
    for (const step of steps) await Promise.resolve(step()).catch(() => {})
  }

  async #cleanUp(): Promise<void> {
    const { engine, spec, whose } = this.#options
    await this.#files?.remove()
    await dropNetwork(engine, networkOf(spec, whose))
  }
}
