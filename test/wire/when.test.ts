import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import { send } from '../helpers/http-client.ts'
import { legacy, result, rpc } from '../helpers/mcp-messages.ts'
import { chain, source, startOnDisk } from '../helpers/on-disk.ts'
import type { Scope } from '../helpers/scope.ts'
import { parseSse, sseEvent } from '../helpers/sse.ts'

/** `when:` and `match.direction` of chain entries, over real sockets. */

const call = (args: object, id = 1): ReturnType<typeof legacy> =>
  legacy(rpc(id, 'tools/call', { name: 'read', arguments: args }))

const ask = async (t: Scope, url: string, request: ReturnType<typeof legacy>): Promise<string> =>
  (await send(t, url, request)).text()

const DENY = source('deny', 'request() { return Verdict.deny("denied", "no") }', "need: 'envelope'")
const ENDS = source('ends', 'end(_, outcome) { tell(outcome.status) }')

describe('when', () => {
  test('an entry runs where it is true, and only there', async t => {
    const { url, upstream } = await startOnDisk(t, {
      'deny.js': DENY,
      'policy.yaml': chain({ use: 'deny', when: 'has(arguments.path) && arguments.path.startsWith("/etc/")' }),
    })
    assert.match(await ask(t, url, call({ path: '/etc/passwd' })), /"message":"no"/)
    assert.equal(upstream.requests.length, 0)
    assert.doesNotMatch(await ask(t, url, call({ path: '/tmp/x' })), /error/)
    assert.doesNotMatch(await ask(t, url, legacy(rpc(3, 'ping'))), /error/)
    assert.equal(upstream.requests.length, 2)
  })

  test('the answer decides, in JSON and in a stream, and what it answers', async t => {
    const wipe = source('wipe', 'response(m) { m.edit(json => { json.result = { wiped: true } }) }')
    const files = {
      'wipe.js': wipe,
      'policy.yaml': chain({ use: 'wipe', when: 'has(result.isError) && result.isError && arguments.path == "/x"' }),
    }
    const { url } = await startOnDisk(t, files, (request, answer) => {
      const { arguments: args } = request.json().params
      const text = result(1, args.fine ? {} : { content: [], isError: true })
      return args.sse ? answer.events([sseEvent(text)]) : answer.json(text)
    })
    assert.match(await ask(t, url, call({ path: '/x' })), /"wiped":true/)
    assert.doesNotMatch(await ask(t, url, call({ path: '/y' })), /wiped/)
    assert.doesNotMatch(await ask(t, url, call({ path: '/x', fine: true })), /wiped/)
    const [event] = parseSse(await ask(t, url, call({ path: '/x', sse: true })))
    assert.match(event?.data ?? '', /"wiped":true/)
  })

  test('what cannot be decided follows on_failure', async t => {
    const files = (on_failure: string): Record<string, string> => ({
      'deny.js': DENY,
      'policy.yaml': chain({ use: 'deny', when: 'arguments.path == "/x"', on_failure }),
    })
    const closed = await startOnDisk(t, files('closed'))
    assert.match(await ask(t, closed.url, call({})), /Interceptor failed: deny/)
    assert.equal((await closed.proxy.ended(1)).outcome.code, 'interceptor_failed')
    const open = await startOnDisk(t, files('open'))
    assert.doesNotMatch(await ask(t, open.url, call({})), /error/)
    assert.equal((await open.proxy.ended(1)).outcome.verdicts[0]?.action, 'fail')
  })

  test('headers of the client, without its credentials', async t => {
    const when = '"x-team" in headers && headers["x-team"] == "ops" && !("authorization" in headers)'
    const { url } = await startOnDisk(t, { 'deny.js': DENY, 'policy.yaml': chain({ use: 'deny', when }) })
    const request = call({})
    const headers = { ...request.headers, 'X-Team': 'ops', Authorization: 'Bearer x' }
    assert.match(await ask(t, url, { ...request, headers }), /"message":"no"/)
    assert.doesNotMatch(await ask(t, url, request), /"message":"no"/)
  })

  test('large messages: an envelope is asked about at any size, JSON within max_bytes', async t => {
    const files = (when: string): Record<string, string> => ({
      'deny.js': DENY,
      'policy.yaml': chain({ use: 'deny', when, max_bytes: '1KiB', too_big: 'deny' }),
    })
    const big = { path: '/x', text: 'x'.repeat(5000) }
    const envelope = await startOnDisk(t, files('tool == "other"'))
    assert.doesNotMatch(await ask(t, envelope.url, call(big)), /error/)
    const json = await startOnDisk(t, files('has(arguments.path) && arguments.path == "/y"'))
    assert.match(await ask(t, json.url, call(big)), /Message too large: deny looks at no more than 1024 bytes/)
    assert.doesNotMatch(await ask(t, json.url, call({ path: '/x' })), /error/)
  })

  test('an answer that is too large is not refused for an entry that would not have looked', async t => {
    const look = source('look', 'response(m) { m.json() }')
    const files = (when: string): Record<string, string> => ({
      'look.js': look,
      'policy.yaml': chain({ use: 'look', when, max_bytes: '1KiB', too_big: 'deny' }),
    })
    const answer: Parameters<typeof startOnDisk>[2] = (_, reply) => reply.json(result(1, { text: 'x'.repeat(5000) }))
    const other = await startOnDisk(t, files('tool == "other"'), answer)
    assert.match(await ask(t, other.url, call({})), /xxxx/)
    const same = await startOnDisk(t, files('tool == "read"'), answer)
    assert.match(await ask(t, same.url, call({})), /Message too large: look/)
    const reads = await startOnDisk(t, files('has(result.never)'), answer)
    assert.match(await ask(t, reads.url, call({})), /Message too large: look/)
  })

  test('an answer that is no JSON-RPC passes where nobody would have looked', async t => {
    const look = source('look', 'response(m) { m.json() }')
    const { url, change } = await startOnDisk(
      t,
      { 'look.js': look, 'policy.yaml': chain({ use: 'look', when: 'tool == "other"' }) },
      (_, reply) => reply.json('{"hello":"world"}'),
    )
    assert.match(await ask(t, url, call({})), /hello/)
    assert.ok(await change({ 'policy.yaml': chain({ use: 'look', when: 'tool == "read"' }) }))
    assert.match(await ask(t, url, call({})), /cannot be looked at/)
  })

  test('the end of an exchange: by what was seen, else by what the client sent', async t => {
    const both = source('both', 'request() {}, end(_, outcome) { tell(outcome.status) }', "need: 'envelope'")
    const when = 'tool == "read" && has(arguments.note)'
    for (const [name, text] of [
      ['ends', ENDS],
      ['both', both],
    ] as const) {
      const { url, told, proxy } = await startOnDisk(t, {
        [`${name}.js`]: text,
        'policy.yaml': chain({ use: name, when }),
      })
      await ask(t, url, call({ note: 1 }))
      await ask(t, url, call({}))
      await ask(t, url, legacy(rpc(3, 'ping')))
      await proxy.ended(3)
      assert.deepEqual(told(), ['ok'], name)
    }
  })

  test('in shadow mode it decides what is recorded', async t => {
    const { url, proxy } = await startOnDisk(t, {
      'deny.js': DENY,
      'policy.yaml': chain({ use: 'deny', mode: 'shadow', when: 'tool == "read"' }),
    })
    await ask(t, url, call({}))
    await ask(t, url, legacy(rpc(2, 'ping')))
    assert.equal((await proxy.ended(1)).outcome.verdicts.length, 1)
    assert.equal((await proxy.ended(2)).outcome.verdicts.length, 0)
  })

  test('a pattern and a long value do not stall the proxy', async t => {
    const { url } = await startOnDisk(t, {
      'deny.js': DENY,
      'policy.yaml': chain({ use: 'deny', when: 'arguments.s.matches("^(a+)+$")' }),
    })
    assert.doesNotMatch(await ask(t, url, call({ s: `${'a'.repeat(100_000)}!` })), /error/)
  })
})

describe('match.direction', () => {
  test('an entry sees only what travels that way', async t => {
    const see = source('see', 'request(m) { tell(m.kind) }, response(m) { tell(m.kind) }', "need: 'envelope'")
    const { url, told, change } = await startOnDisk(t, {
      'see.js': see,
      'policy.yaml': chain({ use: 'see', match: { direction: 'to_server' } }),
    })
    await ask(t, url, call({}))
    assert.deepEqual(told(), ['request'])
    assert.ok(await change({ 'policy.yaml': chain({ use: 'see', match: { direction: 'to_client' } }) }))
    await ask(t, url, call({}))
    assert.deepEqual(told(), ['response'])
  })
})
