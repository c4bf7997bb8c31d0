import assert from 'node:assert/strict'
import { spawnSync } from 'node:child_process'
import { existsSync, mkdirSync, mkdtempSync, readFileSync, renameSync, rmSync, statSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join, resolve } from 'node:path'
import { after, describe, test } from 'node:test'
import fc from 'fast-check'
import type { Environment, Exchange, Hooks, JsonObject, Message, Outcome } from '#api'
import audit from '../../interceptors/audit/audit.ts'
import { FileTarget } from '../../interceptors/audit/file-target.ts'
import { LineFile, type LineFileOptions } from '../../interceptors/audit/line-file.ts'
import { sanitise } from '../../interceptors/audit/sanitise.ts'
import { sampleOutcome } from '../unit/observe/samples.ts'

const folder = mkdtempSync(join(tmpdir(), 'sluice-audit-'))
after(() => rmSync(folder, { recursive: true }))

let files = 0
const logged: string[] = []

function environment(): Environment {
  const log = (_fields: object, text: string): void => void logged.push(text)
  return {
    entry: 'audit',
    clock: { now: () => 0, monotonic: () => 0 },
    logger: { debug: log, info: log, warn: log, error: log },
    store: {} as never,
    servers: ['demo'],
    accessControl: null,
    rehearsal: null,
    counter: () => () => {},
    applies: () => true,
    baseDir: folder,
    resolve: path => resolve(folder, path),
    tools: () => null,
  }
}

async function create(options: JsonObject = {}): Promise<{ hooks: Hooks<unknown>; lines(): Promise<JsonObject[]> }> {
  const path = `audit-${files++}.log`
  const hooks = await audit.create(audit.options.parse({ path, chain: false, ...options }), environment())
  const lines = async (): Promise<JsonObject[]> => {
    await hooks.close?.()
    return read(join(folder, path)).map(line => JSON.parse(line))
  }
  return { hooks, lines }
}

function read(path: string): string[] {
  const text = readFileSync(path, 'utf8')
  assert.ok(text.endsWith('\n'), 'ends with a whole line')
  return text.slice(0, -1).split('\n')
}

function exchange(changes: Partial<Exchange> = {}): Exchange {
  return {
    id: 'x1',
    server: 'demo',
    method: 'tools/call',
    name: 'echo',
    session: null,
    principal: { id: 'alice', via: 'api-key' },
    startedAt: Date.UTC(2026, 10, 21, 10, 22, 31, 4),
    ...changes,
  } as Exchange
}

async function lineOf(changes: Partial<Exchange>, outcome: Partial<Outcome>): Promise<JsonObject> {
  const { hooks, lines } = await create()
  hooks.end?.(exchange(changes), sampleOutcome(outcome), undefined)
  return (await lines())[0] as JsonObject
}

function call(args: unknown, method = 'tools/call'): Message {
  const json = { jsonrpc: '2.0', id: 1, method, params: { name: 'echo', arguments: args } } as unknown as JsonObject
  return message(method, json)
}

function message(method: string, json: JsonObject, text = JSON.stringify(json)): Message {
  return { method, json: () => json, bytes: () => Buffer.from(text) } as unknown as Message
}

describe('audit', () => {
  test('one line, its keys in the documented order', async () => {
    const verdict = { entry: 'jq', mode: 'shadow', kind: 'request', direction: 'toServer', action: 'edit' } as const
    const line = await lineOf(
      { session: 's-1' },
      {
        durationMs: 12.5,
        interceptorMicros: { audit: 0, 'jq#2': 17.25 },
        verdicts: [{ ...verdict, code: null, reason: '' }],
        notes: { cache: 'hit' },
      },
    )
    assert.deepEqual(Object.entries(line), [
      ['timestamp', '2026-11-21T10:22:31.016Z'],
      ['event', 'tool_invocation'],
      ['exchange', 'x1'],
      ['client_id', 'alice'],
      ['server', 'demo'],
      ['method', 'tools/call'],
      ['tool', 'echo'],
      ['session', 's-1'],
      ['success', true],
      ['status', 'ok'],
      ['http_status', 200],
      ['result_size', 400],
      ['duration_ms', 12.5],
      ['upstream_ms', 10],
      ['verdicts', [{ entry: 'jq', mode: 'shadow', kind: 'request', direction: 'to_server', action: 'edit' }]],
      ['interceptor_us', { audit: 0, 'jq#2': 17.25 }],
      ['notes', { cache: 'hit' }],
    ])
  })

  test('looks at nothing unless arguments are asked for', async () => {
    assert.deepEqual(Object.keys((await create()).hooks).sort(), ['close', 'end'])
    const keys = Object.keys((await create({ include: ['arguments'] })).hooks).sort()
    assert.deepEqual(keys, ['close', 'end', 'request', 'state'])
    assert.equal((await create({ include: ['results'] })).hooks.request, undefined)
  })

  test('every way to end has its event, success and text', async () => {
    const cases: [Outcome['status'], string, boolean, string | undefined][] = [
      ['ok', 'tool_invocation', true, undefined],
      ['replied', 'tool_invocation', true, undefined],
      ['tool_error', 'tool_error', false, 'the tool answered with isError: true'],
      ['error', 'tool_error', false, 'the server answered with an error'],
      ['denied', 'tool_error', false, 'an interceptor refused the message'],
      ['aborted', 'tool_error', false, 'the client left before the answer ended'],
      ['failed', 'tool_error', false, 'there was no answer'],
    ]
    for (const [status, event, success, error] of cases) {
      const line = await lineOf({}, { status })
      assert.deepEqual([line.event, line.success, line.error], [event, success, error], status)
    }
    const denied = await lineOf({}, { status: 'denied', code: 'access_denied', reason: 'Access denied: a -> b.c' })
    assert.deepEqual([denied.code, denied.error], ['access_denied', 'Access denied: a -> b.c'])
  })

  test('other methods have events of their own', async () => {
    const event = async (method: string, name = ''): Promise<unknown> => (await lineOf({ method, name }, {})).event
    assert.equal(await event('tools/list'), 'mcp_request')
    assert.equal(await event('notifications/cancelled'), 'mcp_notification')
    assert.equal(await event(''), 'mcp_message')
    const line = await lineOf({ method: 'resources/read', name: 'pg://u:pw@db/t' }, { status: 'failed' })
    assert.deepEqual([line.name, line.event, line.tool], ['pg://***@db/t', 'mcp_request', undefined])
  })

  test('arguments come without secrets', async () => {
    const { hooks, lines } = await create({ include: ['arguments'] })
    const context = exchange()
    const args = {
      query: 'x',
      auth: { api_key: 'k1', nested: [{ dbPassword: 'k2' }] },
      max_tokens: 5,
      url: 'a://u:k3@b',
    }
    for (const message of [call(args), call('x'.repeat(20_000)), call({}, 'prompts/get')]) {
      const state = hooks.state?.(context)
      assert.equal(hooks.request?.(message, context, state), undefined)
      hooks.end?.(context, sampleOutcome(), state)
    }
    hooks.end?.(context, sampleOutcome(), undefined)
    const [called, large, prompt, unseen] = await lines()
    const hidden = '***REDACTED***'
    assert.deepEqual(called?.params, { query: 'x', auth: hidden, max_tokens: 5, url: 'a://***@b' })
    assert.match(String(large?.params), /^x{12000,16384}\[\d{4} bytes cut]$/)
    assert.deepEqual(prompt?.params, {})
    assert.ok(!('params' in (unseen as object)))
  })

  test('no value under a secret key gets through, at any depth', () => {
    const key = fc.constantFrom('password', 'token', 'api_key', 'API-Key', 'secret', 'githubToken', 'client_secret')
    const wrap = fc.array(fc.oneof(fc.constant('list' as const), fc.string()), { maxLength: 20 })
    fc.assert(
      fc.property(key, wrap, fc.jsonValue(), (name, path, extra) => {
        let value: unknown = { extra, [name]: { inner: ['S3NT1NEL'] } }
        for (const step of path) value = step === 'list' ? [value] : { [step]: value }
        const text = sanitise(value, 1e6)
        assert.ok(!text.includes('S3NT1NEL'))
        assert.ok(text.includes('***REDACTED***'))
        JSON.parse(text)
      }),
      { numRuns: 300 },
    )
    assert.equal(sanitise(JSON.parse('{"__proto__":{"a":1}}'), 1e6), '{"__proto__":{"a":1}}')
  })

  test('results come without secrets, with their numbers as written', async () => {
    const { hooks, lines } = await create({ include: ['results'], max_value_bytes: 400 })
    const context = exchange()
    const texts = [
      '{"id":1,"result":{"n":12345678901234567890,"token":"S3NT","max_tokens":7}}',
      `{"id":1,"result":{"list":[${'"0123456789",'.repeat(99)}1]}}`,
      '{"id":1,"error":{"code":1,"message":"secret=S3NT; left","data":"[{\\"pwd\\":\\"S3NT\\"}]"}}',
    ]
    for (const text of texts) {
      const state = hooks.state?.(context)
      assert.equal(hooks.response?.(message('tools/call', JSON.parse(text), text), context, state), undefined)
      hooks.end?.(context, sampleOutcome(), state)
    }
    const path = join(folder, `audit-${files - 1}.log`)
    const [exact, cut, error] = await lines()
    assert.match(
      readFileSync(path, 'utf8'),
      /"result":\{"n":12345678901234567890,"token":"\*\*\*REDACTED\*\*\*","max_tokens":7\}/,
    )
    assert.ok(exact !== undefined)
    const { list } = cut?.result as { list: string[] }
    assert.match(String(list.at(-1)), /^\[\d+ items cut]$/)
    assert.ok(JSON.stringify(cut?.result).length < 500)
    assert.deepEqual(error?.result, {
      error: { code: 1, message: 'secret=***REDACTED***; left', data: '[{"pwd":"***REDACTED***"}]' },
    })
  })

  test('what is written is bounded and stays JSON, whatever it is', () => {
    fc.assert(
      fc.property(
        fc.jsonValue(),
        fc.integer({ min: 256, max: 5000 }),
        fc.string({ unit: 'binary' }),
        (value, max, text) => {
          const written = sanitise([value, text.repeat(50)], max)
          JSON.parse(written)
          assert.ok(Buffer.byteLength(written) < 4 * max + 4000)
        },
      ),
      { numRuns: 300 },
    )
  })

  test('secrets that were used stand in a list of their own', async () => {
    const line = await lineOf({}, { notes: { 'secret:github-token': 'upstream authorization', cache: 'hit' } })
    assert.deepEqual(line.secrets, [{ name: 'github-token', used_for: 'upstream authorization' }])
    assert.deepEqual(line.notes, { cache: 'hit' })
  })

  test('hostile names and endless verdicts stay one bounded line', async () => {
    const verdict = { entry: 'e', mode: 'enforce', kind: 'response', direction: 'toClient', action: 'deny' } as const
    const verdicts = Array.from({ length: 5000 }, () => ({ ...verdict, code: 'denied', reason: 'n"o' }) as const)
    const line = await lineOf({ name: `"\n${'\u0000'.repeat(1e6)}` }, { verdicts })
    assert.ok(JSON.stringify(line).length < 20_000)
    assert.deepEqual((line.verdicts as JsonObject[]).at(-1), { omitted: 4968 })
  })

  test('options are strict', () => {
    const refuse = (options: object): void => assert.throws(() => audit.options.parse(options))
    refuse({ file: 'x' })
    refuse({ path: '' })
    refuse({ include: ['bodies'] })
    refuse({ max_buffer_bytes: 10 })
    refuse({ max_value_bytes: 10 })
    refuse({ chain_key: 'short' })
    refuse({ rotate: { every: '1s' } })
    refuse({ rotate: { max_bytes: 100 } })
    refuse({ rotate: { keep: -1 } })
    const contradicts = (options: object, text: RegExp): void =>
      assert.throws(() => audit.create(audit.options.parse(options), environment()), text)
    contradicts({ chain: true }, /^Error: chain: only a file can be chained, and path is stdout$/)
    contradicts({ path: 'stderr', chain_key: 'a'.repeat(16) }, /^Error: chain_key: only a file/)
    contradicts({ rotate: {} }, /^Error: rotate: only a file can be rotated/)
    contradicts({ path: 'x', chain: false, chain_key: 'a'.repeat(16) }, /^Error: chain_key: has no use/)
    assert.deepEqual(audit.options.parse({}), {
      path: 'stdout',
      include: [],
      max_value_bytes: 16_384,
      max_buffer_bytes: 16_777_216,
      on_full: 'drop',
    })
  })
})

describe('the file of lines', () => {
  const options = (changes: Partial<LineFileOptions> = {}): LineFileOptions => ({
    maxBytes: 1e6,
    onFull: 'drop',
    lostLine: lines => `lost ${lines}\n`,
    onTrouble: text => void logged.push(text),
    ...changes,
  })
  const open = (name: string, changes: Partial<LineFileOptions> = {}): LineFile => {
    const all = options(changes)
    const path = resolve(folder, name)
    const target = { path, chainKey: null, rotation: null, now: () => 0, onTrouble: all.onTrouble }
    return new LineFile(new FileTarget(target), all)
  }

  test('is made by its first line, for the owner alone', async () => {
    const file = open('made/deep/a.log')
    assert.ok(!existsSync(join(folder, 'made')))
    file.write('ä\n')
    await file.close()
    file.write('after the end\n')
    assert.equal(readFileSync(join(folder, 'made/deep/a.log'), 'utf8'), 'ä\n')
    assert.equal(statSync(join(folder, 'made/deep/a.log')).mode & 0o777, 0o600)
  })

  test('cannot be made where nothing can be written', () => {
    mkdirSync(join(folder, 'taken'))
    assert.throws(() => open('taken'), /taken: is a folder, expected a file/)
    open('plain').write('x\n')
    assert.throws(() => open('/proc/version/audit.log'), /is not a folder/)
  })

  test('keeps order and every byte, through chunks and long lines', async () => {
    const file = open('order.log', { maxBytes: 16e6 })
    const written: string[] = []
    for (let i = 0; i < 5000; i++) {
      const line = `${i} ${'é'.repeat((i * 7919) % (i % 500 === 0 ? 90_000 : 97))}`
      written.push(line)
      file.write(`${line}\n`)
      if (i % 1000 === 0) await new Promise(done => setImmediate(done))
    }
    await file.close()
    const found = read(join(folder, 'order.log'))
    assert.equal(found.length, written.length)
    assert.equal(
      found.findIndex((line, i) => line !== written[i]),
      -1,
    )
  })

  test('loses lines beyond its bound, and says how many', async () => {
    const file = open('full.log', { maxBytes: 200_000 })
    const line = `${'x'.repeat(999)}\n`
    for (let i = 0; i < 1000; i++) file.write(line)
    await file.close()
    const lines = read(join(folder, 'full.log'))
    assert.equal(lines.length, 201)
    assert.equal(lines.at(-1), 'lost 800')
    assert.ok(logged.includes('the buffer of audit lines is full: lines are lost'))
  })

  test('with `block` loses nothing', async () => {
    const file = open('block.log', { maxBytes: 200_000, onFull: 'block' })
    const line = `${'x'.repeat(999)}\n`
    for (let i = 0; i < 1000; i++) file.write(line)
    await file.close()
    assert.equal(read(join(folder, 'block.log')).length, 1000)
  })

  test('follows a rotation', async () => {
    const path = join(folder, 'turn.log')
    const file = open('turn.log')
    file.write('one\n')
    file.flushSync(1000)
    renameSync(path, `${path}.1`)
    file.write('two\n')
    await file.close()
    assert.deepEqual([read(`${path}.1`), read(path)], [['one'], ['two']])
  })

  test('a write that fails is told of, and does not keep a closing file waiting', async () => {
    const troubles: (Error | null)[] = []
    const file = open('/dev/full', { onTrouble: (_text, error) => void troubles.push(error) })
    file.write('x\n')
    file.flushSync(1)
    await file.close()
    assert.equal((troubles[0] as NodeJS.ErrnoException).code, 'ENOSPC')
  })

  test('what waits is written when the process exits', () => {
    const script = `
      import { LineFile } from ${JSON.stringify(resolve('interceptors/audit/line-file.ts'))}
      import { FileTarget } from ${JSON.stringify(resolve('interceptors/audit/file-target.ts'))}
      const onTrouble = () => {}
      const target = { path: ${JSON.stringify(join(folder, 'exit.log'))}, chainKey: '', rotation: null, now: () => 0, onTrouble }
      const file = new LineFile(new FileTarget(target), { maxBytes: 1e6, onFull: 'drop', lostLine: () => '', onTrouble })
      file.write('{"last":"words"}\\n')
      process.exit(3)`
    const { status } = spawnSync(process.execPath, ['--input-type=module', '-e', script])
    assert.equal(status, 3)
    const [marker, last] = read(join(folder, 'exit.log'))
    assert.match(String(marker), /"reason":"new"/)
    assert.match(String(last), /^\{"last":"words","seq":2,/)
  })

  test('an open file does not keep the process alive', () => {
    const script = `
      import { LineFile } from ${JSON.stringify(resolve('interceptors/audit/line-file.ts'))}
      import { StreamTarget } from ${JSON.stringify(resolve('interceptors/audit/target.ts'))}
      const options = { maxBytes: 1e6, onFull: 'drop', lostLine: () => '', onTrouble: () => {} }
      new LineFile(new StreamTarget(1), options).write('out\\n')`
    const { status, stdout } = spawnSync(process.execPath, ['--input-type=module', '-e', script], { timeout: 20_000 })
    assert.deepEqual([status, String(stdout)], [0, 'out\n'])
  })
})
