import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import { type Hook, Verdict } from '#api'
import { type HttpAnswer, send } from '../helpers/http-client.ts'
import {
  initialize,
  initializeResult,
  LEGACY_VERSION,
  legacy,
  notification,
  POST_HEADERS,
  result,
  rpc,
} from '../helpers/mcp-messages.ts'
import { interceptor, type Pair, startPair, VIEWS } from '../helpers/proxy.ts'
import { deferred, type Scope, until, within } from '../helpers/scope.ts'
import type { ScriptedStream } from '../helpers/scripted-answer.ts'
import type { RecordedRequest } from '../helpers/scripted-upstream.ts'
import { SseReader, sseEvent } from '../helpers/sse.ts'

const UPSTREAM_ID = 'upstream-1'
/** A server's own requests; their ids look like those of the client, and lose digits where one is not careful. */
const ASKED: Readonly<Record<string, readonly [id: string, params: string]>> = {
  'sampling/createMessage': ['7', '{"messages":[],"maxTokens":1.0}'],
  'elicitation/create': ['"7"', '{ "message":"\\u00e9","requestedSchema":{"type":"object","properties":{}} }'],
  'roots/list': ['9007199254740993', '{}'],
  ping: ['"s-1"', '{}'],
}

/** A legacy server with one session, which asks the client while it works on a call, or on its GET stream. */
class Asking {
  readonly pair: Pair
  readonly session: string
  readonly streams: { post: ScriptedStream | null; get: ScriptedStream | null }
  readonly posted: RecordedRequest[]

  constructor(pair: Pair, session: string, streams: Asking['streams'], posted: RecordedRequest[]) {
    this.pair = pair
    this.session = session
    this.streams = streams
    this.posted = posted
  }

  static async start(t: Scope, options: Parameters<typeof startPair>[2]): Promise<Asking> {
    const streams: Asking['streams'] = { post: null, get: null }
    const posted: RecordedRequest[] = []
    const pair = await startPair(
      t,
      async (request, answer) => {
        if (request.method === 'GET') {
          streams.get = answer.sse()
          return
        }
        const message = request.json()
        if (message.method === 'initialize')
          answer.json(initializeResult(message.id), { headers: { 'mcp-session-id': UPSTREAM_ID } })
        else if (message.method === 'tools/call') streams.post = answer.sse()
        else {
          posted.push(request)
          answer.status(202)
        }
      },
      options,
    )
    const opened = await send(t, pair.url, initialize())
    await opened.body()
    return new Asking(pair, opened.headers['mcp-session-id'] as string, streams, posted)
  }

  /** Opens the stream of a call, or the GET stream. */
  async open(t: Scope, kind: 'post' | 'get'): Promise<HttpAnswer> {
    const headers = { accept: 'text/event-stream', 'mcp-session-id': this.session }
    const options =
      kind === 'get'
        ? { method: 'GET', headers }
        : legacy(rpc(7, 'tools/call', { name: 't' }), { session: this.session })
    const answer = await send(t, this.pair.url, options)
    assert.equal(answer.status, 200)
    await until(() => this.streams[kind] !== null, 'the stream at the server')
    return answer
  }

  async answer(t: Scope, body: string): Promise<HttpAnswer> {
    const headers = { ...POST_HEADERS, 'mcp-protocol-version': LEGACY_VERSION, 'mcp-session-id': this.session }
    const answer = await send(t, this.pair.url, { headers, body })
    await answer.body()
    return answer
  }
}

for (const { view, interceptors } of VIEWS) {
  for (const kind of ['post', 'get'] as const) {
    test(`requests of the server on the ${kind.toUpperCase()} stream, and their answers: ${view}`, async t => {
      const asking = await Asking.start(t, { interceptors })
      const answer = await asking.open(t, kind)
      const reader = new SseReader(answer)
      for (const [method, [id, params]] of Object.entries(ASKED)) {
        const event = `id: ${method}\ndata: {"jsonrpc":"2.0","id":${id},"method":"${method}","params":${params}}\n\n`
        await asking.streams[kind]?.write(event)
        assert.equal((await reader.next())?.source, event)
        const body = `{"id":${id},"jsonrpc":"2.0","result":{"n":1.0,"roots":[] }}`
        const posted = await asking.answer(t, body)
        assert.deepEqual([posted.status, posted.received.length], [202, 0])
        const at = asking.posted.at(-1)
        assert.deepEqual([at?.text, at?.header('mcp-session-id')], [body, UPSTREAM_ID])
      }
      const note = sseEvent(notification('notifications/tools/list_changed'))
      await asking.streams[kind]?.write(note)
      assert.equal((await reader.next())?.source, note)
      const end = kind === 'post' ? sseEvent(result(7, {})) : ''
      asking.streams[kind]?.end(end)
      assert.ok((await answer.text()).endsWith(end))
      assert.equal(answer.complete, true)
    })
  }
}

describe('requests of the server meet the chain', () => {
  test('with method, direction and kind; the posted answers with the method they answer', async t => {
    const seen: string[] = []
    const look: Hook<unknown> = message => {
      seen.push(`${message.direction} ${message.kind} ${message.method} ${message.id}`)
      return undefined
    }
    const asking = await Asking.start(t, {
      interceptors: [interceptor('look', { request: look, response: look, notification: look })],
    })
    await asking.open(t, 'get')
    const answer = await asking.open(t, 'post')
    const reader = new SseReader(answer)
    seen.length = 0
    await asking.streams.post?.write(sseEvent(rpc(7, 'elicitation/create', { message: 'x' })))
    await reader.next()
    await asking.answer(t, JSON.stringify(result(7, { action: 'accept' })))
    await asking.streams.post?.write(sseEvent(rpc('r', 'roots/list')))
    await reader.next()
    await asking.answer(t, JSON.stringify({ jsonrpc: '2.0', id: 'r', error: { code: -1, message: 'no' } }))
    await asking.answer(t, JSON.stringify(result('never-asked', {})))
    await asking.streams.post?.write(sseEvent(notification('notifications/progress', { progress: 1 })))
    await reader.next()
    asking.streams.post?.end(sseEvent(result(7, {})))
    await answer.body()
    assert.deepEqual(seen, [
      'toClient request elicitation/create 7',
      'toServer response elicitation/create 7',
      'toClient request roots/list r',
      'toServer response roots/list r',
      'toServer response  never-asked',
      'toClient notification notifications/progress null',
      'toClient response tools/call 7',
    ])
  })

  for (const kind of ['post', 'get'] as const) {
    test(`one that is refused on the ${kind.toUpperCase()} stream is answered to the server, and the client hears nothing`, async t => {
      const hook: Hook<unknown> = message =>
        message.method === 'sampling/createMessage' ? Verdict.deny('access_denied', 'no sampling') : undefined
      const asking = await Asking.start(t, { interceptors: [interceptor('guard', { request: hook })] })
      const answer = await asking.open(t, kind)
      const before = asking.posted.length
      const after = sseEvent(notification('notifications/x'))
      await asking.streams[kind]?.write(
        `data: {"jsonrpc":"2.0","id":9007199254740993,"method":"sampling/createMessage"}\n\n${after}`,
      )
      assert.equal((await new SseReader(answer).next())?.source, after)
      await until(() => asking.posted.length > before, 'the answer to the server')
      const request = asking.posted.at(-1)
      const error = { code: -31003, message: 'no sampling', data: { source: 'interceptor', code: 'access_denied' } }
      assert.equal(request?.text, `{"jsonrpc":"2.0","id":9007199254740993,"error":${JSON.stringify(error)}}`)
      assert.equal(request?.header('mcp-session-id'), UPSTREAM_ID)
      assert.equal(request?.header('mcp-protocol-version'), kind === 'post' ? LEGACY_VERSION : undefined)
      assert.equal(request?.header('content-type'), 'application/json')
      asking.streams[kind]?.end(kind === 'post' ? sseEvent(result(7, {})) : undefined)
      await answer.body()
      const { outcome } = await asking.pair.proxy.ended(2)
      assert.equal(outcome.status, 'ok')
    })
  }

  test('one that is replied to is answered to the server', async t => {
    const hook: Hook<unknown> = message =>
      message.method === 'roots/list' ? Verdict.reply({ roots: [] }, 'none here') : undefined
    const asking = await Asking.start(t, { interceptors: [interceptor('roots', { request: hook })] })
    await asking.open(t, 'post')
    await asking.streams.post?.write(sseEvent(rpc('a', 'roots/list')))
    await until(() => asking.posted.length > 0, 'the answer to the server')
    assert.deepEqual(asking.posted[0]?.json(), result('a', { roots: [] }))
  })

  test('an answer of the client that is refused becomes an error for the server', async t => {
    const hook: Hook<unknown> = message =>
      message.direction === 'toServer' && message.method === 'elicitation/create'
        ? Verdict.deny('secret_found', 'a secret')
        : undefined
    const asking = await Asking.start(t, {
      interceptors: [interceptor('guard', { response: hook, request: () => undefined })],
    })
    const answer = await asking.open(t, 'post')
    await asking.streams.post?.write(sseEvent(rpc('e', 'elicitation/create')))
    await new SseReader(answer).next()
    const posted = await asking.answer(
      t,
      JSON.stringify(result('e', { action: 'accept', content: { key: 'hunter2' } })),
    )
    assert.equal(posted.status, 202)
    const { id, error } = asking.posted[0]?.json() ?? {}
    assert.deepEqual([id, error.code, error.message], ['e', -31023, 'a secret'])
    assert.equal(asking.posted[0]?.text.includes('hunter2'), false)
  })

  test('one may be edited, and so may its answer', async t => {
    const hook: Hook<unknown> = message => {
      if (message.method !== 'elicitation/create') return undefined
      message.edit(json => void (json['x'] = message.direction))
      return undefined
    }
    const asking = await Asking.start(t, { interceptors: [interceptor('edit', { request: hook, response: hook })] })
    const answer = await asking.open(t, 'post')
    await asking.streams.post?.write('id: 5\ndata: {"jsonrpc":"2.0", "id":1.0,"method":"elicitation/create"}\n\n')
    const event = await new SseReader(answer).next()
    assert.equal(
      event?.source,
      'id: 5\ndata: {"jsonrpc":"2.0", "id":1.0,"method":"elicitation/create","x":"toClient"}\n\n',
    )
    await asking.answer(t, '{"jsonrpc":"2.0", "id":1.0,"result":{"n":1e400}}')
    assert.equal(asking.posted[0]?.text, '{"jsonrpc":"2.0", "id":1.0,"result":{"n":1e400},"x":"toServer"}')
  })

  test('two sessions may be asked with one id', async t => {
    const seen: string[] = []
    const hook: Hook<unknown> = message => {
      if (message.direction === 'toServer') seen.push(message.method)
      return undefined
    }
    let session = 0
    const streams = new Map<string, ScriptedStream>()
    const { url } = await startPair(
      t,
      (request, answer) => {
        if (request.method === 'GET') streams.set(request.header('mcp-session-id') ?? '', answer.sse())
        else if (request.json().method !== 'initialize') answer.status(202)
        else answer.json(initializeResult(request.json().id), { headers: { 'mcp-session-id': `u-${++session}` } })
      },
      { interceptors: [interceptor('look', { response: hook, request: () => undefined })] },
    )
    const tokens: string[] = []
    for (const [i, method] of ['roots/list', 'sampling/createMessage'].entries()) {
      const opened = await send(t, url, initialize())
      await opened.body()
      tokens.push(opened.headers['mcp-session-id'] as string)
      const headers = { accept: 'text/event-stream', 'mcp-session-id': tokens[i] as string }
      const answer = await send(t, url, { method: 'GET', headers })
      await streams.get(`u-${i + 1}`)?.write(sseEvent(rpc(1, method)))
      await new SseReader(answer).next()
    }
    for (const token of tokens.reverse()) await (await send(t, url, legacy(result(1, {}), { session: token }))).body()
    assert.deepEqual(seen, ['sampling/createMessage', 'roots/list'])
  })

  test('a hook that waits on one does not hold the answers of others', async t => {
    const gate = deferred<void>()
    const waiting = deferred<void>()
    const hook: Hook<unknown> = message => {
      if (message.id !== 'slow') return undefined
      waiting.resolve()
      return gate.promise.then(() => undefined)
    }
    const asking = await Asking.start(t, { interceptors: [interceptor('slow', { request: hook })] })
    const post = await asking.open(t, 'post')
    const get = await asking.open(t, 'get')
    await asking.streams.post?.write(sseEvent(rpc('slow', 'roots/list')))
    await within(waiting.promise, 'the hook')
    await asking.streams.get?.write(sseEvent(rpc('quick', 'roots/list')))
    assert.equal((await new SseReader(get).nextMessage()).id, 'quick')
    assert.equal(post.received.length, 0)
    gate.resolve()
    assert.equal((await new SseReader(post).nextMessage()).id, 'slow')
  })
})
