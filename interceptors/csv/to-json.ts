import { finishedResult, type Json, type JsonObject, jsonOfText, type Message, textBlocks } from '#api'
import type { Options } from './options.ts'
import { readCsv } from './read-csv.ts'
import type { Converted } from './to-csv.ts'

/** A table with more is none. */
const MAX_COLUMNS = 1000

/** A JSON number, `true` or `false`; what would lose digits stays text. */
const VALUE = /^(?:true|false|-?(?:0|[1-9]\d{0,14})(?:\.\d{1,6})?)$/

/**
 * Makes JSON of the text blocks of a result that hold CSV: of at least two columns, and two lines where the first one is the header.
 * Everything else stays.
 * @returns `null` where there is none
 */
export function toJson(message: Message, options: Options): Converted | null {
  const result = finishedResult(message.json())
  if (result === null) return null
  const tables = new Map<number, JsonTable>()
  for (const { index, text } of textBlocks(result)) {
    const table = jsonOfText(text) === undefined ? tableOf(text, options) : null
    if (table !== null) tables.set(index, table)
  }
  if (tables.size === 0) return null
  message.edit(answer => {
    const after = answer['result'] as JsonObject
    after['content'] = (after['content'] as Json[]).flatMap((block, index) => {
      const table = tables.get(index)
      return table === undefined ? [block] : blocksOf(block as JsonObject, table)
    })
  })
  const sum = (key: 'rows' | 'cut'): number => [...tables.values()].reduce((total, table) => total + table[key], 0)
  return { rows: sum('rows'), cut: sum('cut') }
}

interface JsonTable extends Converted {
  readonly text: string
}

function tableOf(text: string, { delimiter, header, max_rows, numbers }: Options): JsonTable | null {
  const lines = readCsv(text, delimiter)
  const [first] = lines ?? []
  if (lines === null || first === undefined || (header && lines.length < 2)) return null
  if (first.length < 2 || first.length > MAX_COLUMNS) return null
  const all = header ? lines.slice(1) : lines
  const rows = max_rows === undefined ? all : all.slice(0, max_rows)
  const value = (cell: string): Json => (numbers && VALUE.test(cell) ? (JSON.parse(cell) as Json) : cell)
  const names = distinct(first)
  // `fromEntries` makes members of their own even of names such as __proto__.
  const made = rows.map(cells => {
    return header ? Object.fromEntries(cells.map((cell, i) => [names[i] ?? '', value(cell)])) : cells.map(value)
  })
  return { text: JSON.stringify(made), rows: rows.length, cut: all.length - rows.length }
}

function blocksOf(block: JsonObject, { text, rows, cut }: JsonTable): JsonObject[] {
  const made = { ...block, text }
  if (cut === 0) return [made]
  return [made, { type: 'text', text: `(the first ${rows} of ${rows + cut} rows; ${cut} were left out)` }]
}

/** Names of which none comes twice: `a`, `a_2`. */
function distinct(names: readonly string[]): string[] {
  const taken = new Set<string>()
  return names.map(name => {
    let unique = name
    for (let n = 2; taken.has(unique); n++) unique = `${name}_${n}`
    taken.add(unique)
    return unique
  })
}
