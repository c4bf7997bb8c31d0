import assert from 'node:assert/strict'
import { describe, it, type TestContext } from 'node:test'
import { UPSTREAM_DEFAULTS } from '../../../proxy/config/servers/upstream-keys.ts'
import type { UpstreamSettings } from '../../../proxy/upstream/settings.ts'
import { TICK_MS } from '../../../proxy/upstream/watchdog.ts'
import { type HttpAnswer, send } from '../../helpers/http-client.ts'
import { modern, result } from '../../helpers/mcp-messages.ts'
import { reader, startProxy, type TestProxy } from '../../helpers/proxy.ts'
import { type Script, type ScriptedUpstream, startScriptedUpstream } from '../../helpers/scripted-upstream.ts'

const TOOLS = [
  { name: 'look', annotations: { readOnlyHint: true } },
  { name: 'put', annotations: { idempotentHint: true } },
  { name: 'transfer', annotations: { destructiveHint: true } },
]

/** Answers with its name; `tools/list` with the tools above. */
function named(name: string): Script {
  return (request, answer) => {
    const { id, method } = request.json()
    answer.json(result(id, method === 'tools/list' ? { tools: TOOLS } : { name }))
  }
}

interface House {
  readonly proxy: TestProxy
  readonly upstreams: ScriptedUpstream[]
}

async function start(t: TestContext, settings: Partial<UpstreamSettings>, ...scripts: Script[]): Promise<House> {
  const upstreams: ScriptedUpstream[] = []
  for (const script of scripts) upstreams.push(await startScriptedUpstream(t, script))
  const upstream = { ...UPSTREAM_DEFAULTS, ...settings }
  const servers = { s: upstreams.map(({ url }) => url) }
  // Somebody reads the answers, so that lists of tools are learned.
  const proxy = await startProxy(t, { servers, server: { upstream }, interceptors: [reader('r')] })
  return { proxy, upstreams }
}

function call(t: TestContext, proxy: TestProxy, tool: string, headers: Record<string, string> = {}, args: object = {}) {
  return send(t, proxy.endpoint(), modern(1, 'tools/call', { name: tool, arguments: args }, { headers }))
}

async function nameOf(answer: Promise<HttpAnswer>): Promise<string> {
  return JSON.parse(await (await answer).text()).result?.name ?? ''
}

async function errorOf(answer: HttpAnswer): Promise<[number, string, unknown, unknown]> {
  const { error } = JSON.parse(await answer.text())
  return [answer.status, error.message, error.data.retry_after_ms, answer.headers['retry-after']]
}

describe('what clients see', () => {
  it('of a circuit that is open: 503, the text, when to come back', async t => {
    const breaker = { ...UPSTREAM_DEFAULTS.breaker, failures: 1, resetTimeoutMs: 30_000 } as UpstreamSettings['breaker']
    const { proxy } = await start(t, { breaker }, (_, answer) => answer.reset())
    assert.equal((await call(t, proxy, 'x')).status, 502)
    const [status, text, wait, header] = await errorOf(await call(t, proxy, 'x'))
    assert.deepEqual([status, text, header], [503, 'Circuit breaker is open', '30'])
    assert.ok(Number(wait) > 29_000 && Number(wait) <= 30_000, String(wait))
    const metrics = proxy.sluice.metrics().families
    const family = metrics.find(({ name }) => name === 'sluice_replicas')
    const open = family?.series.find(({ labels }) => labels === 'server="s",state="open"')
    assert.equal(open?.value, 1)
    const events = metrics.find(({ name }) => name === 'sluice_upstream_events_total')
    assert.equal(events?.series.find(({ labels }) => labels.includes('event="circuit_open"'))?.value, 1)
  })

  it('of too much: 503 at once, and when to come back', async t => {
    const gate = Promise.withResolvers<void>()
    const { proxy, upstreams } = await start(t, { maxInFlight: 1, maxWaiting: 0 }, async (request, answer) => {
      await gate.promise
      answer.json(result(request.json().id, {}))
    })
    const first = call(t, proxy, 'x')
    await upstreams[0]?.received(1)
    const refused = await errorOf(await call(t, proxy, 'x'))
    assert.deepEqual(refused, [503, 's is overloaded: too many requests wait already', 1000, '1'])
    gate.resolve()
    assert.equal((await first).status, 200)
  })

  it('of a wait that was too long: 503, Server acquisition timeout', async t => {
    const { proxy, upstreams } = await start(
      t,
      { maxInFlight: 1, acquireTimeoutMs: TICK_MS },
      () => new Promise(() => {}),
    )
    void call(t, proxy, 'x').catch(() => {})
    await upstreams[0]?.received(1)
    const refused = await errorOf(await call(t, proxy, 'x'))
    assert.deepEqual(refused, [503, 'Server acquisition timeout', 1000, '1'])
  })

  it('of limits for one server: its first_byte goes before that of all', async t => {
    const timeouts = { ...UPSTREAM_DEFAULTS.timeouts, firstByteMs: TICK_MS }
    const { proxy } = await start(t, { timeouts }, () => new Promise(() => {}))
    assert.equal((await call(t, proxy, 'x')).status, 504)
  })
})

describe('hash', () => {
  const three = [named('a'), named('b'), named('c')]

  it('of a header: a client has its replica, clients share all of them', async t => {
    const { proxy } = await start(t, { balance: { from: 'header', name: 'x-user' } }, ...three)
    const seen = new Map<string, string>()
    for (let i = 0; i < 30; i++) {
      const user = `user-${i % 15}`
      const name = await nameOf(call(t, proxy, 'x', { 'X-User': user }))
      assert.equal(seen.get(user) ?? name, name)
      seen.set(user, name)
    }
    assert.deepEqual(new Set(seen.values()), new Set(['a', 'b', 'c']))
  })

  it('of an argument, also inside of another, also one that is no text', async t => {
    const { proxy } = await start(t, { balance: { from: 'argument', name: 'repo.id' } }, ...three)
    const seen = new Map<number, string>()
    for (let i = 0; i < 30; i++) {
      const id = i % 15
      const name = await nameOf(call(t, proxy, 'x', {}, { repo: { id } }))
      assert.equal(seen.get(id) ?? name, name)
      seen.set(id, name)
    }
    assert.deepEqual(new Set(seen.values()), new Set(['a', 'b', 'c']))
  })
})

describe('what a server says of its tools', () => {
  const failing: Script = (request, answer) => {
    const { id, method } = request.json()
    if (method === 'tools/list') answer.json(result(id, { tools: TOOLS }))
    else answer.reset()
  }

  for (const [tool, listed, isRetried] of [
    ['look', true, true],
    ['look', false, false],
    ['put', true, true],
    ['transfer', true, false],
    ['nobody-knows', true, false],
  ] as const) {
    it(`${tool}, ${listed ? 'listed' : 'not listed'}: ${isRetried ? 'tried again' : 'one try'}`, async t => {
      const { proxy } = await start(t, { balance: 'round_robin' }, failing, named('good'))
      if (listed) assert.equal((await send(t, proxy.endpoint(), modern(1, 'tools/list'))).status, 200)
      // Two calls in turn: one of them meets the replica that fails.
      const names = [await nameOf(call(t, proxy, tool)), await nameOf(call(t, proxy, tool))]
      assert.deepEqual(names.toSorted(), isRetried ? ['good', 'good'] : ['', 'good'])
    })
  }
})
