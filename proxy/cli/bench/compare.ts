import { readFileSync } from 'node:fs'
import type { LoadResult } from '../../load/load-result.ts'
import { UsageError } from '../usage-error.ts'
import { ms } from './text-report.ts'

/** @throws UsageError when the file holds no result of a run */
export function readResult(file: string): LoadResult {
  let value: unknown
  try {
    value = JSON.parse(readFileSync(file, 'utf8'))
  } catch (error) {
    const { code, message } = error as NodeJS.ErrnoException
    throw new UsageError(`${file}: ${code ?? message}: expected a file that "sluice bench --json FILE" wrote`)
  }
  if ((value as LoadResult | null)?.version === 1 && (value as LoadResult).latency_ms !== undefined)
    return value as LoadResult
  throw new UsageError(`${file}: expected a file that "sluice bench --json FILE" wrote, version 1`)
}

interface Row {
  readonly title: string
  readonly of: (result: LoadResult) => number
  readonly unit: '/s' | 'ms' | ''
}

const ROWS: readonly Row[] = [
  { title: 'requests/s', of: one => one.requests_per_second, unit: '/s' },
  { title: 'failed', of: one => one.failed, unit: '' },
  { title: 'p50', of: one => one.latency_ms.p50, unit: 'ms' },
  { title: 'p90', of: one => one.latency_ms.p90, unit: 'ms' },
  { title: 'p99', of: one => one.latency_ms.p99, unit: 'ms' },
  { title: 'p99.9', of: one => one.latency_ms.p999, unit: 'ms' },
  { title: 'max', of: one => one.latency_ms.max, unit: 'ms' },
  { title: 'first byte p50', of: one => one.first_byte_ms.p50, unit: 'ms' },
]

/** Two results side by side, and the second as a multiple of the first. */
export function compareResults(a: LoadResult, b: LoadResult): string {
  const lines = [
    `A  ${describe(a)}`,
    `B  ${describe(b)}`,
    '',
    `${''.padEnd(16)}${'A'.padStart(12)}${'B'.padStart(12)}${'B / A'.padStart(10)}`,
    ...ROWS.map(row => compareRow(row, a, b)),
    ...differences(a, b).map(text => `! ${text}`),
  ]
  return `${lines.join('\n')}\n`
}

function compareRow({ title, of, unit }: Row, a: LoadResult, b: LoadResult): string {
  const [from, to] = [of(a), of(b)]
  const shown = (value: number): string => (unit === 'ms' ? ms(value) : value.toFixed(unit === '' ? 0 : 1))
  const ratio = from === 0 ? '' : (to / from).toFixed(2)
  return `${title.padEnd(16)}${shown(from).padStart(12)}${shown(to).padStart(12)}${ratio.padStart(10)}`
}

/** What makes two runs hard to compare. */
function differences(a: LoadResult, b: LoadResult): string[] {
  const keys = ['name', 'era', 'loop', 'rate', 'connections', 'sessions'] as const
  return keys
    .filter(key => a[key] !== b[key])
    .map(key => `not the same ${key}: ${a[key] ?? 'none'} and ${b[key] ?? 'none'}`)
}

function describe(result: LoadResult): string {
  return `${result.name}: ${result.target}, ${result.started_at}, ${result.seconds.toFixed(1)} s`
}
