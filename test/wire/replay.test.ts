import assert from 'node:assert/strict'
import { execFile } from 'node:child_process'
import { existsSync, mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { describe, it } from 'node:test'
import { send } from '../helpers/http-client.ts'
import { legacy, notification, result, rpc } from '../helpers/mcp-messages.ts'
import { type Program, startProgram, startSluice } from '../helpers/program.ts'
import { type Scope, until } from '../helpers/scope.ts'
import { startScriptedUpstream } from '../helpers/scripted-upstream.ts'
import { sseEvent } from '../helpers/sse.ts'

/** `sluice capture` from a running proxy, and `sluice replay` of what it wrote. */

const SLUICE = join(import.meta.dirname, '../../proxy/cli/sluice.ts')
const SECRET = 'Kept-To-Itself-7731'
const ALLOW_ALL = 'version: 1\ninterceptors: []\n'
const DENY_DROP = `version: 1
access_control: { clients: { anonymous: { allowed_servers: ['*'], allowed_tools: { '*': ['get*'] } } } }
interceptors: [access]
`

interface Setting {
  readonly dir: string
  readonly url: string
  /** Runs the command in the folder of the files; gives exit code and what it said. */
  sluice(...args: string[]): Promise<{ code: number; out: string; err: string }>
  /** Starts a capture and waits until the proxy records. */
  capture(...args: string[]): Promise<Program>
  call(name: string, args?: object): Promise<string>
}

function sluice(dir: string, args: readonly string[]): Promise<{ code: number; out: string; err: string }> {
  return new Promise(resolve => {
    execFile(process.execPath, [SLUICE, ...args], { cwd: dir, encoding: 'utf8' }, (error, out, err) => {
      resolve({ code: error === null ? 0 : Number(error.code), out, err })
    })
  })
}

async function start(t: Scope, more = ''): Promise<Setting> {
  const dir = mkdtempSync(join(tmpdir(), 'sluice-replay-'))
  t.after(() => rmSync(dir, { recursive: true, force: true }))
  const upstream = await startScriptedUpstream(t, {
    script: (request, answer) => {
      const { id, params } = request.json()
      const text = result(id, { content: [{ type: 'text', text: SECRET }] })
      const note = notification('notifications/message', { level: 'info', data: SECRET })
      return params?.name === 'stream' ? answer.events([sseEvent(note), sseEvent(text)]) : answer.json(text)
    },
  })
  const server = `servers: { s: { url: '${upstream.url}' } }`
  writeFileSync(
    join(dir, 'sluice.yaml'),
    `listen: 127.0.0.1:0\ncontrol_socket: c.sock\nstate_dir: state\n${server}\n${more}`,
  )
  writeFileSync(join(dir, 'old.yaml'), ALLOW_ALL)
  writeFileSync(join(dir, 'new.yaml'), DENY_DROP)
  const { url } = await startSluice(t, ['-c', 'sluice.yaml'], { cwd: dir })
  return {
    dir,
    url,
    sluice: (...args) => sluice(dir, args),
    capture: (...args) => {
      const command = ['node', SLUICE, 'capture', '--out', 'corpus.jsonl', ...args]
      return startProgram(t, command, { ready: /recording/, cwd: dir })
    },
    call: async (name, args = {}) => {
      const answer = await send(t, url, {
        ...legacy(rpc(1, 'tools/call', { name, arguments: args })),
        agent: false,
      } as never)
      return answer.text()
    },
  }
}

const ended = async ({ child }: Program): Promise<number | null> => {
  await until(() => child.exitCode !== null || child.signalCode !== null, 'the capture to end')
  return child.exitCode
}

const linesOf = (dir: string): Record<string, never>[] =>
  readFileSync(join(dir, 'corpus.jsonl'), 'utf8')
    .trim()
    .split('\n')
    .map(line => JSON.parse(line))

describe('capture and replay', () => {
  it('records without values, and tells what another policy would do', async t => {
    const { dir, capture, call, sluice } = await start(t)
    const running = await capture('--max', '4')
    for (const name of ['get', 'drop', 'stream', 'drop']) await call(name, { user: SECRET, id: 12 })
    assert.equal(await ended(running), 0, running.output)
    assert.match(running.output, /corpus\.jsonl: 4 exchanges; values redacted; max is reached/)
    assert.equal(statSync(join(dir, 'corpus.jsonl')).mode & 0o777, 0o600)
    assert.doesNotMatch(readFileSync(join(dir, 'corpus.jsonl'), 'utf8'), new RegExp(SECRET))
    const [head, first] = linesOf(dir) as unknown as [Record<string, unknown>, { request: { params: object } }]
    assert.equal(head.sluice_corpus, 1)
    assert.deepEqual(first.request.params, { name: 'get', arguments: { user: 'Xxxx-Xx-Xxxxxx-1111', id: 12 } })

    const same = await sluice('replay', 'corpus.jsonl', '--policy', 'old.yaml')
    assert.deepEqual([same.code, same.err], [0, ''])
    assert.match(same.out, /4 exchanges, values redacted, against what happened then\n\nnothing would change\n$/)
    const changed = await sluice('replay', 'corpus.jsonl', '--policy', 'new.yaml')
    assert.equal(changed.code, 1)
    assert.match(changed.out, /! access {2}s\.drop {2}allowed -> denied \(access_denied\) {2}2x\n {4}lines 3, 5\n/)
    assert.match(changed.out, /! access {2}s\.stream {2}allowed -> denied \(access_denied\) {2}1x\n {4}line 4\n/)
    assert.match(changed.out, /3 of 4 exchanges would change; 3 changes not expected\n$/)
    const back = await sluice('replay', 'corpus.jsonl', '--policy', 'old.yaml', '--against', 'new.yaml', '--json')
    assert.equal(back.code, 1)
    const report = JSON.parse(back.out) as { changed: number; changes: { change: string }[] }
    assert.equal(report.changed, 3)
    assert.deepEqual([...new Set(report.changes.map(({ change }) => change))], ['denied -> allowed'])
  })

  it('takes changes that are expected, and no others', async t => {
    const { dir, capture, call, sluice } = await start(t)
    const running = await capture('--max', '2')
    for (const name of ['get', 'drop']) await call(name)
    assert.equal(await ended(running), 0)
    const replay = (...args: string[]) => sluice('replay', 'corpus.jsonl', '--policy', 'new.yaml', ...args)
    assert.equal((await replay('--expect', '1')).code, 0)
    assert.equal((await replay('--expect', '0')).code, 1)
    assert.equal((await replay('--allow-changes', 'expected.yaml')).code, 2)
    assert.equal((await replay('--allow-changes', 'expected.yaml', '--update')).code, 0)
    assert.match(
      readFileSync(join(dir, 'expected.yaml'), 'utf8'),
      /- entry: access\n {4}tool: s\.drop\n {4}change: allowed -> denied/,
    )
    assert.equal((await replay('--allow-changes', 'expected.yaml')).code, 0)
    writeFileSync(join(dir, 'other.yaml'), 'changes:\n  - { entry: access, tool: s.other }\n')
    const other = await replay('--allow-changes', 'other.yaml')
    assert.equal(other.code, 1)
    assert.match(other.out, /allowed, but did not happen: access s\.other/)
    for (const [args, text] of [
      [['replay', 'corpus.jsonl'], /no policy: give --policy FILE/],
      [['replay', 'none.jsonl', '--policy', 'new.yaml'], /none\.jsonl: ENOENT/],
      [['replay', 'new.yaml', '--policy', 'new.yaml'], /new\.yaml: no corpus/],
      [['replay', 'corpus.jsonl', '--policy', 'none.yaml'], /none\.yaml/],
      [['replay', 'corpus.jsonl', '--policy', 'new.yaml', '--expect', '1', '--allow-changes', 'x'], /one of the two/],
    ] as const) {
      const { code, err } = await sluice(...args)
      assert.equal(code, 2, err)
      assert.match(err, text)
    }
  })

  it('does not pretend to know what depends on values that are not there', async t => {
    const { dir, capture, call, sluice } = await start(t)
    const running = await capture('--max', '2')
    for (const path of ['/etc/passwd', '/tmp/x']) await call('get', { path })
    assert.equal(await ended(running), 0)
    const rule = 'has(arguments.path) && arguments.path.startsWith("/xxx/")'
    writeFileSync(
      join(dir, 'when.yaml'),
      `version: 1\ninterceptors:\n  - use: rate-limit\n    when: '${rule}'\n    options: { limits: [{ limit: 1/minute }] }\n`,
    )
    const { code, out } = await sluice('replay', 'corpus.jsonl', '--policy', 'when.yaml')
    assert.equal(code, 0, out)
    assert.match(out, /Not certain[^\n]*\n {2}rate-limit {2}s\.get {2}allowed -> denied/)
    assert.match(out, /2 exchanges of 2 hold redacted values that decide: rate-limit \(2\)/)
    assert.equal((await sluice('replay', 'corpus.jsonl', '--policy', 'when.yaml', '--strict')).code, 1)
  })

  it('encrypts by a key that nobody else can read', async t => {
    const { dir, capture, call, sluice } = await start(t)
    const key = join(dir, 'corpus.key')
    const args = ['capture', '--out', 'corpus.jsonl', '--values', 'encrypted', '--key-file', 'corpus.key']
    assert.match((await sluice(...args)).err, /no such key file; make one with: \(umask 077; openssl rand -hex 32/)
    writeFileSync(key, 'ab'.repeat(32), { mode: 0o644 })
    const open = await sluice(...args)
    assert.deepEqual([open.code, existsSync(join(dir, 'corpus.jsonl'))], [2, false])
    assert.match(open.err, /mode 0644 lets others read the key, expected 0600/)
    rmSync(key)
    writeFileSync(key, 'ab'.repeat(32), { mode: 0o600 })
    const running = await capture('--max', '2', '--values', 'encrypted', '--key-file', 'corpus.key')
    for (const name of ['get', 'stream']) await call(name, { user: SECRET })
    assert.equal(await ended(running), 0, running.output)
    assert.doesNotMatch(readFileSync(join(dir, 'corpus.jsonl'), 'utf8'), new RegExp(SECRET))
    const replay = (...more: string[]) => sluice('replay', 'corpus.jsonl', '--policy', 'old.yaml', ...more)
    assert.match((await replay()).err, /is encrypted: give --key-file FILE/)
    assert.equal((await replay('--key-file', 'corpus.key')).code, 0)
    writeFileSync(key, 'cd'.repeat(32))
    assert.match((await replay('--key-file', 'corpus.key')).err, /another key than that of/)
    writeFileSync(key, 'ab'.repeat(32))
    const [head, one, two] = readFileSync(join(dir, 'corpus.jsonl'), 'utf8').trim().split('\n')
    writeFileSync(join(dir, 'corpus.jsonl'), [head, two, one].join('\n'))
    assert.match((await replay('--key-file', 'corpus.key')).err, /corpus\.jsonl:2: it does not open/)
  })

  it('records what all workers do, each exchange once', async t => {
    const { dir, capture, call } = await start(t, 'workers: 2\n')
    const running = await capture('--max', '12')
    for (let i = 0; i < 12; i++) await call(`get-${i}`)
    assert.equal(await ended(running), 0, running.output)
    const exchanges = linesOf(dir).slice(1) as unknown as { id: string; request: { params: { name: string } } }[]
    const names = exchanges.map(({ request }) => request.params.name)
    assert.deepEqual(names.toSorted(), Array.from({ length: 12 }, (_, i) => `get-${i}`).toSorted())
    // The beginning of an id is the process's.
    assert.equal(new Set(exchanges.map(({ id }) => id.split('-')[0])).size, 2)
  })

  it('ends by itself, by a signal, and with what was asked for only', async t => {
    const { dir, capture, call, sluice } = await start(t)
    const timed = await capture('--for', '300ms', '--tool', 'get*', '--server', 's')
    for (const name of ['drop', 'get']) await call(name)
    assert.equal(await ended(timed), 0)
    assert.match(timed.output, /1 exchange; values redacted; the time is over/)
    assert.match((await sluice('capture', '--out', 'corpus.jsonl')).err, /there is such a file already/)
    rmSync(join(dir, 'corpus.jsonl'))
    const stopped = await capture()
    await call('get')
    await until(() => linesOf(dir).length === 2, 'the exchange to be written')
    stopped.child.kill('SIGINT')
    assert.equal(await ended(stopped), 0)
    assert.match(stopped.output, /1 exchange; values redacted; stopped/)
  })
})
