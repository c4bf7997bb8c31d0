import { PassThrough } from 'node:stream'
import { setTimeout as delay } from 'node:timers/promises'
import type { ContainerCreateOptions } from 'dockerode'
import { LaunchError } from '../launcher.ts'
import { type DockerEngine, unlessGone } from './engine.ts'
import { troubleOf } from './engine-error.ts'
import { TAR_END, tarEntry } from './tar.ts'
import type { Mount } from './volumes.ts'

/** Where a server finds its secrets, one file each. */
export const SECRETS_DIR = '/run/secrets'

const MAX_TOTAL_BYTES = 1024 * 1024
/** The last file of the archive: once it can be seen, so can all others. */
const LAST = '.complete'
const LOOK_AGAIN_MS = 10
const FILL_TIMEOUT_MS = 15_000
const SECRET_NAME = /^[A-Za-z0-9_][A-Za-z0-9._-]{0,98}$/

/**
 * Files with secrets in memory: a tmpfs volume of the engine, filled through its archive call before the server starts, so
 * that they stand in no image, no environment, no `docker inspect` and on no disk.
 *
 * A volume in memory lives as long as something has it mounted. So a second container, made and never started, takes an
 * archive that is held open: while the engine unpacks it, the volume is mounted and full, and the server starts beside it.
 */
export class SecretFiles {
  readonly mount: Mount
  readonly #engine: DockerEngine
  readonly #volume: string
  readonly #files: ReadonlyMap<string, Uint8Array>
  readonly #labels: Readonly<Record<string, string>>
  #holder = ''
  #body: PassThrough | null = null
  #unpacking: Promise<unknown> = Promise.resolve()

  /** @throws LaunchError for a bad name, or too much of it */
  constructor(
    engine: DockerEngine,
    volume: string,
    files: ReadonlyMap<string, Uint8Array>,
    labels: Readonly<Record<string, string>>,
  ) {
    checkFiles(files)
    this.#engine = engine
    this.#volume = volume
    this.#files = files
    this.#labels = labels
    this.mount = { Type: 'volume', Source: volume, Target: SECRETS_DIR, ReadOnly: true }
  }

  /** Makes the volume; it is empty. @param user of the container: only it can read the files */
  async create(user: string): Promise<void> {
    const { uid, gid, dir } = rights(user)
    const o = `size=${2 * MAX_TOTAL_BYTES},mode=${dir},uid=${uid},gid=${gid},noexec,nosuid,nodev`
    await this.#engine.call(`create volume ${this.#volume}`, () =>
      this.#engine.docker.createVolume({
        Name: this.#volume,
        Driver: 'local',
        DriverOpts: { type: 'tmpfs', device: 'tmpfs', o },
        Labels: this.#labels,
      }),
    )
  }

  /** Fills the volume and keeps it mounted, until `release`. @param server a container that was made, but not started */
  async fill(server: string, image: string, user: string, signal: AbortSignal): Promise<void> {
    const options = holderOptions(`${this.#volume}-holder`, image, this.#volume, this.#labels)
    const made = await this.#engine.call('create container for secrets', () =>
      this.#engine.docker.createContainer(options),
    )
    this.#holder = made.id
    this.#body = new PassThrough({ highWaterMark: 4 * MAX_TOTAL_BYTES })
    let failed: unknown = null
    this.#unpacking = this.#put(this.#body).catch(error => {
      failed = error
    })
    this.#write(this.#body, user)
    const deadline = performance.now() + FILL_TIMEOUT_MS
    while (!(await this.#isComplete(server))) {
      signal.throwIfAborted()
      if (failed !== null) throw failed
      if (performance.now() > deadline) throw new LaunchError('the engine did not take the secrets in time', false)
      await delay(LOOK_AGAIN_MS)
    }
  }

  /** The server has started, or never will: from now on the volume lives as long as the server does. */
  async release(): Promise<void> {
    this.#body?.end(TAR_END)
    this.#body = null
    await this.#unpacking
    if (this.#holder === '') return
    const holder = this.#engine.docker.getContainer(this.#holder)
    this.#holder = ''
    await unlessGone(this.#engine.call('remove container for secrets', () => holder.remove({ force: true })))
  }

  /** Removes the volume. Call it when the server's container has been removed. */
  async remove(): Promise<void> {
    const volume = this.#engine.docker.getVolume(this.#volume)
    await unlessGone(this.#engine.call(`remove volume ${this.#volume}`, () => volume.remove()))
  }

  #put(body: PassThrough): Promise<unknown> {
    const holder = this.#engine.docker.getContainer(this.#holder)
    return this.#engine.call('copy secrets', () => holder.putArchive(body, { path: SECRETS_DIR }), { timeoutMs: 0 })
  }

  #write(body: PassThrough, user: string): void {
    const { uid, gid, file } = rights(user)
    for (const [name, data] of this.#files) body.write(tarEntry({ name, data, mode: file, uid, gid }))
    body.write(tarEntry({ name: LAST, data: Buffer.alloc(0), mode: file, uid, gid }))
  }

  async #isComplete(server: string): Promise<boolean> {
    const container = this.#engine.docker.getContainer(server)
    const look = (): Promise<unknown> => container.infoArchive({ path: `${SECRETS_DIR}/${LAST}` })
    try {
      await this.#engine.call('look for the secrets', look)
      return true
    } catch (error) {
      if (troubleOf(error) === 'missing') return false
      throw error
    }
  }
}

function holderOptions(
  name: string,
  image: string,
  volume: string,
  labels: Readonly<Record<string, string>>,
): ContainerCreateOptions {
  const mount = { Type: 'volume', Source: volume, Target: SECRETS_DIR, ReadOnly: false }
  return {
    name,
    Image: image,
    // Some images have no command of their own; this one is never run.
    Cmd: ['never-run'],
    Labels: { ...labels },
    HostConfig: { NetworkMode: 'none', ReadonlyRootfs: true, CapDrop: ['ALL'], Mounts: [mount] as never },
  }
}

/** `github_token` -> `GITHUB_TOKEN_FILE=/run/secrets/github_token`, as most images understand it. */
export function fileVariables(names: Iterable<string>): Record<string, string> {
  const variable = (name: string): string => `${name.toUpperCase().replaceAll(/[^A-Z0-9]+/g, '_')}_FILE`
  return Object.fromEntries([...names].map(name => [variable(name), `${SECRETS_DIR}/${name}`]))
}

function checkFiles(files: ReadonlyMap<string, Uint8Array>): void {
  let total = 0
  for (const [name, data] of files) {
    if (!SECRET_NAME.test(name)) throw new LaunchError(`${JSON.stringify(name)} is no name for a secret's file`, true)
    total += data.byteLength
  }
  if (total > MAX_TOTAL_BYTES) throw new LaunchError('secrets of more than 1MiB', true)
}

/** A user that is named in the image has a number that is not known here: then everybody inside may read. */
function rights(user: string): { uid: number; gid: number; dir: string; file: number } {
  const match = /^(\d+)(?::(\d+))?$/.exec(user)
  if (match === null) return { uid: 0, gid: 0, dir: '0755', file: 0o444 }
  return { uid: Number(match[1]), gid: Number(match[2] ?? 0), dir: '0500', file: 0o400 }
}
