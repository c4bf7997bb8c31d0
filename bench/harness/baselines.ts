import { existsSync, readFileSync, writeFileSync } from 'node:fs'
import { cpus } from 'node:os'
import { z } from 'zod'
import { type Comparison, comparisonName } from './comparison.ts'
import { FIGURES } from './figures.ts'

/**
 * A figure has got worse when both its median and its best rounds are beyond the baseline by this much: measured again
 * and again on a busy machine, neither alone stays within it, but not both leave it.
 */
export const TOLERANCE = 0.25

const entry = z.strictObject({ median: z.number(), best: z.number() })
const schema = z.strictObject({
  version: z.literal(1),
  machine: z.string(),
  scenarios: z.record(z.string(), z.record(z.string(), entry)),
})

export type Baselines = z.infer<typeof schema>

/** What ratios depend on: processor, cores, and the line of Node. */
export function machineClass(): string {
  const all = cpus()
  const model = all[0]?.model.trim() ?? 'unknown'
  return `${process.platform}-${process.arch}, ${all.length} x ${model}, Node ${process.versions.node.split('.')[0]}`
}

/** @throws Error when the file is none of ours */
export function readBaselines(file: string): Baselines {
  const result = schema.safeParse(JSON.parse(readFileSync(file, 'utf8')))
  if (!result.success) throw new Error(`${file}: expected baselines that "npm run bench -- SCENARIO --save" wrote`)
  return result.data
}

/** Puts what was measured into the file, in place of what it says about the same scenario. */
export function saveBaselines(file: string, scenario: string, comparisons: readonly Comparison[]): void {
  const known = existsSync(file) ? readBaselines(file) : { version: 1 as const, machine: '', scenarios: {} }
  const own = known.machine === machineClass() ? known.scenarios : {}
  const round = (value: number): number => Number(value.toPrecision(4))
  const entries = lasting(comparisons).map(one => {
    return [comparisonName(one.spec), { median: round(one.median), best: round(one.best) }] as const
  })
  const scenarios = { ...own, [scenario]: Object.fromEntries(entries) }
  writeFileSync(file, `${JSON.stringify({ version: 1, machine: machineClass(), scenarios }, null, 2)}\n`)
}

/** Only ratios say the same on another day. */
function lasting(comparisons: readonly Comparison[]): Comparison[] {
  return comparisons.filter(({ spec, best }) => spec.to !== undefined && spec.how === 'ratio' && Number.isFinite(best))
}

/** What has changed, one line each. */
export function against(baselines: Baselines, scenario: string, comparisons: readonly Comparison[]): string[] {
  const known = baselines.scenarios[scenario]
  if (known === undefined) return [`baselines: nothing is known of "${scenario}"`]
  const lines = lasting(comparisons).flatMap(one => {
    const before = known[comparisonName(one.spec)]
    return before === undefined ? [] : [verdict(one, before)]
  })
  const other = baselines.machine === machineClass() ? [] : [`baselines: of another machine (${baselines.machine})`]
  return [...other, ...lines]
}

function verdict(now: Comparison, before: { readonly median: number; readonly best: number }): string {
  const isLess = FIGURES[now.spec.figure].better === 'less'
  const change = (a: number, b: number): number => (isLess ? a / b : b / a) - 1
  const changes = [change(now.median, before.median), change(now.best, before.best)] as const
  const least = Math.min(...changes)
  const word = least > TOLERANCE ? 'WORSE' : Math.max(...changes) < -TOLERANCE ? 'better' : 'as before'
  const text = `${now.median.toFixed(2)}, was ${before.median.toFixed(2)}; best rounds ${now.best.toFixed(2)}, was ${before.best.toFixed(2)}`
  return `baselines: ${word}: ${comparisonName(now.spec)}: ${text}`
}
