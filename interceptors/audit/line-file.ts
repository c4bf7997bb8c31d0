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
  write,
  writeSync,
} from 'node:fs'
import { dirname } from 'node:path'

export interface LineFileOptions {
  /** A file (appended to, made with mode 0600), or a file descriptor: 1, 2. */
  readonly target: string | number
  /** Bytes that may wait in memory for a slow or full disk. */
  readonly maxBytes: number
  /** What happens beyond that: lose the line, or stop the process until the disk takes it. */
  readonly onFull: 'drop' | 'block'
  /** Makes the line that tells of lost ones, with its line end. */
  lostLine(lines: number): string
  /** Told of failed writes and of lost lines, at most once in 10 s. */
  onTrouble(text: string, error: Error | null): void
}

/** Lines of a file are collected into chunks of this size; a line is never split over two writes. */
const FILE_CHUNK_BYTES = 64 * 1024
/** For pipes: POSIX writes of up to PIPE_BUF bytes are never mixed with those of other writers. */
const PIPE_CHUNK_BYTES = 4096
const FLUSH_MS = 500
const RETRY_MS = 1000
const BUSY_MS = 20
const TROUBLE_MS = 10_000
/** How long the end of the process tries to write what waits. */
const EXIT_MS = 1000
/** O_NONBLOCK: a FIFO without a reader is an error that is tried again, not a process that stands still. */
const OPEN_FLAGS = constants.O_WRONLY | constants.O_APPEND | constants.O_CREAT | (constants.O_NONBLOCK ?? 0)

const living = new Set<LineFile>()
process.on('exit', () => {
  for (const file of living) file.flushAtExit()
})

/**
 * Appends lines to a file in the background, in large writes, at the latest after half a second. Opened at the first line,
 * so that checking a policy leaves no trace. Follows rotation: when another file (or none) is at the path, it is opened
 * anew at the next flush. Why not `sonic-boom`: a full disk makes its last flush wait for ever, it can lose lines but not
 * refuse to, and it does not see a rotation.
 */
export class LineFile {
  readonly #options: LineFileOptions
  readonly #full: Buffer[] = []
  #chunk: Buffer
  #used = 0
  #waiting = 0
  #fd: number
  #inode = ''
  #writing = false
  #checking = false
  #resting = false
  #lost = 0
  #timer: NodeJS.Timeout | null = null
  #troubleAt = Number.NEGATIVE_INFINITY
  #closed: (() => void) | null = null

  /** @throws Error when the file could not be written to */
  constructor(options: LineFileOptions) {
    const { target } = options
    this.#options = options
    this.#chunk = Buffer.allocUnsafeSlow(typeof target === 'string' ? FILE_CHUNK_BYTES : PIPE_CHUNK_BYTES)
    this.#fd = typeof target === 'string' ? -1 : target
    if (typeof target === 'string') checkWritable(target)
    living.add(this)
  }

  /** @param line with its line end */
  write(line: string): void {
    if (this.#closed !== null) return
    if (this.#waiting + line.length > this.#options.maxBytes && !this.#makeRoom(line.length)) {
      if (this.#lost++ === 0) this.#trouble('the buffer of audit lines is full: lines are lost', null)
      return
    }
    if (this.#lost > 0) this.#tellLost()
    this.#append(line)
    if (this.#full.length > 0) this.#pump()
    else this.#timer ??= setTimeout(() => this.#flush(), FLUSH_MS).unref()
  }

  /** Writes what waits before it returns, but gives up after `limitMs`. */
  flushSync(limitMs: number): void {
    this.#seal()
    const end = performance.now() + limitMs
    while (this.#full.length > this.#inFlight()) {
      if (this.#writeOneSync()) continue
      if (performance.now() >= end) return
      sleep(BUSY_MS)
    }
  }

  /** Nobody is left to hear the end of a background write, so it gets a moment before the rest is written. */
  flushAtExit(): void {
    if (this.#writing) sleep(BUSY_MS)
    this.flushSync(EXIT_MS)
  }

  /** Writes what waits and closes the file. Gives up at the first write that fails. */
  close(): Promise<void> {
    return new Promise(resolve => {
      this.#closed = resolve
      if (this.#lost > 0) this.#tellLost()
      this.#flush()
    })
  }

  #append(line: string): void {
    if (line.length * 3 > this.#chunk.length - this.#used) this.#seal()
    if (line.length * 3 > this.#chunk.length) {
      const own = Buffer.from(line)
      this.#full.push(own)
      this.#waiting += own.length
      return
    }
    const size = this.#chunk.write(line, this.#used, 'utf8')
    this.#used += size
    this.#waiting += size
  }

  #seal(): void {
    if (this.#used === 0) return
    this.#full.push(this.#chunk.subarray(0, this.#used))
    this.#chunk = Buffer.allocUnsafeSlow(this.#chunk.length)
    this.#used = 0
  }

  #tellLost(): void {
    const lost = this.#lost
    this.#lost = 0
    this.#append(this.#options.lostLine(lost))
  }

  #makeRoom(size: number): boolean {
    if (this.#options.onFull === 'drop') return false
    this.#trouble('the buffer of audit lines is full: the process waits for the disk', null)
    // On purpose without a limit: what cannot be audited must not happen.
    while (this.#waiting + size > this.#options.maxBytes && this.#full.length > 0) this.flushSync(RETRY_MS)
    return true
  }

  #flush(): void {
    if (this.#timer !== null) clearTimeout(this.#timer)
    this.#timer = null
    this.#seal()
    const { target } = this.#options
    if (typeof target !== 'string' || this.#fd < 0 || this.#checking) {
      this.#pump()
      return
    }
    this.#checking = true
    stat(target, (error, found) => {
      this.#checking = false
      if (!this.#writing && (error !== null || inodeOf(found) !== this.#inode)) this.#closeFile()
      this.#pump()
    })
  }

  #pump(): void {
    if (this.#writing || this.#checking || this.#resting) return
    const first = this.#full[0]
    if (first === undefined) {
      if (this.#closed !== null) this.#finish(this.#closed)
      return
    }
    try {
      this.#openFile()
    } catch (error) {
      this.#failed(error as NodeJS.ErrnoException)
      return
    }
    this.#writing = true
    write(this.#fd, first, 0, first.length, null, (error, size) => {
      this.#writing = false
      if (error === null) this.#took(0, size)
      else this.#failed(error)
      this.#pump()
    })
  }

  #inFlight(): number {
    return this.#writing ? 1 : 0
  }

  /** Whether it wrote anything. The chunk that a background write holds is left to that write. */
  #writeOneSync(): boolean {
    const index = this.#inFlight()
    try {
      this.#openFile()
      this.#took(index, writeSync(this.#fd, this.#full[index] as Buffer))
      return true
    } catch {
      return false
    }
  }

  #took(index: number, size: number): void {
    const chunk = this.#full[index] as Buffer
    this.#waiting -= size
    if (size === chunk.length) this.#full.splice(index, 1)
    else this.#full[index] = chunk.subarray(size)
  }

  #failed(error: NodeJS.ErrnoException): void {
    const busy = error.code === 'EAGAIN' || error.code === 'EBUSY'
    if (!busy) this.#trouble('audit lines cannot be written', error)
    if (this.#closed !== null && !busy) {
      this.#full.length = 0
      return
    }
    this.#resting = true
    const timer = setTimeout(
      () => {
        this.#resting = false
        this.#pump()
      },
      busy ? BUSY_MS : RETRY_MS,
    )
    // A closing file is waited for; an open one must not keep the process alive.
    if (this.#closed === null) timer.unref()
  }

  #trouble(text: string, error: Error | null): void {
    const now = performance.now()
    if (now - this.#troubleAt < TROUBLE_MS) return
    this.#troubleAt = now
    this.#options.onTrouble(text, error)
  }

  #openFile(): void {
    const { target } = this.#options
    if (this.#fd >= 0 || typeof target !== 'string') return
    mkdirSync(dirname(target), { recursive: true })
    this.#fd = openSync(target, OPEN_FLAGS, 0o600)
    this.#inode = inodeOf(fstatSync(this.#fd))
  }

  #closeFile(): void {
    if (typeof this.#options.target !== 'string' || this.#fd < 0) return
    closeSync(this.#fd)
    this.#fd = -1
  }

  #finish(closed: () => void): void {
    this.#closeFile()
    living.delete(this)
    closed()
  }
}

function sleep(ms: number): void {
  Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, ms)
}

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
