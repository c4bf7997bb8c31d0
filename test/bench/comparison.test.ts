import assert from 'node:assert/strict'
import { mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, describe, it } from 'node:test'
import { against, type Baselines, machineClass, readBaselines, saveBaselines } from '../../bench/harness/baselines.ts'
import { type Comparison, compareSystems, comparisonLine, lastLine } from '../../bench/harness/comparison.ts'
import { drift, FIGURES, type FigureName, type Sample } from '../../bench/harness/figures.ts'
import { doubts } from '../../bench/harness/report.ts'
import { type Compare, SCENARIOS } from '../../bench/harness/scenario.ts'

function sample(system: string, cpu: number, more: Partial<Sample> = {}): Sample {
  const none = Object.fromEntries(Object.keys(FIGURES).map(name => [name, 0])) as Record<FigureName, number>
  const shares = { loadCpuShare: 0.1, upstreamCpuShare: 0.1, otherCpuShare: 0 }
  const figures = { ...none, cpu, rate: 1e6 / cpu }
  return { system, round: 0, requests: 1000, failed: 0, errors: {}, figures, ...shares, ...more }
}

const SAMPLES = [
  sample('ours', 30),
  sample('ours', 36),
  sample('ours', 90),
  sample('nginx', 15),
  sample('nginx', 18),
  sample('nginx', 16),
]
const RATIO: Compare = { of: 'ours', to: 'nginx', figure: 'cpu', how: 'ratio', per: 1, at_most: 2.2, say: 'ours {} x' }

describe('a comparison', () => {
  it('is of the medians, of the best rounds, and of each round', () => {
    const found = compareSystems(SAMPLES, RATIO) as Comparison
    assert.deepEqual([found.median, found.best], [36 / 16, 2])
    assert.deepEqual(found.rounds, [2, 2, 90 / 16])
    assert.equal(
      comparisonLine(found),
      'cpu of ours / nginx = 2.25 x (target at most 2.2; best rounds 2.00; each round 2.00 2.00 5.63)',
    )
  })

  it('takes the most for the best where more is better', () => {
    assert.equal(compareSystems(SAMPLES, { ...RATIO, figure: 'rate' })?.best, 15 / 30)
  })

  it('can be a difference, divided', () => {
    assert.equal(compareSystems(SAMPLES, { ...RATIO, how: 'difference', per: 10 })?.median, 2)
  })

  it('is left out, and said to be, where one of the two was not measured', () => {
    assert.equal(compareSystems(SAMPLES, { ...RATIO, to: 'haproxy' }), null)
    assert.equal(lastLine('overhead', [RATIO], []), 'overhead: ours - x')
  })

  it('ends in the line that says it', () => {
    const found = compareSystems(SAMPLES, RATIO) as Comparison
    assert.equal(lastLine('overhead', [RATIO], [found]), 'overhead: ours 2.25 x')
  })
})

describe('doubts', () => {
  it('name a generator that was the bottleneck, and other programs', () => {
    const [busy, disturbed] = doubts([sample('ours', 30, { loadCpuShare: 0.95, otherCpuShare: 1.2 })])
    assert.match(busy ?? '', /^ours: the load generator used 95 % of a core/)
    assert.match(disturbed ?? '', /^other programs were at work \(1\.2 cores/)
  })

  it('are none on a quiet machine', () => assert.deepEqual(doubts(SAMPLES), []))
})

describe('baselines', () => {
  const dir = mkdtempSync(join(tmpdir(), 'sluice-baselines-'))
  after(() => rmSync(dir, { recursive: true }))
  const now = (median: number, best: number): Comparison => ({ spec: RATIO, median, best, rounds: [] })
  const known: Baselines = {
    version: 1,
    machine: machineClass(),
    scenarios: { overhead: { 'cpu of ours / nginx': { median: 2.2, best: 2 } } },
  }

  it('call worse only what is worse at the median and in the best rounds', () => {
    assert.match(
      against(known, 'overhead', [now(2.9, 2.6)])[0] ?? '',
      /^baselines: WORSE: cpu of ours \/ nginx: 2\.90, was 2\.20/,
    )
    assert.match(against(known, 'overhead', [now(4, 2.1)])[0] ?? '', /^baselines: as before: /)
    assert.match(against(known, 'overhead', [now(2.2, 3)])[0] ?? '', /^baselines: as before: /)
    assert.match(against(known, 'overhead', [now(1.6, 1.4)])[0] ?? '', /^baselines: better: /)
  })

  it('say that they are of another machine, or know nothing', () => {
    assert.match(against({ ...known, machine: 'x' }, 'overhead', [])[0] ?? '', /another machine \(x\)/)
    assert.deepEqual(against(known, 'sse', []), ['baselines: nothing is known of "sse"'])
  })

  it('are kept by scenario', () => {
    const file = join(dir, 'baselines.json')
    saveBaselines(file, 'overhead', [now(2.25, 2)])
    saveBaselines(file, 'sse', [now(1.5, 1.25)])
    assert.deepEqual(readBaselines(file).scenarios, {
      overhead: { 'cpu of ours / nginx': { median: 2.25, best: 2 } },
      sse: { 'cpu of ours / nginx': { median: 1.5, best: 1.25 } },
    })
  })

  it('are committed, and can be read', () => {
    const file = join(SCENARIOS, '..', 'baselines.json')
    assert.ok(readFileSync(file, 'utf8').includes('full-chain / nginx'))
    assert.ok(readBaselines(file).scenarios['overhead'] !== undefined)
  })
})

describe('drift', () => {
  /** Half an hour in which memory grows to `top` and falls to three quarters of it, again and again. */
  const saw = (top: (share: number) => number, teeth: number): number[] =>
    Array.from({ length: 1800 }, (_, at) => top(at / 1800) * (0.75 + 0.25 * (((at * teeth) / 1800) % 1)))

  it('is none where memory only goes up and down, wherever the end is', () => {
    for (const teeth of [9, 9.5, 10.2]) assert.ok(Math.abs(drift(saw(() => 200, teeth))) < 0.5)
  })

  it('is what has come to stay', () => {
    const leak = drift(saw(share => 200 * (1 + share / 10), 60))
    assert.ok(leak > 6 && leak < 9, `${leak} %`)
    assert.equal(drift([1, 100, 100, 100, 100, 100]), 0)
    assert.equal(drift([1, 100, 100, 100, 100, 150]), 50)
    assert.ok(Number.isNaN(drift([1])))
  })
})
