import assert from 'node:assert/strict'
import { it } from 'node:test'
import { OutputLog } from '../../../proxy/fleet/output-log.ts'
import { channels } from '../../../proxy/observe/channels.ts'
import { OutputRedactor } from '../../../proxy/wiring/redact.ts'

it('keeps the last lines of the replicas that spoke last', t => {
  const log = new OutputLog()
  log.start()
  t.after(() => log.stop())
  const say = (replica: string, line: string): void => channels.output.publish({ server: 'kb', replica, line })
  for (let i = 0; i < 300; i++) say('kb-1', `line ${i}`)
  assert.deepEqual(
    [log.of('kb').length, log.of('kb')[0]?.line, log.of('kb').at(-1)?.line],
    [200, 'line 100', 'line 299'],
  )
  for (let i = 0; i < 20; i++) say('kb-2', 'x'.repeat(8_000))
  assert.equal(log.of('kb').filter(({ replica }) => replica === 'kb-2').length, 8, '64 KiB')
  for (let i = 3; i < 11; i++) say(`kb-${i}`, 'hello')
  assert.deepEqual(
    log.of('kb').map(({ replica }) => replica),
    [3, 4, 5, 6, 7, 8, 9, 10].map(number => `kb-${number}`),
  )
  assert.deepEqual(log.of('nobody'), [])
  log.forget('kb')
  assert.deepEqual(log.of('kb'), [])
})

it('takes out the secrets that replicas were given, the longer ones first, line by line', () => {
  const redactor = new OutputRedactor()
  redactor.remember(['secret', 'secret-and-more', 'no', 'first line\nsecond line'])
  assert.equal(redactor.redact('a secret-and-more b secret c no'), 'a ***REDACTED*** b ***REDACTED*** c no')
  assert.equal(redactor.redact('> second line'), '> ***REDACTED***')
})
