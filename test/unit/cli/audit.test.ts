import assert from 'node:assert/strict'
import { spawn, spawnSync } from 'node:child_process'
import { once } from 'node:events'
import { appendFileSync, mkdtempSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join, resolve } from 'node:path'
import { after, describe, test } from 'node:test'
import { gzipSync } from 'node:zlib'
import { FileTarget } from '../../../interceptors/audit/file-target.ts'
import { LineFile } from '../../../interceptors/audit/line-file.ts'

const folder = mkdtempSync(join(tmpdir(), 'sluice-audit-cli-'))
after(() => rmSync(folder, { recursive: true }))
const PROGRAM = resolve('proxy/cli/sluice.ts')
const KEY = 'a key of the tests alone'
let files = 0

function sluice(...args: string[]): { out: string; err: string; code: number | null } {
  const env = { ...process.env, AUDIT_KEY: KEY }
  const { stdout, stderr, status } = spawnSync(process.execPath, [PROGRAM, 'audit', ...args], { cwd: folder, env })
  return { out: String(stdout), err: String(stderr), code: status }
}

function line(minute: number, changes: object = {}): string {
  const timestamp = new Date(Date.UTC(2026, 10, 21, 10, minute)).toISOString()
  const shown = { timestamp, event: 'tool_invocation', client_id: 'alice', server: 'demo', method: 'tools/call' }
  return JSON.stringify({ ...shown, tool: 'echo', status: 'ok', result_size: 40, duration_ms: 1.5, ...changes })
}

async function chained(chainKey: string, lines: readonly string[]): Promise<string> {
  const name = `audit-${files++}.log`
  const onTrouble = (text: string): void => assert.fail(text)
  const target = new FileTarget({ path: join(folder, name), chainKey, rotation: null, now: () => 0, onTrouble })
  const file = new LineFile(target, { maxBytes: 1e7, onFull: 'drop', lostLine: () => '', onTrouble })
  for (const one of lines) file.write(`${one}\n`)
  await file.close()
  return name
}

describe('sluice audit verify', () => {
  test('says 0, 1 or 2', async () => {
    const name = await chained(KEY, [line(1), line(2)])
    const good = sluice('verify', name, '--key-env', 'AUDIT_KEY')
    assert.deepEqual([good.code, good.err], [0, ''])
    assert.match(good.out, /^chain [0-9a-f]{16}: seq 1 to 3, last hash [0-9a-f]{64}\n3 lines: nothing is wrong\n$/)
    const path = join(folder, name)
    writeFileSync(path, readFileSync(path, 'utf8').replace('10:02', '10:03'))
    const bad = sluice('verify', name, '--key-env', 'AUDIT_KEY')
    assert.equal(bad.code, 1)
    assert.match(bad.out, /:3: seq 3: the line, or the hash of the line before it, was changed\n/)
    const json = JSON.parse(sluice('verify', name, '--key-env', 'AUDIT_KEY', '--json').out)
    assert.deepEqual([json.ok, json.problems[0].line, json.problems[0].seq], [false, 3, 3])
    const absent = sluice('verify', 'absent.log')
    assert.deepEqual([absent.code, absent.err], [2, 'sluice: audit verify: absent.log: there is no such file\n'])
    const keyless = sluice('verify', name, '--key-env', 'NO_SUCH_KEY')
    assert.deepEqual([keyless.code, keyless.err], [2, 'sluice: --key-env: the environment has no NO_SUCH_KEY\n'])
  })

  test('tells that lines are gone which somebody has kept the place of', async () => {
    const name = await chained('', [line(1), line(2), line(3)])
    const [, last = '', kept = ''] = /seq 1 to (\d+), last hash (\w+)/.exec(sluice('verify', name).out) ?? []
    const place = `${last}:${kept}`
    assert.equal(sluice('verify', name, '--expect', place).code, 0)
    assert.equal(sluice('verify', name, '--expect', place.toUpperCase(), '--expect', place).code, 0)
    // Cut off at the end, and the .head file with it: nothing else tells.
    const path = join(folder, name)
    writeFileSync(path, `${readFileSync(path, 'utf8').split('\n').slice(0, 3).join('\n')}\n`)
    rmSync(`${path}.head`)
    assert.equal(sluice('verify', name).code, 0)
    const cut = sluice('verify', name, '--expect', place)
    assert.equal(cut.code, 1)
    assert.ok(
      cut.out.startsWith(`${place}: no line has this place and hash: it was removed, or written anew\n`),
      cut.out,
    )
    // The right hash at another place is not that line.
    assert.equal(sluice('verify', await chained('', [line(1)]), '--expect', `1:${kept}`).code, 1)
    assert.equal(sluice('verify', name, '--expect', '3').code, 2)
  })

  test('reads packed files', async () => {
    const name = await chained('', [line(1), line(2)])
    writeFileSync(join(folder, `${name}.1.gz`), gzipSync(readFileSync(join(folder, name))))
    assert.equal(sluice('verify', `${name}.1.gz`).code, 0)
  })
})

describe('sluice audit query', () => {
  test('shows what fits all that is asked for, in a table', async () => {
    const denied = { tool: 'get_user', status: 'denied', code: 'access_denied', error: 'no\u001b[2J', client_id: 'bob' }
    const name = await chained('', [line(1), line(2, denied), line(3, { method: 'ping', tool: undefined })])
    const all = sluice('query', name).out.split('\n')
    assert.equal(all.length, 5)
    assert.match(String(all[0]), /^TIME +CLIENT +SERVER +WHAT +STATUS +MS +BYTES WHY$/)
    assert.match(
      String(all[2]),
      /^2026-11-21T10:02:00.000Z bob +demo +get_user +denied +1.5 +40 access_denied: no\\u\{1b\}\[2J$/,
    )
    assert.match(String(all[3]), / ping +ok /)
    const minutes = (...args: string[]): string[] =>
      sluice('query', name, '--json', ...args)
        .out.split('\n')
        .filter(text => text !== '')
        .map(text => JSON.parse(text).timestamp.slice(14, 16))
    assert.deepEqual(minutes(), ['01', '02', '03'])
    assert.deepEqual(minutes('--tool', 'get_*'), ['02'])
    assert.deepEqual(minutes('--client', 'alice', '--server', 'demo', '--limit', '1'), ['01'])
    assert.deepEqual(minutes('--status', 'denied', '--status', 'failed'), ['02'])
    assert.deepEqual(minutes('--code', 'access_*'), ['02'])
    assert.deepEqual(minutes('--since', '2026-11-21T10:02:00Z', '--until', '2026-11-21T10:03:00Z'), ['02'])
    assert.deepEqual(minutes('--since', '2090-01-01'), [])
    assert.equal(sluice('query', name, '--since', 'yesterday').code, 2)
    assert.equal(sluice('query', name, '--limit', '0').code, 2)
    assert.equal(sluice('query', 'absent.log').code, 2)
  })

  test('needs no more memory for a large file', () => {
    const path = join(folder, 'large.log')
    const block = `${line(1, { params: { text: 'x'.repeat(2000) } })}\n`.repeat(4000)
    for (let i = 0; i < 12; i++) appendFileSync(path, block)
    const { status, stdout } = spawnSync(
      process.execPath,
      ['--max-old-space-size=40', PROGRAM, 'audit', 'query', path, '--tool', 'nothing'],
      { cwd: folder },
    )
    assert.deepEqual([status, String(stdout)], [0, ''])
  })
})

describe('sluice audit tail', () => {
  test('shows the last lines', async () => {
    const name = await chained(
      '',
      Array.from({ length: 30 }, (_, minute) => line(minute)),
    )
    const rows = sluice('tail', '-n', '3', name).out.split('\n')
    assert.deepEqual(
      rows.slice(1, -1).map(row => row.slice(14, 16)),
      ['27', '28', '29'],
    )
    assert.equal(sluice('tail', 'absent.log').code, 2)
  })

  test('follows a file, also when it is rotated', { timeout: 30_000 }, async () => {
    const path = join(folder, 'followed.log')
    writeFileSync(path, `${line(1)}\n`)
    const child = spawn(process.execPath, [PROGRAM, 'audit', 'tail', '-f', '--json', path])
    let shown = ''
    const until = async (end: string): Promise<void> => {
      while (!shown.includes(end)) shown += String((await once(child.stdout, 'data'))[0])
    }
    await until('10:01')
    appendFileSync(path, line(2))
    appendFileSync(path, '\n')
    await until('10:02')
    appendFileSync(path, `${line(3)}\n`)
    renameSync(path, `${path}.1`)
    writeFileSync(path, `${line(4)}\n`)
    await until('10:04')
    assert.deepEqual(shown.match(/10:0\d/g), ['10:01', '10:02', '10:03', '10:04'])
    child.kill('SIGINT')
    const [code] = await once(child, 'exit')
    assert.equal(code, 0)
  })
})
