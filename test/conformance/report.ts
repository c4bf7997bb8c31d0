import { type Checks, type Difference, score } from './checks.ts'

/** One run of the suite: directly, or through a proxy. */
export interface Column {
  readonly title: string
  readonly checks: Checks
  /** Against the direct run; empty for the direct run itself. */
  readonly differences: readonly Difference[]
}

/** A row for each scenario, a column for each run: `passed/all`, and `!` where a check differs from the direct run. */
export function table(columns: readonly Column[]): string {
  const scenarios = new Set(columns.flatMap(column => [...column.checks.values()].map(check => check.scenario)))
  const rows = [...scenarios].map(scenario => [scenario, ...columns.map(column => cell(column, scenario))])
  rows.push(['all', ...columns.map(column => cell(column))])
  return layout([['scenario', ...columns.map(column => column.title)], ...rows])
}

/** One paragraph for each check that differs. */
export function explain(title: string, differences: readonly Difference[]): string {
  return differences
    .map(({ key, direct, proxied }) => {
      const said = proxied === null ? 'was not made' : `${proxied.status} ${proxied.error}`.trim()
      return `  ${title}: ${key}\n    direct:  ${direct?.status ?? 'was not made'}\n    proxied: ${said}`
    })
    .join('\n')
}

function cell(column: Column, scenario?: string): string {
  const { passed, total } = score(column.checks, scenario)
  const differs = column.differences.some(({ key }) => scenario === undefined || key.startsWith(`${scenario} `))
  return `${passed}/${total}${differs ? ' !' : ''}`
}

function layout(rows: readonly string[][]): string {
  const widths = (rows[0] ?? []).map((_, column) => Math.max(...rows.map(row => row[column]?.length ?? 0)))
  return rows
    .map(row =>
      row
        .map((text, column) => text.padEnd(widths[column] ?? 0))
        .join('  ')
        .trimEnd(),
    )
    .join('\n')
}
