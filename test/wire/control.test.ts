import assert from 'node:assert/strict'
import { existsSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { describe, it } from 'node:test'
import { ControlClient } from '../../proxy/cli/control-client.ts'
import { startProgram, startSluice } from '../helpers/program.ts'
import type { Scope } from '../helpers/scope.ts'

const SLUICE = join(import.meta.dirname, '../../proxy/cli/sluice.ts')

function configured(scope: Scope, more: string): { dir: string; file: string } {
  const dir = mkdtempSync(join(tmpdir(), 'sluice-control-'))
  scope.after(() => rmSync(dir, { recursive: true, force: true }))
  const file = join(dir, 'sluice.yaml')
  writeFileSync(file, `listen: 127.0.0.1:0\nstate_dir: state\nservers: { s: { url: http://127.0.0.1:9/mcp } }\n${more}`)
  return { dir, file }
}

describe('sluice run, and its control socket', () => {
  it('has one in state_dir, which goes with it', async t => {
    const { dir, file } = configured(t, '')
    const sluice = await startSluice(t, ['-c', file])
    const client = ControlClient.find({ config: file })
    assert.equal(client.path, join(dir, 'state', `control-${new URL(sluice.url).port}.sock`))
    const about = (await client.ask({ path: '/' })) as Record<string, unknown>
    assert.equal(about.pid, sluice.child.pid)
    assert.equal(await sluice.stop(), 0)
    assert.equal(existsSync(client.path), false)
    assert.throws(() => ControlClient.find({ config: file }), /listen says any free port.*there is none.*give --socket/)
  })

  it('has one where control_socket says so, and none when that is off', async t => {
    const named = configured(t, 'control_socket: c.sock\n')
    await startSluice(t, ['-c', named.file])
    assert.equal(ControlClient.find({ config: named.file }).path, join(named.dir, 'c.sock'))
    await ControlClient.find({ config: named.file }).ask({ path: '/' })
    // The same place again: an error that says so.
    const command = ['node', SLUICE, 'run', '-c', named.file, '--admin', 'off']
    await assert.rejects(startProgram(t, command, { ready: /listening/ }), /c\.sock: another process listens there/)
    const off = configured(t, 'control_socket: off\n')
    await startSluice(t, ['-c', off.file])
    assert.throws(() => ControlClient.find({ config: off.file }), /control_socket is off in .*sluice\.yaml/)
    assert.equal(existsSync(join(off.dir, 'c.sock')), false)
  })

  it('speaks for all workers', async t => {
    const { file } = configured(t, 'workers: 2\n')
    const sluice = await startSluice(t, ['-c', file])
    const client = ControlClient.find({ config: file })
    const about = (await client.ask({ path: '/' })) as { pid: number; workers: { serving: boolean }[] }
    assert.equal(about.pid, sluice.child.pid)
    assert.deepEqual(
      about.workers.map(worker => worker.serving),
      [true, true],
    )
    await assert.rejects(client.ask({ path: '/nowhere' }), /sluice: there is nothing at \/nowhere/)
  })
})
