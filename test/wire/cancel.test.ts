import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import { type ErrorCode, type Outcome, type OutcomeStatus, Verdict } from '#api'
import { begin, type SendOptions, send } from '../helpers/http-client.ts'
import { error, legacy, modern, notification, result, rpc } from '../helpers/mcp-messages.ts'
import { interceptor, type Pair, startPair, VIEWS } from '../helpers/proxy.ts'
import { deferred, type Scope, within } from '../helpers/scope.ts'
import type { StreamEnd } from '../helpers/scripted-answer.ts'
import type { Script } from '../helpers/scripted-upstream.ts'
import { sseEvent } from '../helpers/sse.ts'

const ERAS = {
  modern: (id: number, name = 't') => modern(id, 'tools/call', { name }),
  legacy: (id: number, name = 't') => legacy(rpc(id, 'tools/call', { name })),
} as const

for (const { view, interceptors } of VIEWS) {
  for (const [era, call] of Object.entries(ERAS)) {
    describe(`cancel, ${era}: ${view}`, () => {
      test('a client that leaves in mid-stream ends exactly its own call', async t => {
        const ends = new Map<number, Promise<StreamEnd>>()
        const finish = deferred<void>()
        const script: Script = async (request, answer) => {
          const { id } = request.json()
          const stream = answer.sse()
          ends.set(id, stream.closed)
          await stream.write(sseEvent(notification('notifications/progress', { progressToken: id, progress: 1 })))
          await finish.promise
          stream.end(sseEvent(result(id, {})))
        }
        const { upstream, proxy, url } = await startPair(t, script, { interceptors })
        const [leaving, staying] = [await send(t, url, call(1)), await send(t, url, call(2))]
        await leaving.sees('progress')
        await staying.sees('progress')
        leaving.destroy()
        assert.equal(await within(ends.get(1) as Promise<StreamEnd>, 'the end of the call upstream'), 'cut')
        const { outcome } = await proxy.ended(1)
        assert.equal(outcome.status, 'aborted')
        finish.resolve()
        assert.ok((await staying.text()).endsWith(sseEvent(result(2, {}))))
        assert.equal(await ends.get(2), 'ended')
        assert.equal((await proxy.ended(2)).outcome.status, 'ok')
        assert.equal(upstream.requests.length, 2)
      })

      test('a client that leaves before the answer ends exactly its own call', async t => {
        const finish = deferred<void>()
        const ends = new Map<number, Promise<StreamEnd>>()
        const script: Script = async (request, answer) => {
          const { id } = request.json()
          ends.set(id, answer.closed)
          await finish.promise
          if (!answer.isClosed) answer.json(result(id, {}))
        }
        const { upstream, proxy, url } = await startPair(t, script, { interceptors })
        const [leaving, staying] = [begin(t, url, call(1)), begin(t, url, call(2))]
        await upstream.received(2)
        leaving.abort()
        assert.equal(await within(ends.get(1) as Promise<StreamEnd>, 'the end of the call upstream'), 'cut')
        assert.equal((await proxy.ended(1)).outcome.status, 'aborted')
        finish.resolve()
        assert.equal(await (await staying.answer).text(), JSON.stringify(result(2, {})))
        assert.equal(upstream.requests.length, 2)
      })

      test('a client that leaves in the middle of a JSON answer ends its call', async t => {
        const cut = deferred<StreamEnd>()
        const script: Script = async (_, answer) => {
          const stream = answer.stream(200, { 'content-type': 'application/json' })
          await stream.write('{"jsonrpc":"2.0",')
          cut.resolve(await stream.closed)
        }
        const { upstream, proxy, url } = await startPair(t, script, { interceptors })
        const call1 = begin(t, url, call(1))
        await upstream.received(1)
        if (interceptors.length === 0) await (await call1.answer).sees('jsonrpc')
        call1.abort()
        assert.equal(await within(cut.promise, 'the end of the call upstream'), 'cut')
        assert.equal((await proxy.ended(1)).outcome.status, 'aborted')
      })

      test('nothing is invented: a disconnect makes no message', async t => {
        const script: Script = (request, answer) => {
          if (request.json().id === 1) answer.hang()
          else answer.json(result(request.json().id, {}))
        }
        const { upstream, proxy, url } = await startPair(t, script, { interceptors })
        const leaving = begin(t, url, call(1))
        await upstream.received(1)
        leaving.abort()
        await proxy.ended(1)
        await (await send(t, url, call(2))).body()
        assert.deepEqual(
          upstream.requests.map(request => [request.method, request.json().id]),
          [
            ['POST', 1],
            ['POST', 2],
          ],
        )
      })
    })
  }

  describe(`cancel: ${view}`, () => {
    test('notifications/cancelled passes with the bytes of its id', async t => {
      const { upstream, url } = await startPair(t, (_, answer) => answer.status(202), { interceptors })
      for (const id of ['9007199254740993', '"1"', '1.0', String.raw`"\u0041"`]) {
        const body = `{"jsonrpc":"2.0","method":"notifications/cancelled","params":{"requestId":${id},"reason":"no"}}`
        const answer = await send(t, url, { headers: legacy({}).headers, body })
        assert.deepEqual([answer.status, await answer.text()], [202, ''])
        assert.equal((await upstream.next()).text, body)
      }
    })

    test('a client that leaves its GET stream closes it at the server', async t => {
      const cut = deferred<StreamEnd>()
      const script: Script = async (_, answer) => cut.resolve(await answer.sse().closed)
      const { upstream, url } = await startPair(t, script, { interceptors })
      const answer = await send(t, url, { method: 'GET', headers: { accept: 'text/event-stream' } })
      assert.equal(answer.status, 200)
      answer.destroy()
      assert.equal(await within(cut.promise, 'the end of the stream upstream'), 'cut')
      assert.equal(upstream.requests.length, 1)
    })
  })
}

/** What a client sends, what happens to it, and how the exchange must end. */
interface Scenario {
  readonly request?: SendOptions
  readonly script?: Script
  /** What the entry `judge` does with the client's message. */
  readonly verdict?: () => Verdict | Promise<undefined> | undefined
  readonly status: OutcomeStatus
  readonly code?: ErrorCode | null
  /** Plays the client; default: reads the whole answer, whatever it is. */
  readonly play?: (scope: Scope, pair: Pair, request: SendOptions) => Promise<void>
}

const CALL = legacy(rpc(7, 'tools/call', { name: 't' }))
const NOTE = legacy(notification('notifications/initialized'))
const hang: Script = (_, answer) => answer.hang()

const leaveWaiting: Scenario['play'] = async (scope, { upstream, url }, request) => {
  const call = begin(scope, url, request)
  await upstream.received(1)
  call.abort()
}

const leaveReading: Scenario['play'] = async (scope, { url }, request) => {
  const answer = await send(scope, url, request)
  await answer.next()
  answer.destroy()
}

const SCENARIOS: Readonly<Record<string, Scenario>> = {
  'a JSON result': { status: 'ok' },
  'a result by events': { script: (_, answer) => answer.events([sseEvent(result(7, {}))]), status: 'ok' },
  'a notification': { request: NOTE, status: 'ok' },
  'a tool that failed': { script: (_, answer) => answer.json(result(7, { isError: true })), status: 'tool_error' },
  'a tool that failed by events': {
    script: (_, answer) => answer.events([sseEvent(result(7, { isError: true }))]),
    status: 'tool_error',
  },
  'a JSON-RPC error': { script: (_, answer) => answer.json(error(7, -32602, 'no')), status: 'error' },
  'a JSON-RPC error by events': {
    script: (_, answer) => answer.events([sseEvent(error(7, -1, 'no'))]),
    status: 'error',
  },
  'an HTTP error': { script: (_, answer) => answer.json(error(7, -32601, 'no'), { status: 404 }), status: 'error' },
  'a refusal': { verdict: () => Verdict.deny('denied', 'no'), status: 'denied', code: 'denied' },
  'a reply': { verdict: () => Verdict.reply({}, 'cached'), status: 'replied' },
  'a notification dropped': { request: NOTE, verdict: () => Verdict.drop('no'), status: 'dropped' },
  'a notification denied': {
    request: NOTE,
    verdict: () => Verdict.deny('denied', 'no'),
    status: 'denied',
    code: 'denied',
  },
  'an interceptor that throws': {
    verdict: () => {
      throw new Error('broken')
    },
    status: 'failed',
    code: 'interceptor_failed',
  },
  'an interceptor that takes too long': {
    verdict: () => new Promise<undefined>(() => {}),
    status: 'failed',
    code: 'interceptor_timeout',
  },
  'a server that dies before its answer': {
    script: (_, answer) => answer.reset(),
    status: 'failed',
    code: 'upstream_broken',
  },
  'a server that dies in a JSON answer': {
    script: async (_, answer) => {
      const stream = answer.stream(200, { 'content-type': 'application/json', 'content-length': '100' })
      await stream.write('{"jsonrpc"')
      stream.destroy()
    },
    status: 'failed',
    code: 'upstream_broken',
  },
  'a server that dies in its stream': {
    script: async (_, answer) => {
      const stream = answer.sse()
      await stream.write('data: {"jsonrpc"')
      stream.destroy()
    },
    status: 'failed',
    code: 'upstream_broken',
  },
  'a stream without an answer': {
    script: (_, answer) => answer.events([': nothing\n\n']),
    status: 'failed',
    code: 'upstream_broken',
  },
  'an empty answer': { script: (_, answer) => answer.status(202), status: 'failed', code: 'upstream_empty' },
  'a client that leaves while the server thinks': { script: hang, play: leaveWaiting, status: 'aborted' },
  'a client that leaves in mid-stream': {
    script: async (_, answer) => {
      const stream = answer.sse()
      await stream.write(': hello\n\n')
      await stream.closed
    },
    play: leaveReading,
    status: 'aborted',
  },
  'a GET stream that the client leaves': {
    request: { method: 'GET', headers: { accept: 'text/event-stream' } },
    script: async (_, answer) => {
      const stream = answer.sse()
      await stream.write(': hello\n\n')
      await stream.closed
    },
    play: leaveReading,
    status: 'aborted',
  },
  'a GET stream that the server closes': {
    request: { method: 'GET', headers: { accept: 'text/event-stream' } },
    script: (_, answer) => answer.events([': hello\n\n']),
    status: 'ok',
  },
  'a session closed': { request: { method: 'DELETE', headers: {} }, status: 'error' },
}

async function readAll(scope: Scope, { url }: Pair, request: SendOptions): Promise<void> {
  await (await send(scope, url, request)).body()
}

describe('the end of an exchange', () => {
  for (const looked of [true, false]) {
    for (const [name, scenario] of Object.entries(SCENARIOS)) {
      if (!looked && scenario.verdict !== undefined) continue
      test(`comes exactly once: ${name}${looked ? '' : ', unseen'}`, async t => {
        const outcomes: Outcome[] = []
        const closed = deferred<void>()
        const { verdict } = scenario
        const judge = interceptor(
          'judge',
          {
            ...(looked && {
              request: ({ method }) => (method === 'ping' ? undefined : verdict?.()),
              response: () => undefined,
              notification: () => verdict?.(),
            }),
            end: (exchange, outcome) => void (exchange.method !== 'ping' && outcomes.push(outcome)),
            close: () => closed.resolve(),
          },
          { timeoutMs: 50 },
        )
        const pair = await startPair(t, scenario.script ?? {}, { interceptors: [judge] })
        const { upstream, proxy, url } = pair
        await (scenario.play ?? readAll)(t, pair, scenario.request ?? CALL)
        const { outcome } = await proxy.ended(1)
        // Another exchange goes through meanwhile, so that a second end would have come by now.
        upstream.script = (request, answer) => answer.json(result(request.json().id, {}))
        await (await send(t, url, legacy(rpc(8, 'ping')))).body()
        await proxy.ended(2)
        assert.equal(proxy.ends.length, 2)
        assert.deepEqual(outcomes, [outcome])
        assert.equal(outcome.status, scenario.status)
        if (scenario.code !== undefined) assert.equal(outcome.code, scenario.code)
        // No exchange holds on to its policy: the replaced one closes.
        assert.equal(await proxy.sluice.reloadPolicy(), true)
        await within(closed.promise, 'the replaced policy to close')
      })
    }
  }

  test('comes for a client that leaves while a hook waits; nothing is sent then', async t => {
    const gate = deferred<void>()
    const waiting = deferred<void>()
    const ends: Outcome[] = []
    const slow = interceptor('slow', {
      request: message => {
        if (message.id !== 1) return undefined
        waiting.resolve()
        return gate.promise.then(() => undefined)
      },
      end: (_, outcome) => void ends.push(outcome),
    })
    const { upstream, proxy, url } = await startPair(t, {}, { interceptors: [slow] })
    const call = begin(t, url, legacy(rpc(1, 'tools/call', { name: 't' })))
    await within(waiting.promise, 'the hook')
    call.abort()
    assert.equal((await proxy.ended(1)).outcome.status, 'aborted')
    gate.resolve()
    await (await send(t, url, legacy(rpc(2, 'ping')))).body()
    await proxy.ended(2)
    assert.deepEqual(
      ends.map(({ status }) => status),
      ['aborted', 'ok'],
    )
    assert.deepEqual(
      upstream.requests.map(request => request.json().id),
      [2],
    )
  })

  test("aborts the exchange's signal", async t => {
    const aborted = deferred<void>()
    const hook = interceptor('signal', {
      request: (_, exchange) => void exchange.signal.addEventListener('abort', () => aborted.resolve()) as undefined,
    })
    const { upstream, url } = await startPair(t, hang, { interceptors: [hook] })
    const call = begin(t, url, CALL)
    await upstream.received(1)
    call.abort()
    await within(aborted.promise, 'the signal')
  })
})
