const LF = 0x0a
const CR = 0x0d

/** Longest line of a server's log output; the rest of it is left out. */
export const MAX_LOG_LINE_BYTES = 8 * 1024

/** Cuts a byte stream into lines of text for a log. Holds at most one line of `MAX_LOG_LINE_BYTES`. */
export class TextLines {
  readonly #onLine: (line: string) => void
  #parts: Buffer[] = []
  #size = 0

  constructor(onLine: (line: string) => void) {
    this.#onLine = onLine
  }

  push(chunk: Buffer): void {
    let from = 0
    for (let to = chunk.indexOf(LF); to !== -1; to = chunk.indexOf(LF, from)) {
      this.#keep(chunk.subarray(from, to))
      this.#emit()
      from = to + 1
    }
    this.#keep(chunk.subarray(from))
  }

  /** Hands on what came after the last line break. */
  end(): void {
    if (this.#size > 0) this.#emit()
  }

  #keep(part: Buffer): void {
    const room = MAX_LOG_LINE_BYTES - this.#size
    if (room <= 0 || part.length === 0) return
    // A copy: the chunk it is cut from may be big and must not live on.
    this.#parts.push(Buffer.from(part.subarray(0, room)))
    this.#size += Math.min(room, part.length)
  }

  #emit(): void {
    const line = this.#parts.length === 1 ? (this.#parts[0] as Buffer) : Buffer.concat(this.#parts)
    const end = line.at(-1) === CR ? line.length - 1 : line.length
    this.#parts = []
    this.#size = 0
    if (end > 0) this.#onLine(line.toString('utf8', 0, end))
  }
}
