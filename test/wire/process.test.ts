import assert from 'node:assert/strict'
import { once } from 'node:events'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { request as httpsRequest } from 'node:https'
import { createServer } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { describe, it } from 'node:test'
import { send } from '../helpers/http-client.ts'
import { initialize, initializeResult, legacy, modern, result, rpc } from '../helpers/mcp-messages.ts'
import { type RunningSluice, startProgram, startSluice } from '../helpers/program.ts'
import { deferred, type Scope, until, within } from '../helpers/scope.ts'
import type { ScriptedStream } from '../helpers/scripted-answer.ts'
import { type ScriptedUpstream, startScriptedUpstream } from '../helpers/scripted-upstream.ts'

const SLUICE = join(import.meta.dirname, '../../proxy/cli/sluice.ts')

function folder(scope: Scope, files: Readonly<Record<string, string>> = {}): string {
  const dir = mkdtempSync(join(tmpdir(), 'sluice-process-'))
  scope.after(() => rmSync(dir, { recursive: true, force: true }))
  for (const [name, text] of Object.entries(files)) writeFileSync(join(dir, name), text)
  return dir
}

/** Starts the command with a state folder and an admin listener of its own. */
function start(
  scope: Scope,
  args: readonly string[],
  dir = folder(scope),
  stateDir = folder(scope),
): Promise<RunningSluice> {
  const env = { SLUICE_STATE_DIR: stateDir, LOG_LEVEL: '' }
  return startSluice(scope, [...args, '--admin', '127.0.0.1:0'], { env, cwd: dir })
}

/** The fields of the log lines with this message, in order. */
function logged(program: { output: string }, message: string): Record<string, unknown>[] {
  const lines = program.output.split('\n').filter(line => line.startsWith('{') && line.endsWith('}'))
  return lines.map(line => JSON.parse(line) as Record<string, unknown>).filter(line => line.message === message)
}

async function log(program: { output: string }, message: string, count = 1): Promise<Record<string, unknown>> {
  await until(() => logged(program, message).length >= count, `log line "${message}"\n${program.output}`)
  return logged(program, message)[count - 1] as Record<string, unknown>
}

async function admin(scope: Scope, program: RunningSluice, path: string): Promise<{ status: number; text: string }> {
  const { metrics } = await log(program, 'admin')
  const answer = await send(scope, String(metrics).replace('/metrics', path))
  return { status: answer.status, text: await answer.text() }
}

async function exit(program: RunningSluice): Promise<number | null> {
  const { child } = program
  if (child.exitCode === null && child.signalCode === null) await within(once(child, 'exit'), 'the process to end')
  return child.exitCode
}

/** `ok`, or the code of the error that came back. */
async function ask(scope: Scope, url: string): Promise<string> {
  const answer = await send(scope, url, modern(1, 'tools/list'))
  const { error } = JSON.parse(await answer.text()) as { error?: { data?: { code: string } } }
  return error === undefined ? 'ok' : (error.data?.code ?? 'no code')
}

/** An upstream whose answers stay open until the test ends them. */
async function streaming(scope: Scope): Promise<{ upstream: ScriptedUpstream; stream: Promise<ScriptedStream> }> {
  const begun = deferred<ScriptedStream>()
  const upstream = await startScriptedUpstream(scope, {
    script: async (_request, answer) => {
      const stream = answer.sse()
      await stream.write(': begun\n\n')
      begun.resolve(stream)
    },
  })
  return { upstream, stream: begun.promise }
}

describe('one process', () => {
  it('serves a bare URL and tells health, readiness and metrics', async t => {
    const upstream = await startScriptedUpstream(t)
    const sluice = await start(t, [upstream.url])
    assert.equal(await ask(t, sluice.url), 'ok')
    assert.equal(await ask(t, sluice.url.replace('/mcp', '/servers/default/mcp')), 'ok')
    assert.equal((await admin(t, sluice, '/health')).status, 200)
    assert.equal((await admin(t, sluice, '/ready')).status, 200)
    assert.match((await admin(t, sluice, '/metrics')).text, /sluice_build_info\{version="\d/)
    assert.equal(await sluice.stop(), 0)
  })

  it('is not ready while no server can be reached, and ready again without any traffic', async t => {
    const upstream = await startScriptedUpstream(t)
    const port = Number(new URL(upstream.url).port)
    const sluice = await start(t, [upstream.url])
    await upstream.close()
    const status = { now: 0 }
    const becomes = async (wanted: number): Promise<void> => {
      while (status.now !== wanted) status.now = (await admin(t, sluice, '/ready')).status
    }
    await within(becomes(503), 'readiness to fall')
    await startScriptedUpstream(t, { port })
    await within(becomes(200), 'readiness to return')
  })

  it('drains on SIGTERM: no new request, the stream in flight ends whole, exit code 0', async t => {
    const { upstream, stream } = await streaming(t)
    const sluice = await start(t, [upstream.url])
    const answer = await send(t, sluice.url, modern(7, 'tools/call', { name: 'slow', arguments: {} }))
    await answer.sees('begun')
    sluice.child.kill('SIGTERM')
    await log(sluice, 'draining: no new requests; once more quits at once')
    await assert.rejects(send(t, sluice.url, modern(8, 'tools/list')), /ECONNREFUSED/)
    const open = await stream
    await open.write(`data: ${JSON.stringify(result(7, { resultType: 'complete', content: [] }))}\n\n`)
    open.end()
    assert.match(await answer.text(), /"id":7/)
    assert.ok(answer.complete)
    assert.equal(await exit(sluice), 0)
  })

  it('quits at once on a second signal, with exit code 1', async t => {
    const { upstream } = await streaming(t)
    const sluice = await start(t, [upstream.url])
    const answer = await send(t, sluice.url, modern(7, 'tools/call', { name: 'slow', arguments: {} }))
    await answer.sees('begun')
    sluice.child.kill('SIGINT')
    await log(sluice, 'draining: no new requests; once more quits at once')
    // The same keystroke may come twice, from the terminal and from npm: so the second one repeats until it counts.
    const again = setInterval(() => sluice.child.kill('SIGINT'), 50)
    t.after(() => clearInterval(again))
    assert.equal(await exit(sluice), 1)
  })

  it('cuts streams at the drain limit', async t => {
    const { upstream } = await streaming(t)
    const dir = folder(t, { 'sluice.yaml': `servers: { s: { url: '${upstream.url}' } }\ntimeouts: { drain: 50ms }\n` })
    const sluice = await start(t, ['-c', join(dir, 'sluice.yaml')], dir)
    const answer = await send(t, sluice.url, modern(7, 'tools/call', { name: 'slow', arguments: {} }))
    await answer.sees('begun')
    sluice.child.kill('SIGTERM')
    assert.equal(await exit(sluice), 0)
    await answer.body().catch(() => {})
    assert.equal(answer.complete, false)
  })

  it('keeps sessions over a restart', async t => {
    const upstream = await startScriptedUpstream(t, { script: sessions })
    const stateDir = folder(t)
    const first = await start(t, [upstream.url], folder(t), stateDir)
    const opened = await send(t, first.url, initialize())
    const token = opened.headers['mcp-session-id'] as string
    assert.ok(token.length > 50 && !token.includes('upstream-session'))
    await first.stop()
    const second = await start(t, [upstream.url], folder(t), stateDir)
    const answer = await send(t, second.url, legacy(rpc(2, 'tools/list'), { session: token }))
    assert.equal(answer.status, 200)
    assert.equal(upstream.requests.at(-1)?.header('mcp-session-id'), 'upstream-session')
  })

  it('takes a new policy on SIGHUP; one that does not compile changes nothing and says why', async t => {
    const upstream = await startScriptedUpstream(t)
    const dir = folder(t, { 'p.yaml': 'interceptors: []\n', 'refuse.ts': REFUSE })
    const sluice = await start(t, [upstream.url, '--policy', 'p.yaml', '--interceptors', '.'], dir)
    assert.equal(await ask(t, sluice.url), 'ok')
    writeFileSync(join(dir, 'p.yaml'), 'interceptors: [refuse]\n')
    sluice.child.kill('SIGHUP')
    await log(sluice, 'policy is in use')
    assert.equal(await ask(t, sluice.url), 'denied')
    writeFileSync(join(dir, 'p.yaml'), 'interceptors: [refsue]\n')
    sluice.child.kill('SIGHUP')
    const { error } = await log(sluice, 'policy could not be loaded; the one before stays in use')
    assert.match(String(error), /p\.yaml:1:\d+: .*refsue.*did you mean "refuse"/)
    assert.equal(await ask(t, sluice.url), 'denied')
  })

  it('ends with 1 after an exception that nobody caught', async t => {
    const upstream = await startScriptedUpstream(t)
    const dir = folder(t, { 'p.yaml': 'interceptors: [bomb]\n', 'bomb.ts': BOMB })
    const sluice = await start(t, [upstream.url, '--policy', 'p.yaml', '--interceptors', '.'], dir)
    await ask(t, sluice.url).catch(() => '')
    assert.equal(await exit(sluice), 1)
    const { error } = await log(sluice, 'something nobody caught: exiting')
    assert.match(JSON.stringify(error), /boom/)
  })

  it('serves https and takes a new certificate when the files change', async t => {
    const upstream = await startScriptedUpstream(t)
    const fixtures = join(import.meta.dirname, 'fixtures')
    const pem = async (name: string): Promise<Record<string, string>> => {
      const { readFile } = await import('node:fs/promises')
      const read = (kind: string): Promise<string> => readFile(join(fixtures, `tls-${name}.${kind}.pem`), 'utf8')
      return { 'cert.pem': await read('cert'), 'key.pem': await read('key') }
    }
    const config = `servers: { s: { url: '${upstream.url}' } }\ntls: { cert: cert.pem, key: key.pem }\n`
    const dir = folder(t, { ...(await pem('one')), 'sluice.yaml': config })
    const sluice = await start(t, ['-c', 'sluice.yaml'], dir)
    assert.match(sluice.url, /^https:/)
    assert.equal(await subject(sluice.url), 'sluice-test-one')
    for (const [name, text] of Object.entries(await pem('two'))) writeFileSync(join(dir, name), text)
    await log(sluice, 'tls is in use')
    assert.equal(await subject(sluice.url), 'sluice-test-two')
  })
})

describe('starting', () => {
  const cannotStart = async (
    scope: Scope,
    args: readonly string[],
    dir: string,
  ): Promise<{ code: number; text: string }> => {
    const command = ['node', SLUICE, 'run', '--admin', 'off', ...args]
    const failure = startProgram(scope, command, { ready: /listening/, cwd: dir, env: { SLUICE_STATE_DIR: dir } })
    const text = await failure.then(
      () => assert.fail('it started'),
      (error: Error) => error.message,
    )
    return { code: Number(/exit code (\d+)/.exec(text)?.[1]), text }
  }

  for (const workers of ['1', '2']) {
    it(`fails with 1 when the port is taken, and names the option (${workers} worker)`, async t => {
      const taken = createServer().listen(0, '127.0.0.1')
      await once(taken, 'listening')
      t.after(() => void taken.close())
      const { port } = taken.address() as { port: number }
      const args = ['http://127.0.0.1:1/mcp', '--listen', `127.0.0.1:${port}`, '--workers', workers]
      const { code, text } = await cannotStart(t, args, folder(t))
      assert.match(text, /another process has this port.*--listen/)
      assert.equal(code, 1)
    })

    it(`fails with 2 when a policy is wrong, and says where (${workers} worker)`, async t => {
      const dir = folder(t, { 'p.yaml': 'interceptors: [nobody]\n' })
      const args = ['http://127.0.0.1:1/mcp', '--listen', '127.0.0.1:0', '--policy', 'p.yaml', '--workers', workers]
      const { code, text } = await cannotStart(t, args, dir)
      assert.match(text, /p\.yaml:1:\d+: .*nobody/)
      assert.equal(code, 2)
    })
  }

  it('fails with 1 when the state folder cannot be made, and says what to set', async t => {
    const dir = folder(t, { file: '' })
    const args = ['http://127.0.0.1:1/mcp', '--listen', '127.0.0.1:0']
    const command = ['node', SLUICE, 'run', '--admin', 'off', ...args]
    const env = { SLUICE_STATE_DIR: join(dir, 'file', 'state') }
    await assert.rejects(
      startProgram(t, command, { ready: /listening/, env }),
      /session\.key cannot be used .*state_dir/s,
    )
  })
})

describe('several workers', () => {
  it('serve one port, sum their metrics, and share sessions', async t => {
    const upstream = await startScriptedUpstream(t, { script: sessions })
    const sluice = await start(t, [upstream.url, '--workers', '2'])
    const opened = await send(t, sluice.url, initialize())
    const token = opened.headers['mcp-session-id'] as string
    // Connections go round: with eight of them each worker has seen some.
    for (let id = 1; id <= 8; id++) {
      const answer = await send(t, sluice.url, legacy(rpc(id, 'tools/list'), { session: token }))
      assert.equal(answer.status, 200)
    }
    const { text } = await admin(t, sluice, '/metrics')
    const requests = [...text.matchAll(/^sluice_requests_total\{[^}]*\} (\d+)$/gm)].map(match => Number(match[1]))
    assert.equal(
      requests.reduce((sum, count) => sum + count, 0),
      9,
      text,
    )
    for (const worker of ['1', '2', 'supervisor']) assert.match(text, new RegExp(`worker="${worker}"`))
    assert.equal(await sluice.stop(), 0)
  })

  it('start again after a crash, on the same port, and readiness says so meanwhile', async t => {
    const upstream = await startScriptedUpstream(t)
    const sluice = await start(t, [upstream.url, '--workers', '2'])
    assert.equal((await admin(t, sluice, '/ready')).status, 200)
    const { worker, pid } = await log(sluice, 'worker serves')
    process.kill(Number(pid), 'SIGKILL')
    const crash = await log(sluice, 'a worker ended unexpectedly')
    assert.deepEqual([crash.worker, crash.signal], [worker, 'SIGKILL'])
    const again = await log(sluice, 'worker serves', 3)
    assert.equal(again.worker, worker)
    assert.notEqual(again.pid, pid)
    for (let call = 0; call < 4; call++) assert.equal(await ask(t, sluice.url), 'ok')
    assert.equal((await admin(t, sluice, '/ready')).status, 200)
  })

  it('drain together, and end with exit code 0', async t => {
    const { upstream, stream } = await streaming(t)
    const sluice = await start(t, [upstream.url, '--workers', '2'])
    const answer = await send(t, sluice.url, modern(7, 'tools/call', { name: 'slow', arguments: {} }))
    await answer.sees('begun')
    sluice.child.kill('SIGTERM')
    await log(sluice, 'draining: no new requests; once more quits at once')
    const open = await stream
    await open.write(`data: ${JSON.stringify(result(7, { resultType: 'complete', content: [] }))}\n\n`)
    open.end()
    assert.match(await answer.text(), /"id":7/)
    assert.equal(await exit(sluice), 0)
  })

  it('all take a new policy on SIGHUP', async t => {
    const upstream = await startScriptedUpstream(t)
    const dir = folder(t, { 'p.yaml': 'interceptors: []\n', 'refuse.ts': REFUSE })
    const args = [upstream.url, '--workers', '2', '--policy', 'p.yaml', '--interceptors', '.']
    const sluice = await start(t, args, dir)
    writeFileSync(join(dir, 'p.yaml'), 'interceptors: [refuse]\n')
    sluice.child.kill('SIGHUP')
    await log(sluice, 'policy is in use', 2)
    for (let call = 0; call < 4; call++) assert.equal(await ask(t, sluice.url), 'denied')
  })

  it('end when their supervisor is killed', async t => {
    const upstream = await startScriptedUpstream(t)
    const sluice = await start(t, [upstream.url, '--workers', '2'])
    const pids = [await log(sluice, 'worker serves', 1), await log(sluice, 'worker serves', 2)].map(line =>
      Number(line.pid),
    )
    sluice.child.kill('SIGKILL')
    await until(() => pids.every(pid => !isAlive(pid)), 'the workers to end')
  })
})

const REFUSE = `import { defineInterceptor, Verdict, z } from '#api'
export default defineInterceptor({
  name: 'refuse', summary: 'Refuses all.', options: z.object({}), onFailure: 'closed',
  looks: { request: { need: 'envelope' } },
  create: () => ({ request: () => Verdict.deny('denied', 'refused by the test') }),
})
`

const BOMB = `import { defineInterceptor, z } from '#api'
export default defineInterceptor({
  name: 'bomb', summary: 'Throws where nobody catches.', options: z.object({}), onFailure: 'open',
  looks: { request: { need: 'envelope' } },
  create: () => ({ request: () => { setTimeout(() => { throw new Error('boom') }, 0); return undefined } }),
})
`

/** Answers as a legacy server with one session. */
function sessions(...[request, answer]: Parameters<ScriptedUpstream['script']>): void {
  const { id, method } = request.json() as { id: number; method: string }
  if (method !== 'initialize') answer.json(result(id, { tools: [] }))
  else answer.json(initializeResult(id), { headers: { 'mcp-session-id': 'upstream-session' } })
}

function subject(url: string): Promise<string> {
  return new Promise((resolve, reject) => {
    const request = httpsRequest(url, { rejectUnauthorized: false, agent: false }, response => {
      const { socket } = response as unknown as { socket: import('node:tls').TLSSocket }
      resolve(socket.getPeerCertificate().subject.CN as string)
      response.resume()
    })
    request.once('error', reject).end()
  })
}

function isAlive(pid: number): boolean {
  try {
    process.kill(pid, 0)
    return true
  } catch {
    return false
  }
}
