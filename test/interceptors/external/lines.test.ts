import assert from 'node:assert/strict'
import { describe, it, type TestContext } from 'node:test'
import type { Probe } from '#testing'
import external from '../../../interceptors/external/external.ts'
import { until } from '../../helpers/scope.ts'
import { CALL, isAlive, OK, Scripts, start, untilDead } from './scripts.ts'

// biome-ignore lint/suspicious/noExplicitAny: a test knows what it asked for
type Any = any

const call = (query: string) => ({ method: 'tools/call', params: { name: 'search', arguments: { query } } })

async function before(t: TestContext, source: string, options: object = {}, target: object = {}): Promise<Probe> {
  return start(t, { before: { exec: new Scripts(t).lines(source), ...target }, ...options })
}

/** What the log says about the only failure; the client reads less. */
async function failureOf(t: TestContext, source: string, options: object = {}, target: object = {}): Promise<string> {
  const exec = new Scripts(t).lines(source)
  const probed = await start(t, { before: { exec, ...target }, ...options }, { failures: 'throw' })
  try {
    await probed.request(CALL)
  } catch (error) {
    return (error as Error).message
  }
  throw new Error('it did not fail')
}

describe('a process that answers line by line', () => {
  it('lets a request go on byte for byte', async t => {
    const probed = await before(t, 'const answer = () => ({})')
    const text = '{"jsonrpc":"2.0", "id":1,"method":"tools/call","params":{"name":"x","n":1.0}}'
    const seen = await probed.request(text)
    assert.deepEqual([seen.verdict, seen.edited, seen.message.text], [undefined, false, text])
  })

  it('is told what the message is, with all digits', async t => {
    const probed = await before(
      t,
      `let raw = ''
       process.stdin.on('data', text => { raw += text })
       const answer = () => ({ result: { content: [{ type: 'text', text: raw }] } })`,
    )
    const params = '{"name":"search", "arguments":{"big":9007199254740993,\n"one":1.0,"text":"\\u2028\\n"}}'
    const { verdict } = await probed.request(`{"jsonrpc":"2.0","id":"abc","method":"tools/call","params":${params}}`, {
      client: 'agent',
      server: 'github',
    })
    const [line, none] = (verdict?.result as Any).content[0].text.split('\n')
    assert.equal(none, '')
    assert.equal(
      line,
      '{"id":1,"direction":"toServer","method":"tools/call","server":"github","name":"search","tool":"search",' +
        '"client":"agent","params":{"name":"search","arguments":{"big":9007199254740993,"one":1.0,"text":"\u2028\\n"}}}',
    )
  })

  it('answers in place of the server', async t => {
    const probed = await before(t, `const answer = () => ({ result: { content: [], n: 1 } })`)
    const { verdict } = await probed.request(CALL)
    assert.deepEqual([verdict?.action, verdict?.result], ['reply', { content: [], n: 1 }])
  })

  it('rewrites a request, and leaves the rest of it as it was', async t => {
    const probed = await before(
      t,
      `const answer = ({ params }) => ({ params: { name: 'find', arguments: { ...params.arguments, query: 'y' } } })`,
    )
    const source =
      '{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"search","arguments":{"n": 1.0,"query":"x"},"_meta":{"progressToken": 7.0}}}'
    const { message, verdict } = await probed.request(source)
    assert.equal(verdict, undefined)
    assert.equal(message.text, source.replace('"search"', '"find"').replace('"x"', '"y"'))
  })

  it('refuses a request', async t => {
    const probed = await before(t, `const answer = () => ({ error: { message: 'Not on Sundays' } })`)
    const { verdict } = await probed.request(CALL)
    assert.deepEqual([verdict?.action, verdict?.code, verdict?.reason], ['deny', 'denied', 'Not on Sundays'])
    const coded = await before(t, `const answer = () => ({ error: { message: 'no', code: 'content_denied' } })`)
    assert.equal((await coded.request(CALL)).verdict?.code, 'content_denied')
  })

  it('replaces an answer, and leaves the rest of it as it was', async t => {
    const exec = new Scripts(t).lines(`
      const answer = ({ result }) => ({ result: { ...result, content: [...result.content, { type: 'text', text: 'more' }] } })
    `)
    const probed = await start(t, { after: { exec } })
    const source = '{"jsonrpc":"2.0","id":1,"result":{"content":[{"type":"text", "text":"a"}],"n": 9007199254740993}}'
    const { message, verdict } = await probed.response(source, CALL)
    assert.equal(verdict, undefined)
    assert.deepEqual((message.json as Any).result.content.length, 2)
    assert.ok(message.text.endsWith('"n": 9007199254740993}}') && message.text.includes('{"type":"text", "text":"a"}'))
  })

  it('sees errors of the server, and may make results of them', async t => {
    const exec = new Scripts(t).lines(`
      const answer = ({ error, result }) => error ? { result: { content: [], isError: true, code: error.code } } : {}
    `)
    const probed = await start(t, { after: { exec } })
    const { verdict } = await probed.response({ error: { code: -5, message: 'x' } }, CALL)
    assert.deepEqual(verdict?.result, { content: [], isError: true, code: -5 })
    assert.equal((await probed.response(OK, CALL)).verdict, undefined)
  })

  it('keeps the kind of a modern result', async t => {
    const probed = await start(t, {
      after: { exec: new Scripts(t).lines(`const answer = () => ({ result: { content: [] } })`) },
    })
    const { message } = await probed.response({ result: { resultType: 'complete', content: [1] } }, CALL)
    assert.deepEqual((message.json as Any).result, { resultType: 'complete', content: [] })
  })

  it('sees the methods that are named, and both directions', async t => {
    const source = `const answer = ({ method, direction, name }) => ({ error: { message: [method, direction, name].join() } })`
    const probed = await before(t, source, { methods: ['prompts/*', 'sampling/createMessage'] })
    assert.equal((await probed.request(CALL)).ran, false)
    const prompt = await probed.request({ method: 'prompts/get', params: { name: 'p' } })
    assert.equal(prompt.verdict?.reason, 'prompts/get,toServer,p')
    const exchange = probed.exchange(CALL)
    const sampling = await exchange.request({ method: 'sampling/createMessage', params: {} }, 'toClient')
    assert.equal(sampling.verdict?.reason, 'sampling/createMessage,toClient,')
  })

  it('serves before and after with the same processes', async t => {
    const scripts = new Scripts(t)
    const exec = scripts.lines(`const answer = () => ({ error: { message: String(process.pid) } })`)
    const probed = await start(t, { before: { exec }, after: { exec } })
    const [one, two] = [(await probed.request(CALL)).verdict, (await probed.response(OK, CALL)).verdict]
    assert.equal(one?.reason, two?.reason)
  })

  it('is not asked in a rehearsal', async t => {
    const scripts = new Scripts(t)
    const exec = scripts.lines(`writeFileSync(${JSON.stringify(scripts.path('ran'))}, 'x'); const answer = () => ({})`)
    const { environment } = await start(t, { before: { exec } })
    const options = external.options.parse({ before: { exec } })
    const hooks = (await external.create(options, { ...environment, rehearsal: { record() {} } })) as Any
    const notes: [string, unknown][] = []
    await hooks.request({}, { note: (key: string, value: unknown) => void notes.push([key, value]) })
    assert.deepEqual([notes, scripts.read('ran')], [[['external', 'not asked']], ''])
    await hooks.close()
  })
})

describe('many messages at a time', () => {
  const echo = `
    const answer = async ({ params }) => {
      await new Promise(resolve => setTimeout(resolve, Math.random() * 5))
      return { result: { content: [], query: params.arguments.query, pid: process.pid } }
    }`

  for (const [target, processes] of [
    [{ processes: 3, in_flight: 1 }, 3],
    [{ processes: 1, in_flight: 50 }, 1],
    [{ processes: 2, in_flight: 10 }, 2],
  ] as const) {
    it(`get each their own answer: ${JSON.stringify(target)}`, async t => {
      const probed = await before(t, echo, {}, { ...target, queue: 1000 })
      const queries = Array.from({ length: 200 }, (_, i) => `q${i}`)
      const seen = await Promise.all(queries.map(query => probed.request(call(query))))
      const results = seen.map(({ verdict }) => verdict?.result as Any)
      assert.deepEqual(
        results.map(result => result.query),
        queries,
      )
      assert.equal(new Set(results.map(result => result.pid)).size, processes)
    })
  }

  it('wait in a queue that ends', async t => {
    const probed = await before(t, echo, {}, { processes: 1, queue: 2 })
    const seen = await Promise.all(['a', 'b', 'c', 'd', 'e'].map(query => probed.request(call(query))))
    assert.deepEqual(
      seen.map(({ verdict }) => verdict?.code ?? verdict?.action),
      ['reply', 'reply', 'reply', 'interceptor_failed', 'interceptor_failed'],
    )
  })
})

describe('a process that misbehaves', () => {
  const cases: [name: string, source: string, message: RegExp, options?: object][] = [
    ['says no JSON', `const answer = () => void say('hello\\n')`, /^answered with 5 bytes that are not JSON$/],
    ['says no object', `const answer = () => void say('[1]\\n')`, /^answered with a line that is no JSON object$/],
    ['says nothing', `const answer = () => void say('\\n')`, /^answered with a line that is no JSON object$/],
    ['lacks the id', `const answer = () => void say('{"result":{}}\\n')`, /lacks the "id"/],
    ['has another id', `const answer = () => void say('{"id":7}\\n')`, /^answered with an "id" that nobody waits for$/],
    [
      'never ends a line',
      `const answer = () => void say('x'.repeat(3000000))`,
      /more than 100000 bytes/,
      { max_output_bytes: 100_000 },
    ],
    [
      'writes a giant line',
      `const answer = () => ({ error: { message: 'x'.repeat(200000) } })`,
      /more than 100000 bytes/,
      { max_output_bytes: 100_000 },
    ],
    ['never answers', `const answer = () => undefined`, /^no answer within 300 ms \(timeout\)$/, { timeout: '300ms' }],
    ['dies', `const answer = () => process.exit(3)`, /^the process ended: code 3$/],
    [
      'kills itself',
      `const answer = () => process.kill(process.pid, 'SIGTERM')`,
      /^the process ended: signal SIGTERM$/,
    ],
    ['gives two things', `const answer = () => ({ result: { content: [] }, params: {} })`, /an object of 2 members/],
    ['gives what nobody knows', `const answer = () => ({ resutl: {} })`, /expected one of result, params, error/],
    ['gives a bare result', `const answer = () => ({ content: [] })`, /expected one of result, params, error/],
    [
      'gives a number',
      `const answer = m => void say('{"id":' + m.id + ',"result":1.0}\\n')`,
      /a result that is a number/,
    ],
    ['gives a list', `const answer = () => ({ result: [] })`, /a result that is a list/],
    ['gives no content', `const answer = () => ({ result: {} })`, /lacks "content"/],
    ['gives params without a name', `const answer = () => ({ params: {} })`, /lack "name"/],
    ['gives an error without a text', `const answer = () => ({ error: {} })`, /lacks "message"/],
    [
      'gives an error of others',
      `const answer = () => ({ error: { message: 'x', code: 'unauthorized' } })`,
      /"code" is none/,
    ],
    [
      'gives an error of nobody',
      `const answer = () => ({ error: { message: 'x', code: 'toString' } })`,
      /"code" is none/,
    ],
    [
      'is deep',
      `const answer = m => void say('{"id":' + m.id + ',"result":{"content":' + '['.repeat(99999) + ']'.repeat(99999) + '}}\\n')`,
      /^answered with JSON of more than 120 levels$/,
    ],
  ]
  for (const [name, source, message, options] of cases) {
    it(`${name}: the entry fails`, async t => assert.match(await failureOf(t, source, options), message))
  }

  it('answers what it must not: params to an answer', async t => {
    const exec = new Scripts(t).lines(`const answer = () => ({ params: { name: 'x' } })`)
    const probed = await start(t, { after: { exec } })
    assert.equal((await probed.response(OK, CALL)).verdict?.code, 'interceptor_failed')
  })

  it('follows on_failure', async t => {
    const exec = new Scripts(t).lines('const answer = () => process.exit(1)')
    const open = await start(t, { before: { exec } }, { onFailure: 'open' })
    assert.equal((await open.request(CALL)).verdict, undefined)
    const closed = await start(t, { before: { exec } })
    assert.equal((await closed.request(CALL)).verdict?.code, 'interceptor_failed')
  })

  it('never shows what it said, or was told, in an error', async t => {
    const message = await failureOf(t, `const answer = m => void say('SECRET' + JSON.stringify(m) + '\\n')`)
    assert.doesNotMatch(message, /SECRET|search/)
  })

  it('chats: lines that nobody waits for end it, and the next one is not fooled', async t => {
    const probed = await before(
      t,
      `let count = 0
       const answer = ({ id }) => {
         if (++count > 1) return { result: { content: [], pid: process.pid } }
         say(JSON.stringify({ id, error: { message: 'first' } }) + '\\n' + JSON.stringify({ id: id + 1, error: { message: 'forged' } }) + '\\n')
       }`,
      {},
      { processes: 1 },
    )
    assert.equal((await probed.request(CALL)).verdict?.reason, 'first')
    // Its second line may arrive before the next message, or be the answer to it: never does the next one pass for answered.
    const next = await probed.request(CALL)
    assert.notEqual(next.verdict, undefined)
  })
})

describe('the life of processes', () => {
  const mortal = `
    const answer = ({ params: { arguments: { query } } }) => {
      if (query === 'die') process.exit(1)
      if (query === 'hang') return undefined
      return { error: { message: String(process.pid) } }
    }`
  const pidOf = async (probed: Probe): Promise<number> => Number((await probed.request(call('pid'))).verdict?.reason)

  it('begins with the first message, and goes on after one has died', async t => {
    const probed = await before(t, mortal, {}, { processes: 1 })
    const first = await pidOf(probed)
    assert.equal(await pidOf(probed), first)
    assert.equal((await probed.request(call('die'))).verdict?.code, 'interceptor_failed')
    const second = await pidOf(probed)
    assert.notEqual(second, first)
    assert.deepEqual([isAlive(first), isAlive(second)], [false, true])
  })

  it('takes the queue along when one dies', async t => {
    const probed = await before(t, mortal, {}, { processes: 1 })
    await pidOf(probed)
    const [dead, alive] = await Promise.all([probed.request(call('die')), probed.request(call('pid'))])
    assert.equal(dead.verdict?.code, 'interceptor_failed')
    assert.match(alive.verdict?.reason ?? '', /^\d+$/)
  })

  it('pauses when they die without an answer, and fails at once meanwhile', async t => {
    const probed = await before(t, 'process.exit(1); const answer = 0', {}, { processes: 1 })
    const messages: string[] = []
    for (let i = 0; i < 3; i++) await probed.request(CALL)
    for (const { text, fields } of probed.logs) messages.push(`${text}: ${fields['ending']}, ${fields['pause_ms']}`)
    assert.equal(messages[0], 'the process of an external interceptor ended: code 1, 100')
    assert.ok(messages.length < 3, messages.join('\n'))
  })

  it('ends one that is late, and nothing else', async t => {
    const probed = await before(t, mortal, { timeout: '400ms' }, { processes: 2 })
    const [first] = await Promise.all([pidOf(probed), pidOf(probed)])
    const late = await probed.request(call('hang'))
    assert.equal(late.verdict?.code, 'interceptor_failed')
    const others = [await pidOf(probed), await pidOf(probed)]
    assert.ok(others.every(pid => pid > 0))
    assert.ok(typeof first === 'number')
  })

  it('does not hold a process for a client that left', async t => {
    const probed = await before(t, mortal, { timeout: '300ms' }, { processes: 1 })
    const pid = await pidOf(probed)
    const exchange = probed.exchange(call('hang'))
    void exchange.request()
    exchange.live.markEnded()
    await untilDead(pid)
    assert.notEqual(await pidOf(probed), pid)
  })

  it('ends with the policy, and so do those that they have started', async t => {
    const scripts = new Scripts(t)
    const exec = scripts.lines(`
      process.on('SIGTERM', () => {})
      setInterval(() => {}, 1000)
      const child = spawn(process.execPath, ['-e', 'process.on("SIGTERM", () => {}); setInterval(() => {}, 1000)'], { stdio: 'ignore' })
      const answer = () => ({ error: { message: [process.pid, child.pid].join() } })
    `)
    const probed = await start(t, { before: { exec } })
    const pids = (await probed.request(CALL)).verdict?.reason.split(',').map(Number) ?? []
    assert.equal(pids.length, 2)
    assert.ok(pids.every(isAlive))
    await probed.close()
    for (const pid of pids) await untilDead(pid)
    assert.equal((await probed.request(CALL)).verdict?.code, 'interceptor_failed')
  })

  it('shows what they write to stderr where that is wanted', async t => {
    const source = `process.stderr.write('look here\\n'); const answer = () => ({})`
    const silent = await before(t, source)
    await silent.request(CALL)
    assert.deepEqual(silent.logs, [])
    const loud = await before(t, source, {}, { log_stderr: true })
    await loud.request(CALL)
    await until(() => loud.logs.length > 0, 'a line of the log')
    assert.deepEqual([loud.logs[0]?.level, loud.logs[0]?.fields], ['warn', { stderr: 'look here' }])
  })
})

describe('the environment of processes', () => {
  const show = `const answer = () => ({ error: { message: JSON.stringify(process.env) } })`
  const envOf = async (probed: Probe) =>
    JSON.parse((await probed.request(CALL)).verdict?.reason ?? '') as NodeJS.ProcessEnv

  it('has no secrets of ours, and what it was given', async t => {
    process.env['SLUICE_TEST_TOKEN'] = 'a-secret-of-ours'
    process.env['SLUICE_TEST_PLAIN'] = 'plain'
    t.after(() => {
      delete process.env['SLUICE_TEST_TOKEN']
      delete process.env['SLUICE_TEST_PLAIN']
    })
    const probed = await before(t, show, {}, { env: { MINE: 'a b' }, inherit_env: ['SLUICE_TEST_PLAIN'] })
    const env = await envOf(probed)
    assert.deepEqual([env['SLUICE_TEST_TOKEN'], env['SLUICE_TEST_PLAIN'], env['MINE']], [undefined, 'plain', 'a b'])
    assert.equal(env['PATH'], process.env['PATH'])
  })

  it('is where secrets belong: in a command they are refused', async t => {
    process.env['SLUICE_TEST_TOKEN'] = 'a-secret-of-ours'
    t.after(() => delete process.env['SLUICE_TEST_TOKEN'])
    for (const exec of ['./check --token a-secret-of-ours', ['/bin/true', 'x=a-secret-of-ours']]) {
      const error = await start(t, { before: { exec } }).catch((one: Error) => one.message)
      assert.match(String(error), /holds the value of the environment variable SLUICE_TEST_TOKEN/)
      assert.doesNotMatch(String(error), /a-secret/)
    }
  })

  it('is the folder of the policy', async t => {
    const scripts = new Scripts(t)
    const exec = scripts.lines('const answer = () => ({ error: { message: process.cwd() } })')
    const probed = await start(t, { before: { exec } }, { baseDir: scripts.dir })
    assert.equal((await probed.request(CALL)).verdict?.reason, scripts.dir)
  })
})

describe('bad options', () => {
  const cases: [object, RegExp][] = [
    [{}, /expected before, after or run/],
    [{ before: {} }, /expected one of exec, http, docker/],
    [{ before: { exec: 'true', http: 'http://x' } }, /expected one of exec, http, docker/],
    [{ before: { exec: '' } }, /expected a command/],
    [{ before: { exec: 'echo "x' } }, /quotes are closed/],
    [{ before: { exec: ['/no/such/program'] } }, /"\/no\/such\/program" is no program that can be started/],
    [{ before: { exec: ['no-such-program-here'] } }, /it is not on PATH/],
    [{ before: { http: 'ftp://x' } }, /http:\/\/ or https:\/\/ URL/],
    [{ before: { http: 'http://user:pass@x/' } }, /without user and password/],
    [{ before: { http: 'http://x', headers: { host: 'y' } } }, /set by the connection/],
    [{ before: { http: 'http://x', headers: { a: 'b\r\nc: d' } } }, /without line breaks/],
    [{ before: { http: 'http://x', ca_file: '/no/such/file' } }, /ENOENT/],
    [{ run: 'before:exec' }, /expected before:exec:CMD/],
    [{ run: 'during:exec:x' }, /expected before:exec:CMD/],
    [{ run: 'before:http:localhost:80/x' }, /URL after http:/],
    [{ run: ['before:exec:true', 'before:exec:false'] }, /before is given twice/],
    [{ run: 'after:exec:true', after: { exec: 'true' } }, /after is given twice/],
    [{ run: 'before:exec:true', timeout: '5m' }, /1ms to 4m/],
    [{ run: 'before:exec:true', methods: ['['] }, /bad glob/],
    [{ run: 'before:exec:true', max_output_bytes: 10 }, /at least 1KiB/],
  ]
  for (const [options, expected] of cases) {
    it(JSON.stringify(options), t => assert.rejects(start(t, options), expected))
  }
})
