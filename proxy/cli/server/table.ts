import { printable } from '../audit-table.ts'

/** One column: its title, and whether it is aligned to the right. */
export interface Column<Row> {
  readonly title: string
  readonly isNumber?: boolean
  of(row: Row): string
}

const GAP = '  '

/** Rows under their titles, each column as wide as its widest cell. Columns in which nothing stands are left out. */
export function table<Row>(columns: readonly Column<Row>[], rows: readonly Row[], indent = ''): string {
  const cells = columns.map(column => rows.map(row => printable(column.of(row))))
  const shown = columns.map((column, at) => ({ column, cells: cells[at] as string[] }))
  const used = shown.filter(({ cells }) => cells.some(cell => cell !== ''))
  const width = ({ column, cells }: (typeof used)[number]): number =>
    Math.max(column.title.length, ...cells.map(cell => cell.length))
  const line = (pick: (one: (typeof used)[number]) => string): string => {
    const parts = used.map(one => (one.column.isNumber ? pick(one).padStart(width(one)) : pick(one).padEnd(width(one))))
    return `${indent}${parts.join(GAP)}`.trimEnd()
  }
  const head = line(({ column }) => column.title)
  const body = rows.map((_, at) => line(({ cells }) => cells[at] as string))
  return `${[head, ...body].join('\n')}\n`
}

/** `3d 4h`, `2m 5s`, `7s`: the two largest units. */
export function age(seconds: number): string {
  if (seconds < 0) return ''
  const units = [
    ['d', 86_400],
    ['h', 3_600],
    ['m', 60],
    ['s', 1],
  ] as const
  const first = units.findIndex(([, size]) => seconds >= size)
  if (first < 0) return '0s'
  const parts: string[] = []
  let rest = seconds
  for (const [unit, size] of units.slice(first, first + 2)) {
    const count = Math.floor(rest / size)
    rest -= count * size
    if (count > 0) parts.push(`${count}${unit}`)
  }
  return parts.join(' ')
}

/** `64.2 MiB`. */
export function size(bytes: number): string {
  if (bytes < 0) return ''
  if (bytes < 1024 ** 2) return `${Math.round(bytes / 1024)} KiB`
  return bytes < 1024 ** 3 ? `${(bytes / 1024 ** 2).toFixed(1)} MiB` : `${(bytes / 1024 ** 3).toFixed(2)} GiB`
}

/** `12.3 s` of processor time. */
export function cpu(seconds: number): string {
  return seconds < 0 ? '' : `${seconds.toFixed(seconds < 100 ? 1 : 0)} s`
}

/** A number that is known; `''` = it is not. */
export function known(number: number): string {
  return number < 0 ? '' : String(number)
}
