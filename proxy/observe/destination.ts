import { fstatSync, mkdirSync, openSync, writeSync } from 'node:fs'
import { dirname } from 'node:path'
import { pino } from 'pino'

/** Bytes of log that may wait for a slow reader of the log, per process. Beyond it lines are dropped and counted. */
export const MAX_BUFFERED_BYTES = 16 * 1024 * 1024

/** Lines wait this long for company. */
const FLUSH_MS = 200
const FILE_WRITE_BYTES = 16 * 1024
/** Writes of up to PIPE_BUF bytes are never mixed with those of other processes on the same pipe (POSIX, write). */
const PIPE_WRITE_BYTES = 4096
/** At the end of the process: what a write in the background gets to finish, and what a blocked reader gets. */
const SETTLE_MS = 20
const EXIT_MS = 1000

/** Where finished lines go. */
export interface Destination {
  write(line: string): unknown
  /** Hands everything that waits to the operating system, before it returns. */
  flushSync?(): void
}

/**
 * A file descriptor or file that never stops the process: writes happen in the background, in batches, at the latest
 * after 200 ms. At most `MAX_BUFFERED_BYTES` wait; further lines are dropped, and `onDropped` tells how many as soon
 * as there is room again. After a failed write (full disk, reader gone) the lines of that time may be lost, and the end
 * of the process does not wait for them.
 * @throws Error when the file cannot be opened
 */
export function backgroundDestination(target: number | string, onDropped: (lines: number) => void): Destination {
  return new Background(typeof target === 'number' ? target : openFile(target), onDropped)
}

function openFile(path: string): number {
  mkdirSync(dirname(path), { recursive: true })
  return openSync(path, 'a', 0o640)
}

class Background implements Destination {
  readonly #fd: number
  readonly #maxBytes: number
  readonly #stream: ReturnType<typeof pino.destination>
  readonly #flushStream: () => void
  readonly #onDropped: (lines: number) => void
  /** Lines that go to the stream together: it counts and copies all that waits at each of its writes. */
  #lines = ''
  #dropped = 0
  #idle = true
  #failing = false

  constructor(fd: number, onDropped: (lines: number) => void) {
    this.#fd = fd
    this.#onDropped = onDropped
    this.#maxBytes = fstatSync(fd).isFIFO() ? PIPE_WRITE_BYTES : FILE_WRITE_BYTES
    this.#stream = pino.destination({ dest: fd, sync: false, maxLength: MAX_BUFFERED_BYTES, maxWrite: this.#maxBytes })
    this.#flushStream = this.#stream.flushSync.bind(this.#stream)
    // Called at the exit of the process too; its own one tries for ever on a full disk.
    this.#stream.flushSync = () => this.flushSync()
    this.#watch()
    setInterval(() => this.#handOver(), FLUSH_MS).unref()
  }

  write(line: string): void {
    if (this.#lines.length + line.length > this.#maxBytes) this.#handOver()
    this.#lines += line
  }

  flushSync(): void {
    if (this.#failing) return
    if (!this.#idle) sleep(SETTLE_MS)
    this.#flushStream()
    const rest = Buffer.from(this.#lines)
    this.#lines = ''
    writeAll(this.#fd, rest, performance.now() + EXIT_MS)
  }

  #handOver(): void {
    if (this.#lines === '') return
    const lines = this.#lines
    this.#lines = ''
    this.#idle = false
    this.#stream.write(lines)
  }

  #watch(): void {
    this.#stream.on('drop', (lines: string) => {
      this.#dropped += lines.split('\n').length - 1
    })
    this.#stream.on('drain', () => {
      this.#idle = true
    })
    this.#stream.on('error', () => {
      this.#failing = true
    })
    this.#stream.on('write', () => {
      this.#failing = false
      if (this.#dropped === 0) return
      const lines = this.#dropped
      this.#dropped = 0
      this.#onDropped(lines)
    })
  }
}

function writeAll(fd: number, bytes: Buffer, until: number): void {
  let from = 0
  while (from < bytes.length) {
    try {
      from += writeSync(fd, bytes, from)
    } catch (error) {
      // EAGAIN: a pipe that is full; anything else will not get better in time, and there is no place to say so.
      if ((error as NodeJS.ErrnoException).code !== 'EAGAIN' || performance.now() > until) return
      sleep(5)
    }
  }
}

function sleep(ms: number): void {
  Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, ms)
}
