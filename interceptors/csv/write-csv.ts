import { isJsonObject, type Json, type JsonObject } from '#api'

/** One column: what its values are called in a row, and in the header line. */
export interface Column {
  readonly path: string
  readonly header: string
}

export interface WriteOptions {
  readonly delimiter: string
  readonly lineEnd: string
  readonly header: boolean
  readonly guardFormulas: boolean
}

/**
 * What a spreadsheet takes for the beginning of a formula (OWASP, "CSV Injection"), with the full-width forms that some of
 * them fold to it.
 */
const FORMULA = /^[=+\-@\t\r\n\uff1d\uff0b\uff0d\uff20]/

/** Most cells of one table: rows may be empty objects of two bytes, and still have every column. */
export const MAX_CELLS = 1_000_000

/**
 * Writes a table as RFC 4180 has it. `null` and what is not there are empty cells; objects and arrays are JSON; numbers
 * keep their digits where `rows` come from `parseExact`. Only text is guarded against formulas: -5 stays -5.
 * @throws RangeError for more than `MAX_CELLS` cells
 */
export function writeCsv(rows: readonly JsonObject[], columns: readonly Column[], options: WriteOptions): string {
  if (rows.length * columns.length > MAX_CELLS) throw new RangeError(`a table of more than ${MAX_CELLS} cells`)
  const { delimiter, lineEnd } = options
  const cell = new CellWriter(options)
  const readers = columns.map(({ path }) => reader(path))
  const lines = options.header ? [columns.map(({ header }) => cell.text(header)).join(delimiter)] : []
  for (const row of rows) {
    let line = ''
    for (let i = 0; i < readers.length; i++) {
      if (i > 0) line += delimiter
      line += cell.value(readers[i]?.(row))
    }
    // A line without anything in it would be no row at all to many readers.
    lines.push(line === '' ? '""' : line)
  }
  return lines.map(line => line + lineEnd).join('')
}

/** The columns of rows: every member, in the order in which it comes first; `null` for more than `most`. */
export function columnsOf(rows: readonly JsonObject[], most: number): Column[] | null {
  const names = new Set<string>()
  for (const row of rows) {
    for (const name of Object.keys(row)) names.add(name)
    if (names.size > most) return null
  }
  return [...names].map(name => ({ path: name, header: name }))
}

type Reader = (row: JsonObject) => Json | undefined

/** A member of that very name goes before a path. */
function reader(path: string): Reader {
  if (!path.includes('.')) return row => (Object.hasOwn(row, path) ? row[path] : undefined)
  const parts = path.split('.')
  return row => (Object.hasOwn(row, path) ? row[path] : valueAt(row, parts))
}

/** The value at the end of a path through objects; `undefined` where there is none. */
export function valueAt(value: Json, parts: readonly string[]): Json | undefined {
  let at: Json | undefined = value
  for (const part of parts) at = isJsonObject(at) && Object.hasOwn(at, part) ? at[part] : undefined
  return at
}

class CellWriter {
  readonly #guard: boolean
  /** A blank at either end is quoted too: some readers take it away. */
  readonly #special: RegExp

  constructor({ delimiter, guardFormulas }: WriteOptions) {
    this.#guard = guardFormulas
    this.#special = new RegExp(`[\\u{${delimiter.codePointAt(0)?.toString(16)}}"\\r\\n]|^\\s|\\s$`, 'u')
  }

  value(value: Json | undefined): string {
    if (value === undefined || value === null) return ''
    if (typeof value === 'string') return this.text(value)
    return this.#quote(JSON.stringify(value))
  }

  text(text: string): string {
    return this.#quote(this.#guard && FORMULA.test(text) ? `'${text}` : text)
  }

  #quote(text: string): string {
    return this.#special.test(text) ? `"${text.replaceAll('"', '""')}"` : text
  }
}
