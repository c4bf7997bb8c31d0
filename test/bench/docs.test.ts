import assert from 'node:assert/strict'
import { readFileSync } from 'node:fs'
import { describe, it } from 'node:test'
import { benchScenarioSchema, scenarioNames } from '../../bench/harness/scenario.ts'
import { tableRows, uncode } from '../docs/markdown.ts'

const text = readFileSync(new URL('../../docs/benchmarking.md', import.meta.url), 'utf8')

describe('docs/benchmarking.md', () => {
  it('has every scenario there is, and no other', () => {
    const rows = tableRows(text, ['scenario', 'what it shows'])
    assert.deepEqual(rows.map(([name = '']) => uncode(name)).toSorted(), scenarioNames())
  })

  it('has every key of a scenario, and no other', () => {
    const rows = tableRows(text, ['key', 'default', 'meaning'])
    const written = rows.flatMap(([keys = '']) => keys.split(', ').map(uncode))
    const about = ['$schema', 'version', 'name', 'description']
    const real = Object.keys(benchScenarioSchema.shape).filter(key => !about.includes(key))
    assert.deepEqual(written.toSorted(), real.toSorted())
  })
})
