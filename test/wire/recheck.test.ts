import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import { send } from '../helpers/http-client.ts'
import { legacy, notification, result, rpc } from '../helpers/mcp-messages.ts'
import { source, startOnDisk } from '../helpers/on-disk.ts'
import type { Scope } from '../helpers/scope.ts'
import type { Script } from '../helpers/scripted-upstream.ts'

/** Access is decided on what is sent: entries that decide are asked again about what an entry behind them changed. */

const ACCESS = `access_control:
  default_policy: deny
  clients:
    anonymous:
      allowed_servers: ['*']
      allowed_tools: { '*': [harmless, other] }
`

/** Renames a tool to another, at once or later. */
const rename = (name: string, from: string, to: string, wait = ''): string =>
  source(
    name,
    `${wait === '' ? '' : 'async '}request(m) { ${wait === 'before' ? 'await null;' : ''}
      if (m.name === '${from}') m.edit(json => { json.params.name = '${to}' })
      ${wait === 'behind' ? 'await new Promise(setImmediate)' : ''} }`,
  )

/** Counts how often it was asked, and about what. */
const decides = (name: string, hook = ''): string =>
  source(
    name,
    `request(m) { tell('${name} ' + m.name); ${hook} }`,
    "need: 'json', edits: true",
    "onFailure: 'closed', recheck: true",
  )

const echo: Script = (request, reply) =>
  reply.json(result(request.json().id ?? 1, { called: request.json().params?.name ?? '' }))

async function call(scope: Scope, url: string, name: string): Promise<string> {
  return (await send(scope, url, legacy(rpc(1, 'tools/call', { name, arguments: {} })))).text()
}

const policy = (...chain: (string | object)[]): string => `${ACCESS}interceptors: ${JSON.stringify(chain)}\n`

describe('a tool renamed', () => {
  for (const [how, wait] of [
    ['at once', ''],
    ['after waiting', 'before'],
    ['and then waiting', 'behind'],
  ] as const) {
    test(`to a forbidden one is refused (${how})`, async t => {
      const files = { 'r.js': rename('r', 'harmless', 'drop_table', wait), 'policy.yaml': policy('access', 'r') }
      const { url, upstream, proxy } = await startOnDisk(t, files, echo)
      assert.match(await call(t, url, 'harmless'), /Access denied: anonymous -> \S+\.drop_table/)
      assert.equal(upstream.requests.length, 0)
      const { outcome } = await proxy.ended(1)
      assert.deepEqual(
        outcome.verdicts.map(({ entry, action }) => `${entry} ${action}`),
        ['r edit', 'access deny'],
      )
      assert.match(outcome.verdicts[0]?.reason ?? '', /bytes, now tools\/call drop_table$/)
      assert.equal(outcome.status, 'denied')
    })

    test(`to an allowed one goes on (${how})`, async t => {
      const files = { 'r.js': rename('r', 'harmless', 'other', wait), 'policy.yaml': policy('access', 'r') }
      const { url } = await startOnDisk(t, files, echo)
      assert.match(await call(t, url, 'harmless'), /"called":"other"/)
    })
  }

  test('is decided before an entry behind the edit can answer or send it', async t => {
    const files = {
      'r.js': rename('r', 'harmless', 'drop_table'),
      'c.js': source(
        'c',
        'async request(m, exchange) { const { result } = (await exchange.call(m.json())).json(); return Verdict.reply(result, "kept") }',
      ),
      'policy.yaml': policy('access', 'r', 'c'),
    }
    const { url, upstream } = await startOnDisk(t, files, echo)
    assert.match(await call(t, url, 'harmless'), /Access denied/)
    assert.equal(upstream.requests.length, 0)
    assert.match(await call(t, url, 'other'), /"called":"other"/)
  })

  test('is decided by the whole chain where an entry calls through the rest of it', async t => {
    const files = {
      'c.js': source(
        'c',
        'async request(m, exchange) { const { result } = (await exchange.call(m.json(), { below: "c" })).json(); return Verdict.reply(result ?? {}, "kept") }',
      ),
      'r.js': rename('r', 'harmless', 'drop_table'),
      'policy.yaml': policy('access', 'c', 'r'),
    }
    const { url, upstream } = await startOnDisk(t, files, echo)
    await call(t, url, 'harmless')
    assert.equal(upstream.requests.length, 0)
    assert.match(await call(t, url, 'other'), /"called":"other"/)
  })

  test('in shadow mode changes nothing, and is not decided', async t => {
    const files = {
      'r.js': rename('r', 'harmless', 'drop_table'),
      'policy.yaml': policy('access', { use: 'r', mode: 'shadow' }),
    }
    const { url } = await startOnDisk(t, files, echo)
    assert.match(await call(t, url, 'harmless'), /"called":"harmless"/)
  })
})

describe('entries that decide', () => {
  test('are asked again when they stand before the edit, once, in order', async t => {
    const files = {
      'one.js': decides('one'),
      'two.js': decides('two', 'm.edit(json => { json.params.arguments.n = (json.params.arguments.n ?? 0) + 1 })'),
      'r.js': rename('r', 'harmless', 'other'),
      'three.js': decides('three'),
      'policy.yaml': policy('access', 'one', 'two', 'r', 'three'),
    }
    const { url, told, upstream } = await startOnDisk(t, files, echo)
    await call(t, url, 'harmless')
    assert.deepEqual(told(), [
      'one harmless',
      'two harmless',
      // two changed it, so one is asked again; r changed it, so both are; what two changes then is not asked about.
      'one harmless',
      'one other',
      'two other',
      'three other',
    ])
    assert.deepEqual(upstream.requests[0]?.json().params, { name: 'other', arguments: { n: 2 } })
  })

  test('are asked when only the new name is theirs, before the edit and behind it', async t => {
    const only = (use: string): object => ({ use, match: { name: 'other' } })
    const files = {
      'one.js': decides('one'),
      'r.js': rename('r', 'harmless', 'other'),
      'two.js': decides('two', 'return Verdict.deny("denied", "not so")'),
      'policy.yaml': policy('access', only('one'), 'r', only('two')),
    }
    const { url, told, upstream } = await startOnDisk(t, files, echo)
    assert.match(await call(t, url, 'harmless'), /not so/)
    assert.deepEqual([told(), upstream.requests.length], [['one other', 'two other'], 0])
  })

  test('are not asked again about what nobody changed, nor about notifications and answers', async t => {
    const files = {
      'one.js': decides('one'),
      'r.js': source(
        'r',
        'request() {}, notification(m) { m.edit(json => { json.x = 1 }) }, response(m) { m.edit(json => { json.result.x = 1 }) }',
      ),
      'policy.yaml': policy('access', 'one', 'r'),
    }
    const { url, told } = await startOnDisk(t, files, echo)
    await call(t, url, 'other')
    await send(t, url, legacy(notification('notifications/cancelled', { requestId: 1 })))
    assert.deepEqual(told(), ['one other'])
  })

  test('by when, on the new message', async t => {
    const files = {
      'one.js': decides('one', 'return Verdict.deny("denied", "not so")'),
      'r.js': source('r', 'request(m) { m.edit(json => { json.params.arguments.path = "/etc/passwd" }) }'),
      'policy.yaml': policy(
        'access',
        { use: 'one', when: 'has(arguments.path) && arguments.path.startsWith("/etc/")' },
        'r',
      ),
    }
    const { url, told } = await startOnDisk(t, files, echo)
    assert.match(await call(t, url, 'other'), /not so/)
    assert.deepEqual(told(), ['one other'])
  })
})
