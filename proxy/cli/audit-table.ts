/** What a table shows of an audit line. */
interface Column {
  readonly title: string
  readonly width: number
  readonly isNumber: boolean
  of(line: Readonly<Record<string, unknown>>): string
}

const text = (title: string, width: number, of: Column['of']): Column => ({ title, width, isNumber: false, of })
const number = (title: string, width: number, key: string): Column => ({
  title,
  width,
  isNumber: true,
  of: line => shown(line[key]),
})

const COLUMNS: readonly Column[] = [
  text('TIME', 24, line => shown(line.timestamp)),
  text('CLIENT', 16, line => shown(line.client_id)),
  text('SERVER', 12, line => shown(line.server)),
  text('WHAT', 28, whatOf),
  text('STATUS', 10, line => shown(line.status)),
  number('MS', 9, 'duration_ms'),
  number('BYTES', 9, 'result_size'),
  text('WHY', 0, whyOf),
]

/** The head of the table. */
export function tableHead(width: number): string {
  return row(
    COLUMNS.map(column => column.title),
    width,
  )
}

/** One line as a row; what is longer than its column runs over, but not beyond the terminal. @param width 0 = no end */
export function tableRow(line: Readonly<Record<string, unknown>>, width: number): string {
  return row(
    COLUMNS.map(column => printable(column.of(line))),
    width,
  )
}

function row(cells: readonly string[], width: number): string {
  const text = cells
    .map((cell, index) => {
      const column = COLUMNS[index] as Column
      return column.isNumber ? cell.padStart(column.width) : cell.padEnd(column.width)
    })
    .join(' ')
    .trimEnd()
  return `${width > 0 && text.length > width ? `${text.slice(0, width - 1)}…` : text}\n`
}

function whatOf(line: Readonly<Record<string, unknown>>): string {
  if (line.tool !== undefined) return shown(line.tool)
  const method = shown(line.method)
  if (method === '') return shown(line.event)
  return line.name === undefined ? method : `${method} ${shown(line.name)}`
}

function whyOf(line: Readonly<Record<string, unknown>>): string {
  return [line.code, line.error ?? line.reason]
    .map(shown)
    .filter(part => part !== '')
    .join(': ')
}

function shown(value: unknown): string {
  if (typeof value === 'string') return value
  return typeof value === 'number' || typeof value === 'boolean' ? String(value) : ''
}

/** Names come from clients: what would move the cursor, or hide what stands there, is written as an escape. */
export function printable(text: string): string {
  return text.replace(/[\p{Cc}\p{Cf}\p{Zl}\p{Zp}]/gu, one => `\\u{${(one.codePointAt(0) as number).toString(16)}}`)
}
