/** A line of a chart. */
export interface Line {
  readonly name: string
  readonly points: readonly (readonly [x: number, y: number])[]
}

export interface Axis {
  readonly title: string
  /** Where marks stand, and what they say. Default: five round numbers. */
  readonly ticks?: readonly (readonly [number, string])[]
}

export interface Chart {
  readonly lines: readonly Line[]
  readonly x: Axis
  readonly y: Axis
}

const WIDTH = 800
const HEIGHT = 240
const LEFT = 60
const BOTTOM = 30
const TOP = 20
const RIGHT = 20

/** A line chart as an SVG element; `y` begins at 0. */
export function lineChart({ lines, x, y }: Chart): string {
  const points = lines.flatMap(line => line.points)
  if (points.length === 0) return ''
  const xs = points.map(point => point[0])
  const [fromX, toX] = [Math.min(...xs), Math.max(...xs)]
  const toY = roundUp(Math.max(...points.map(point => point[1])))
  const atX = (value: number): number => LEFT + ((value - fromX) / (toX - fromX || 1)) * (WIDTH - LEFT - RIGHT)
  const atY = (value: number): number => HEIGHT - BOTTOM - (value / toY) * (HEIGHT - BOTTOM - TOP)
  const yMarks = (y.ticks ?? ticks(0, toY)).map(
    ([value, text]) =>
      `<line class="grid" x1="${LEFT}" x2="${WIDTH - RIGHT}" y1="${one(atY(value))}" y2="${one(atY(value))}"/><text x="${LEFT - 8}" y="${one(atY(value) + 4)}" text-anchor="end">${text}</text>`,
  )
  const xMarks = (x.ticks ?? ticks(fromX, toX))
    .filter(([value]) => value >= fromX && value <= toX)
    .map(([value, text]) => `<text x="${one(atX(value))}" y="${HEIGHT - 10}" text-anchor="middle">${text}</text>`)
  const drawn = lines.map((line, index) => {
    const path = line.points.map(([px, py], at) => `${at === 0 ? 'M' : 'L'}${one(atX(px))} ${one(atY(py))}`).join('')
    return `<path class="line${index}" d="${path}"/><text class="key${index}" x="${LEFT + 10 + index * 130}" y="12">${line.name}</text>`
  })
  const titles = `<text x="${LEFT - 8}" y="12" text-anchor="end">${y.title}</text><text x="${WIDTH - RIGHT}" y="${HEIGHT - 10}" text-anchor="end">${x.title}</text>`
  return `<svg viewBox="0 0 ${WIDTH} ${HEIGHT}" role="img">${yMarks.join('')}${xMarks.join('')}${titles}${drawn.join('')}</svg>`
}

function ticks(from: number, to: number): [number, string][] {
  const count = 5
  return Array.from({ length: count + 1 }, (_, index) => {
    const value = from + ((to - from) * index) / count
    return [value, value >= 100 ? value.toFixed(0) : String(Number(value.toPrecision(3)))]
  })
}

/** The next 1, 2 or 5 times a power of ten. */
function roundUp(value: number): number {
  if (value <= 0) return 1
  const power = 10 ** Math.floor(Math.log10(value))
  const step = [1, 2, 5, 10].find(one => one * power >= value) ?? 10
  return step * power
}

function one(value: number): string {
  return value.toFixed(1)
}
