import assert from 'node:assert/strict'
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, describe, it } from 'node:test'
import { plainRequest } from '../../bench/harness/generator.ts'
import { findScenario, OptionError, readBenchOptions } from '../../bench/harness/options.ts'
import {
  benchScenarioSchemaText,
  loadBenchScenario,
  SCENARIOS,
  SCHEMA_FILE,
  scenarioNames,
} from '../../bench/harness/scenario.ts'
import { loadScenario } from '../../proxy/load/scenario.ts'

const NAMED = [
  ...['overhead', 'chain', 'sse', 'large', 'sessions', 'idle-streams'],
  ...['rate-limit', 'cache', 'faults', 'scale-out', 'soak'],
]

describe('bench/scenarios', () => {
  for (const name of scenarioNames()) {
    const file = join(SCENARIOS, `${name}.yaml`)

    it(`${name} is right, and says where its schema is`, () => {
      const { name: own, bench } = loadBenchScenario(file)
      assert.equal(own, name)
      assert.ok(bench.compare.length > 0)
      assert.match(readFileSync(file, 'utf8'), /^# yaml-language-server: \$schema=\.\/scenario\.schema\.json\n/)
    })

    it(`${name} can be given to sluice bench`, () => {
      assert.equal(loadScenario(file, {}).name, name)
    })
  }

  it('has all that are promised', () => {
    assert.deepEqual(
      NAMED.filter(name => !scenarioNames().includes(name)),
      [],
    )
  })

  it('has the schema that the code has', () => {
    assert.deepEqual(JSON.parse(readFileSync(SCHEMA_FILE, 'utf8')), JSON.parse(benchScenarioSchemaText()))
  })

  it('sends 300 bytes where it says so', () => {
    const scenarios = scenarioNames().map(findScenario)
    const said = scenarios.filter(({ description }) => /POST 300 B -> 300 B JSON, 2026/.test(description))
    assert.ok(said.length > 0)
    for (const one of said) assert.equal(plainRequest(one).body.length, 300, one.name)
  })
})

describe('a scenario that is wrong', () => {
  const dir = mkdtempSync(join(tmpdir(), 'sluice-scenario-'))
  const file = join(dir, 's.yaml')
  after(() => rmSync(dir, { recursive: true }))

  it('is told with line and guess', () => {
    writeFileSync(file, 'name: s\nbench:\n  systems: [nginx]\n  rouds: 3\n')
    assert.throws(() => loadBenchScenario(file), /s\.yaml:4:3: bench: unknown key "rouds", did you mean "rounds"\?/)
  })

  it('names no system that is not there', () => {
    writeFileSync(file, 'name: s\nbench:\n  systems: [nginx, ours]\n')
    assert.throws(
      () => loadBenchScenario(file),
      /s\.yaml:3:20: bench\.systems\[1\]: there is no system "ours": one of /,
    )
  })
})

describe('npm run bench', () => {
  it('guesses the scenario that was meant', () => {
    assert.throws(() => readBenchOptions(['overhed']), new OptionError(expected('overhed', 'overhead')))
  })

  it('takes numbers for what they are', () => {
    assert.throws(
      () => readBenchOptions(['sse', '--rounds', 'many']),
      /--rounds: expected a whole number of at least 1/,
    )
    assert.equal(readBenchOptions(['sse', '--rounds', '7'])?.rounds, 7)
  })

  it('is shorter with --quick', () => {
    const [quick, whole] = [readBenchOptions(['overhead', '--quick']), readBenchOptions(['overhead'])]
    assert.ok((quick?.rounds ?? 0) < (whole?.rounds ?? 0))
  })
})

function expected(given: string, meant: string): string {
  return `there is no scenario "${given}", did you mean "${meant}"? (${scenarioNames().join(', ')})`
}
