import assert from 'node:assert/strict'
import { execFile } from 'node:child_process'
import { mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, describe, it } from 'node:test'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'
import type { Findings } from '../../bench/harness/report.ts'

const ROOT = fileURLToPath(new URL('../..', import.meta.url))

describe('npm run bench -- overhead', () => {
  const dir = mkdtempSync(join(tmpdir(), 'sluice-bench-test-'))
  after(() => rmSync(dir, { recursive: true }))

  it('starts all it needs, and ends in the line that says it', async () => {
    const [json, html] = [join(dir, 'o.json'), join(dir, 'o.html')]
    const args = ['bench/run.ts', 'overhead', '--quick', '--only', 'pass-through', '--rounds', '1', '--seconds', '1']
    const more = ['--json', json, '--html', html, '--against', 'bench/baselines.json']
    const { stdout } = await promisify(execFile)(process.execPath, [...args, ...more], { cwd: ROOT })
    assert.equal(stdout.trimEnd().split('\n').at(-1), 'overhead: pass-through - x nginx, full chain - x nginx')
    const { samples } = JSON.parse(readFileSync(json, 'utf8')) as Findings
    const [{ requests = 0, failed = 1, figures } = {}] = samples
    assert.deepEqual([requests > 0, failed], [true, 0])
    assert.ok((figures?.cpu ?? 0) > 0 && (figures?.rss ?? 0) > 0)
    assert.match(readFileSync(html, 'utf8'), /<h1>overhead<\/h1>/)
  })

  it('says what is wrong with its command line', async () => {
    const run = promisify(execFile)(process.execPath, ['bench/run.ts', 'overhed'], { cwd: ROOT })
    await assert.rejects(run, { code: 1, stderr: /there is no scenario "overhed", did you mean "overhead"\?/ })
  })
})
