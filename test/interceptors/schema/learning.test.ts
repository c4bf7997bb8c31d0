import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import type { JsonObject } from '#api'
import { call, probeSchema, SEARCH, Server, tool } from './kit.ts'

const LIST = { method: 'tools/list' }
const listFrom = (cursor: string): JsonObject => ({ method: 'tools/list', params: { cursor } })
const CHANGED = { method: 'notifications/tools/list_changed' }

type P = Awaited<ReturnType<typeof probeSchema>>

/** A client that reads a page itself. */
async function read(p: P, server: Server, cursor?: string, context = {}) {
  const x = p.exchange(cursor === undefined ? LIST : listFrom(cursor), context)
  await x.request()
  return x.response({ result: server.page(cursor) })
}

const codeOf = async (p: P, name: string, context = {}): Promise<string | null> =>
  (await p.request(call(name, {}), context)).verdict?.code ?? null

describe('learning tools', () => {
  it('asks for all pages when no list was seen', async () => {
    const server = new Server([tool('a')], [tool('b')], [tool('c')])
    const p = await probeSchema(server)
    assert.equal(await codeOf(p, 'c'), null)
    assert.deepEqual(server.asked, [undefined, '1', '2'])
    assert.equal(await codeOf(p, 'd'), 'tool_not_found')
    assert.equal(server.asked.length, 3)
  })

  it('learns from what clients read, page by page', async () => {
    const server = new Server([tool('a')], [tool('b')])
    const p = await probeSchema(server)
    await read(p, server)
    await read(p, server, '1')
    assert.deepEqual([await codeOf(p, 'a'), await codeOf(p, 'b'), await codeOf(p, 'c')], [null, null, 'tool_not_found'])
    assert.equal(server.asked.length, 0)
  })

  it('asks when a client stopped after the first page', async () => {
    const server = new Server([tool('a')], [tool('b')])
    const p = await probeSchema(server)
    await read(p, server)
    assert.equal(await codeOf(p, 'b'), null)
    assert.equal(server.asked.length, 2)
  })

  it('asks once for many calls at a time', async () => {
    const server = new Server([SEARCH])
    const gate = Promise.withResolvers<void>()
    server.before = () => gate.promise
    const p = await probeSchema(server)
    const calls = Array.from({ length: 20 }, () => p.request(call('search', { query: 'x' })))
    gate.resolve()
    for (const { verdict } of await Promise.all(calls)) assert.equal(verdict, undefined)
    assert.equal(server.asked.length, 1)
  })

  it('goes on when the exchange that asked has ended', async () => {
    const server = new Server([SEARCH])
    const gate = Promise.withResolvers<void>()
    server.before = () => gate.promise
    const p = await probeSchema(server)
    const x = p.exchange(call('search', { query: 'x' }))
    void x.request()
    const two = p.request(call('search', { query: 'x' }))
    x.end({ status: 'aborted' })
    gate.resolve()
    assert.equal((await two).verdict, undefined)
    assert.equal(server.asked.length, 1)
  })

  it('does not ask again and again for a tool that is not there', async () => {
    const server = new Server([tool('a')])
    const p = await probeSchema(server)
    for (let i = 0; i < 50; i++) assert.equal(await codeOf(p, `x${i}`), 'tool_not_found')
    assert.equal(server.asked.length, 1)
    server.pages = [[tool('a'), tool('b')]]
    p.clock.advance(10_001)
    assert.equal(await codeOf(p, 'b'), null)
    assert.equal(server.asked.length, 2)
  })

  it('learns again after list_changed, at most once a second', async () => {
    const server = new Server([tool('a')])
    const p = await probeSchema(server)
    await codeOf(p, 'a')
    server.pages = [[tool('b')]]
    p.clock.advance(2000)
    const stream = p.exchange({ method: 'transport/stream' })
    await stream.notification(CHANGED)
    assert.equal(await codeOf(p, 'a'), 'tool_not_found')
    assert.equal(await codeOf(p, 'b'), null)
    for (let i = 0; i < 20; i++) {
      await stream.notification(CHANGED)
      await codeOf(p, 'b')
    }
    assert.equal(server.asked.length, 2)
    p.clock.advance(1001)
    await codeOf(p, 'b')
    assert.equal(server.asked.length, 3)
  })

  it('learns again when the list is old: ttlMs, at least 10 s, at most max_age', async () => {
    for (const [extra, before, after] of [
      [{ ttlMs: 60_000 }, 59_999, 1],
      [{ ttlMs: 0 }, 9999, 1],
      [{ ttlMs: 9e9 }, 299_999, 1],
      [{}, 299_999, 1],
    ] as const) {
      const server = new Server([tool('a')])
      server.extra = extra
      const p = await probeSchema(server, { max_age: '5m' })
      await codeOf(p, 'a')
      p.clock.advance(before)
      await codeOf(p, 'a')
      assert.equal(server.asked.length, 1, JSON.stringify(extra))
      p.clock.advance(after)
      await codeOf(p, 'a')
      assert.equal(server.asked.length, 2, JSON.stringify(extra))
    }
  })

  it('keeps what it knows when the server does not answer, and leaves it alone for 5 s', async () => {
    const server = new Server([SEARCH])
    const p = await probeSchema(server)
    await p.request(call('search', { query: 'x' }))
    p.clock.advance(600_001)
    server.before = () => Promise.reject(new Error('down'))
    const seen = await p.request(call('search', {}))
    assert.deepEqual([seen.verdict?.code, seen.notes.schema_list], ['invalid_arguments', 'stale'])
    for (let i = 0; i < 10; i++) await p.request(call('search', {}))
    assert.equal(server.asked.length, 2)
  })

  it('fails closed when it knows nothing and cannot ask', async () => {
    const server = new Server([SEARCH])
    server.before = () => Promise.reject(new Error('down'))
    const p = await probeSchema(server, {}, { failures: 'verdict' })
    assert.equal(await codeOf(p, 'search'), 'upstream_broken')
    assert.equal(await codeOf(p, 'search'), 'upstream_broken')
    assert.equal(server.asked.length, 1)
    const open = await probeSchema(server, {}, { failures: 'verdict', onFailure: 'open' })
    assert.equal(await codeOf(open, 'search'), null)
  })

  it('gives up on lists that never end', async () => {
    const server = new Server([tool('a')])
    server.extra = { nextCursor: '0' }
    const p = await probeSchema(server, {}, { failures: 'verdict' })
    assert.equal(await codeOf(p, 'a'), 'upstream_broken')
    let n = 0
    const endless = await probeSchema(
      new Server(),
      {},
      {
        failures: 'verdict',
        call: () => ({ result: { tools: [], nextCursor: String(++n) } }),
      },
    )
    assert.equal(await codeOf(endless, 'a'), 'upstream_broken')
    assert.equal(n, 100)
  })

  it('keeps clients apart, and sessions that see different tools', async () => {
    const server = new Server([tool('a')])
    const p = await probeSchema(server)
    await codeOf(p, 'a', { client: 'one' })
    server.pages = [[tool('b')]]
    const reason = (await p.request(call('x'), { client: 'two' })).verdict?.reason
    assert.equal(reason, 'Tool not found: demo.x\nAvailable tools: demo.b')
    assert.equal(await codeOf(p, 'a', { client: 'one' }), null)
    // A list that another session was shown proves nothing here.
    server.pages = [[tool('a'), tool('c')]]
    assert.equal(await codeOf(p, 'c', { client: 'one', session: 's2' }), null)
    assert.equal(server.asked.length, 3)
  })

  it('survives answers that are no lists', async () => {
    const p = await probeSchema(new Server([tool('a')]))
    for (const result of [{}, { tools: 5 }, { tools: [1, null, {}, { name: 5 }] }, null, [], 'x']) {
      await p.response({ result }, LIST)
    }
    assert.equal((await p.response({ error: { code: 1, message: 'x' } }, LIST)).edited, false)
  })
})
