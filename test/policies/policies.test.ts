import assert from 'node:assert/strict'
import { readdirSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { describe, it } from 'node:test'
import { compilePolicies } from '../../proxy/policy/compile.ts'
import { Registry } from '../../proxy/policy/registry.ts'
import { formatCase, parseCase, runCase, services } from './case.ts'
import { policySchemaText, SCHEMA_FILE } from './policy-schema.ts'

const CASES = readdirSync(import.meta.dirname).filter(name => name.endsWith('.policytest'))
const POLICIES = join(import.meta.dirname, '../../policies')

// UPDATE=1 node --test test/policies/policies.test.ts: writes what comes out into the cases. Read the difference.
const update = process.env.UPDATE === '1'

describe('policy cases', () => {
  for (const name of CASES) {
    it(name.replace('.policytest', ''), async () => {
      const file = join(import.meta.dirname, name)
      const { given, expected } = parseCase(readFileSync(file, 'utf8'))
      const result = await runCase(given)
      if (update) writeFileSync(file, formatCase(given, result))
      else assert.equal(result, expected)
    })
  }

  it('are there', () => {
    assert.ok(CASES.length >= 85, `${CASES.length} cases`)
  })
})

describe('the policies that come with the proxy', () => {
  for (const name of readdirSync(POLICIES).filter(file => file.endsWith('.yaml'))) {
    it(`${name} compiles without a warning`, async () => {
      const registry = await Registry.load({ dirs: [], modules: [], baseDir: POLICIES })
      const files = [join(POLICIES, name)]
      const input = { files, servers: ['github'], registry, services, env: {}, strict: true, generation: 1 }
      const policy = await compilePolicies(input)
      await policy.table.replace()
    })
  }

  it('have a current JSON Schema: node test/policies/write-schema.ts && npm run format', async () => {
    assert.deepEqual(JSON.parse(readFileSync(SCHEMA_FILE, 'utf8')), JSON.parse(await policySchemaText()))
  })
})
