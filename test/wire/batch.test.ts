import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import { type Hook, Verdict } from '#api'
import { begin, send } from '../helpers/http-client.ts'
import { MODERN_VERSION, modern, POST_HEADERS, result, rpc } from '../helpers/mcp-messages.ts'
import { interceptor, reader, startPair } from '../helpers/proxy.ts'
import { deferred, until, within } from '../helpers/scope.ts'
import type { StreamEnd } from '../helpers/scripted-answer.ts'
import type { Script } from '../helpers/scripted-upstream.ts'
import { parseSse, sseEvent } from '../helpers/sse.ts'

const HEADERS = { ...POST_HEADERS, 'mcp-protocol-version': '2025-03-26' }
const READERS = [reader('read-one'), reader('read-two')]

const NOTE = '{"jsonrpc":"2.0","method":"notifications/cancelled","params":{"requestId":9007199254740993}}'
const ONE = '{"jsonrpc":"2.0","id":9007199254740993,"method":"tools/call","params":{"name":"one","x":1.0}}'
const TWO = '{ "id":"1","jsonrpc":"2.0" , "method":"tools/call","params":{"name":"two"} }'
const BATCH = ` [ ${NOTE},${ONE}\n,\t${TWO} ]\r\n`

/** Answers each message by itself, with the id as it came. */
const single: Script = (request, answer) => {
  const id = /"id":("1"|\d+)/.exec(request.text)?.[1]
  if (id === undefined) answer.status(202)
  else answer.json(`{ "jsonrpc":"2.0","id":${id},"result":{"n":1.0,"of":"${request.json().params.name}"} }`)
}
const answerOf = (id: string, name: string): string =>
  `{ "jsonrpc":"2.0","id":${id},"result":{"n":1.0,"of":"${name}"} }`

describe('batches of 2025-03-26: nobody looks', () => {
  test('pass as the bytes they are, both ways, in one request', async t => {
    const answers = `[${answerOf('9007199254740993', 'one')} ,\n${answerOf('"1"', 'two')}]`
    const { upstream, url } = await startPair(t, (_, answer) => answer.json(answers))
    const answer = await send(t, url, { headers: HEADERS, body: BATCH })
    assert.deepEqual([answer.status, await answer.text()], [200, answers])
    assert.equal((await upstream.next()).text, BATCH)
    assert.equal(upstream.requests.length, 1)
  })

  test('without a version header too; it means 2025-03-26', async t => {
    const { upstream, url } = await startPair(t, (_, answer) => answer.json('[]'))
    assert.equal((await send(t, url, { headers: POST_HEADERS, body: BATCH })).status, 200)
    assert.equal((await upstream.next()).text, BATCH)
  })

  test('answered by events pass byte for byte', async t => {
    const stream = `id: 1\ndata: ${answerOf('"1"', 'two')}\n\ndata: [${answerOf('9007199254740993', 'one')}]\n\n`
    const { url } = await startPair(t, (_, answer) => answer.events([stream]))
    assert.equal(await (await send(t, url, { headers: HEADERS, body: BATCH })).text(), stream)
  })

  test('of notifications and answers get their 202', async t => {
    const { upstream, url } = await startPair(t, (_, answer) => answer.status(202))
    for (const body of [
      `[${NOTE}, ${NOTE}]`,
      '[{"jsonrpc":"2.0","id":"s-1","result":{}},{"jsonrpc":"2.0","id":2,"error":{"code":-1,"message":""}}]',
    ]) {
      const answer = await send(t, url, { headers: HEADERS, body })
      assert.deepEqual([answer.status, await answer.text()], [202, ''])
      assert.equal((await upstream.next()).text, body)
    }
  })
})

describe('batches of 2025-03-26: interceptors look', () => {
  test('are split: each message goes by itself as it was, the answers come back as one list', async t => {
    const { upstream, url } = await startPair(t, single, { interceptors: READERS })
    const answer = await send(t, url, { headers: HEADERS, body: BATCH })
    assert.deepEqual([answer.status, answer.headers['content-type']], [200, 'application/json'])
    assert.equal(await answer.text(), `[${answerOf('9007199254740993', 'one')},${answerOf('"1"', 'two')}]`)
    assert.deepEqual(upstream.requests.map(request => request.text).sort(), [NOTE, ONE, TWO].sort())
    for (const request of upstream.requests) assert.equal(request.header('content-length'), String(request.body.length))
  })

  test('become one stream as soon as one answer is one', async t => {
    const progress = `id: p\nretry: 5\n${sseEvent('{"jsonrpc":"2.0","method":"notifications/progress","params":{"n":1.0}}')}`
    const script: Script = (request, answer) =>
      request.text === TWO ? answer.events([progress, sseEvent(answerOf('"1"', 'two'))]) : single(request, answer)
    const { url } = await startPair(t, script, { interceptors: READERS })
    const answer = await send(t, url, { headers: HEADERS, body: BATCH })
    const text = await answer.text()
    assert.equal(answer.headers['content-type'], 'text/event-stream')
    assert.ok(text.includes(progress))
    const finals = parseSse(text).filter(({ data }) => data.includes('"result"'))
    assert.deepEqual(
      finals.map(({ data }) => data).sort(),
      [answerOf('"1"', 'two'), answerOf('9007199254740993', 'one')].sort(),
    )
    assert.equal(answer.complete, true)
  })

  test('two streams interleave event by event, never inside one', async t => {
    const gate = deferred<void>()
    const big = 'x'.repeat(100_000)
    const script: Script = async (request, answer) => {
      const { id, params } = request.json()
      const stream = answer.sse()
      const event = sseEvent({ jsonrpc: '2.0', method: `notifications/${params.name}`, params: { big } })
      await stream.write(event.slice(0, 70_000))
      if (params.name === 'a') await gate.promise
      await stream.write(event.slice(70_000))
      stream.end(sseEvent(result(id, {})))
    }
    const { url } = await startPair(t, script, { interceptors: READERS })
    const body = JSON.stringify([rpc(1, 'tools/call', { name: 'a' }), rpc(2, 'tools/call', { name: 'b' })])
    const answer = await send(t, url, { headers: HEADERS, body })
    await answer.sees('"id":2')
    gate.resolve()
    const events = parseSse(await answer.text())
    const what = events.map(({ data }) => JSON.parse(data)).map(({ method, id }) => method ?? id)
    assert.deepEqual(what, ['notifications/b', 2, 'notifications/a', 1])
  })

  const guard: Hook<unknown> = message =>
    message.name === 'one' ? Verdict.deny('access_denied', 'not you') : undefined

  test('a message that is refused fails alone', async t => {
    const { upstream, url } = await startPair(t, single, { interceptors: [interceptor('guard', { request: guard })] })
    const answer = await send(t, url, { headers: HEADERS, body: BATCH })
    const text = await answer.text()
    assert.equal(answer.status, 200)
    assert.ok(text.startsWith('[{"jsonrpc":"2.0","id":9007199254740993,"error":{"code":-31003,"message":"not you"'))
    assert.ok(text.endsWith(`,${answerOf('"1"', 'two')}]`))
    assert.equal(upstream.requests.length, 2)
  })

  test('a message that is none fails alone', async t => {
    const { upstream, url } = await startPair(t, single, { interceptors: READERS })
    const twin = '{"jsonrpc":"2.0","id":5,"method":"tools/call","method":"ping"}'
    const answer = await send(t, url, { headers: HEADERS, body: `[${twin}, 7, ${TWO}]` })
    const [first, second, third] = await answer.json()
    assert.deepEqual([first.id, first.error.code], [5, -32600])
    assert.deepEqual(['id' in second, second.error.code], [false, -32600])
    assert.deepEqual(third, JSON.parse(answerOf('"1"', 'two')))
    assert.deepEqual(
      upstream.requests.map(request => request.text),
      [TWO],
    )
  })

  test('a message that is none is never passed on when nobody looks either', async t => {
    const { upstream, url } = await startPair(t, single)
    const answer = await send(t, url, {
      headers: HEADERS,
      body: `[{"jsonrpc":"2.0","id":5,"method":"a","method":"b"},${TWO}]`,
    })
    assert.equal((await answer.json())[0].error.code, -32600)
    assert.deepEqual(
      upstream.requests.map(request => request.text),
      [TWO],
    )
  })

  test('a server that fails for one message fails for that one', async t => {
    const scripts: Record<string, Script> = {
      'dies before its answer': (_, answer) => answer.reset(),
      'dies in its answer': async (_, answer) => {
        const stream = answer.stream(200, { 'content-type': 'application/json' })
        await stream.write('{"jsonrpc"')
        stream.destroy()
      },
      'answers nothing': (_, answer) => answer.status(202),
    }
    for (const [what, script] of Object.entries(scripts)) {
      const { url } = await startPair(
        t,
        (request, answer) => (request.text === ONE ? script(request, answer) : single(request, answer)),
        {
          interceptors: READERS,
        },
      )
      const text = await (await send(t, url, { headers: HEADERS, body: BATCH })).text()
      assert.ok(text.startsWith('[{"jsonrpc":"2.0","id":9007199254740993,"error":'), `${what}: ${text}`)
      assert.ok(text.endsWith(`,${answerOf('"1"', 'two')}]`), what)
    }
  })

  test('of notifications alone get one 202', async t => {
    const { upstream, url } = await startPair(t, single, { interceptors: READERS })
    const answer = await send(t, url, { headers: HEADERS, body: `[${NOTE},${NOTE}]` })
    assert.deepEqual([answer.status, await answer.text()], [202, ''])
    assert.equal(upstream.requests.length, 2)
  })

  test('a client that leaves ends all of them', async t => {
    const ends: Promise<StreamEnd>[] = []
    const script: Script = (_, answer) => void ends.push(answer.closed)
    const { proxy, url } = await startPair(t, script, { interceptors: READERS })
    const call = begin(t, url, { headers: HEADERS, body: `[${ONE},${TWO}]` })
    await until(() => ends.length === 2, 'both calls')
    call.abort()
    assert.deepEqual(await within(Promise.all(ends), 'both calls to end'), ['cut', 'cut'])
    await proxy.ended(2)
    assert.deepEqual(
      proxy.ends.map(({ outcome }) => outcome.status),
      ['aborted', 'aborted'],
    )
  })
})

describe('batches refused', () => {
  const V = 'io.modelcontextprotocol/'
  const enveloped = modern(1, 'tools/list').body
  const cases: Readonly<Record<string, readonly [string, Record<string, string>]>> = {
    'in 2025-06-18': [BATCH, { ...HEADERS, 'mcp-protocol-version': '2025-06-18' }],
    'in 2025-11-25': [BATCH, { ...HEADERS, 'mcp-protocol-version': '2025-11-25' }],
    'in 2026-07-28': [BATCH, { ...HEADERS, 'mcp-protocol-version': MODERN_VERSION }],
    'with a modern message in it': [`[${TWO},${enveloped}]`, HEADERS],
    'with half an envelope in it': [
      `[${TWO},{"jsonrpc":"2.0","id":1,"method":"x","params":{"_meta":{"${V}protocolVersion":7}}}]`,
      HEADERS,
    ],
    'with initialize in it': [`[${TWO},{"jsonrpc":"2.0","id":1,"method":"initialize"}]`, HEADERS],
    empty: ['[]', HEADERS],
    'longer than max_batch': [`[${Array(101).fill(NOTE).join()}]`, HEADERS],
    'with a trailing comma': [`[${NOTE},]`, HEADERS],
    'without an end': [`[${NOTE}`, HEADERS],
  }
  for (const [what, [body, headers]] of Object.entries(cases)) {
    test(`${what}: 400`, async t => {
      const { upstream, url } = await startPair(t, single)
      const answer = await send(t, url, { headers, body })
      const { id, error } = await answer.json()
      assert.deepEqual([answer.status, id], [400, undefined])
      assert.ok(error.code === -32600 || error.code === -32700)
      assert.equal(upstream.requests.length, 0)
    })
  }
})
