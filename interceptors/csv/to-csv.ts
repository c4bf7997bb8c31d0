import { finishedResult, type Json, type JsonObject, jsonOfText, type Message, parseExact, textBlocks } from '#api'
import type { Options } from './options.ts'
import { findTable } from './table.ts'
import { type Column, columnsOf, type WriteOptions, writeCsv } from './write-csv.ts'

/** What was done to one result. */
export interface Converted {
  readonly rows: number
  /** Rows that `max_rows` left out. */
  readonly cut: number
}

/** Writes tables in results as CSV. */
export class ToCsv {
  readonly #options: Options
  readonly #columns: readonly Column[] | null
  readonly #write: WriteOptions

  constructor(options: Options) {
    const { columns, delimiter, header, guard_formulas, line_end } = options
    this.#options = options
    this.#columns = columns?.map(columnOf) ?? null
    this.#write = { delimiter, header, guardFormulas: guard_formulas, lineEnd: line_end === 'lf' ? '\n' : '\r\n' }
  }

  /** @returns `null` where the result has no table */
  convert(message: Message): Converted | null {
    const result = finishedResult(message.json())
    if (result === null) return null
    return result['structuredContent'] === undefined ? this.#texts(message, result) : this.#structured(message)
  }

  /** The table goes where the JSON of it stood; the text that said the same goes. */
  #structured(message: Message): Converted | null {
    const exact = (parseExact(message.bytes()) as JsonObject)['result'] as JsonObject
    const made = this.#blocks(exact['structuredContent'] ?? null)
    if (made === null) return null
    message.edit(answer => {
      const result = answer['result'] as JsonObject
      const copies = new Set(textBlocks(result).flatMap(({ index, text }) => (jsonOfText(text) ? [index] : [])))
      const [first = 0] = copies
      const content = Array.isArray(result['content']) ? result['content'] : []
      const others = (from: number, to: number): Json[] =>
        content.slice(from, to).filter((_, i) => !copies.has(from + i))
      result['content'] = [...others(0, first), ...made.blocks, ...others(first, content.length)]
      if (this.#options.structured === 'remove') delete result['structuredContent']
    })
    return made
  }

  #texts(message: Message, result: JsonObject): Converted | null {
    const found = new Map<number, Made>()
    for (const { index, text } of textBlocks(result)) {
      const made = jsonOfText(text) === undefined ? null : this.#blocks(parseExact(text))
      if (made !== null) found.set(index, made)
    }
    if (found.size === 0) return null
    message.edit(answer => {
      const after = answer['result'] as JsonObject
      after['content'] = (after['content'] as Json[]).flatMap((block, index): readonly Json[] => {
        return found.get(index)?.blocks ?? [block]
      })
    })
    const sum = (key: 'rows' | 'cut'): number => [...found.values()].reduce((total, made) => total + made[key], 0)
    return { rows: sum('rows'), cut: sum('cut') }
  }

  /** The text blocks that take the place of a value. */
  #blocks(value: Json): Made | null {
    const { rows: path, rest: restMode, max_rows, max_columns } = this.#options
    const table = findTable(value, path)
    if (table === null) return null
    const rows = max_rows === undefined ? table.rows : table.rows.slice(0, max_rows)
    const columns = this.#columns ?? columnsOf(rows, max_columns)
    if (columns === null || columns.length === 0) return null
    const cut = table.rows.length - rows.length
    const texts = [writeCsv(rows, columns, this.#write)]
    if (table.rest !== null && restMode === 'keep') texts.unshift(JSON.stringify(table.rest))
    if (cut > 0) texts.push(`(the first ${rows.length} of ${table.rows.length} rows; ${cut} were left out)`)
    return { rows: rows.length, cut, blocks: texts.map(text => ({ type: 'text', text })) }
  }
}

interface Made extends Converted {
  readonly blocks: readonly JsonObject[]
}

function columnOf(given: NonNullable<Options['columns']>[number]): Column {
  return typeof given === 'string'
    ? { path: given, header: given }
    : { path: given.path, header: given.header ?? given.path }
}
