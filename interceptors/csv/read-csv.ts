/** Most cells of one table. */
export const MAX_CELLS = 1_000_000

/**
 * Reads CSV as RFC 4180 has it, with CRLF or LF; a byte order mark is passed over, and so are empty lines.
 * @returns the lines with their cells; `null` where the text is no table: a quote in the wrong place or without its other
 *   one, lines of different length, more than `MAX_CELLS` cells
 */
export function readCsv(text: string, delimiter: string): string[][] | null {
  const reader = new Reader(text.startsWith('\ufeff') ? text.slice(1) : text, delimiter)
  const lines: string[][] = []
  let cells = 0
  for (let line = reader.line(); line !== undefined; line = reader.line()) {
    if (line === null) return null
    if (line.length === 1 && line[0] === '' && !reader.quoted) continue
    cells += line.length
    if (cells > MAX_CELLS || line.length !== (lines[0] ?? line).length) return null
    lines.push(line)
  }
  return lines
}

class Reader {
  /** Whether the last cell was in quotes. */
  quoted = false
  readonly #text: string
  readonly #delimiter: string
  #at = 0

  constructor(text: string, delimiter: string) {
    this.#text = text
    this.#delimiter = delimiter
  }

  /** The next line; `undefined` at the end, `null` where it is none. */
  line(): string[] | null | undefined {
    if (this.#at >= this.#text.length) return undefined
    const cells: string[] = []
    for (;;) {
      this.quoted = this.#text[this.#at] === '"'
      const cell = this.quoted ? this.#quotedCell() : this.#bareCell()
      if (cell === null) return null
      cells.push(cell)
      if (this.#text[this.#at] !== this.#delimiter) return this.#lineEnd() ? cells : null
      this.#at++
    }
  }

  #bareCell(): string | null {
    const start = this.#at
    while (this.#at < this.#text.length) {
      const character = this.#text[this.#at]
      if (character === '"') return null
      if (character === this.#delimiter || character === '\n') break
      if (character === '\r' && this.#text[this.#at + 1] === '\n') break
      this.#at++
    }
    return this.#text.slice(start, this.#at)
  }

  #quotedCell(): string | null {
    let cell = ''
    let start = ++this.#at
    for (;;) {
      const end = this.#text.indexOf('"', start)
      if (end === -1) return null
      cell += this.#text.slice(start, end)
      this.#at = end + 1
      if (this.#text[this.#at] !== '"') return cell
      cell += '"'
      start = ++this.#at
    }
  }

  /** Goes over a line end, or stands at the end of the text. */
  #lineEnd(): boolean {
    if (this.#at >= this.#text.length) return true
    if (this.#text[this.#at] === '\r' && this.#text[this.#at + 1] === '\n') this.#at++
    return this.#text[this.#at++] === '\n'
  }
}
