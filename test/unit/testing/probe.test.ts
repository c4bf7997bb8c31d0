import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import {
  defineInterceptor,
  type Hooks,
  type InterceptorDefinition,
  type JsonObject,
  SluiceError,
  Verdict,
  z,
} from '#api'
import { probe } from '#testing'

const CALL = { method: 'tools/call', params: { name: 'echo', arguments: { text: 'hi' } } }

describe('probe: what a hook is shown', () => {
  it('fills in the frame of an object and keeps the digits of a text', async () => {
    const p = await probe(make({ request: { need: 'json' } }, { request: () => undefined }))
    const filled = await p.request(CALL)
    assert.deepEqual(filled.message.json, { jsonrpc: '2.0', id: 1, ...CALL })
    const text = '{"jsonrpc":"2.0", "id":9007199254740993,"method":"tools/call","params":{"name":"a","x":1.0}}'
    assert.equal((await p.request(text)).message.text, text)
    assert.equal((await p.request(Buffer.from(text))).message.text, text)
  })

  it('gives the envelope, the client, the session and headers', async () => {
    const seen: unknown[] = []
    const hooks: Hooks<unknown> = {
      request(message, exchange) {
        const { kind, direction, method, name, id } = message
        const { server, session, principal, startedAt } = exchange
        const headers = [exchange.header('x-team'), exchange.header('Authorization')]
        seen.push({ kind, direction, method, name, id, server, session, principal, startedAt, headers })
        return undefined
      },
    }
    const p = await probe(make({ request: { need: 'envelope' } }, hooks), { now: '2026-02-03T04:05:06Z' })
    const headers = { 'X-Team': 'blue', authorization: 'Bearer secret' }
    await p.request({ id: 'a', ...CALL }, { server: 'github', client: 'agent', session: 's1', headers })
    assert.deepEqual(seen, [
      {
        kind: 'request',
        direction: 'toServer',
        method: 'tools/call',
        name: 'echo',
        id: 'a',
        server: 'github',
        session: 's1',
        principal: { id: 'agent', via: 'api-key' },
        startedAt: Date.UTC(2026, 1, 3, 4, 5, 6),
        headers: ['blue', null],
      },
    ])
  })

  it('tells a response which request it answers', async () => {
    const seen: unknown[] = []
    const hooks: Hooks<unknown> = { response: ({ method, name, id }) => void seen.push({ method, name, id }) }
    const p = await probe(make({ response: { need: 'envelope' } }, hooks))
    await p.response({ result: {} }, { id: 'q', ...CALL })
    assert.deepEqual(seen, [{ method: 'tools/call', name: 'echo', id: 'q' }])
  })

  it('runs nothing where there is no hook, or the method or the direction is another', async () => {
    const calls = await probe(
      make({ request: { need: 'envelope', methods: ['tools/*'] } }, { request: () => undefined }),
    )
    assert.equal((await calls.request(CALL)).ran, true)
    assert.equal((await calls.request({ method: 'ping' })).ran, false)
    const definition = make({ request: { need: 'envelope', directions: ['toClient'] } }, { request: () => undefined })
    const p = await probe(definition)
    assert.equal((await p.request(CALL)).ran, false)
    assert.equal((await p.response({ result: {} }, CALL)).ran, false)
    const sampling = { id: 7, method: 'sampling/createMessage', params: {} }
    assert.equal((await p.exchange(CALL).request(sampling, 'toClient')).ran, true)
  })

  it('refuses what is not one message of the kind', async () => {
    const p = await probe(make({}, {}))
    await assert.rejects(
      p.request('{"jsonrpc":"2.0","method":"notifications/x"}'),
      /this is a notification, not a request/,
    )
    await assert.rejects(p.request('{"jsonrpc":"2.0","id":1,"method":"a","Method":"b"}'), /not a JSON-RPC message: /)
    await assert.rejects(p.request('{'), /not a JSON-RPC message: /)
  })
})

describe('probe: the declared look', () => {
  it('holds an envelope look to the envelope', async () => {
    for (const read of ['bytes', 'json'] as const) {
      const p = await probe(make({ request: { need: 'envelope' } }, { request: message => void message[read]() }))
      await assert.rejects(
        p.request(CALL),
        new RegExp(`${read}\\(\\): .* need: 'envelope'; declare .* need: '${read}'`),
      )
    }
  })

  it('holds a bytes look to bytes', async () => {
    const hooks: Hooks<unknown> = { request: message => void [message.bytes(), message.json()] }
    const p = await probe(make({ request: { need: 'bytes' } }, hooks))
    await assert.rejects(p.request(CALL), /json\(\): .* need: 'bytes'/)
  })

  it('refuses an edit that was not declared', async () => {
    const hooks: Hooks<unknown> = { request: message => message.edit(() => undefined) as undefined }
    await assert.rejects((await probe(make({ request: { need: 'json' } }, hooks))).request(CALL), /edits: true/)
  })

  it('edits one field and leaves the source text of the others', async () => {
    const hooks: Hooks<unknown> = {
      response(message) {
        message.edit(json => {
          ;(json['result'] as JsonObject)['a'] = 'changed'
        })
        return undefined
      },
    }
    const p = await probe(make({ response: { need: 'json', edits: true } }, hooks))
    const answer = '{"jsonrpc":"2.0","id":1,"result":{"a":"x", "b":9007199254740993, "c":1.0}}'
    const seen = await p.response(answer, CALL)
    assert.equal(seen.edited, true)
    assert.equal(seen.message.text, answer.replace('"x"', '"changed"'))
    assert.deepEqual((seen.message.json['result'] as JsonObject)['a'], 'changed')
  })

  it('keeps to the size limit: skip where it fails open, deny where it fails closed', async () => {
    const looks = { request: { need: 'json', maxBytes: 50 } } as const
    const open = await probe(make(looks, { request: () => Verdict.deny('denied', 'no') }, { onFailure: 'open' }))
    const skipped = await open.request(CALL)
    assert.deepEqual([skipped.ran, skipped.verdict], [false, undefined])
    const closed = await probe(make(looks, { request: () => undefined }))
    const denied = await closed.request(CALL)
    assert.deepEqual([denied.ran, denied.verdict?.code], [false, 'message_too_large'])
  })

  it('refuses a hook without a look, as a policy does', async () => {
    await assert.rejects(probe(make({}, { request: () => undefined })), /has a request hook but no looks\.request/)
  })
})

describe('probe: failures', () => {
  it('shows the test the error that a hook threw', async () => {
    const broken = new RangeError('broken')
    const throwing: Hooks<unknown> = {
      request() {
        throw broken
      },
    }
    await assert.rejects((await probe(make(ENVELOPE, throwing))).request(CALL), broken)
    const rejecting: Hooks<unknown> = { request: () => Promise.reject(broken) }
    await assert.rejects((await probe(make(ENVELOPE, rejecting))).request(CALL), broken)
  })

  it('or what the proxy would do', async () => {
    const throwing: Hooks<unknown> = { request: () => Promise.reject(new Error('broken')) }
    const closed = await probe(make(ENVELOPE, throwing), { failures: 'verdict' })
    assert.equal((await closed.request(CALL)).verdict?.code, 'interceptor_failed')
    const open = await probe(make(ENVELOPE, throwing), { failures: 'verdict', onFailure: 'open' })
    assert.equal((await open.request(CALL)).verdict, undefined)
  })

  it('ends a hook that takes too long', async () => {
    const p = await probe(make(ENVELOPE, { request: () => new Promise(() => undefined) }, { timeoutMs: 5 }))
    await assert.rejects(p.request(CALL), (error: unknown) => {
      assert.ok(error instanceof SluiceError)
      assert.equal(error.code, 'interceptor_timeout')
      assert.match(error.message, /the request hook of sample gave no answer within 5 ms/)
      return true
    })
  })

  it('refuses a verdict that makes no sense', async () => {
    const p = await probe(make(ENVELOPE, { request: () => Verdict.drop('no') }))
    await assert.rejects(p.request(CALL), /answered a request with Verdict\.drop/)
    const wrong = await probe(make(ENVELOPE, { request: () => true as unknown as undefined }))
    await assert.rejects(wrong.request(CALL), /answered a request with boolean/)
  })
})

describe('probe: options and environment', () => {
  it('checks options as a policy does', async () => {
    const definition = make({}, {}, { options: z.object({ limit: z.number().default(3) }) })
    await assert.rejects(probe(definition, { options: { limit: 'x' } }), /sample: options\.limit: .*number/)
    await assert.rejects(probe(definition, { options: { limt: 1 } }), /limt/)
    await probe(definition)
    await assert.rejects(probe({} as never), /defineInterceptor/)
  })

  it('offers clock, store, log, servers, tools and access control', async () => {
    let created: unknown
    const definition = defineInterceptor({
      name: 'sample',
      summary: 'A sample.',
      options: z.object({}),
      looks: {},
      onFailure: 'closed',
      create(_, environment) {
        environment.logger.warn({ a: 1 }, 'created')
        const rules = environment.accessControl?.clients.get('agent')
        created = { servers: environment.servers, rules, tool: environment.tools('demo')?.get('echo') }
        return {}
      },
    })
    const p = await probe(definition, {
      servers: ['demo', 'other'],
      tools: { demo: [{ name: 'echo' }] },
      accessControl: { clients: { agent: { allowedServers: ['demo'] } } },
    })
    const none = { allowedTools: null, rateLimit: null, requestsPerMinute: null, tokensPerDay: null }
    const rules = { allowedServers: ['demo'], ...none }
    assert.deepEqual(created, { servers: ['demo', 'other'], rules, tool: { name: 'echo' } })
    assert.deepEqual(p.logs, [{ level: 'warn', fields: { a: 1 }, text: 'created' }])
  })

  it('has a store that forgets by the clock of the test', async () => {
    const p = await probe(make({}, {}))
    const { store } = p.environment
    await store.set('k', Buffer.from('v'), 1000)
    assert.equal(await store.increment('n', 2, 1000), 2)
    p.clock.advance(999)
    assert.equal(Buffer.from((await store.get('k')) ?? []).toString(), 'v')
    assert.equal(await store.increment('n', 3, 1000), 5)
    p.clock.advance(1)
    assert.equal(await store.get('k'), null)
    assert.equal(await store.increment('n', 1, 1000), 1, 'a counter lives from its first use')
  })
})

describe('probe: an exchange of several messages', () => {
  it('keeps state and notes, and ends once', async () => {
    const ends: unknown[] = []
    const hooks: Hooks<{ count: number }> = {
      state: () => ({ count: 0 }),
      request: (_, exchange, state) => void exchange.note('requests', ++state.count),
      notification: (_, __, state) => void state.count++,
      response: (_, exchange, state) => void exchange.note('seen', ++state.count),
      end: (exchange, outcome, state) => void ends.push([exchange.id, outcome.status, outcome.notes, state.count]),
    }
    const looks = { request: ENVELOPE.request, response: ENVELOPE.request, notification: ENVELOPE.request }
    const p = await probe(make(looks, hooks as Hooks<unknown>))
    const x = p.exchange(CALL)
    await x.request()
    await x.notification({ method: 'notifications/progress', params: { progressToken: 1, progress: 1 } })
    assert.deepEqual((await x.response({ result: {} })).notes, { requests: 1, seen: 3 })
    const { signal } = x.live
    assert.equal(signal.aborted, false)
    x.end()
    assert.equal(signal.aborted, true)
    assert.deepEqual(ends, [[x.live.id, 'ok', { requests: 1, seen: 3 }, 3]])
    assert.throws(() => x.end(), /exactly once/)
    await assert.rejects(x.response({ result: {} }), /has ended/)
  })

  it('makes the outcome of what was decided, unless told otherwise', async () => {
    const p = await probe(make(ENVELOPE, { request: () => Verdict.deny('rate_limited', 'slow down') }))
    const x = p.exchange(CALL)
    await x.request()
    const { status, code, reason } = x.end()
    assert.deepEqual({ status, code, reason }, { status: 'denied', code: 'rate_limited', reason: 'slow down' })
    assert.equal(p.exchange(CALL).end({ status: 'aborted' }).status, 'aborted')
  })

  it('answers calls of the interceptor', async () => {
    const hooks: Hooks<unknown> = {
      async request(_, exchange) {
        const answer = await exchange.call({ jsonrpc: '2.0', method: 'tools/list' })
        return Verdict.reply(answer.json()['result'] as JsonObject, 'asked first')
      },
    }
    const p = await probe(make(ENVELOPE, hooks), { call: ({ method }) => ({ result: { asked: method ?? null } }) })
    assert.deepEqual((await p.request(CALL)).verdict?.result, { asked: 'tools/list' })
    await assert.rejects((await probe(make(ENVELOPE, hooks))).request(CALL), /give probe\(\) a "call" option/)
  })
})

const ENVELOPE = { request: { need: 'envelope' } } as const

function make(
  looks: InterceptorDefinition<unknown, unknown>['looks'],
  hooks: Hooks<unknown>,
  more: Partial<InterceptorDefinition<unknown, unknown>> = {},
) {
  return defineInterceptor<unknown, unknown>({
    name: 'sample',
    summary: 'A sample.',
    options: z.object({}),
    looks,
    onFailure: 'closed',
    create: () => hooks,
    ...more,
  })
}
