import assert from 'node:assert/strict'
import { mkdtempSync, renameSync, rmSync, symlinkSync, utimesSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { describe, it, type TestContext } from 'node:test'
import { FileWatch } from '../../../proxy/credentials/file-watch.ts'
import { until } from '../../helpers/scope.ts'

function folder(t: TestContext): string {
  const dir = mkdtempSync(join(tmpdir(), 'sluice-watch-'))
  t.after(() => rmSync(dir, { recursive: true, force: true }))
  return dir
}

describe('a watch over files', () => {
  it('sees what comes, changes, is replaced, and goes; each once', async t => {
    const dir = folder(t)
    const file = join(dir, 'file')
    let changes = 0
    const watch = new FileWatch(() => changes++, 0)
    await watch.watch([file])
    const seen = async (): Promise<number> => {
      changes = 0
      await watch.look()
      await watch.look()
      return changes
    }
    assert.equal(await seen(), 0)
    writeFileSync(file, 'one')
    assert.equal(await seen(), 1)
    writeFileSync(file, 'two!')
    assert.equal(await seen(), 1)
    utimesSync(file, 1, 1)
    assert.equal(await seen(), 1)
    writeFileSync(`${file}.draft`, 'six!')
    renameSync(`${file}.draft`, file)
    assert.equal(await seen(), 1)
    rmSync(file)
    assert.equal(await seen(), 1)
  })

  it('sees a link that is switched, as mounted secrets are', async t => {
    const dir = folder(t)
    writeFileSync(join(dir, 'v1'), 'a')
    writeFileSync(join(dir, 'v2'), 'b')
    symlinkSync('v1', join(dir, 'data'))
    symlinkSync('data', join(dir, 'secret'))
    let changes = 0
    const watch = new FileWatch(() => changes++, 5)
    t.after(() => watch.close())
    await watch.watch([join(dir, 'secret')])
    symlinkSync('v2', join(dir, 'data.new'))
    renameSync(join(dir, 'data.new'), join(dir, 'data'))
    await until(() => changes === 1, 'the change')
  })

  it('forgets files that are not watched any more', async t => {
    const dir = folder(t)
    let changes = 0
    const watch = new FileWatch(() => changes++, 0)
    await watch.watch([join(dir, 'a')])
    await watch.watch([join(dir, 'b')])
    writeFileSync(join(dir, 'a'), 'x')
    await watch.look()
    assert.equal(changes, 0)
  })
})
