import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { containers } from '../../bench/lib/fault-containers.ts'
import { type FaultFigures, type Leg, PROCESSES, runFaults } from '../../bench/lib/faults.ts'
import { NEEDS_DOCKER } from '../helpers/docker.ts'

/** The short form of `bench/faults.ts`: what clients see while replicas are killed under load. */
function run(leg: Leg, seconds: number): Promise<FaultFigures> {
  return runFaults(leg, { seconds, killEveryMs: 2_500, rate: 100, replicas: 3 })
}

function check(figures: FaultFigures): void {
  const { kills, reads, readsWell, duplicates, lostWrites, orphans, output } = figures
  assert.ok(kills >= 3, `${kills} kills`)
  assert.ok(reads > 300, `${reads} reads`)
  assert.ok(readsWell >= 99.5, `${readsWell} % of ${reads} reads: ${JSON.stringify(figures.errors)}\n${output}`)
  assert.deepEqual({ duplicates, lostWrites, orphans }, { duplicates: 0, lostWrites: 0, orphans: 0 })
}

describe('replicas that are killed under load', () => {
  it('cost no call that may be repeated, and no write is done twice: processes', async () => {
    check(await run(PROCESSES, 10))
  })

  it('cost no call that may be repeated, and no write is done twice: containers', NEEDS_DOCKER, async () => {
    const leg = await containers()
    assert.ok(typeof leg !== 'string', String(leg))
    check(await run(leg, 10))
  })
})
