import { existsSync, readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'

/** What one check of the official runner said. */
export type Status = 'SUCCESS' | 'FAILURE' | 'WARNING' | 'SKIPPED' | 'INFO'

export interface Check {
  readonly scenario: string
  readonly id: string
  readonly name: string
  readonly status: Status
  readonly error: string
}

/** All checks of one run, by a key that is stable between runs: scenario, check, name, and its turn where one is made repeatedly. */
export type Checks = ReadonlyMap<string, Check>

/**
 * Reads the results that the runner wrote: one folder `server-<scenario>-<time>` with a `checks.json` for each scenario.
 * Checks of status INFO only log what the runner saw (how many events, for example) and are left out.
 */
export function readChecks(dir: string): Checks {
  const checks = new Map<string, Check>()
  for (const folder of readdirSync(dir).sort()) {
    const scenario = /^server-(.*)-\d{4}-\d{2}-\d{2}T[\d-]+Z$/.exec(folder)?.[1]
    if (scenario === undefined) continue
    for (const check of writtenChecks(join(dir, folder, 'checks.json'))) add(checks, scenario, check)
  }
  return checks
}

/** A scenario that broke leaves its folder without results: that is a failure, not a scenario without checks. */
function writtenChecks(file: string): RunnerCheck[] {
  if (existsSync(file)) return JSON.parse(readFileSync(file, 'utf8')) as RunnerCheck[]
  return [{ id: 'scenario', name: 'Scenario', status: 'FAILURE', errorMessage: 'the scenario broke without a result' }]
}

interface RunnerCheck {
  readonly id: string
  readonly name: string
  readonly status: Status
  readonly errorMessage?: string
}

function add(checks: Map<string, Check>, scenario: string, written: RunnerCheck): void {
  if (written.status === 'INFO') return
  const { id, name, status } = written
  let turn = 1
  while (checks.has(`${scenario} ${id} ${name} ${turn}`)) turn += 1
  checks.set(`${scenario} ${id} ${name} ${turn}`, { scenario, id, name, status, error: written.errorMessage ?? '' })
}

/** A check that says another thing behind the proxy than directly; `null` = it was not made there. */
export interface Difference {
  readonly key: string
  readonly direct: Check | null
  readonly proxied: Check | null
}

/** Compares two runs check by check. */
export function differences(direct: Checks, proxied: Checks): Difference[] {
  const found: Difference[] = []
  for (const key of new Set([...direct.keys(), ...proxied.keys()])) {
    const before = direct.get(key) ?? null
    const after = proxied.get(key) ?? null
    if (before?.status !== after?.status) found.push({ key, direct: before, proxied: after })
  }
  return found
}

/** Passed and all checks, of one scenario or of all. */
export function score(checks: Checks, scenario?: string): { passed: number; total: number } {
  const counted = [...checks.values()].filter(
    check => check.status !== 'SKIPPED' && (scenario === undefined || check.scenario === scenario),
  )
  return { passed: counted.filter(check => check.status === 'SUCCESS').length, total: counted.length }
}
