import { doubtsAbout, type LoadResult } from '../../load/load-result.ts'
import { type Line, lineChart } from './svg-chart.ts'
import { bytes, ms } from './text-report.ts'

/** A page that opens from disk: no script, nothing from elsewhere. */
export function htmlReport(result: LoadResult): string {
  return `<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta http-equiv="Content-Security-Policy" content="default-src 'none'; style-src 'unsafe-inline'">
<title>${escapeHtml(result.name)}: ${escapeHtml(result.target)}</title>
<style>${STYLE}</style>
</head>
<body>
<h1>${escapeHtml(result.name)}</h1>
<p>${escapeHtml(result.target)} · ${result.era} · ${loopText(result)} · ${result.connections} connections · ${escapeHtml(result.started_at)}</p>
${doubtsAbout(result)
  .map(doubt => `<p class="doubt">${escapeHtml(doubt)}</p>`)
  .join('\n')}
<dl>${facts(result)
    .map(([name, value]) => `<div><dt>${escapeHtml(name)}</dt><dd>${escapeHtml(value)}</dd></div>`)
    .join('')}</dl>
<h2>Latency</h2>
<p>Milliseconds within which this share of the requests was answered; waiting for a connection counts.</p>
${lineChart({ lines: [percentileLine(result)], x: { title: 'percentile', ticks: PERCENTILE_TICKS }, y: { title: 'ms' } })}
${stepTable(result)}
<h2>Over time</h2>
${lineChart({ lines: [timeLine(result, 'p50', one => one.p50), timeLine(result, 'p99', one => one.p99)], x: { title: 's' }, y: { title: 'ms' } })}
${lineChart({ lines: [timeLine(result, 'requests/s', one => one.requests), timeLine(result, 'failed/s', one => one.errors)], x: { title: 's' }, y: { title: '/s' } })}
${errorTable(result)}
</body>
</html>
`
}

const STYLE = `
:root { color-scheme: light dark; --ink: #1c2430; --soft: #66707e; --line: #d6dbe2; --paper: #fff; --a: #0b6bcb; --b: #c2410c; }
@media (prefers-color-scheme: dark) { :root { --ink: #e6e9ee; --soft: #9aa4b2; --line: #38414d; --paper: #14181f; --a: #6cb2ff; --b: #ff9a62; } }
body { font: 15px/1.5 system-ui, sans-serif; color: var(--ink); background: var(--paper); max-width: 60rem; margin: 2rem auto; padding: 0 1rem; }
h1 { font-size: 1.4rem; margin: 0; } h2 { font-size: 1.1rem; margin: 2rem 0 0; } p { color: var(--soft); margin: .3rem 0 1rem; }
.doubt { color: var(--b); border-left: 3px solid var(--b); padding-left: .7rem; }
dl { display: flex; flex-wrap: wrap; gap: 1rem 2.5rem; margin: 1.5rem 0; } dt { color: var(--soft); font-size: .85rem; } dd { margin: 0; font-size: 1.25rem; font-variant-numeric: tabular-nums; }
table { border-collapse: collapse; margin: 1rem 0; font-variant-numeric: tabular-nums; } th, td { text-align: right; padding: .25rem .8rem; border-bottom: 1px solid var(--line); } th:first-child, td:first-child { text-align: left; } th { color: var(--soft); font-weight: 500; }
svg { width: 100%; height: auto; } svg text { font: 11px system-ui, sans-serif; fill: var(--soft); } .grid { stroke: var(--line); } .line0 { stroke: var(--a); fill: none; stroke-width: 2; } .line1 { stroke: var(--b); fill: none; stroke-width: 2; } .key0 { fill: var(--a) !important; } .key1 { fill: var(--b) !important; }
`

/** Percentiles are drawn by how many nines they have: 0, 90, 99, 99.9. */
const PERCENTILE_TICKS: readonly (readonly [number, string])[] = [0, 50, 90, 99, 99.9, 99.99].map(share => [
  nines(share),
  String(share),
])

function nines(share: number): number {
  return -Math.log10(1 - share / 100)
}

function percentileLine({ latency_ms: latency, latency_curve: curve }: LoadResult): Line {
  const points = curve.map(([share, value]) => [nines(share), value] as const)
  return { name: `${latency.count} answers`, points }
}

function timeLine(
  { timeline }: LoadResult,
  name: string,
  of: (second: LoadResult['timeline'][number]) => number,
): Line {
  return { name, points: timeline.map(one => [one.second, of(one)] as const) }
}

function facts(result: LoadResult): [string, string][] {
  const { latency_ms: latency } = result
  return [
    ['requests', String(result.requests)],
    ['requests/s', result.requests_per_second.toFixed(1)],
    ['failed', String(result.failed)],
    ['p50', `${ms(latency.p50)} ms`],
    ['p99', `${ms(latency.p99)} ms`],
    ['p99.9', `${ms(latency.p999)} ms`],
    ['max', `${ms(latency.max)} ms`],
    ['sent', bytes(result.bytes_sent)],
    ['received', bytes(result.bytes_received)],
    ['generator', `${Math.round(result.generator.cpu_share * 100)} % of a core`],
  ]
}

function stepTable({ steps }: LoadResult): string {
  const rows = steps.map(({ name, requests, errors, latency_ms: latency }) => [
    name,
    String(requests),
    String(errors),
    ...[latency.p50, latency.p90, latency.p99, latency.p999, latency.max].map(ms),
  ])
  return table(['step', 'requests', 'failed', 'p50 ms', 'p90', 'p99', 'p99.9', 'max'], rows)
}

function errorTable({ errors }: LoadResult): string {
  const rows = Object.entries(errors).map(([kind, count]) => [kind, String(count)])
  return rows.length === 0 ? '' : `<h2>Failures</h2>${table(['kind', 'requests'], rows)}`
}

function table(head: readonly string[], rows: readonly (readonly string[])[]): string {
  const cells = (tag: string, values: readonly string[]): string =>
    `<tr>${values.map(value => `<${tag}>${escapeHtml(value)}</${tag}>`).join('')}</tr>`
  return `<table>${cells('th', head)}${rows.map(row => cells('td', row)).join('')}</table>`
}

function loopText({ rate }: LoadResult): string {
  return rate === null ? 'closed loop' : `open loop, ${rate} requests/s`
}

export function escapeHtml(text: string): string {
  return text.replace(/[&<>"']/g, char => `&#${char.charCodeAt(0)};`)
}
