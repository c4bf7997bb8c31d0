import {
  accessSync,
  closeSync,
  constants,
  existsSync,
  fstatSync,
  mkdirSync,
  openSync,
  type Stats,
  stat,
  statSync,
} from 'node:fs'
import { dirname } from 'node:path'
import { Chain, type Opening } from './chain.ts'
import { Hasher, type Head, MAX_TAIL } from './chain-format.ts'
import { HeadFile, headPath, readHead } from './head-file.ts'
import { type RotationOptions, rotate } from './rotation.ts'
import type { Target } from './target.ts'

export interface FileTargetOptions {
  /** Appended to, made with mode 0600. */
  readonly path: string
  /** `null` = lines are not chained; else the key, `''` = without one. */
  readonly chainKey: string | null
  /** `null` = never. */
  readonly rotation: RotationOptions | null
  /** Milliseconds since the epoch. */
  now(): number
  /** Told of what does not stop lines from being written. */
  onTrouble(text: string, error: Error | null): void
}

/** O_NONBLOCK: a FIFO without a reader is an error that is tried again, not a process that stands still. */
const NONBLOCK = constants.O_NONBLOCK ?? 0
/** Reading too: a chain goes on from the last line. */
const FLAGS = constants.O_APPEND | constants.O_CREAT | NONBLOCK
/** After a rotation that failed, the next try. */
const ROTATE_RETRY_MS = 10_000

/**
 * A file that lines are appended to. Opened at the first line, so that checking a policy leaves no trace; rotates it, and
 * follows when others do; chains its lines.
 */
export class FileTarget implements Target {
  readonly isFile = true
  fd = -1
  readonly #options: FileTargetOptions
  readonly #chain: Chain | null
  readonly #head: HeadFile
  #inode = ''
  #size = 0
  /** When its last line was written. */
  #lastMs = 0
  #retryMs = 0
  /** What has to be said first in a file that was just opened. */
  #opening: Opening | null = null
  #before: Head | null = null

  /** @throws Error when the file could not be written to */
  constructor(options: FileTargetOptions) {
    this.#options = options
    this.#chain = options.chainKey === null ? null : new Chain(new Hasher(options.chainKey), options.now)
    this.#head = new HeadFile(options.path)
    checkWritable(options.path)
  }

  prepare(lines: Buffer): Buffer {
    this.#open()
    if (this.#isDue(lines)) this.#rotate()
    if (this.#chain === null) return lines
    this.#before = this.#chain.head
    return this.#chain.seal(lines, this.#opening)
  }

  settle(bytes: number): void {
    this.#size += bytes
    this.#lastMs = this.#options.now()
    this.#opening = null
    this.#before = null
    if (this.#chain !== null) this.#saveHead(this.#chain.head)
  }

  rewind(): void {
    if (this.#before !== null) this.#chain?.rewind(this.#before)
    this.#before = null
  }

  check(done: (isStale: boolean) => void): void {
    if (this.fd < 0) {
      done(false)
      return
    }
    stat(this.#options.path, (error, found) => {
      done(error !== null || inodeOf(found) !== this.#inode || (found.isFile() && found.size < this.#size))
    })
  }

  hasLanded(bytes: number): boolean | null {
    const found = fstatSync(this.fd)
    return found.isFile() ? found.size >= this.#size + bytes : null
  }

  close(): void {
    if (this.fd >= 0) closeSync(this.fd)
    this.fd = -1
    this.#opening = null
    this.#head.close()
  }

  #open(): void {
    if (this.fd >= 0) return
    const { path } = this.#options
    mkdirSync(dirname(path), { recursive: true })
    const chain = this.#chain
    const fd = openSync(path, FLAGS | (chain === null ? constants.O_WRONLY : constants.O_RDWR), 0o600)
    try {
      const found = fstatSync(fd)
      if (chain !== null && !found.isFile()) throw new Error(`${path}: only a file can be chained; say chain: false`)
      this.#inode = inodeOf(found)
      this.#size = found.isFile() ? found.size : 0
      this.#lastMs = found.mtimeMs
      this.#opening = chain === null ? null : chain.open(fd, found.size, this.#savedHead())
      this.fd = fd
    } catch (error) {
      closeSync(fd)
      throw error
    }
  }

  #savedHead(): Head | null {
    const { path, onTrouble } = this.#options
    const head = readHead(path)
    if (head !== 'damaged') return head
    onTrouble(`${headPath(path)} does not say where the chain stands: it goes on from the last line of the file`, null)
    return null
  }

  #saveHead(head: Head): void {
    try {
      this.#head.write(head)
    } catch (error) {
      this.#head.close()
      this.#options.onTrouble(`${headPath(this.#options.path)} cannot be written`, error as Error)
    }
  }

  #isDue(lines: Buffer): boolean {
    const { rotation, now } = this.#options
    if (rotation === null || this.#size === 0) return false
    const { maxBytes, everyMs } = rotation
    const nowMs = now()
    if (nowMs < this.#retryMs) return false
    if (everyMs > 0 && Math.floor(nowMs / everyMs) !== Math.floor(this.#lastMs / everyMs)) return true
    return maxBytes > 0 && this.#size + this.#sizeOf(lines) > maxBytes
  }

  /** How much lines will take, at most. */
  #sizeOf(lines: Buffer): number {
    if (this.#chain === null) return lines.length
    let size = lines.length
    for (let at = lines.indexOf(NEWLINE); at !== -1; at = lines.indexOf(NEWLINE, at + 1)) size += MAX_TAIL
    return size
  }

  #rotate(): void {
    const { path, rotation, now, onTrouble } = this.#options
    try {
      rotate(path, now(), rotation?.keep ?? 0)
    } catch (error) {
      this.#retryMs = now() + ROTATE_RETRY_MS
      onTrouble('the audit file cannot be rotated: lines go on into the old one', error as Error)
      if (existsSync(path)) return
    }
    this.close()
    this.#open()
  }
}

const NEWLINE = 0x0a

function inodeOf(stats: Stats): string {
  return `${stats.dev}:${stats.ino}`
}

/** Fails early, at load, and without making anything: the file, or the nearest folder there is, must be writable. */
function checkWritable(path: string): void {
  if (existsSync(path)) {
    if (statSync(path).isDirectory()) throw new Error(`${path}: is a folder, expected a file`)
    accessSync(path, constants.W_OK)
    return
  }
  let folder = dirname(path)
  while (!existsSync(folder) && dirname(folder) !== folder) folder = dirname(folder)
  if (!statSync(folder).isDirectory()) throw new Error(`${path}: ${folder} is not a folder`)
  accessSync(folder, constants.W_OK)
}
