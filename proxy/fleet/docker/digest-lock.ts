import { mkdir, readFile, rename, writeFile } from 'node:fs/promises'
import { dirname } from 'node:path'
import { z } from 'zod'
import { LaunchError } from '../launcher.ts'

const schema = z.strictObject({ version: z.literal(1), images: z.record(z.string(), z.string()) })

/**
 * The file that remembers under which digest an image with `pin: true` ran first. It is plain JSON and may be kept under
 * version control; who wants a newer image deletes its line. What cannot be read or written keeps images from running.
 */
export class DigestLock {
  readonly #path: string
  #queue: Promise<unknown> = Promise.resolve()

  /** @param path absolute; made when it is first needed */
  constructor(path: string) {
    this.#path = path
  }

  /** @returns `null` = this image was never pinned. @throws LaunchError */
  get(image: string): Promise<string | null> {
    return this.#inTurn(async () => (await this.#read())[image] ?? null)
  }

  /** @throws LaunchError */
  set(image: string, digest: string): Promise<void> {
    return this.#inTurn(async () => {
      const images = { ...(await this.#read()), [image]: digest }
      const sorted = Object.fromEntries(Object.entries(images).sort(([a], [b]) => (a < b ? -1 : 1)))
      await this.#write(`${JSON.stringify({ version: 1, images: sorted }, null, 2)}\n`)
    })
  }

  #inTurn<T>(step: () => Promise<T>): Promise<T> {
    const done = this.#queue.then(step)
    this.#queue = done.catch(() => {})
    return done
  }

  async #read(): Promise<Readonly<Record<string, string>>> {
    try {
      return schema.parse(JSON.parse(await readFile(this.#path, 'utf8'))).images
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code === 'ENOENT') return {}
      throw new LaunchError(`${this.#path} cannot be read: pinned images cannot run until it is mended`, true, error)
    }
  }

  async #write(text: string): Promise<void> {
    const beside = `${this.#path}.${process.pid}`
    try {
      await mkdir(dirname(this.#path), { recursive: true, mode: 0o700 })
      await writeFile(beside, text)
      await rename(beside, this.#path)
    } catch (error) {
      const code = (error as NodeJS.ErrnoException).code
      throw new LaunchError(`${this.#path} cannot be written (${code}): a pinned image must be remembered`, true, error)
    }
  }
}
