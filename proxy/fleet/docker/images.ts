import type { ImageInspectInfo } from 'dockerode'
import { LaunchError } from '../launcher.ts'
import type { ContainerSpec } from '../spec/container.ts'
import { verifyImage } from './cosign.ts'
import type { DigestLock } from './digest-lock.ts'
import type { DockerEngine } from './engine.ts'
import { troubleOf } from './engine-error.ts'
import { parseImage, registryDigest } from './image-name.ts'
import { pullImage } from './pull.ts'

/** An image that may run. */
export interface ReadyImage {
  /** What to create containers of: as configured, or by digest. */
  readonly reference: string
  /** The image's own user; `''` = root. */
  readonly user: string
  /** Names of the variables that it sets itself. */
  readonly variables: ReadonlySet<string>
}

type ImageWishes = Pick<ContainerSpec, 'image' | 'pull' | 'pin' | 'verify'>

/** The images of one engine: gets them there, pins them, has them verified. */
export class Images {
  readonly #engine: DockerEngine
  readonly #lock: DigestLock
  readonly #env: NodeJS.ProcessEnv
  readonly #pulls = new Map<string, Promise<void>>()

  /** @param env where registries' credentials, and cosign, are looked for */
  constructor(engine: DockerEngine, lock: DigestLock, env: NodeJS.ProcessEnv) {
    this.#engine = engine
    this.#lock = lock
    this.#env = env
  }

  /**
   * Resolves when the image is on the engine and may run.
   * @throws LaunchError; permanent when there is no such image, or it may not run
   */
  async ready(wishes: ImageWishes): Promise<ReadyImage> {
    const wanted = await this.#wanted(wishes)
    const image = (await this.#present(wanted, wishes)) ?? (await this.#pulled(wanted, wishes))
    const reference = await this.#reference(wanted, image, wishes)
    if (wishes.verify !== null) await this.#verify(reference, wishes.image, wishes.verify)
    const variables = new Set((image.Config.Env ?? []).map(pair => pair.slice(0, pair.indexOf('='))))
    return { reference, user: image.Config.User ?? '', variables }
  }

  async #wanted({ image, pin }: ImageWishes): Promise<string> {
    if (!pin || parseImage(image).digest !== '') return image
    return (await this.#lock.get(image)) ?? image
  }

  /** What a digest names never changes, so it is never asked for again. */
  async #present(wanted: string, { pull }: ImageWishes): Promise<ImageInspectInfo | null> {
    if (pull === 'always' && !isFixed(wanted)) return null
    return this.#inspect(wanted)
  }

  async #pulled(wanted: string, { image, pull }: ImageWishes): Promise<ImageInspectInfo> {
    const where = `the Docker engine at ${this.#engine.text}`
    if (pull === 'never') throw new LaunchError(`image ${wanted} is not on ${where}, and "pull" is never`, true)
    if (wanted.startsWith('sha256:')) {
      throw new LaunchError(`image ${image} is pinned to ${wanted}, which is no longer on ${where}`, true)
    }
    await this.#pullOnce(wanted)
    const found = await this.#inspect(wanted)
    if (found === null) throw new LaunchError(`image ${wanted} was pulled, but is not on ${where}`, false)
    return found
  }

  /** Replicas that start together need one pull. */
  #pullOnce(image: string): Promise<void> {
    const running = this.#pulls.get(image)
    if (running !== undefined) return running
    const pull = pullImage(this.#engine, image, this.#env).finally(() => this.#pulls.delete(image))
    this.#pulls.set(image, pull)
    return pull
  }

  async #inspect(image: string): Promise<ImageInspectInfo | null> {
    try {
      return await this.#engine.call(`inspect image ${image}`, () => this.#engine.docker.getImage(image).inspect())
    } catch (error) {
      if (troubleOf(error) === 'missing') return null
      throw error
    }
  }

  async #reference(wanted: string, image: ImageInspectInfo, wishes: ImageWishes): Promise<string> {
    if (!wishes.pin && wishes.verify === null) return wanted
    if (isFixed(wanted)) return wanted
    // An image that was built here has no digest that a registry knows; its id is as good to pin it.
    const digest = registryDigest(wanted, image.RepoDigests ?? []) ?? image.Id
    if (wishes.pin) await this.#lock.set(wishes.image, digest)
    return digest
  }

  async #verify(reference: string, image: string, spec: NonNullable<ContainerSpec['verify']>): Promise<void> {
    if (parseImage(reference).digest === '') {
      throw new LaunchError(`${image} was not run: it came from no registry, so nobody can have signed it`, true)
    }
    await verifyImage(reference, spec, this.#env)
  }
}

function isFixed(reference: string): boolean {
  return reference.startsWith('sha256:') || parseImage(reference).digest !== ''
}
