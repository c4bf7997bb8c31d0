import assert from 'node:assert/strict'
import { describe, it, type TestContext } from 'node:test'
import { brotliCompressSync, deflateSync, gzipSync } from 'node:zlib'
import { modern, result } from '../../helpers/mcp-messages.ts'
import { ask, testPool } from '../../helpers/pool.ts'
import { startScriptedUpstream } from '../../helpers/scripted-upstream.ts'

const TOOLS = [
  { name: 'look', annotations: { readOnlyHint: true } },
  { name: 'put', annotations: { idempotentHint: true } },
  { name: 'transfer', annotations: { readOnlyHint: false, destructiveHint: true } },
  { name: '', annotations: { readOnlyHint: true } },
]

type Listed = { readonly tools: object; readonly encoding?: string; readonly isStream?: boolean }

const PACKERS: Record<string, (text: string) => Buffer> = {
  gzip: gzipSync,
  deflate: deflateSync,
  br: brotliCompressSync,
  zstd: text => Buffer.from(text),
}

/** Two replicas of a server: `tools/list` is answered as `listed` says; every call breaks off. Nobody else looks. */
async function start(t: TestContext, listed: Listed) {
  let calls = 0
  const say = { ...listed }
  const server = () =>
    startScriptedUpstream(t, async (request, answer) => {
      const { id, method } = request.json()
      if (method !== 'tools/list') {
        calls++
        answer.reset()
        return
      }
      const { encoding, isStream, tools } = say
      const text = JSON.stringify(result(id, { tools }))
      if (isStream === true) await answer.events([`: hi\n\ndata: ${text}\n\n`])
      else if (encoding === undefined) answer.json(text)
      else answer.json(PACKERS[encoding]?.(text) ?? '', { headers: { 'content-encoding': encoding } })
    })
  const [one, two] = await Promise.all([server(), server()])
  const { pool, places } = testPool(t, { breaker: null })
  places(one.url, two.url)
  const list = async (params: Record<string, unknown> = {}): Promise<void> => {
    const { body } = modern(1, 'tools/list', params)
    const asked = await ask(pool, { rpc: 'tools/list', body: Buffer.from(body), repeatable: true, reads: true }).over
    assert.deepEqual([asked.status, asked.error], [200, null])
  }
  /** Whether a call of a tool was sent again when it had broken off. */
  const repeats = async (tool: string): Promise<boolean> => {
    const before = calls
    await ask(pool, { rpc: 'tools/call', tool, body: Buffer.from('{"id":1,"method":"tools/call"}') }).over
    return calls - before > 1
  }
  return { list, repeats, say }
}

describe('what a server says about its tools', () => {
  it('is heard where nobody else looks: what does no harm is tried twice', async t => {
    const { list, repeats } = await start(t, { tools: TOOLS })
    assert.equal(await repeats('look'), false, 'nothing is known yet')
    await list()
    const all: Record<string, boolean> = {}
    for (const tool of ['look', 'put', 'transfer', 'other', '']) all[tool] = await repeats(tool)
    assert.deepEqual(all, { look: true, put: true, transfer: false, other: false, '': false })
  })

  for (const encoding of ['gzip', 'deflate', 'br']) {
    it(`is heard in an answer packed by ${encoding}`, async t => {
      const { list, repeats } = await start(t, { tools: TOOLS, encoding })
      await list()
      let isKnown = false
      for (let i = 0; i < 50 && !isKnown; i++) isKnown = await repeats('put')
      assert.ok(isKnown)
    })
  }

  it('is heard in a stream, and not in a packing that nobody knows', async t => {
    const streaming = await start(t, { tools: TOOLS, isStream: true })
    await streaming.list()
    assert.equal(await streaming.repeats('look'), true)
    const odd = await start(t, { tools: TOOLS, encoding: 'zstd' })
    await odd.list()
    assert.equal(await odd.repeats('look'), false)
  })

  it('is forgotten by the next list, not by its further pages', async t => {
    const { list, repeats, say } = await start(t, { tools: TOOLS })
    await list()
    say.tools = [{ name: 'more', annotations: { readOnlyHint: true } }]
    await list({ cursor: 'page2' })
    assert.deepEqual([await repeats('look'), await repeats('more')], [true, true])
    await list()
    assert.deepEqual([await repeats('look'), await repeats('more')], [false, true])
    say.tools = [{ name: 'plain' }]
    await list()
    assert.equal(await repeats('more'), false)
  })

  it('is left alone where it is no list of tools, or too long', async t => {
    const { list, repeats, say } = await start(t, { tools: { look: 'readOnlyHint"' } })
    await list()
    assert.equal(await repeats('look'), false)
    say.tools = [...TOOLS, { name: 'x'.repeat(1024 * 1024) }]
    await list()
    assert.equal(await repeats('look'), false)
    say.tools = [{ name: 'x'.repeat(300), annotations: { readOnlyHint: true } }, ...TOOLS]
    await list()
    assert.equal(await repeats('look'), true)
  })
})
