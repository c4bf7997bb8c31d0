import { writeFileSync } from 'node:fs'
import type { Sample } from './measure.ts'
import { NAME_WIDTH } from './run.ts'
import type { System } from './systems.ts'

/** A program that took more of a core than this may have set the pace itself. */
const BOTTLENECK_SHARE = 0.9

/** Other programs that took more of a core than this disturb the figures: caches, clocks and kernel time are shared. */
const DISTURBED_SHARE = 0.2

/** The two figures of the issue, as ratios of the medians over all rounds. */
export interface Ratio {
  readonly of: string
  readonly to: string
  readonly median: number
  /** The same of the best round of each: what is left when other programs disturbed some rounds. */
  readonly best: number
  readonly target: number
  /** The same ratio in each round. */
  readonly perRound: readonly number[]
}

export function ratio(samples: readonly Sample[], of: string, to: string, target: number): Ratio {
  const above = cpuOf(samples, of)
  const below = cpuOf(samples, to)
  const perRound = above.map((value, round) => value / (below[round] ?? Number.NaN))
  return {
    of,
    to,
    median: median(above) / median(below),
    best: Math.min(...above) / Math.min(...below),
    target,
    perRound,
  }
}

/** The table: one line a system with its rounds, the median and the spread. */
export function table(systems: readonly System[], samples: readonly Sample[]): string {
  const lines = systems.map(({ name }) => {
    const cpu = cpuOf(samples, name)
    const own = samples.filter(sample => sample.system === name)
    const spread = ((Math.max(...cpu) - Math.min(...cpu)) / median(cpu)) * 100
    const perSecond = median(own.map(sample => sample.requestsPerSecond))
    const p99 = median(own.map(sample => sample.p99Ms))
    const cells = [median(cpu).toFixed(1), `${spread.toFixed(0)} %`, perSecond.toFixed(0), p99.toFixed(2)]
    const rounds = cpu.map(value => value.toFixed(1)).join(' ')
    return `${name.padEnd(NAME_WIDTH)}${cells.map(cell => cell.padStart(10)).join('')}    ${rounds}`
  })
  const head = ['CPU us/req', 'spread', 'req/s', 'p99 ms'].map(cell => cell.padStart(10)).join('')
  return [`${'median'.padEnd(NAME_WIDTH)}${head}    us/req of each round`, ...lines].join('\n')
}

/** What each adds to another one of the same round: median of the rounds, and by the best round of each. */
export function addedTable(samples: readonly Sample[], base: string, names: readonly string[]): string {
  const below = cpuOf(samples, base)
  const lines = names
    .filter(name => name !== base && !name.startsWith('nginx'))
    .map(name => {
      const above = cpuOf(samples, name)
      const added = median(above.map((value, round) => value - (below[round] ?? Number.NaN)))
      const best = Math.min(...above) - Math.min(...below)
      return name.padEnd(NAME_WIDTH) + [added, best].map(value => value.toFixed(1).padStart(12)).join('')
    })
  const head = ['median', 'best rounds'].map(cell => cell.padStart(12)).join('')
  return [`${'added us/req'.padEnd(NAME_WIDTH)}${head}    to ${base}`, ...lines].join('\n')
}

/** Writes everything that was measured as JSON. */
export function writeFigures(
  file: string,
  machine: string,
  ratios: readonly Ratio[],
  samples: readonly Sample[],
): void {
  const at = new Date().toISOString()
  writeFileSync(file, `${JSON.stringify({ at, machine, ratios, samples }, null, 2)}\n`)
}

/** What makes the figures doubtful, in words. */
export function doubts(samples: readonly Sample[]): string[] {
  const found = new Set<string>()
  for (const sample of samples) {
    const slow = (share: number, what: string) => {
      if (share <= BOTTLENECK_SHARE) return
      found.add(`${sample.system}: ${what} used ${(share * 100).toFixed(0)} % of a core and may be the bottleneck`)
    }
    slow(sample.loadCpuShare, 'the load generator')
    slow(sample.upstreamCpuShare, 'the upstream')
  }
  const other = samples.map(sample => sample.otherCpuShare)
  if (Math.max(...other) > DISTURBED_SHARE) {
    const text = `${median(other).toFixed(1)} cores on the median, ${Math.max(...other).toFixed(1)} at most`
    found.add(`other programs were at work (${text}): repeat on a quiet machine`)
  }
  return [...found]
}

export function ratioLine(one: Ratio): string {
  const rounds = one.perRound.map(value => value.toFixed(2)).join(' ')
  const target = Number.isNaN(one.target) ? '' : `target ${one.target.toFixed(2)}; `
  return `${one.of} = ${one.median.toFixed(2)} x ${one.to} (${target}best rounds ${one.best.toFixed(2)}; each round ${rounds})`
}

function cpuOf(samples: readonly Sample[], system: string): number[] {
  return samples.filter(sample => sample.system === system).map(sample => sample.cpuMicrosPerRequest)
}

function median(values: readonly number[]): number {
  const sorted = [...values].sort((a, b) => a - b)
  const middle = sorted.length >> 1
  const upper = sorted[middle] ?? Number.NaN
  return sorted.length % 2 === 1 ? upper : (upper + (sorted[middle - 1] ?? Number.NaN)) / 2
}
