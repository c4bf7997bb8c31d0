/** Where the lines of a `LineFile` go. */
export interface Target {
  /** Whether lines go to a file of their own, so that large writes are safe. */
  readonly isFile: boolean
  /** What to write to; valid after `prepare`. */
  readonly fd: number
  /**
   * Opens what has to be open, and makes of lines what is to be written. @throws Error
   * @param lines whole lines
   */
  prepare(lines: Buffer): Buffer
  /** All that `prepare` gave has been written: so many bytes. */
  settle(bytes: number): void
  /** Forgets what was prepared; nothing of it was written. */
  rewind(): void
  /** Tells whether something else is at the path now. Calls back later. */
  check(done: (isStale: boolean) => void): void
  /** Whether a background write of so many bytes has arrived; `null` where nobody can tell. */
  hasLanded(bytes: number): boolean | null
  close(): void
}

/** Standard output or error. */
export class StreamTarget implements Target {
  readonly isFile = false
  readonly fd: number

  constructor(fd: number) {
    this.fd = fd
  }

  prepare(lines: Buffer): Buffer {
    return lines
  }

  settle(): void {}

  rewind(): void {}

  check(done: (isStale: boolean) => void): void {
    done(false)
  }

  hasLanded(): null {
    return null
  }

  close(): void {}
}
