import assert from 'node:assert/strict'
import { spawn } from 'node:child_process'
import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { describe, it, type TestContext } from 'node:test'
import { fileURLToPath } from 'node:url'
import { startSluice } from '../helpers/program.ts'
import { until } from '../helpers/scope.ts'
import { post } from './ask.ts'
import { CHILD, lastFirst, tempDir } from './kit.ts'

const SLUICE = fileURLToPath(new URL('../../proxy/cli/sluice.ts', import.meta.url))

interface Ran {
  readonly code: number | null
  readonly out: string
  readonly errors: string
}

/** Runs `sluice server ARGS` to its end. */
function server(cwd: string, ...args: string[]): Promise<Ran> {
  const child = spawn(process.execPath, [SLUICE, 'server', ...args], { cwd, stdio: ['ignore', 'pipe', 'pipe'] })
  let out = ''
  let errors = ''
  child.stdout.setEncoding('utf8').on('data', (text: string) => void (out += text))
  child.stderr.setEncoding('utf8').on('data', (text: string) => void (errors += text))
  return new Promise(resolve => child.once('close', code => resolve({ code, out, errors })))
}

async function configure(t: TestContext, workers: number): Promise<string> {
  const dir = await tempDir(t)
  const kb = {
    command: [process.execPath, CHILD, '--token=secret-in-argument', 'secret-word'],
    transport: 'http',
    port_env: 'PORT',
    replicas: 2,
    env: { API_KEY: 'secret-in-env' },
    headers: { 'x-key': 'secret-in-header' },
  }
  const far = { url: 'http://127.0.0.1:9/mcp?key=secret-in-query' }
  const config = { state_dir: dir, workers, control_socket: 'c.sock', servers: { kb, far } }
  writeFileSync(join(dir, 'sluice.yaml'), JSON.stringify(config))
  return dir
}

describe('sluice server, with a proxy that runs', () => {
  for (const workers of [1, 2]) {
    it(`shows and steers servers of ${workers} worker(s)`, async t => {
      const dir = await configure(t, workers)
      const sluice = await startSluice(lastFirst(t), ['-c', join(dir, 'sluice.yaml')])
      const url = `${new URL(sluice.url).origin}/servers/kb/mcp`
      const first = await post(url, {})
      const restarted = await server(dir, 'restart', 'kb')
      assert.equal(restarted.code, 0, restarted.errors)
      assert.match(restarted.out, /^kb: ready, process, 2\/2 ready \(2\)/)
      const second = await post(url, {})
      assert.notEqual(second.pid, first.pid)
      const calls = [post(url, { ms: 2_000 }), post(url, { ms: 2_000 })]
      const running = async (): Promise<{ in_flight: number; replicas: { breaker: string; handle: string }[] }> =>
        JSON.parse((await server(dir, 'status', 'kb', '--json')).out)
      const status = await running()
      assert.equal(status.in_flight, 2)
      assert.deepEqual(
        status.replicas.map(({ breaker }) => breaker),
        ['closed', 'closed'],
      )
      await Promise.all(calls)
      const listed = await server(dir, 'ls')
      assert.match(listed.out, /\nkb +process +ready +2\/2 +2 +0 +0 +0 +[\d.]+ MiB +[\d.]+ s\n/)
      assert.match(listed.out, /\nfar +static +ready +1\/1 +0 +0\n/)
      const stopped = await server(dir, 'stop', 'kb', '--json')
      assert.deepEqual([stopped.code, JSON.parse(stopped.out).replicas], [0, []])
      await assert.rejects(post(url, {}), /kb is not reachable: stopped by the operator/)
      assert.equal((await server(dir, 'start', 'kb')).code, 0)
      await post(url, {})
    })
  }

  it('keeps secrets of arguments, variables, header fields and addresses to itself', async t => {
    const dir = await configure(t, 1)
    await startSluice(lastFirst(t), ['-c', join(dir, 'sluice.yaml')])
    const kb = await server(dir, 'inspect', 'kb')
    const far = await server(dir, 'inspect', 'far')
    const { configuration } = JSON.parse(kb.out)
    assert.deepEqual(configuration.source.command, [process.execPath, '…', '--token=…', '…'])
    assert.deepEqual([configuration.source.env, configuration.headers], [['API_KEY'], ['x-key']])
    assert.equal(configuration.life.idle_timeout_ms, 300_000)
    assert.deepEqual(JSON.parse(far.out).configuration.source.endpoints, ['http://127.0.0.1:9/mcp'])
    const all = [kb, far, await server(dir, 'status'), await server(dir, 'ls', '--json')]
    for (const { out } of all) assert.doesNotMatch(out, /secret/)
  })

  it('says what is wrong on standard error, by exit codes', async t => {
    const dir = await configure(t, 1)
    const none = await server(dir, 'ls')
    assert.equal(none.code, 1)
    assert.match(none.errors, /^sluice: no running proxy at .*c\.sock: start it/)
    await startSluice(lastFirst(t), ['-c', join(dir, 'sluice.yaml')])
    const unknown = await server(dir, 'status', 'kbb')
    assert.deepEqual([unknown.code, unknown.errors], [2, 'sluice: there is no server "kbb", did you mean "kb"?\n'])
    const foreign = await server(dir, 'stop', 'far')
    assert.equal(foreign.code, 2)
    assert.match(foreign.errors, /^sluice: cannot stop "far": others run its replicas/)
  })

  it('follows what replicas write', async t => {
    const dir = await configure(t, 2)
    const sluice = await startSluice(lastFirst(t), ['-c', join(dir, 'sluice.yaml')])
    await post(`${new URL(sluice.url).origin}/servers/kb/mcp`, {})
    const child = spawn(process.execPath, [SLUICE, 'server', 'logs', 'kb', '--follow'], { cwd: dir })
    lastFirst(t).after(() => void child.kill('SIGKILL'))
    let out = ''
    child.stdout.setEncoding('utf8').on('data', (text: string) => void (out += text))
    await until(() => out.split('version 1 starts').length === 3, 'two lines of two replicas')
    await server(dir, 'restart', 'kb', '--no-wait')
    await until(() => out.split('version 1 starts').length >= 4, 'the line of a new replica')
    const ended = new Promise(resolve => child.once('exit', resolve))
    child.kill('SIGINT')
    assert.equal(await ended, 0)
  })
})
