import assert from 'node:assert/strict'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { describe, test } from 'node:test'
import { exchangeLine } from '../../proxy/observe/access-log.ts'
import type { ExchangeEnd } from '../../proxy/observe/channels.ts'
import { send } from '../helpers/http-client.ts'
import { legacy, notification, result, rpc } from '../helpers/mcp-messages.ts'
import { chain, source, startOnDisk } from '../helpers/on-disk.ts'
import { startProxy } from '../helpers/proxy.ts'
import { until } from '../helpers/scope.ts'
import { startScriptedUpstream } from '../helpers/scripted-upstream.ts'
import { parseSse, sseEvent } from '../helpers/sse.ts'

/** The contract of `#api` as a user meets it: modules in a folder of their own, named by a policy in YAML. */

const ping = (id: number, params?: object): ReturnType<typeof legacy> => legacy(rpc(id, 'ping', params))

describe('modules', () => {
  test('TypeScript and JavaScript in a folder of their own, with options from YAML', async t => {
    const one = source(
      'one',
      'request(message: Message, exchange: Exchange): void { exchange.note("one", word as string) }',
    ).replace('import {', "import type { Exchange, Message } from '#api'\nimport {")
    const two = source('two', 'request(_, exchange) { exchange.note("two", word) }')
    const policy = 'interceptors:\n  - use: one\n    options: { word: "${WORD:-given}" }\n  - two\n'
    const { url, proxy } = await startOnDisk(t, { 'one.ts': one, 'two.js': two, 'policy.yaml': policy })
    assert.equal((await send(t, url, ping(1))).status, 200)
    assert.deepEqual((await proxy.ended(1)).outcome.notes, { one: 'given', two: 'none' })
  })

  test('notes are in the line of the access log, and the line ends no sooner', async t => {
    const { url, proxy } = await startOnDisk(t, {
      'a.js': source(
        'a',
        'request(_, exchange) { exchange.note("word\\n\\"x", "a\\nb"); exchange.note("n", 1); exchange.note("b", true) }',
      ),
      'policy.yaml': chain('a'),
    })
    await send(t, url, ping(1))
    const line = exchangeLine((await proxy.ended(1)) as ExchangeEnd, 'info')
    assert.equal(line.indexOf('\n'), line.length - 1)
    assert.deepEqual(JSON.parse(line).notes, { 'word\n"x': 'a\nb', n: 1, b: true })
  })
})

describe('looks', () => {
  const big = (bytes: number): string => 'x'.repeat(bytes)

  test('an envelope is seen whatever the size of its message', async t => {
    const { url, told } = await startOnDisk(
      t,
      {
        'a.js': source(
          'a',
          'request(m) { tell(m.byteLength) }, response(m) { tell(m.byteLength) }',
          "need: 'envelope'",
        ),
        'policy.yaml': chain('a'),
      },
      (request, answer) => answer.json(result(request.json().id, { text: big(6_000_000) })),
    )
    const answer = await send(t, url, ping(1, { pad: big(5_000_000) }))
    assert.equal(answer.status, 200)
    const body = await answer.body()
    assert.equal(JSON.parse(body.toString()).result.text.length, 6_000_000)
    assert.deepEqual(told(), [5_000_060, body.length])
  })

  for (const too_big of ['deny', 'skip'] as const) {
    const policy = chain({ use: 'a', max_bytes: 1000, too_big })
    const module = source(
      'a',
      'request(m) { tell(m.kind) }, response(m) { tell(m.kind) }, notification(m) { tell(m.kind) }',
      "need: 'bytes'",
    )
    const isDenied = too_big === 'deny'

    test(`a request beyond max_bytes with too_big: ${too_big}`, async t => {
      const { url, upstream, proxy, told } = await startOnDisk(t, { 'a.js': module, 'policy.yaml': policy })
      const answer = await (await send(t, url, ping(1, { pad: big(2000) }))).json()
      assert.equal(upstream.requests.length, isDenied ? 0 : 1)
      assert.equal(answer.error?.data.code, isDenied ? 'message_too_large' : undefined)
      assert.deepEqual(told(), isDenied ? [] : ['response'])
      const [record] = (await proxy.ended(1)).outcome.verdicts
      assert.deepEqual(
        [record?.entry, record?.action, record?.code],
        ['a', isDenied ? 'deny' : 'fail', 'message_too_large'],
      )
    })

    test(`a JSON answer beyond max_bytes with too_big: ${too_big}`, async t => {
      const text = `{"jsonrpc":"2.0","id":1, "result":{"text":"${big(2000)}","n":1.0}}`
      const { url, told } = await startOnDisk(t, { 'a.js': module, 'policy.yaml': policy }, (_, answer) =>
        answer.json(text),
      )
      const answer = await (await send(t, url, ping(1))).text()
      if (isDenied) assert.equal(JSON.parse(answer).error.data.code, 'message_too_large')
      else assert.equal(answer, text)
      assert.deepEqual(told(), ['request'])
    })

    test(`an event beyond max_bytes with too_big: ${too_big}`, async t => {
      const large = sseEvent(notification('notifications/message', { data: big(2000) }))
      const small = sseEvent(notification('notifications/message', { data: 'x' }))
      const last = sseEvent(result(1, { text: big(2000) }))
      const { url, told } = await startOnDisk(t, { 'a.js': module, 'policy.yaml': policy }, (_, answer) =>
        answer.events([small, large, small, last]),
      )
      const text = await (await send(t, url, ping(1))).text()
      const passed = isDenied ? small + small : small + large + small + last
      assert.equal(text.slice(0, passed.length), passed)
      const final = JSON.parse(parseSse(text).at(-1)?.data ?? '')
      assert.deepEqual([final.id, final.error?.data.code], [1, isDenied ? 'message_too_large' : undefined])
      assert.deepEqual(told(), ['request', 'notification', 'notification'])
    })
  }

  test('directions and methods: what does not fit costs and sees nothing', async t => {
    const hooks =
      'request(m) { tell(m.kind, m.direction, m.method) }, response(m) { tell(m.kind, m.direction, m.method) }, notification(m) { tell(m.kind, m.direction, m.method) }'
    const { url, told, upstream } = await startOnDisk(
      t,
      {
        'up.js': source('up', hooks, "need: 'envelope', directions: ['toServer']"),
        'down.js': source(
          'down',
          hooks,
          "need: 'envelope', directions: ['toClient'], methods: ['tools/*', 'notifications/progress']",
        ),
        'policy.yaml': chain('up', 'down'),
      },
      (request, answer) =>
        answer.events([
          sseEvent(notification('notifications/message', {})),
          sseEvent(notification('notifications/progress', {})),
          sseEvent(rpc(9, 'roots/list')),
          sseEvent(result(request.json().id, {})),
        ]),
    )
    await (await send(t, url, legacy(rpc(1, 'tools/call', { name: 'a' })))).text()
    assert.deepEqual(told(), [
      ['request', 'toServer', 'tools/call'],
      ['notification', 'toClient', 'notifications/progress'],
      ['response', 'toClient', 'tools/call'],
    ])
    await (await send(t, url, ping(2))).text()
    assert.deepEqual(told(), [
      ['request', 'toServer', 'ping'],
      ['notification', 'toClient', 'notifications/progress'],
    ])
    upstream.script = (_, answer) => answer.status(202)
    await send(t, url, legacy(result(9, { roots: [] })))
    assert.deepEqual(told(), [['response', 'toServer', 'roots/list']])
  })

  for (const onFailure of ['closed', 'open'] as const) {
    test(`an edit by a look without edits fails, on_failure: ${onFailure}`, async t => {
      const { url, upstream, proxy } = await startOnDisk(t, {
        'a.js': source('a', 'request(m) { m.edit(json => { json.params = { x: 1 } }) }', "need: 'json'"),
        'policy.yaml': chain({ use: 'a', on_failure: onFailure }),
      })
      const sent = ping(1, { x: 0 })
      const answer = await (await send(t, url, sent)).json()
      assert.equal(answer.error?.data.code, onFailure === 'closed' ? 'interceptor_failed' : undefined)
      assert.deepEqual(
        upstream.requests.map(({ text }) => text),
        onFailure === 'closed' ? [] : [sent.body],
      )
      assert.equal((await proxy.ended(1)).outcome.verdicts[0]?.action, 'fail')
    })
  }
})

describe('failures', () => {
  const FAILURES: Readonly<Record<string, readonly [hooks: string, code: string]>> = {
    'a throw': ['request() { throw new Error("my secret") }', 'interceptor_failed'],
    'a rejection': ['request: async function request() { throw new Error("my secret") }', 'interceptor_failed'],
    'a throw of nothing': ['request() { throw undefined }', 'interceptor_failed'],
    'a drop of a request': ['request() { return Verdict.drop("x") }', 'interceptor_failed'],
    'a verdict that is none': ['request() { return { action: "deny", reason: "my secret" } }', 'interceptor_failed'],
    'a late one that is none': ['request: async function request() { return 7 }', 'interceptor_failed'],
    'a promise that never settles': ['request() { return new Promise(() => {}) }', 'interceptor_timeout'],
    'a thenable that throws': [
      'request() { return { then() { throw new Error("my secret") } } }',
      'interceptor_failed',
    ],
    'a thenable whose then throws when asked for': [
      'request() { return { get then() { throw new Error("my secret") } } }',
      'interceptor_failed',
    ],
    'an edit to another id': ['request(m) { m.edit(json => { json.id = 2 }) }', 'interceptor_failed'],
    'an edit before a throw': [
      'request(m) { m.edit(json => { json.params = { x: 1 } }); throw new Error("my secret") }',
      'interceptor_failed',
    ],
    'an edit before a rejection': [
      'request: async function request(m) { m.edit(json => { json.params = { x: 1 } }); await null; throw 1 }',
      'interceptor_failed',
    ],
    'a replacement that is not JSON': ['request(m) { m.replace(new TextEncoder().encode("{")) }', 'interceptor_failed'],
    'a state that throws': ['state() { throw new Error("my secret") }, request() {}', 'interceptor_failed'],
  }
  for (const [what, [hooks, code]] of Object.entries(FAILURES)) {
    for (const onFailure of ['closed', 'open'] as const) {
      test(`${what}, on_failure: ${onFailure}`, async t => {
        const { url, upstream, proxy } = await startOnDisk(t, {
          'a.js': source(
            'a',
            hooks.replace('request: async', 'async request() { return this.later(...arguments) }, later: async'),
          ),
          'policy.yaml': chain({ use: 'a', on_failure: onFailure, timeout: '30ms' }),
        })
        const sent = ping(1, { x: 0 })
        const text = await (await send(t, url, sent)).text()
        assert.ok(!text.includes('my secret'), text)
        const answer = JSON.parse(text)
        assert.equal(answer.id, 1)
        assert.equal(answer.error?.data.code, onFailure === 'closed' ? code : undefined, text)
        assert.deepEqual(
          upstream.requests.map(request => request.text),
          onFailure === 'closed' ? [] : [sent.body],
        )
        const { verdicts, status } = (await proxy.ended(1)).outcome
        assert.deepEqual(
          verdicts.map(one => [one.entry, one.action, one.code]),
          [['a', 'fail', code]],
        )
        assert.equal(status, onFailure === 'closed' ? 'failed' : 'ok')
      })
    }
  }

  test('a hook that goes on after its time-out changes nothing any more', async t => {
    const { url, upstream, told } = await startOnDisk(t, {
      'a.js': source(
        'a',
        'async request(m) { await new Promise(r => setTimeout(r, 60)); try { m.edit(json => { json.params = {} }); tell("edited") } catch (e) { tell(e.name) } }',
      ),
      'policy.yaml': chain({ use: 'a', on_failure: 'open', timeout: '10ms' }),
    })
    const sent = ping(1, { x: 0 })
    assert.equal((await send(t, url, sent)).status, 200)
    assert.equal(upstream.requests[0]?.text, sent.body)
    const heard: unknown[] = []
    await until(() => heard.push(...told()) > 0, 'the late hook to try')
    assert.deepEqual(heard, ['TypeError'])
  })
})

describe('modes', () => {
  const deny = source(
    'a',
    'request(m) { tell("ran"); m.edit(json => { json.params = {} }); return Verdict.deny("denied", "no") }',
  )

  test('shadow runs, records what it would have done, and changes nothing', async t => {
    const { url, upstream, proxy, told } = await startOnDisk(t, {
      'a.js': deny,
      'policy.yaml': chain({ use: 'a', mode: 'shadow' }),
    })
    const sent = ping(1, { x: 1.0 })
    assert.equal((await (await send(t, url, sent)).json()).error, undefined)
    assert.equal(upstream.requests[0]?.text, sent.body)
    const { verdicts, status } = (await proxy.ended(1)).outcome
    assert.deepEqual(
      verdicts.map(one => [one.mode, one.action, one.code]),
      [['shadow', 'deny', 'denied']],
    )
    assert.equal(status, 'ok')
    assert.deepEqual(told(), ['ran'])
  })

  test('off is not there at all', async t => {
    const { url, proxy, told } = await startOnDisk(t, { 'a.js': deny, 'policy.yaml': chain({ use: 'a', mode: 'off' }) })
    assert.equal((await send(t, url, ping(1))).status, 200)
    assert.deepEqual(told(), [])
    assert.deepEqual((await proxy.ended(1)).outcome.verdicts, [])
  })

  test('enforce refuses', async t => {
    const { url, upstream } = await startOnDisk(t, {
      'a.js': deny,
      'policy.yaml': chain({ use: 'a', mode: 'enforce' }),
    })
    assert.equal((await (await send(t, url, ping(1))).json()).error.message, 'no')
    assert.equal(upstream.requests.length, 0)
  })
})

test('match: by server, method, name and client, with globs and without', async t => {
  const upstream = await startScriptedUpstream(t)
  const seen = source('seen', 'request(_, exchange) { exchange.note(word, true) }', "need: 'envelope'")
  const entry = (word: string, match: object): object => ({ use: 'seen', match, options: { word } })
  const policy = chain(
    entry('server', { server: 'a' }),
    entry('not-server', { server: '!a' }),
    entry('method', { method: ['tools/*', '!tools/list'] }),
    entry('name', { name: '{get,read}_*' }),
    entry('not-name', { method: 'tools/call', name: ['*', '!get_*'] }),
    entry('client', { client: 'bob' }),
    entry('all', { server: 'b', method: 'tools/call', name: 'get_x', client: '!bob' }),
  )
  const dir = mkdtempSync(join(tmpdir(), 'contract-'))
  t.after(() => rmSync(dir, { recursive: true, force: true }))
  writeFileSync(join(dir, 'seen.ts'), seen)
  const proxy = await startProxy(t, {
    servers: { a: upstream.url, b: upstream.url },
    policy,
    config: { interceptorDirs: [dir], trustClientId: true },
  })
  const cases: [string, string, object, string, string[]][] = [
    ['a', 'ping', {}, 'eve', ['server']],
    ['b', 'ping', {}, 'bob', ['not-server', 'client']],
    ['a', 'tools/list', {}, 'eve', ['server']],
    ['a', 'tools/call', { name: 'get_x' }, 'eve', ['server', 'method', 'name']],
    ['b', 'tools/call', { name: 'get_x' }, 'eve', ['not-server', 'method', 'name', 'all']],
    ['b', 'tools/call', { name: 'get_x' }, 'bob', ['not-server', 'method', 'name', 'client']],
    ['b', 'tools/call', { name: 'set_x' }, 'bob', ['not-server', 'method', 'not-name', 'client']],
    ['b', 'prompts/get', { name: 'read_x' }, 'eve', ['not-server', 'name']],
  ]
  for (const [i, [server, method, params, client, words]] of cases.entries()) {
    const post = legacy(rpc(i, method, params), { headers: { 'x-client-id': client } })
    assert.equal((await send(t, proxy.endpoint(server), post)).status, 200)
    assert.deepEqual(Object.keys((await proxy.ended(i + 1)).outcome.notes), words, JSON.stringify(cases[i]))
  }
})

describe('the end of an exchange', () => {
  test('comes once for each entry, last in order, with the state of its own', async t => {
    const hooks = (name: string): string =>
      `state: () => ({ seen: 0 }), request(m, e, state) { state.seen++ }, response(m, e, state) { state.seen++ }, end(e, outcome, state) { tell('${name}', state?.seen, outcome.status, e.signal.aborted) }`
    const { url, proxy, told } = await startOnDisk(t, {
      'a.js': source('a', hooks('a')),
      'b.js': source(
        'b',
        `${hooks('b').replace('state.seen++ },', "state.seen++; if (m.name === 'no') return Verdict.deny('denied', 'no') },")}`,
      ),
      'c.js': source('c', hooks('c')),
      'policy.yaml': chain('a', 'b', 'c'),
    })
    await send(t, url, ping(1))
    await proxy.ended(1)
    assert.deepEqual(told(), [
      ['a', 2, 'ok', false],
      ['b', 2, 'ok', false],
      ['c', 2, 'ok', false],
    ])
    await send(t, url, legacy(rpc(2, 'tools/call', { name: 'no' })))
    await proxy.ended(2)
    assert.deepEqual(told(), [
      ['a', 2, 'denied', false],
      ['b', 1, 'denied', false],
      ['c', undefined, 'denied', false],
    ])
  })
})
