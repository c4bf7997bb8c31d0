const LINE_FEED = 0x0a

/** Cuts bytes at line feeds, and holds no more than one unfinished line of `maxBytes`. */
export class Lines {
  readonly #maxBytes: number
  #parts: Buffer[] = []
  #bytes = 0

  constructor(maxBytes: number) {
    this.#maxBytes = maxBytes
  }

  /** @returns the lines that are complete now, without line feeds; `null` when one is too long */
  push(chunk: Buffer): Buffer[] | null {
    const lines: Buffer[] = []
    let start = 0
    for (let end = chunk.indexOf(LINE_FEED); end !== -1; end = chunk.indexOf(LINE_FEED, start)) {
      if (!this.#keep(chunk.subarray(start, end))) return null
      lines.push(this.#parts.length === 1 ? (this.#parts[0] as Buffer) : Buffer.concat(this.#parts, this.#bytes))
      this.#parts = []
      this.#bytes = 0
      start = end + 1
    }
    return start === chunk.length || this.#keep(chunk.subarray(start)) ? lines : null
  }

  #keep(part: Buffer): boolean {
    this.#parts.push(part)
    this.#bytes += part.length
    return this.#bytes <= this.#maxBytes
  }
}
