import assert from 'node:assert/strict'
import { spawn } from 'node:child_process'
import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { describe, it, type TestContext } from 'node:test'
import { fileURLToPath } from 'node:url'
import { EVERYTHING } from '../helpers/everything.ts'
import { type Program, startProgram } from '../helpers/program.ts'
import { until, within } from '../helpers/scope.ts'
import { connectSdk } from '../helpers/sdk-clients.ts'
import { isRunning, lastFirst, tempDir } from './kit.ts'

const SLUICE = fileURLToPath(new URL('../../proxy/cli/sluice.ts', import.meta.url))
const MODERN = fileURLToPath(new URL('../wire/fixtures/modern-stdio.ts', import.meta.url))
const LISTENING = /listening.*?(http:\/\/[^\s"]+)/

interface Started {
  readonly program: Program
  /** `http://127.0.0.1:PORT` */
  readonly base: string
}

/** Runs `sluice run ARGS` as somebody at a terminal does, in an empty folder. */
async function run(t: TestContext, ...args: string[]): Promise<Started> {
  const cwd = await tempDir(t)
  const listen = ['--listen', '127.0.0.1:0', '--admin', 'off', '--log-format', 'pretty']
  const options = { ready: LISTENING, cwd, env: { XDG_STATE_HOME: cwd } }
  const program = await startProgram(lastFirst(t), ['node', SLUICE, 'run', ...listen, ...args], options)
  return { program, base: new URL(program.ready).origin }
}

/** Runs it to its end, which should come soon. */
function fails(t: TestContext, ...args: string[]): Promise<{ code: number | null; errors: string }> {
  const child = spawn(process.execPath, [SLUICE, 'run', '--admin', 'off', ...args], {
    stdio: ['ignore', 'ignore', 'pipe'],
  })
  lastFirst(t).after(() => void child.kill('SIGKILL'))
  let errors = ''
  child.stderr.setEncoding('utf8').on('data', (text: string) => void (errors += text))
  return within(
    new Promise(resolve => child.once('close', code => resolve({ code, errors }))),
    'the end of sluice run',
    30_000,
  )
}

/** What is printed to be pasted into a client's settings. */
async function pasted({ program }: Started): Promise<Record<string, { type: string; url: string }>> {
  const json = (): string => /\n {2}(\{\n[\s\S]*?\n {2}\})\n/.exec(program.output)?.[1] ?? ''
  await until(() => json() !== '', 'what to paste')
  return JSON.parse(json()).mcpServers
}

describe('sluice run -- COMMAND', () => {
  for (const peer of ['v1', 'v2 auto'] as const) {
    it(`puts a server that speaks stdio behind HTTP, for ${peer}`, async t => {
      const started = await run(t, '--', process.execPath, EVERYTHING, 'stdio')
      const { default: entry } = await pasted(started)
      assert.deepEqual(entry, { type: 'http', url: `${started.base}/servers/default/mcp` })
      const client = await connectSdk(t, peer, entry?.url ?? '')
      assert.equal(await client.callText('echo', { message: 'hi' }), 'Echo: hi')
      assert.equal((await client.toolNames()).includes('get-sum'), true)
    })
  }

  it('serves a server of the official SDK v2 to all clients by one process, which ends with it', async t => {
    const { program, base } = await run(t, '--name', 'kb', '--', process.execPath, MODERN)
    const clients = await Promise.all([1, 2, 3].map(() => connectSdk(t, 'v2 modern', `${base}/servers/kb/mcp`)))
    const pids = new Set(await Promise.all(clients.map(client => client.callText('pid'))))
    assert.equal(pids.size, 1)
    assert.equal(await clients[0]?.callText('echo', { text: 'ä \u2028' }), 'ä \u2028')
    await Promise.all(clients.map(client => client.close()))
    assert.equal(await program.stop(), 0)
    assert.equal(isRunning(Number([...pids][0])), false)
  })

  it('does not begin with a program that is not there', async t => {
    const none = await fails(t, '--', 'no-such-program', '--flag')
    assert.deepEqual(none, { code: 2, errors: 'sluice: there is no program "no-such-program" on the PATH\n' })
    const oneWord = await fails(t, '--', 'npx -y some-server')
    assert.equal(oneWord.code, 2)
    assert.match(oneWord.errors, /"npx -y some-server".*give the program and its arguments as words of their own/)
  })

  it('shows the last words of a program that ends at once, in its log and to clients', async t => {
    const script = 'console.error("KB_TOKEN is not set"); console.error("see --help"); process.exit(3)'
    const { program, base } = await run(t, '--', process.execPath, '-e', script)
    const words =
      /its process ended with exit code 3 before it answered anything; it said: KB_TOKEN is not set \| see --help/
    await assert.rejects(within(connectSdk(t, 'v1', `${base}/mcp`), 'a failure', 20_000), words)
    await until(() => words.test(program.output), 'the same in the log', 20_000)
  })
})

describe('sluice run --from FILE', () => {
  it("runs the servers of a client's list, each with its own name and environment", async t => {
    const dir = await tempDir(t)
    const file = join(dir, 'mcp.json')
    const list = {
      'The Everything': { command: process.execPath, args: [EVERYTHING, 'stdio'], env: { ONLY: 'here' } },
      modern: { type: 'stdio', command: process.execPath, args: [MODERN] },
      off: { command: 'nothing', disabled: true },
      gone: { command: 'no-such-program' },
    }
    writeFileSync(file, `// my servers\n${JSON.stringify({ mcpServers: list }, null, 2)}\n`)
    const started = await run(t, '--from', file)
    const entries = await pasted(started)
    assert.deepEqual(Object.keys(entries), ['the-everything', 'modern', 'gone'])
    const everything = await connectSdk(t, 'v1', entries['the-everything']?.url ?? '')
    const env = JSON.parse(await everything.callText('get-env'))
    assert.equal(env.ONLY, 'here')
    const modern = await connectSdk(t, 'v2 modern', entries['modern']?.url ?? '')
    assert.equal(await modern.callText('echo', { text: 'hi' }), 'hi')
    assert.match(started.program.output, /warn.*there is no program "no-such-program" on the PATH.*gone/)
    assert.match(started.program.output, /warn.*disabled: left out/)
    const gone = connectSdk(t, 'v1', entries['gone']?.url ?? '')
    await assert.rejects(within(gone, 'a failure'), /gone.*the command \\?"no-such-program\\?" is not there/)
  })
})
