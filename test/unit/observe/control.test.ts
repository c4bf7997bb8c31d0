import assert from 'node:assert/strict'
import { existsSync, mkdirSync, mkdtempSync, rmSync, statSync, writeFileSync } from 'node:fs'
import { createServer } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { describe, it } from 'node:test'
import { ControlClient } from '../../../proxy/cli/control-client.ts'
import { type Control, MAX_BODY_BYTES, openControl } from '../../../proxy/observe/control.ts'
import { ControlError, type ControlRoute, ControlRoutes } from '../../../proxy/observe/control-routes.ts'
import { startProgram } from '../../helpers/program.ts'
import { deferred, type Scope } from '../../helpers/scope.ts'

function folder(scope: Scope): string {
  const dir = mkdtempSync(join(tmpdir(), 'sluice-control-'))
  scope.after(() => rmSync(dir, { recursive: true, force: true }))
  return dir
}

async function open(scope: Scope, routes: ControlRoute[], path = join(folder(scope), 'c.sock')): Promise<Control> {
  const table = new ControlRoutes(routes)
  const control = await openControl({ path, answer: ask => table.answer(ask) })
  scope.after(() => control.close())
  return control
}

describe('the control socket', () => {
  it('is open to its user only, and gone when it is closed', async t => {
    const path = join(folder(t), 'state', 'c.sock')
    const control = await open(t, [], path)
    assert.equal(statSync(path).mode & 0o777, 0o600)
    assert.equal(statSync(join(path, '..')).mode & 0o777, 0o700)
    await control.close()
    assert.equal(existsSync(path), false)
  })

  it('answers by its routes: parts of the path, query and body', async t => {
    const handler: ControlRoute['handler'] = async ({ params, query, body }) => ({ params, query, body })
    const { path } = await open(t, [{ method: 'POST', path: '/servers/:name/start', handler }])
    const answer = await new ControlClient(path).ask({
      method: 'POST',
      path: '/servers/a%2Fb/start',
      query: { wait: '1' },
      body: { n: 1 },
    })
    assert.deepEqual(answer, { params: { name: 'a/b' }, query: { wait: '1' }, body: { n: 1 } })
  })

  it('says what is wrong', async t => {
    const failing: ControlRoute = {
      method: 'GET',
      path: '/fails',
      handler: () => Promise.reject(new ControlError(409, 'not now: it is stopping')),
    }
    const client = new ControlClient((await open(t, [failing])).path)
    await assert.rejects(client.ask({ path: '/none' }), /sluice: there is nothing at \/none; there are: GET \/fails/)
    await assert.rejects(client.ask({ method: 'POST', path: '/fails' }), /POST \/fails: expected GET/)
    await assert.rejects(client.ask({ path: '/fails' }), /sluice: not now: it is stopping/)
    const body = 'x'.repeat(MAX_BODY_BYTES)
    await assert.rejects(
      client.ask({ method: 'POST', path: '/fails', body }),
      /larger than 1048576 bytes|EPIPE|ECONNRESET/,
    )
  })

  it('sends lines until the asker leaves', async t => {
    const ended = deferred<void>()
    const handler: ControlRoute['handler'] = async function* () {
      try {
        for (let i = 0; ; i++) yield `${JSON.stringify(i)}\n`
      } finally {
        ended.resolve()
      }
    } as unknown as ControlRoute['handler']
    const { path } = await open(t, [{ method: 'GET', path: '/lines', handler }])
    const stop = new AbortController()
    const seen: string[] = []
    for await (const line of new ControlClient(path).lines({ path: '/lines', signal: stop.signal })) {
      if (seen.push(line) === 3) break
    }
    assert.deepEqual(seen, ['0', '1', '2'])
    await ended.promise
  })

  it('takes the place of a socket that a dead process has left', async t => {
    const path = join(folder(t), 'c.sock')
    const script = `require('net').createServer().listen(${JSON.stringify(path)}, () => console.log('ready'))`
    const program = await startProgram(t, ['node', '-e', script], { ready: /ready/ })
    program.child.kill('SIGKILL')
    await new Promise(resolve => program.child.once('exit', resolve))
    assert.ok(existsSync(path))
    await open(t, [{ method: 'GET', path: '/', handler: async () => 'new' }], path)
    assert.equal(await new ControlClient(path).ask({ path: '/' }), 'new')
  })

  it('does not take the place of a living one, or of a file', async t => {
    const dir = folder(t)
    const path = join(dir, 'c.sock')
    const other = createServer().listen(path)
    t.after(() => void other.close())
    await assert.rejects(open(t, [], path), /c\.sock: another process listens there: stop it, or give one of the two/)
    writeFileSync(join(dir, 'file'), '')
    await assert.rejects(open(t, [], join(dir, 'file')), /there is a file that is no socket/)
  })

  it('does not stand where others can write, nor at a path that is too long', async t => {
    const dir = join(folder(t), 'open')
    mkdirSync(dir)
    const { chmodSync } = await import('node:fs')
    chmodSync(dir, 0o777)
    await assert.rejects(
      open(t, [], join(dir, 'c.sock')),
      /others can write to this folder \(mode 777\): run `chmod 700/,
    )
    await assert.rejects(open(t, [], join(dir, 'c'.repeat(200))), /at most \d+ bytes/)
  })

  it('is told of as missing where nobody listens', async t => {
    const client = new ControlClient(join(folder(t), 'none.sock'))
    await assert.rejects(client.ask({ path: '/' }), /no running proxy at .*none\.sock: start it/)
  })
})
