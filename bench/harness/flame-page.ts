import { type Frame, topFrames } from './flame.ts'
import { escapeHtml } from './html.ts'

export interface FlameChart {
  readonly title: string
  readonly root: Frame
  /** How a number of it is read: `12.3 ms`. */
  format(value: number): string
}

/** Narrower than this share of the whole: not drawn. */
const LEAST_SHARE = 0.001
const MAX_DEPTH = 120
const TOP = 25

/**
 * Flame graphs as a page that opens from disk, with nothing from elsewhere. A click on a box makes it as wide as the page;
 * a click on the box at the top shows everything again. Without scripts, it still shows all boxes and their titles.
 */
export function flamePage(title: string, charts: readonly FlameChart[]): string {
  return `<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta http-equiv="Content-Security-Policy" content="default-src 'none'; style-src 'unsafe-inline'; script-src 'unsafe-inline'">
<title>${escapeHtml(title)}</title>
<style>${STYLE}</style>
</head>
<body>
<h1>${escapeHtml(title)}</h1>
${charts.map(section).join('\n')}
<script>${SCRIPT}</script>
</body>
</html>
`
}

function section(chart: FlameChart): string {
  const { title, root, format } = chart
  const boxes: string[] = []
  const depth = draw({ chart, frame: root, from: 0, depth: 0 }, boxes)
  const rows = topFrames(root, TOP).map(({ name, own }) => {
    const share = `${((own / root.total) * 100).toFixed(1)} %`
    return `<tr><td>${escapeHtml(name)}</td><td>${format(own)}</td><td>${share}</td></tr>`
  })
  return `<h2>${escapeHtml(title)}: ${format(root.total)}</h2>
<div class="flame" style="height:${(depth + 1) * 18}px">${boxes.join('')}</div>
<details><summary>what took most by itself</summary><table>${rows.join('')}</table></details>`
}

interface Box {
  readonly chart: FlameChart
  readonly frame: Frame
  /** Share of the whole that lies to the left. */
  readonly from: number
  readonly depth: number
}

/** Gives the depth of the deepest box. */
function draw({ chart, frame, from, depth }: Box, boxes: string[]): number {
  const whole = chart.root.total
  const share = frame.total / whole
  const [left, width] = [from, share].map(value => (value * 100).toFixed(3))
  const name = escapeHtml(frame.name)
  const percent = `${(share * 100).toFixed(1)} %`
  const title = escapeHtml(`${frame.name} ${frame.place}\n${chart.format(frame.total)}, ${percent}`)
  const style = `left:${left}%;width:${width}%;top:${depth * 18}px;background:hsl(${hue(frame.place)} 70% 72%)`
  boxes.push(`<b style="${style}" title="${title}">${name}</b>`)
  let deepest = depth
  let at = from
  if (depth >= MAX_DEPTH) return depth
  for (const child of [...frame.children.values()].toSorted((a, b) => b.total - a.total)) {
    if (child.total / whole < LEAST_SHARE) break
    deepest = Math.max(deepest, draw({ chart, frame: child, from: at, depth: depth + 1 }, boxes))
    at += child.total / whole
  }
  return deepest
}

/** Our own code, packages, and Node itself. */
function hue(place: string): number {
  if (/^(proxy|interceptors|bench|dist)\//.test(place)) return 25
  if (place === '') return 0
  return place.startsWith('node:') ? 210 : 130
}

const STYLE = `
body { font: 14px/1.4 system-ui, sans-serif; margin: 1rem; color: #1c2430; background: #fff; } h1 { font-size: 1.3rem; } h2 { font-size: 1rem; }
.flame { position: relative; width: 100%; overflow: hidden; background: #f3f4f6; }
.flame b { position: absolute; height: 17px; overflow: hidden; white-space: nowrap; font: 11px/17px system-ui, sans-serif; box-sizing: border-box; border-right: 1px solid #fff; padding-left: 2px; cursor: pointer; }
td { padding: 0 .8rem 0 0; font-variant-numeric: tabular-nums; } summary { cursor: pointer; margin: .5rem 0; }
`

const SCRIPT = `
for (const flame of document.querySelectorAll('.flame')) {
  const boxes = [...flame.children].map(box => ({ box, left: parseFloat(box.style.left), width: parseFloat(box.style.width), top: parseFloat(box.style.top) }))
  flame.addEventListener('click', event => {
    const chosen = boxes.find(one => one.box === event.target)
    if (!chosen) return
    for (const one of boxes) {
      const above = one.top < chosen.top && one.left <= chosen.left + 1e-6 && one.left + one.width >= chosen.left + chosen.width - 1e-6
      const left = above ? 0 : (one.left - chosen.left) / chosen.width * 100
      const width = above ? 100 : one.width / chosen.width * 100
      one.box.style.left = left + '%'
      one.box.style.width = width + '%'
      one.box.style.display = left > 99.999 || left + width < 0.001 ? 'none' : ''
    }
  })
}
`
