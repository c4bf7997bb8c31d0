import { write, writeSync } from 'node:fs'
import type { Target } from './target.ts'

export interface LineFileOptions {
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

const living = new Set<LineFile>()
process.on('exit', () => {
  for (const file of living) file.flushAtExit()
})

/**
 * Writes lines in the background, in large writes, at the latest after half a second. Follows rotation: when another file
 * (or none) is at the path, it is opened anew at the next flush. Why not `sonic-boom`: a full disk makes its last flush
 * wait for ever, it can lose lines but not refuse to, and it does not see a rotation.
 */
export class LineFile {
  #options: LineFileOptions
  #target: Target
  /** What comes in place of the target as soon as no chunk is half written. */
  #nextTarget: Target | null = null
  readonly #full: Buffer[] = []
  #chunk: Buffer
  #used = 0
  #waiting = 0
  /** The first chunk as its target wants it, or what is left of it; `null` = not yet asked. */
  #bytes: Buffer | null = null
  #written = 0
  #writing = false
  #writeId = 0
  #checking = false
  #resting = false
  #lost = 0
  #timer: NodeJS.Timeout | null = null
  #troubleAt = Number.NEGATIVE_INFINITY
  #drained: (() => void) | null = null
  #closed = false

  constructor(target: Target, options: LineFileOptions) {
    this.#target = target
    this.#options = options
    this.#chunk = Buffer.allocUnsafeSlow(target.isFile ? FILE_CHUNK_BYTES : PIPE_CHUNK_BYTES)
    living.add(this)
  }

  /** From now on with these; lines that wait already may go to either target, in order. */
  configure(target: Target | null, options: LineFileOptions): void {
    this.#options = options
    if (target !== null) this.#nextTarget = target
  }

  /** @param line with its line end */
  write(line: string): void {
    if (this.#closed) return
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
    while (this.#full.length > 0) {
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

  /** Writes what waits. Gives up at the first write that fails. Lines may still come meanwhile and later. */
  drain(): Promise<void> {
    return new Promise(resolve => {
      const before = this.#drained
      this.#drained = () => {
        before?.()
        resolve()
      }
      if (this.#lost > 0) this.#tellLost()
      this.#flush()
    })
  }

  /** Takes no more lines. Call it when `drain` is done: what waits now is lost. */
  end(): void {
    this.#closed = true
    if (this.#timer !== null) clearTimeout(this.#timer)
    this.#target.close()
    living.delete(this)
  }

  /** `drain` and `end`. */
  async close(): Promise<void> {
    await this.drain()
    this.end()
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
    if (this.#checking) return
    this.#checking = true
    const target = this.#target
    target.check(isStale => {
      this.#checking = false
      if (isStale && target === this.#target && !this.#writing && this.#written === 0) this.#reopen()
      this.#pump()
    })
  }

  /** A chunk that is half written ends in the file where it began: no line is split. */
  #reopen(): void {
    if (this.#bytes !== null) this.#target.rewind()
    this.#bytes = null
    this.#target.close()
  }

  /** What is to be written of the first chunk, by its target. @throws Error when the target cannot be opened */
  #prepare(): Buffer {
    if (this.#bytes !== null) return this.#bytes
    if (this.#nextTarget !== null) {
      this.#target.close()
      this.#target = this.#nextTarget
      this.#nextTarget = null
    }
    const bytes = this.#target.prepare(this.#full[0] as Buffer)
    this.#bytes = bytes
    this.#written = 0
    return bytes
  }

  #pump(): void {
    if (this.#writing || this.#checking || this.#resting) return
    if (this.#full.length === 0) {
      this.#tellDrained()
      return
    }
    let bytes: Buffer
    try {
      bytes = this.#prepare()
    } catch (error) {
      this.#failed(error as NodeJS.ErrnoException)
      return
    }
    const id = ++this.#writeId
    this.#writing = true
    write(this.#target.fd, bytes, 0, bytes.length, null, (error, size) => {
      // It was seen to arrive while the process stood still.
      if (id !== this.#writeId) return
      this.#writing = false
      if (error === null) this.#took(size)
      else this.#failed(error)
      this.#pump()
    })
  }

  /** Whether it wrote anything, or saw that a background write arrived. */
  #writeOneSync(): boolean {
    try {
      if (this.#writing) return this.#landOrPass()
      const bytes = this.#prepare()
      this.#took(writeSync(this.#target.fd, bytes))
      return true
    } catch {
      return false
    }
  }

  /** Nobody hears the end of a background write while the process stands still: a file's size tells, a pipe is written past. */
  #landOrPass(): boolean {
    const bytes = this.#bytes as Buffer
    const hasLanded = this.#target.hasLanded(this.#written + bytes.length)
    if (hasLanded === null) return this.#pass()
    if (!hasLanded) return false
    this.#writeId++
    this.#writing = false
    this.#took(bytes.length)
    return true
  }

  #pass(): boolean {
    const next = this.#full[1]
    if (next === undefined) return false
    const size = writeSync(this.#target.fd, next)
    this.#waiting -= size
    if (size === next.length) this.#full.splice(1, 1)
    else this.#full[1] = next.subarray(size)
    return true
  }

  #took(size: number): void {
    const bytes = this.#bytes as Buffer
    this.#written += size
    if (size < bytes.length) {
      this.#bytes = bytes.subarray(size)
      return
    }
    this.#target.settle(this.#written)
    this.#waiting -= (this.#full.shift() as Buffer).length
    this.#bytes = null
    this.#written = 0
  }

  #failed(error: NodeJS.ErrnoException): void {
    const busy = error.code === 'EAGAIN' || error.code === 'EBUSY'
    if (!busy) this.#trouble('audit lines cannot be written', error)
    if (this.#drained !== null && !busy) {
      this.#tellDrained()
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
    // A file that is drained is waited for; any other must not keep the process alive.
    if (this.#drained === null) timer.unref()
  }

  #trouble(text: string, error: Error | null): void {
    const now = performance.now()
    if (now - this.#troubleAt < TROUBLE_MS) return
    this.#troubleAt = now
    this.#options.onTrouble(text, error)
  }

  #tellDrained(): void {
    const drained = this.#drained
    this.#drained = null
    drained?.()
  }
}

function sleep(ms: number): void {
  Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, ms)
}
