import { FIGURES, type Sample, summary } from './figures.ts'
import type { Compare } from './scenario.ts'

/** One line of a scenario's `compare`, measured. */
export interface Comparison {
  readonly spec: Compare
  /** Of the medians over all rounds. */
  readonly median: number
  /** Of the best round of each: what is left when other programs disturbed some rounds. */
  readonly best: number
  readonly rounds: readonly number[]
}

/** `null` when one of the two was not measured. */
export function compareSystems(samples: readonly Sample[], spec: Compare): Comparison | null {
  const of = summary(samples, spec.of, spec.figure)
  if (of.rounds.length === 0) return null
  if (spec.to === undefined) return { spec, median: of.median, best: of.best, rounds: of.rounds }
  const to = summary(samples, spec.to, spec.figure)
  if (to.rounds.length === 0) return null
  const apply = (a: number, b: number): number => (spec.how === 'ratio' ? a / b : (a - b) / spec.per)
  return {
    spec,
    median: apply(of.median, to.median),
    best: apply(of.best, to.best),
    rounds: of.rounds.map((value, round) => apply(value, to.rounds[round] ?? Number.NaN)),
  }
}

/** What is compared, as baselines and reports name it. */
export function comparisonName({ of, to, figure, how }: Compare): string {
  if (to === undefined) return `${figure} of ${of}`
  return how === 'ratio' ? `${figure} of ${of} / ${to}` : `${figure} of ${of} - ${to}`
}

export function comparisonLine(one: Comparison): string {
  const { spec } = one
  const digits = digitsOf(spec)
  const unit = spec.to !== undefined && spec.how === 'ratio' ? ' x' : ` ${spec.unit ?? FIGURES[spec.figure].unit}`
  const rounds = one.rounds.map(value => value.toFixed(digits)).join(' ')
  const best = `best rounds ${one.best.toFixed(digits)}`
  const target = targetOf(spec)
  return `${comparisonName(spec)} = ${one.median.toFixed(digits)}${unit} (${target}${best}; each round ${rounds})`
}

export function digitsOf({ to, how, figure }: Compare): number {
  return to !== undefined && how === 'ratio' ? 2 : Math.max(2, FIGURES[figure].digits)
}

function targetOf({ at_most: most, at_least: least }: Compare): string {
  if (most !== undefined) return `target at most ${most}; `
  return least === undefined ? '' : `target at least ${least}; `
}

/** `overhead: pass-through 2.41 x nginx, full chain 3.10 x nginx`; `''` = the scenario says nothing. */
export function lastLine(name: string, all: readonly Compare[], measured: readonly Comparison[]): string {
  const said = all.flatMap(spec => {
    if (spec.say === undefined) return []
    const found = measured.find(one => one.spec === spec)
    return spec.say.replace('{}', found === undefined ? '-' : found.median.toFixed(digitsOf(spec)))
  })
  return said.length === 0 ? '' : `${name}: ${said.join(', ')}`
}
