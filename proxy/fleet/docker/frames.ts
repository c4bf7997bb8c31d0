const HEADER_BYTES = 8

/** What hears the frames of an attached container. Chunks are cut anywhere and are views of what was pushed. */
export interface FrameListener {
  onStdout(chunk: Buffer): void
  onStderr(chunk: Buffer): void
}

/**
 * Takes apart the stream of a container without a terminal: frames of `[stream, 0, 0, 0, length (4, big endian)]` and
 * content (Docker Engine API, "Attach to a container"). Keeps at most a header: content is handed on as it comes, so
 * neither lines nor frames need to fit anywhere.
 */
export class FrameReader {
  readonly #listener: FrameListener
  readonly #header = Buffer.alloc(HEADER_BYTES)
  #held = 0
  #left = 0

  constructor(listener: FrameListener) {
    this.#listener = listener
  }

  /** @throws Error when it is no such stream */
  push(chunk: Buffer): void {
    let at = 0
    while (at < chunk.length) {
      if (this.#left === 0) {
        at += this.#readHeader(chunk, at)
        continue
      }
      const end = Math.min(chunk.length, at + this.#left)
      this.#hand(chunk.subarray(at, end))
      this.#left -= end - at
      at = end
    }
  }

  #readHeader(chunk: Buffer, at: number): number {
    const taken = Math.min(HEADER_BYTES - this.#held, chunk.length - at)
    chunk.copy(this.#header, this.#held, at, at + taken)
    this.#held += taken
    if (this.#held === HEADER_BYTES) this.#begin()
    return taken
  }

  #begin(): void {
    const header = this.#header
    if ((header[0] ?? 3) > 2 || header[1] !== 0 || header[2] !== 0 || header[3] !== 0) {
      throw new Error('the engine sent no multiplexed stream')
    }
    this.#held = 0
    this.#left = header.readUInt32BE(4)
  }

  #hand(content: Buffer): void {
    if (this.#header[0] === 2) this.#listener.onStderr(content)
    else this.#listener.onStdout(content)
  }
}
