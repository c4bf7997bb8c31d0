import assert from 'node:assert/strict'
import { spawnSync } from 'node:child_process'
import { join } from 'node:path'
import { test } from 'node:test'

const ROOT = join(import.meta.dirname, '../..')

/** The policies that come with the proxy are tested as a user would test them. */
for (const folder of ['policies', 'deploy/demo']) {
  test(`sluice test ${folder}: all as expected, every rule exercised`, () => {
    const args = [join(ROOT, 'proxy/cli/sluice.ts'), 'test', folder, '--coverage-min', '100']
    const ended = spawnSync(process.execPath, args, { cwd: ROOT, encoding: 'utf8', timeout: 60_000 })
    assert.equal(ended.status, 0, ended.stdout + ended.stderr)
    assert.match(ended.stdout, /\d+ tests: \d+ passed, 0 failed/)
  })
}
