import assert from 'node:assert/strict'

/** One line of numbers: `name{labels} value`. */
export interface Sample {
  readonly name: string
  readonly labels: Readonly<Record<string, string>>
  readonly value: number
}

export interface ParsedFamily {
  readonly type: string
  readonly samples: readonly Sample[]
}

const NAME = /^[a-zA-Z_:][a-zA-Z0-9_:]*$/
const SAMPLE = /^([a-zA-Z_:][a-zA-Z0-9_:]*)(?:\{(.*)\})? (\S+)$/
const LABEL = /([a-zA-Z_][a-zA-Z0-9_]*)="((?:[^"\\\n]|\\["\\n])*)"(?:,|$)/y

/**
 * A strict reader of Prometheus text 0.0.4: asserts that each line is legal, families are not torn apart, no series comes
 * twice, and each histogram is cumulative with its `+Inf` equal to its count.
 */
export function parseExposition(text: string): Map<string, ParsedFamily> {
  assert.ok(text.endsWith('\n'), 'the last line has a line end')
  const families = new Map<string, { type: string; samples: Sample[] }>()
  const seen = new Set<string>()
  let name = ''
  let helped = ''
  for (const line of text.slice(0, -1).split('\n')) {
    if (line.startsWith('# HELP ')) {
      helped = line.split(' ')[2] as string
      assert.match(line, /^# HELP \S+ \S.*$/)
    } else if (line.startsWith('# TYPE ')) {
      const [, , family, type, ...rest] = line.split(' ') as [string, string, string, string]
      assert.equal(family, helped, 'TYPE follows HELP')
      assert.match(family, NAME)
      assert.ok(['counter', 'gauge', 'histogram'].includes(type), line)
      assert.deepEqual(rest, [])
      assert.ok(!families.has(family), `${family} comes once`)
      families.set(family, { type, samples: [] })
      name = family
    } else {
      const sample = parseSample(line)
      const base =
        families.get(name)?.type === 'histogram' ? sample.name.replace(/_(bucket|sum|count)$/, '') : sample.name
      assert.equal(base, name, `${line}: stands below its own TYPE`)
      const key = line.slice(0, line.lastIndexOf(' '))
      assert.ok(!seen.has(key), `${key} comes once`)
      seen.add(key)
      families.get(name)?.samples.push(sample)
    }
  }
  for (const [family, { type, samples }] of families) {
    assert.ok(samples.length > 0, `${family} has samples`)
    if (type === 'counter') assert.match(family, /_total$/)
    if (type === 'histogram') checkHistogram(family, samples)
  }
  return families
}

function parseSample(line: string): Sample {
  const match = SAMPLE.exec(line)
  assert.ok(match, `illegal line: ${line}`)
  const value = match[3] === '+Inf' ? Number.POSITIVE_INFINITY : Number(match[3])
  assert.ok(!Number.isNaN(value), `illegal number: ${line}`)
  return { name: match[1] as string, labels: parseLabels(match[2] ?? ''), value }
}

function parseLabels(text: string): Record<string, string> {
  const labels: Record<string, string> = {}
  LABEL.lastIndex = 0
  while (LABEL.lastIndex < text.length) {
    const match = LABEL.exec(text)
    assert.ok(match, `illegal labels: ${text}`)
    assert.ok(!((match[1] as string) in labels), `label twice: ${text}`)
    labels[match[1] as string] = (match[2] as string).replace(/\\(.)/g, (_all, unit) => (unit === 'n' ? '\n' : unit))
  }
  return labels
}

function checkHistogram(family: string, samples: readonly Sample[]): void {
  const groups = Map.groupBy(samples, ({ labels: { le: _le, ...rest } }) => JSON.stringify(rest))
  for (const [labels, group] of groups) {
    const buckets = group.filter(sample => sample.name === `${family}_bucket`)
    const bounds = buckets.map(({ labels: { le } }) => (le === '+Inf' ? Number.POSITIVE_INFINITY : Number(le)))
    assert.deepEqual(
      bounds,
      [...bounds].sort((a, b) => a - b),
      `${family} ${labels}: bounds rise`,
    )
    assert.equal(bounds.at(-1), Number.POSITIVE_INFINITY)
    const counts = buckets.map(sample => sample.value)
    assert.deepEqual(
      counts,
      [...counts].sort((a, b) => a - b),
      `${family} ${labels}: cumulative`,
    )
    assert.equal(
      counts.at(-1),
      group.find(sample => sample.name === `${family}_count`)?.value,
      `${labels}: +Inf = count`,
    )
    assert.ok(group.some(sample => sample.name === `${family}_sum`))
  }
}

/** The value of one series; fails the test where there is none. */
export function valueIn(
  families: ReadonlyMap<string, ParsedFamily>,
  name: string,
  labels: Readonly<Record<string, string>> = {},
): number {
  const family = families.get(name) ?? families.get(name.replace(/_(bucket|sum|count)$/, ''))
  const found = family?.samples.filter(sample => sample.name === name && same(sample.labels, labels)) ?? []
  assert.equal(found.length, 1, `${name} ${JSON.stringify(labels)}`)
  return (found[0] as Sample).value
}

function same(a: Readonly<Record<string, string>>, b: Readonly<Record<string, string>>): boolean {
  const keys = Object.keys(a)
  return keys.length === Object.keys(b).length && keys.every(key => a[key] === b[key])
}
