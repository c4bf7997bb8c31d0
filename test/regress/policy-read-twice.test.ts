import assert from 'node:assert/strict'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { it } from 'node:test'
import { compilePolicies } from '../../proxy/policy/compile.ts'
import { Registry } from '../../proxy/policy/registry.ts'
import { inputOf } from '../unit/policy/kit.ts'

/** It was read once to know which interceptors to load, and again to compile it. */
it('a policy file that changes while its interceptors are loaded counts as it was read', async t => {
  const dir = mkdtempSync(join(tmpdir(), 'sluice-policy-'))
  t.after(() => rmSync(dir, { recursive: true, force: true }))
  const file = join(dir, 'policy.yaml')
  const write = (name: string): void => writeFileSync(file, `version: 1\ninterceptors: [${name}]\n`)
  write('schema')
  const asked: string[] = []
  const registry = (used: ReadonlySet<string>): Promise<Registry> => {
    asked.push(...used)
    write('secret-scan')
    return Registry.load({ dirs: [], modules: [], baseDir: dir, builtIns: used })
  }
  const input = { ...inputOf('version: 1', []), files: [file], registry }
  for (const name of ['schema', 'secret-scan']) {
    const policy = await compilePolicies(input)
    assert.deepEqual(
      policy.chain.map(entry => entry.name),
      [name],
    )
    await policy.table.replace()
  }
  assert.deepEqual(asked, ['schema', 'secret-scan'])
})
