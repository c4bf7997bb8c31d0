import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import type { BridgeSpec } from '../../../../proxy/fleet/spec/bridge.ts'
import { startBridge } from '../../../helpers/bridge.ts'
import { begin, type HttpAnswer, send } from '../../../helpers/http-client.ts'
import { initialize, legacy, notification, POST_HEADERS, result, rpc } from '../../../helpers/mcp-messages.ts'
import { legacyServer, MemoryOpener, type MemoryServer } from '../../../helpers/memory-stdio.ts'
import { type Scope, until } from '../../../helpers/scope.ts'
import { SseReader } from '../../../helpers/sse.ts'

/** A legacy server that is played by the test, each of its processes. */
async function start(
  scope: Scope,
  spec: Partial<BridgeSpec> = {},
  react?: Parameters<typeof legacyServer>[0],
): Promise<{ url: string; opener: MemoryOpener; instance: Awaited<ReturnType<typeof startBridge>>['instance'] }> {
  const opener = new MemoryOpener(server => {
    server.react = legacyServer(react)
  })
  return { ...(await startBridge(scope, opener, { era: 'legacy', ...spec })), opener }
}

/** Opens a session. */
async function open(scope: Scope, url: string): Promise<string> {
  const answer = await send(scope, url, initialize('i'))
  assert.equal(answer.status, 200)
  assert.equal((await answer.json()).id, 'i')
  return answer.headers['mcp-session-id'] as string
}

const call = (id: number | string, session: string, meta = {}) =>
  legacy(rpc(id, 'tools/call', { name: 'a', _meta: meta }), { session })

const get = (scope: Scope, url: string, session: string): Promise<HttpAnswer> =>
  send(scope, url, { method: 'GET', headers: { 'mcp-session-id': session, accept: 'text/event-stream' } })

const sampling = (id: number | string) => rpc(id, 'sampling/createMessage', { messages: [] })

/** The process that has this many lines of a method. */
async function serverWith(opener: MemoryOpener, method: string): Promise<MemoryServer> {
  const find = () => opener.servers.find(server => server.messages.some(message => message.method === method))
  await until(() => find() !== undefined, `a server with ${method}`)
  return find() as MemoryServer
}

describe('a legacy server behind the bridge', () => {
  it('gives each session a process of its own, and keeps one warm', async t => {
    const { url, opener } = await start(t)
    await opener.server(0)
    const one = await open(t, url)
    const two = await open(t, url)
    assert.notEqual(one, two)
    assert.match(one, /^[\x21-\x7e]{24}$/)
    await until(() => opener.servers.length === 3, 'a warm process')
    const firsts = opener.servers.map(server => server.messages[0]?.method)
    assert.deepEqual(firsts, ['initialize', 'initialize', undefined])
    // The same id in both sessions.
    const calls = [begin(t, url, call(1, one)), begin(t, url, call(1, two))]
    for (const [index, server] of opener.servers.slice(0, 2).entries()) {
      const { id } = await server.got('tools/call')
      server.say(result(id, { of: index }))
    }
    assert.deepEqual(await Promise.all(calls.map(async one => (await (await one.answer).json()).result.of)), [0, 1])
  })

  it('ends a session with its process by DELETE', async t => {
    const { url, opener } = await start(t, { warm: 0 })
    const session = await open(t, url)
    const stream = await get(t, url, session)
    assert.equal((await send(t, url, { method: 'DELETE', headers: { 'mcp-session-id': session } })).status, 200)
    assert.equal(await stream.text(), '')
    assert.equal((await (await opener.server()).ended).reason, 'stopped')
    const gone = await send(t, url, call(1, session))
    assert.equal(gone.status, 404)
    assert.equal((await gone.json()).id, 1)
    assert.equal((await get(t, url, session)).status, 404)
  })

  it('refuses what has no session, and an id that is in use', async t => {
    const { url, opener } = await start(t)
    assert.equal((await send(t, url, legacy(rpc(1, 'tools/list')))).status, 400)
    const session = await open(t, url)
    const first = begin(t, url, call('same', session))
    const server = await serverWith(opener, 'tools/call')
    const second = await send(t, url, call('same', session))
    assert.equal(second.status, 400)
    server.say(result((await server.got('tools/call')).id, { ok: 1 }))
    assert.deepEqual(await (await first.answer).json(), result('same', { ok: 1 }))
  })

  it('cancels by the id of the same session only, and answers what was cancelled', async t => {
    const { url, opener } = await start(t)
    const [one, two] = [await open(t, url), await open(t, url)]
    const running = begin(t, url, call(1, one))
    const server = await serverWith(opener, 'tools/call')
    const { id } = await server.got('tools/call')
    const cancel = (session: string, requestId: unknown) =>
      send(t, url, legacy(notification('notifications/cancelled', { requestId, reason: 'x' }), { session }))
    assert.equal((await cancel(two, 1)).status, 202)
    assert.equal((await cancel(two, id)).status, 202)
    assert.equal((await cancel(one, '1')).status, 202)
    assert.equal((await cancel(one, 1)).status, 202)
    const cancelled = await server.got('notifications/cancelled')
    assert.deepEqual(cancelled.params, { requestId: id, reason: 'x' })
    assert.equal((await (await running.answer).json()).error.code, -32800)
    const all = opener.servers
      .flatMap(one => one.messages)
      .filter(message => message.method === 'notifications/cancelled')
    assert.equal(all.length, 1)
  })

  it('keeps a call running whose client has gone: that is no cancel', async t => {
    const { url, opener } = await start(t)
    const session = await open(t, url)
    const gone = begin(t, url, call(1, session))
    const server = await serverWith(opener, 'tools/call')
    gone.abort()
    const next = begin(t, url, call(2, session))
    const { id } = await server.got('tools/call', 2)
    server.say(result(id, {}))
    assert.equal((await next.answer).status, 200)
    assert.ok(!server.lines.some(line => line.includes('cancelled')))
  })

  it('puts what the server asks on the stream of the only call, else on the GET, else on the newest call', async t => {
    const { url, opener } = await start(t)
    const session = await open(t, url)
    const server = await serverWith(opener, 'initialize')
    const first = begin(t, url, call(1, session))
    const { id: firstId } = await server.got('tools/call')
    server.say(sampling('for the only call'))
    const firstStream = new SseReader(await first.answer)
    assert.equal((await firstStream.nextMessage()).id, 'for the only call')
    const second = begin(t, url, call(2, session))
    const { id: secondId } = await server.got('tools/call', 2)
    server.say(sampling('for the newest'))
    const secondStream = new SseReader(await second.answer)
    assert.equal((await secondStream.nextMessage()).id, 'for the newest')
    const stream = new SseReader(await get(t, url, session))
    server.say(sampling('for the stream'))
    server.say(notification('notifications/tools/list_changed'))
    assert.equal((await stream.nextMessage()).id, 'for the stream')
    assert.equal((await stream.nextMessage()).method, 'notifications/tools/list_changed')
    // Answers go to the server once, and only to what was asked.
    const sent = [result('for the stream', { n: 1 }), result('never asked', {}), result('for the stream', { n: 2 })]
    for (const message of sent) assert.equal((await send(t, url, legacy(message, { session }))).status, 202)
    server.say(result(secondId, {}))
    server.say(result(firstId, {}))
    assert.deepEqual(
      (await firstStream.messages()).map(message => message.id),
      [1],
    )
    assert.deepEqual(
      (await secondStream.messages()).map(message => message.id),
      [2],
    )
    assert.deepEqual(
      server.messages.filter(message => message.result !== undefined),
      sent.slice(0, 1),
    )
  })

  it('keeps for the stream what comes when nobody listens', async t => {
    const { url, opener } = await start(t)
    const session = await open(t, url)
    const server = await serverWith(opener, 'initialize')
    server.say(rpc('ping', 'ping'))
    await until(() => server.messages.some(message => message.id === 'ping'), 'an answer to ping')
    server.say(rpc('roots', 'roots/list'))
    server.say(notification('notifications/tools/list_changed'))
    const stream = new SseReader(await get(t, url, session))
    assert.equal((await stream.nextMessage()).id, 'roots')
    assert.equal((await stream.nextMessage()).method, 'notifications/tools/list_changed')
    // A second GET takes the place of the first.
    const again = new SseReader(await get(t, url, session))
    assert.equal(await stream.nextMessage(), null)
    server.say(rpc('again', 'roots/list'))
    assert.equal((await again.nextMessage()).id, 'again')
  })

  it('takes batches from both sides (2025-03-26)', async t => {
    const { url, opener } = await start(t)
    const session = await open(t, url)
    const server = await serverWith(opener, 'initialize')
    const body = JSON.stringify([rpc(1, 'tools/list'), notification('notifications/x'), rpc('1', 'ping')])
    const batch = begin(t, url, { headers: { ...POST_HEADERS, 'mcp-session-id': session }, body })
    const list = await server.got('tools/list')
    const ping = await server.got('ping')
    server.say(
      JSON.stringify([
        result(ping.id, { p: 1 }),
        notification('notifications/message', { data: 'x' }),
        result(list.id, { l: 1 }),
      ]),
    )
    const messages = await new SseReader(await batch.answer).messages()
    assert.deepEqual(messages[0], result('1', { p: 1 }))
    assert.deepEqual(messages.at(-1), result(1, { l: 1 }))
    const none = JSON.stringify([notification('notifications/x')])
    const accepted = await send(t, url, { headers: { ...POST_HEADERS, 'mcp-session-id': session }, body: none })
    assert.equal(accepted.status, 202)
  })

  it('ends the session with its process, and says why', async t => {
    const { url, opener } = await start(t)
    const session = await open(t, url)
    const stream = await get(t, url, session)
    const running = begin(t, url, call(7, session))
    const server = await serverWith(opener, 'tools/call')
    server.listener.onStderr('oh no')
    server.die('ended with exit code 3')
    const { id, error } = await (await running.answer).json()
    assert.equal(id, 7)
    assert.equal(error.message, 'kb: its process ended with exit code 3; it said: oh no')
    assert.equal(await stream.text(), '')
    const after = await send(t, url, call(8, session))
    assert.equal(after.status, 404)
    assert.match((await after.json()).error.message, /ended with exit code 3.*initialize again/)
    assert.equal((await send(t, url, initialize())).status, 200)
  })

  it('forgets a session that the server refused', async t => {
    const opener = new MemoryOpener(server => {
      server.react = ({ id }) => ({ jsonrpc: '2.0', id, error: { code: -32602, message: 'no such version' } })
    })
    const { url } = await startBridge(t, opener, { era: 'legacy' })
    const answer = await send(t, url, initialize(4))
    assert.equal(answer.headers['mcp-session-id'], undefined)
    assert.deepEqual((await answer.json()).error, { code: -32602, message: 'no such version' })
    assert.equal((await (await opener.server()).ended).reason, 'stopped')
  })

  it('never has more processes than it may: others wait, not too many and not for ever', async t => {
    const { url, opener } = await start(t, { maxProcesses: 2, maxWaiting: 1, acquireTimeoutMs: 300 })
    const [one] = [await open(t, url), await open(t, url)]
    const waiting = begin(t, url, initialize('waits'))
    const late = begin(t, url, initialize('late'))
    const { error: full } = await (await late.answer).json()
    assert.match(full.message, /^all 2 processes of kb are taken \(max_processes\), and 1 sessions wait$/)
    assert.equal(full.data.code, 'overloaded')
    await send(t, url, { method: 'DELETE', headers: { 'mcp-session-id': one } })
    assert.equal((await (await waiting.answer).json()).id, 'waits')
    const { error: timeout } = await (await send(t, url, initialize('too late'))).json()
    assert.equal(timeout.message, 'Server acquisition timeout: all 2 processes of kb are taken (max_processes)')
    assert.equal(timeout.data.code, 'acquire_timeout')
    assert.equal(opener.servers.length, 3)
  })

  it('ends a session that is not used', async t => {
    const { url, opener } = await start(t, { sessionIdleMs: 40 })
    const listening = await open(t, url)
    await get(t, url, listening)
    const idle = await open(t, url)
    const server = opener.servers[1] as MemoryServer
    await server.ended
    assert.match((await (await send(t, url, call(1, idle))).json()).error.message, /it was not used: initialize again/)
    assert.equal((await send(t, url, legacy(notification('notifications/x'), { session: listening }))).status, 202)
  })

  it('stops reading a server whose client does not read', async t => {
    const { url, opener } = await start(t)
    const session = await open(t, url)
    const server = await serverWith(opener, 'initialize')
    const stream = await send(t, url, { method: 'GET', headers: { 'mcp-session-id': session }, paused: true })
    const big = notification('notifications/tools/list_changed', { x: 'x'.repeat(100_000) })
    let said = 0
    while (!server.isPaused && said < 1_000) {
      server.say(big)
      said++
      await new Promise(resolve => setImmediate(resolve))
    }
    assert.ok(server.isPaused, 'paused')
    stream.resume()
    await until(() => !server.isPaused, 'the server to be read again')
    await until(() => stream.received.toString().split('list_changed').length === said + 1, 'all of it')
  })

  it('waits for a server that does not read, and refuses what is too much', async t => {
    const { url, opener } = await start(t, { maxLineBytes: 8 * 1024 * 1024 })
    const session = await open(t, url)
    const server = await serverWith(opener, 'initialize')
    server.isFull = true
    const big = (id: number) => legacy(rpc(id, 'tools/call', { name: 'a', x: 'x'.repeat(6_000_000) }), { session })
    const first = begin(t, url, big(1))
    const { id: firstId } = await server.got('tools/call')
    const queued = [2, 3, 4].map(id => begin(t, url, big(id)))
    const refused = await Promise.race([5, 6, 7].map(id => send(t, url, big(id))))
    assert.equal((await refused.json()).error.data.code, 'overloaded')
    server.react = ({ id }) => result(id, {})
    server.drain()
    server.say(result(firstId, {}))
    for (const one of [first, ...queued]) assert.equal((await one.answer).status, 200)
  })
})

describe('what is no message', () => {
  it('goes to the log, redacted, and harms nobody', async t => {
    const { channels } = await import('../../../../proxy/observe/channels.ts')
    const notices: { fields: Readonly<Record<string, unknown>> }[] = []
    const output: { server: string; replica: string; line: string }[] = []
    const onNotice = (notice: unknown) => void notices.push(notice as (typeof notices)[0])
    const onOutput = (line: unknown) => void output.push(line as (typeof output)[0])
    channels.notice.subscribe(onNotice)
    channels.output.subscribe(onOutput)
    t.after(() => void channels.notice.unsubscribe(onNotice))
    t.after(() => void channels.output.unsubscribe(onOutput))
    const opener = new MemoryOpener(server => {
      server.react = legacyServer()
    })
    const redact = (line: string) => line.replaceAll('hunter2', '***')
    const { url, instance } = await startBridge(t, opener, { era: 'legacy' }, redact)
    const session = await open(t, url)
    const server = await serverWith(opener, 'initialize')
    const running = begin(t, url, call(1, session))
    const { id } = await server.got('tools/call')
    server.writeOut('Listening with hunter2\r\n\n\r\n[\n{"jsonrpc":"2.0"}\n[1]\n\xff\n')
    server.listener.onStderr('password hunter2')
    server.say(JSON.stringify(result(id, { text: 'a\u2028b\u2029c' })))
    assert.deepEqual((await (await running.answer).json()).result, { text: 'a\u2028b\u2029c' })
    const garbage = notices.find(({ fields }) => fields['line'] === 'Listening with ***')?.fields
    assert.match(`${garbage?.['server']} ${garbage?.['process']}`, /^kb kb-\d+-1$/)
    assert.deepEqual(output, [{ server: 'kb', replica: instance.id, line: 'password ***' }])
    assert.ok(!JSON.stringify([notices, output]).includes('hunter2'))
  })

  it('answers for what is too long or unreadable, by its id', async t => {
    const { url, opener } = await start(t, { maxLineBytes: 2_000 })
    const session = await open(t, url)
    const server = await serverWith(opener, 'initialize')
    const ask = async (answer: (id: number) => string) => {
      const running = begin(t, url, call('mine', session))
      const calls = server.messages.filter(message => message.method === 'tools/call').length
      const { id } = await server.got('tools/call', calls + 1)
      server.say(answer(id))
      return (await running.answer).json()
    }
    const long = 'x'.repeat(5_000)
    for (const answer of [
      (id: number) => `{"jsonrpc":"2.0","id":${id},"result":{"x":"${long}"}}`,
      (id: number) => `{"result":{"x":"${long}"},"jsonrpc":"2.0","id":${id}}`,
      () => `{"result":{"x":"${long}"}}`,
    ]) {
      const { id, error } = await ask(answer)
      assert.equal(id, 'mine')
      assert.match(error.message, /^kb wrote a message of 50\d\d bytes, more than max_line_bytes \(2000\)$/)
    }
    const twins = await ask(id => `{"jsonrpc":"2.0","id":${id},"result":{},"result":{}}`)
    assert.match(twins.error.message, /cannot be read/)
    const nobody = await ask(() => '{"jsonrpc":"2.0","id":null,"error":{"code":-32700,"message":"Parse error"}}')
    assert.equal(nobody.error.message, 'kb: Parse error')
    server.say(rpc(5, 'sampling/createMessage', { x: long }))
    await until(() => server.messages.some(message => message.id === 5 && message.error !== undefined), 'a refusal')
  })
})

describe('a command that does not start', () => {
  it('fails the launch, for good where that cannot get better', async t => {
    const { LaunchError } = await import('../../../../proxy/fleet/launcher.ts')
    const open = () => Promise.reject(new LaunchError('the command "nope" is not there', true))
    const failure = await startBridge(t, { open }).then(
      () => null,
      (error: InstanceType<typeof LaunchError>) => error,
    )
    assert.equal(failure?.permanent, true)
    assert.match(failure?.message ?? '', /^kb: its process did not start: the command "nope" is not there/)
  })

  it('is tried a few times, tells callers its last words, and then ends the instance', async t => {
    const opener = new MemoryOpener(server => {
      server.react = () => {
        server.listener.onStderr('Error: no configuration')
        server.die('ended with exit code 2')
      }
    })
    const { url, instance } = await startBridge(t, opener, { warm: 0 })
    const sentence =
      'kb: its process ended with exit code 2 before it answered anything; it said: Error: no configuration'
    const first = await (await send(t, url, initialize(1))).json()
    assert.equal(first.error.message, sentence)
    assert.equal(first.error.data.code, 'upstream_unreachable')
    assert.equal(await instance.selfCheck(), false)
    const soon = await (await send(t, url, initialize(2))).json()
    assert.equal(soon.error.message, sentence)
    assert.ok(soon.error.data.retry_after_ms > 0)
    assert.equal(opener.servers.length, 1)
    let ended = false
    instance.ended.then(() => {
      ended = true
    })
    while (!ended) {
      await send(t, url, initialize(3)).catch(() => {})
      await new Promise(resolve => setTimeout(resolve, 50))
    }
    assert.equal((await instance.ended).reason, sentence)
    assert.equal(opener.servers.length, 3)
  })
})

describe('share: one process for all sessions', () => {
  it('shakes hands once, and again after the process has ended', async t => {
    const { url, opener } = await start(t, { share: true })
    const server = await opener.server()
    const sessions = await Promise.all([open(t, url), open(t, url), open(t, url)])
    assert.equal(new Set(sessions).size, 3)
    assert.deepEqual(
      server.messages.map(message => message.method),
      ['initialize', 'notifications/initialized'],
    )
    assert.deepEqual(server.messages[0].params.capabilities, {})
    for (const session of sessions) {
      const done = await send(t, url, legacy(notification('notifications/initialized'), { session }))
      assert.equal(done.status, 202)
    }
    const calls = sessions.map(session => begin(t, url, call(1, session, { progressToken: 'p' })))
    await server.got('tools/call', 3)
    assert.equal(server.messages.filter(message => message.method === 'notifications/initialized').length, 1)
    const ids = server.messages.filter(message => message.method === 'tools/call').map(message => message.id)
    for (const id of ids) server.say(notification('notifications/progress', { progressToken: id, progress: 1 }))
    for (const id of ids.toReversed()) server.say(result(id, { id }))
    for (const one of calls) {
      const [progress, answer] = await new SseReader(await one.answer).messages()
      assert.equal(progress.params.progressToken, 'p')
      assert.equal(answer.id, 1)
    }
    server.die()
    const again = begin(t, url, call(2, sessions[0] as string))
    const second = await opener.server(1)
    const { id } = await second.got('tools/call')
    assert.deepEqual(
      second.messages.map(message => message.method),
      ['initialize', 'notifications/initialized', 'tools/call'],
    )
    second.say(result(id, {}))
    assert.equal((await again.answer).status, 200)
  })

  it('tells all sessions of changed lists, and those of a resource that asked', async t => {
    const { url, opener } = await start(t, { share: true })
    const server = await opener.server()
    server.react = legacyServer(({ id, method }) => (method.startsWith('resources/') ? result(id, {}) : undefined))
    const [one, two] = [await open(t, url), await open(t, url)]
    const first = new SseReader(await get(t, url, one))
    const second = new SseReader(await get(t, url, two))
    const resource = (method: string, session: string) =>
      send(t, url, legacy(rpc(1, method, { uri: 'file:///a' }), { session }))
    await resource('resources/subscribe', one)
    server.say(notification('notifications/resources/updated', { uri: 'file:///a/b' }))
    server.say(notification('notifications/tools/list_changed'))
    assert.equal((await first.nextMessage()).method, 'notifications/resources/updated')
    assert.equal((await first.nextMessage()).method, 'notifications/tools/list_changed')
    assert.equal((await second.nextMessage()).method, 'notifications/tools/list_changed')
    await resource('resources/subscribe', two)
    await resource('resources/unsubscribe', one)
    assert.ok(!server.messages.some(message => message.method === 'resources/unsubscribe'))
    await resource('resources/unsubscribe', two)
    await server.got('resources/unsubscribe')
  })

  it('puts a question of the server to the only call there is, and answers for the rest', async t => {
    const { url, opener } = await start(t, { share: true })
    const server = await opener.server()
    const [one, two] = [await open(t, url), await open(t, url)]
    const running = begin(t, url, call(1, one))
    const { id } = await server.got('tools/call')
    server.say(sampling('q1'))
    const stream = new SseReader(await running.answer)
    assert.equal((await stream.nextMessage()).id, 'q1')
    await send(t, url, legacy(result('q1', { from: 'another' }), { session: two }))
    await send(t, url, legacy(result('q1', { from: 'the asked one' }), { session: one }))
    await until(() => server.messages.some(message => message.id === 'q1'), 'an answer')
    assert.deepEqual(server.messages.find(message => message.id === 'q1').result, { from: 'the asked one' })
    begin(t, url, call(1, two))
    await server.got('tools/call', 2)
    server.say(sampling('q2'))
    await until(() => server.messages.some(message => message.id === 'q2'), 'a refusal')
    assert.equal(server.messages.find(message => message.id === 'q2').error.code, -32601)
    server.say(result(id, {}))
    assert.deepEqual(
      (await stream.messages()).map(message => message.id),
      [1],
    )
  })
})
