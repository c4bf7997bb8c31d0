import assert from 'node:assert/strict'
import { afterEach, beforeEach, describe, test } from 'node:test'
import { startAccessLog } from '../../../proxy/observe/access-log.ts'
import { channels } from '../../../proxy/observe/channels.ts'
import { createLog, type LogLevel } from '../../../proxy/observe/log.ts'
import { decimalMs, isoTime } from '../../../proxy/observe/text.ts'
import { sampleEnd } from './samples.ts'

describe('access log', () => {
  let lines: string[] = []
  let stop = (): void => undefined

  function begin(level: LogLevel = 'info', format: 'json' | 'pretty' = 'json'): void {
    const destination = { write: (line: string) => lines.push(line) }
    stop = startAccessLog(createLog({ level, format, destination, colors: false }))
  }

  beforeEach(() => {
    lines = []
  })
  afterEach(() => stop())

  test('a line has its fields in one order', () => {
    begin()
    channels.exchangeEnd.publish(sampleEnd({}, { notes: { cache: 'hit', saved: 3, stale: false } }))
    assert.deepEqual(lines, [
      '{"level":"info","timestamp":"2026-11-21T10:22:31.016Z","message":"exchange","exchange":"x1","server":"demo",' +
        '"http_method":"POST","method":"tools/call","name":"echo","client":"alice","session":"s-4f2a","era":"modern",' +
        '"status":"ok","http_status":200,"duration_ms":12.500,"upstream_ms":10,"first_byte_ms":8,' +
        '"bytes_to_server":300,"bytes_to_client":400,"replica":"http://127.0.0.1:3001/mcp",' +
        '"notes":{"cache":"hit","saved":3,"stale":false}}\n',
    ])
  })

  test('what is empty is left out; denied and failed ones warn, with code and reason', () => {
    begin('warn')
    channels.exchangeEnd.publish(sampleEnd())
    const bare = { name: '', session: null }
    channels.exchangeEnd.publish(
      sampleEnd(bare, { status: 'denied', code: 'access_denied', reason: 'no "x"', httpStatus: 403, replica: '' }),
    )
    channels.exchangeEnd.publish(sampleEnd(bare, { status: 'failed', code: 'upstream_timeout', reason: 'late' }))
    assert.equal(lines.length, 2)
    const [denied, failed] = lines.map(line => JSON.parse(line))
    assert.equal(denied.level, 'warn')
    assert.equal(denied.code, 'access_denied')
    assert.equal(denied.reason, 'no "x"')
    assert.deepEqual(
      ['name', 'session', 'replica', 'notes'].filter(key => key in denied),
      [],
    )
    assert.equal(failed.status, 'failed')
  })

  test('a refusal is a line of its own', () => {
    begin()
    channels.refusal.publish({ code: 'host_denied', status: 403, reason: 'Host "evil" is not allowed' })
    const { timestamp, ...rest } = JSON.parse(lines[0] as string)
    assert.match(timestamp, /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z$/)
    const reason = 'Host "evil" is not allowed'
    assert.deepEqual(rest, { level: 'warn', message: 'refusal', code: 'host_denied', http_status: 403, reason })
  })

  test('what clients choose is quoted, bounded and without credentials', () => {
    begin()
    const name = 'postgres://admin:hunter2@db/orders"\n\u001b[2J\ud800'
    channels.exchangeEnd.publish(sampleEnd({ name, method: 'resources/read' }))
    channels.exchangeEnd.publish(sampleEnd({ name: 'x'.repeat(1_000_000), method: 'y'.repeat(1_000_000) }))
    const strange = { big: 2n, none: undefined, odd: Symbol('x'), nan: Number.NaN, deep: { a: 1 } }
    channels.exchangeEnd.publish(sampleEnd({}, { notes: strange as never }))
    assert.ok(!lines[0]?.includes('hunter2'))
    assert.equal(JSON.parse(lines[0] as string).name, 'postgres://***@db/orders"\n\u001b[2J\ud800')
    assert.ok((lines[0] as string).indexOf('\n') === (lines[0] as string).length - 1)
    assert.ok((lines[1] as string).length < 2000)
    assert.deepEqual(JSON.parse(lines[2] as string).notes, { big: '2', none: null, odd: null, nan: null, deep: null })
  })

  test('on a terminal an exchange is one short line', () => {
    begin('info', 'pretty')
    channels.exchangeEnd.publish(sampleEnd())
    channels.refusal.publish({ code: 'host_denied', status: 403, reason: 'no' })
    assert.match(
      lines[0] as string,
      /^\d\d:\d\d:\d\d info {2}tools\/call echo {2}server=demo client=alice status=ok http_status=200 duration_ms=12.5\n$/,
    )
    assert.match(lines[1] as string, /^\d\d:\d\d:\d\d warn {2}refused {2}code=host_denied http_status=403 reason=no\n$/)
  })

  test('without it nobody is subscribed', () => {
    begin()
    assert.ok(channels.exchangeEnd.hasSubscribers && channels.refusal.hasSubscribers)
    stop()
    assert.ok(!channels.exchangeEnd.hasSubscribers && !channels.refusal.hasSubscribers)
  })
})

describe('numbers and times of a line', () => {
  test('milliseconds have three decimals or none', () => {
    const cases: [number, string][] = [
      [0, '0'],
      [-1, '0'],
      [Number.NaN, '0'],
      [0.0004, '0'],
      [0.0006, '0.001'],
      [1, '1'],
      [1.05, '1.050'],
      [86_400_000.5, '86400000.500'],
    ]
    for (const [ms, text] of cases) assert.equal(decimalMs(ms), text)
  })

  test('times agree with Date', () => {
    for (const ms of [0, 1, 999.9, 1000, 1_790_000_000_123.7, 1_790_000_000_999, 1_790_000_001_000]) {
      assert.equal(isoTime(ms), new Date(Math.floor(ms)).toISOString())
    }
  })
})
