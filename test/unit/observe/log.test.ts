import assert from 'node:assert/strict'
import { spawnSync } from 'node:child_process'
import { mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join, resolve } from 'node:path'
import { describe, test } from 'node:test'
import fc from 'fast-check'
import { channels } from '../../../proxy/observe/channels.ts'
import { createLog, type Log, type LogOptions } from '../../../proxy/observe/log.ts'
import { startNotices } from '../../../proxy/observe/notices.ts'
import { redact } from '../../../proxy/observe/redact.ts'

function collecting(options: Partial<LogOptions> = {}): { log: Log; lines: string[] } {
  const lines: string[] = []
  const destination = { write: (line: string) => lines.push(line) }
  return { log: createLog({ level: 'debug', format: 'json', colors: false, destination, ...options }), lines }
}

describe('log', () => {
  test('writes JSON lines with an ISO time, a level and the fields', () => {
    const { log, lines } = collecting()
    log.info({ url: 'http://127.0.0.1:8080/mcp', started_at: new Date(0) }, 'listening')
    const { timestamp, ...rest } = JSON.parse(lines[0] as string)
    assert.equal(new Date(timestamp).toISOString(), timestamp)
    const expected = { url: 'http://127.0.0.1:8080/mcp', started_at: '1970-01-01T00:00:00.000Z' }
    assert.deepEqual(rest, { level: 'info', ...expected, message: 'listening' })
    assert.equal(log.format, 'json')
  })

  test('a child adds its fields, a level keeps lines back', () => {
    const { log, lines } = collecting({ level: 'warn' })
    const child = log.child({ worker: 2, token: 't0p' }).child({ room: 'policy' })
    child.info({}, 'unseen')
    child.warn({ n: 1 }, 'seen')
    assert.equal(lines.length, 1)
    const { worker, token, room, n } = JSON.parse(lines[0] as string)
    assert.deepEqual([worker, token, room, n], [2, '***REDACTED***', 'policy', 1])
    assert.deepEqual([log.enabled('info'), log.enabled('error')], [false, true])
  })

  test('hides secrets at every depth it prints, and prints no deeper', () => {
    const { log, lines } = collecting()
    const secrets = { password: 'p4ss', 'X-Api-Key': 'k3y', Authorization: 'Bearer b34r', 'set-cookie': ['c00k'] }
    const deep = { a: { b: { c: { d: { e: { plain: 'too deep', token: 'd33p' } } } } } }
    log.error({ ...secrets, refreshToken: { x: 'r3f' }, list: [{ client_secret: 's3c', pin: 4711 }], deep }, 'x')
    const line = lines[0] as string
    for (const secret of ['p4ss', 'k3y', 'b34r', 'c00k', 'r3f', 's3c', 'd33p', 'too deep']) {
      assert.ok(!line.includes(secret), `${secret} is in ${line}`)
    }
    assert.equal(JSON.parse(line).list[0].pin, 4711)
  })

  test('errors show their chain, without credentials in URLs', () => {
    const { log, lines } = collecting()
    const cause = Object.assign(new Error('connect to http://me:hunter2@db:1'), { code: 'ECONNREFUSED', token: 'x1y2' })
    log.error({ error: new Error('outer', { cause }) }, 'GET http://me:hunter2@db:1/ failed')
    const { error, message } = JSON.parse(lines[0] as string)
    assert.equal(error.type, 'Error')
    assert.match(error.stack, /log\.test\.ts/)
    assert.equal(error.cause.code, 'ECONNREFUSED')
    assert.equal(error.cause.message, 'connect to http://***@db:1')
    assert.equal(message, 'GET http://***@db:1/ failed')
    assert.ok(!(lines[0] as string).includes('hunter2') && !(lines[0] as string).includes('x1y2'))
  })

  test('survives whatever it is given', () => {
    const { log, lines } = collecting()
    const circle: Record<string, unknown> = { name: 'circle' }
    circle.self = circle
    log.info({ circle, big: 2n ** 70n, bytes: new Uint8Array(3), map: new Map([['token', 'm4p']]) }, 'odd')
    log.info({ fn: () => 1, nothing: undefined, bad: new Date(Number.NaN), long: 'x'.repeat(100_000) }, 'odder')
    for (const line of lines) assert.equal(typeof JSON.parse(line).message, 'string')
    assert.equal(JSON.parse(lines[0] as string).bytes, '[3 bytes]')
    assert.ok(!(lines[0] as string).includes('m4p'))
    assert.ok((lines[1] as string).length < 9000)
  })

  test('never prints a value that stands under a secret key, whatever surrounds it', () => {
    const key = fc.constantFrom('password', 'API_KEY', 'apiKey', 'github-token', 'Secret', 'cookies')
    const wrap = fc.array(fc.oneof(fc.constant('list' as const), fc.string()), { maxLength: 8 })
    fc.assert(
      fc.property(key, wrap, (name, path) => {
        let value: unknown = { [name]: 'S3NT1NEL' }
        for (const step of path) value = step === 'list' ? [value] : { [step]: value }
        assert.ok(!JSON.stringify(redact({ value })).includes('S3NT1NEL'))
      }),
      { numRuns: 300 },
    )
  })

  test('on a terminal: one readable line, control characters as escapes, stacks below', () => {
    const { log, lines } = collecting({ format: 'pretty' })
    log.info({ url: 'http://127.0.0.1:8080/mcp' }, 'listening')
    log.warn({ name: 'two words', evil: '\u001b[2J', n: 3, o: { a: 1 } }, 'line\nbreak')
    log.error({ error: new Error('broken') }, 'failed')
    assert.match(lines[0] as string, /^\d\d:\d\d:\d\d info {2}listening {2}url=http:\/\/127\.0\.0\.1:8080\/mcp\n$/)
    assert.match(
      lines[1] as string,
      /warn {2}line\\u000abreak {2}name="two words" evil="\\u001b\[2J" n=3 o=\{"a":1\}\n$/,
    )
    assert.match(lines[2] as string, /error failed {2}error="broken"\n {9}at .*log\.test\.ts/)
  })

  test('a file is made with its folder, and has its lines once flushed', () => {
    const dir = mkdtempSync(join(tmpdir(), 'sluice-log-'))
    const file = join(dir, 'logs', 'sluice.log')
    const log = createLog({ level: 'info', format: 'auto', destination: file })
    log.info({ n: 1 }, 'one')
    log.line('{"message":"two"}\n')
    log.flush()
    const messages = readFileSync(file, 'utf8')
      .trim()
      .split('\n')
      .map(line => JSON.parse(line).message)
    assert.deepEqual(messages, ['one', 'two'])
    rmSync(dir, { recursive: true })
  })

  test('what waits is written when the process ends, either way', () => {
    const module = JSON.stringify(resolve('proxy/observe/log.ts'))
    for (const end of ['', 'process.exit()', 'throw new Error("crash")']) {
      const script = `
        import { createLog } from ${module}
        const log = createLog({ level: 'info', format: 'json' })
        for (let i = 0; i < 300; i++) log.info({ i }, 'x')
        ${end}`
      const { stdout } = spawnSync(process.execPath, ['--input-type=module', '-e', script], { timeout: 20_000 })
      const lines = String(stdout).trim().split('\n')
      assert.deepEqual([lines.length, JSON.parse(lines.at(-1) as string).i], [300, 299], end)
    }
  })

  test('a full disk costs lines, not the end of the process', () => {
    const module = JSON.stringify(resolve('proxy/observe/log.ts'))
    const script = `
      import { createLog } from ${module}
      const log = createLog({ level: 'info', format: 'json', destination: '/dev/full' })
      for (let i = 0; i < 300; i++) log.info({ i }, 'x')
      setTimeout(() => process.exit(7), 300)`
    const { status } = spawnSync(process.execPath, ['--input-type=module', '-e', script], { timeout: 20_000 })
    assert.equal(status, 7)
  })

  test('notices and reloads reach it until stopped', () => {
    const { log, lines } = collecting()
    const stop = startNotices(log)
    channels.notice.publish({ level: 'warn', text: 'replica is gone', fields: { replica: 'r1' } })
    channels.reload.publish({ what: 'policy', ok: false, generation: 3, text: 'default.yaml:3:1: unknown key' })
    channels.reload.publish({ what: 'policy', ok: true, generation: 4, text: '' })
    stop()
    channels.notice.publish({ level: 'warn', text: 'unheard', fields: {} })
    const seen = lines.map(line => JSON.parse(line))
    assert.deepEqual(
      seen.map(({ level, message }) => [level, message]),
      [
        ['warn', 'replica is gone'],
        ['error', 'policy could not be loaded; the one before stays in use'],
        ['info', 'policy is in use'],
      ],
    )
    assert.equal(seen[1].error, 'default.yaml:3:1: unknown key')
  })
})
