import assert from 'node:assert/strict'
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { type TestContext, test } from 'node:test'
import { type Check, differences, readChecks, type Status, score } from './checks.ts'
import { table } from './report.ts'

function written(t: TestContext, scenarios: Record<string, [id: string, status: Status][]>) {
  const dir = mkdtempSync(join(tmpdir(), 'checks-'))
  t.after(() => rmSync(dir, { recursive: true }))
  for (const [scenario, checks] of Object.entries(scenarios)) {
    const folder = join(dir, `server-${scenario}-2026-11-21T08-01-25-433Z`)
    mkdirSync(folder)
    const body = checks.map(([id, status]) => ({ id, name: id, status }) as Partial<Check>)
    writeFileSync(join(folder, 'checks.json'), JSON.stringify(body))
  }
  return readChecks(dir)
}

test('equal runs have no differences, informational checks do not count', t => {
  const direct = written(t, {
    ping: [
      ['a', 'SUCCESS'],
      ['i', 'INFO'],
    ],
    'sse-polling': [['b', 'WARNING']],
  })
  const proxied = written(t, { ping: [['a', 'SUCCESS']], 'sse-polling': [['b', 'WARNING']] })
  assert.deepEqual(differences(direct, proxied), [])
  assert.deepEqual(score(direct), { passed: 1, total: 2 })
})

test('a changed, a missing and an added check are differences', t => {
  const direct = written(t, {
    ping: [
      ['a', 'SUCCESS'],
      ['a', 'SUCCESS'],
      ['b', 'FAILURE'],
    ],
  })
  const proxied = written(t, {
    ping: [
      ['a', 'SUCCESS'],
      ['b', 'SUCCESS'],
      ['c', 'SUCCESS'],
    ],
  })
  const found = differences(direct, proxied)
  assert.deepEqual(
    found.map(({ key, direct, proxied }) => [key, direct?.status, proxied?.status]),
    [
      ['ping a a 2', 'SUCCESS', undefined],
      ['ping b b 1', 'FAILURE', 'SUCCESS'],
      ['ping c c 1', undefined, 'SUCCESS'],
    ],
  )
  const columns = [
    { title: 'direct', checks: direct, differences: [] },
    { title: 'chain', checks: proxied, differences: found },
  ]
  assert.equal(
    table(columns),
    ['scenario  direct  chain', 'ping      2/3     3/3 !', 'all       2/3     3/3 !'].join('\n'),
  )
})
