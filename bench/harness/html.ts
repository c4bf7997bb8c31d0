import { comparisonLine } from './comparison.ts'
import { FIGURES, type FigureName, summary } from './figures.ts'
import { type Findings, shownFigures } from './report.ts'

/** A page that opens from disk: no script, nothing from elsewhere. */
export function htmlPage(findings: Findings): string {
  const { scenario, description, at, machine, generator, doubts, comparisons, samples } = findings
  const charts = shownFigures(samples).map(figure => `<h2>${FIGURES[figure].title}</h2>\n${bars(findings, figure)}`)
  const rows = comparisons.map(one => `<li>${escapeHtml(comparisonLine(one))}</li>`)
  return `<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta http-equiv="Content-Security-Policy" content="default-src 'none'; style-src 'unsafe-inline'">
<title>${escapeHtml(scenario)}</title>
<style>${STYLE}</style>
</head>
<body>
<h1>${escapeHtml(scenario)}</h1>
<p>${escapeHtml(description)}</p>
<p>${escapeHtml(`${at} · ${machine} · ${generator}`)}</p>
${doubts.map(doubt => `<p class="doubt">${escapeHtml(doubt)}</p>`).join('\n')}
<ul>${rows.join('')}</ul>
${charts.join('\n')}
</body>
</html>
`
}

const WIDTH = 800
const LEFT = 200
const RIGHT = 110
const BAR = 26

/** A bar of the median for each system, and a dot for each round. */
function bars({ systems, samples }: Findings, figure: FigureName): string {
  const all = systems.map(({ name }) => ({ name, ...summary(samples, name, figure) }))
  const most = Math.max(...all.flatMap(one => one.rounds.filter(Number.isFinite)), 1e-9)
  const at = (value: number): string => (LEFT + (value / most) * (WIDTH - LEFT - RIGHT)).toFixed(1)
  const drawn = all.map(({ name, median, rounds }, index) => {
    const y = index * BAR
    const label = `<text x="${LEFT - 8}" y="${y + 17}" text-anchor="end">${escapeHtml(name)}</text>`
    if (!Number.isFinite(median)) return `${label}<text x="${LEFT + 4}" y="${y + 17}">-</text>`
    const dots = rounds.map(value => `<circle cx="${at(value)}" cy="${y + 13}" r="2.5"/>`).join('')
    const bar = `<rect x="${LEFT}" y="${y + 5}" width="${Math.max(1, Number(at(median)) - LEFT).toFixed(1)}" height="16"/>`
    const value = `<text x="${WIDTH - 4}" y="${y + 17}" text-anchor="end">${median.toFixed(FIGURES[figure].digits)}</text>`
    return label + bar + dots + value
  })
  return `<svg viewBox="0 0 ${WIDTH} ${systems.length * BAR}" role="img">${drawn.join('')}</svg>`
}

const STYLE = `
:root { color-scheme: light dark; --ink: #1c2430; --soft: #66707e; --paper: #fff; --a: #0b6bcb; --b: #c2410c; }
@media (prefers-color-scheme: dark) { :root { --ink: #e6e9ee; --soft: #9aa4b2; --paper: #14181f; --a: #6cb2ff; --b: #ff9a62; } }
body { font: 15px/1.5 system-ui, sans-serif; color: var(--ink); background: var(--paper); max-width: 60rem; margin: 2rem auto; padding: 0 1rem; }
h1 { font-size: 1.4rem; margin: 0; } h2 { font-size: 1rem; margin: 1.6rem 0 .2rem; } p { color: var(--soft); margin: .3rem 0; } li { font-variant-numeric: tabular-nums; }
.doubt { color: var(--b); border-left: 3px solid var(--b); padding-left: .7rem; }
svg { width: 100%; height: auto; } svg text { font: 12px system-ui, sans-serif; fill: var(--ink); } rect { fill: var(--a); opacity: .55; } circle { fill: var(--b); }
`

export function escapeHtml(text: string): string {
  return text.replace(/[&<>"']/g, char => `&#${char.charCodeAt(0)};`)
}
