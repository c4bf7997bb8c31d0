import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import { type Outcome, Verdict } from '#api'
import { jsonUpstream, MemoryUpstream, unreachable } from '../../../proxy/testing/memory-upstream.ts'
import { type Entry, memoryExchange, tableOf } from '../../helpers/memory-exchange.ts'

const CALL = '{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"echo","arguments":{"text":"x"}}}'
const LIST = '{"jsonrpc":"2.0","id":1,"method":"tools/list"}'
const NOTE = '{"jsonrpc":"2.0","method":"notifications/progress","params":{"progress":1}}'
const ANSWER = '{"jsonrpc":"2.0","id":1,"result":{"content":[]}}'

/** Entries that log what they see. */
function loggers(log: string[], names: readonly string[]): Entry[] {
  return names.map(name => ({
    hooks: {
      request: () => void log.push(`${name} request`),
      response: () => void log.push(`${name} response`),
      notification: () => void log.push(`${name} notification`),
      end: (_exchange, outcome) => void log.push(`${name} end ${outcome.status}`),
    },
  }))
}

function run(entries: readonly Entry[], body = CALL, upstream = jsonUpstream(ANSWER)) {
  const table = tableOf(entries)
  const exchange = memoryExchange(table, upstream, body)
  exchange.relay.start()
  return { ...exchange, table }
}

describe('order', () => {
  test('requests go down in file order, answers come back up, ends run once', () => {
    const log: string[] = []
    run(loggers(log, ['a', 'b', 'c']))
    assert.deepEqual(log, [
      'a request',
      'b request',
      'c request',
      'c response',
      'b response',
      'a response',
      'a end ok',
      'b end ok',
      'c end ok',
    ])
  })

  test('an answer made at depth d is seen only by the interceptors before d', () => {
    const log: string[] = []
    const [a, c] = loggers(log, ['a', 'c']) as [Entry, Entry]
    const reply: Entry = {
      hooks: { request: () => Verdict.reply({ content: [] }, 'known'), response: () => void log.push('b response') },
    }
    const { upstream, reply: client } = run([a, reply, c])
    assert.deepEqual(log, ['a request', 'a response', 'a end replied', 'c end replied'])
    assert.equal(upstream.requests.length, 0)
    assert.equal(client.text, '{"jsonrpc":"2.0","id":1,"result":{"content":[]}}')
  })

  test('a refused answer goes on up as what it was replaced by', () => {
    const seen: unknown[] = []
    const watch: Entry = { hooks: { response: message => void seen.push(message.json()) } }
    const deny: Entry = { hooks: { response: () => Verdict.deny('denied', 'not this') } }
    const { reply, relay } = run([watch, deny], LIST)
    assert.equal((seen[0] as { error: { message: string } }).error.message, 'not this')
    assert.equal(relay.tally.status, 'denied')
    assert.match(reply.text, /not this/)
  })

  test('a lone notification goes down only and may be dropped', () => {
    const log: string[] = []
    const drop: Entry = { hooks: { notification: () => Verdict.drop('enough') } }
    const { upstream, reply } = run([...loggers(log, ['a']), drop], NOTE)
    assert.deepEqual(log, ['a notification', 'a end dropped'])
    assert.equal(upstream.requests.length, 0)
    assert.equal(reply.status, 202)
    assert.equal(reply.text, '')
  })
})

describe('refusals', () => {
  test('a tools/call is refused by a result where the model can act on it, else by an error', () => {
    const invalid = run([{ hooks: { request: () => Verdict.deny('invalid_arguments', 'path is missing') } }])
    const result = JSON.parse(invalid.reply.text)
    assert.equal(result.result.isError, true)
    assert.equal(result.result.content[0].text, 'path is missing')
    const denied = run([{ hooks: { request: () => Verdict.deny('access_denied', 'Access denied: a -> b.c') } }])
    const error = JSON.parse(denied.reply.text)
    assert.equal(error.error.message, 'Access denied: a -> b.c')
    assert.equal(error.error.data.code, 'access_denied')
    assert.equal(error.error.data.source, 'interceptor')
    assert.equal(denied.reply.status, 200)
  })

  test('`answer` on the entry overrides that', () => {
    const hooks: Entry['hooks'] = { request: () => Verdict.deny('invalid_arguments', 'no') }
    assert.equal(JSON.parse(run([{ hooks, answer: 'error' }]).reply.text).error.message, 'no')
    const denied: Entry['hooks'] = { request: () => Verdict.deny('access_denied', 'no') }
    assert.equal(JSON.parse(run([{ hooks: denied, answer: 'result' }]).reply.text).result.isError, true)
  })

  test('a verdict that makes no sense counts as a failure', () => {
    const drop = run([{ hooks: { request: () => Verdict.drop('x') } }])
    assert.equal(JSON.parse(drop.reply.text).error.data.code, 'interceptor_failed')
    const nonsense = run([{ hooks: { request: () => 'yes' as never } }])
    assert.equal(JSON.parse(nonsense.reply.text).error.data.code, 'interceptor_failed')
    const open = run([{ hooks: { request: () => 'yes' as never }, onFailure: 'open' }])
    assert.equal(open.reply.text, ANSWER)
  })
})

describe('failures', () => {
  const thrower: Entry['hooks'] = {
    request: message => {
      message.edit(json => void (json['leaked'] = true))
      throw new Error('secret detail')
    },
  }

  test('a throw refuses where the entry fails closed, and its text stays here', () => {
    const { reply, upstream, relay } = run([{ hooks: thrower }])
    assert.equal(upstream.requests.length, 0)
    assert.match(reply.text, /Interceptor failed: entry-0/)
    assert.doesNotMatch(reply.text, /secret detail/)
    assert.equal(relay.exchange.verdicts?.[0]?.action, 'fail')
  })

  test('a throw lets the message go on as it was where the entry fails open', () => {
    const { upstream } = run([{ hooks: thrower, onFailure: 'open' }])
    assert.equal(Buffer.from(upstream.requests[0]?.body as Uint8Array).toString(), CALL)
  })

  test('an edit without `edits: true` is a failure', () => {
    const table = tableOf([{ hooks: { request: message => message.edit(json => void (json['x'] = 1)) } }])
    const plan = table.find('', '', '', '')
    const step = plan.toServer.request?.steps[0] as { edits: boolean }
    step.edits = false
    const exchange = memoryExchange(table, jsonUpstream(ANSWER), CALL)
    exchange.relay.start()
    assert.match(exchange.reply.text, /Interceptor failed/)
  })

  test('what nobody can reach becomes an error with the id of the request', () => {
    const { reply, relay } = run([], CALL, unreachable())
    assert.equal(reply.status, 503)
    assert.equal(JSON.parse(reply.text).id, 1)
    assert.equal(JSON.parse(reply.text).error.data.code, 'upstream_unreachable')
    assert.equal(relay.tally.status, 'failed')
  })

  test('a throwing end hook harms nobody', () => {
    const log: string[] = []
    const bad: Entry = {
      hooks: {
        end: () => {
          throw new Error('x')
        },
      },
    }
    run([bad, ...loggers(log, ['b'])])
    assert.deepEqual(log.at(-1), 'b end ok')
  })
})

describe('waiting', () => {
  test('a promise holds the exchange; the chain goes on after it', async () => {
    const log: string[] = []
    const gate = Promise.withResolvers<undefined>()
    const ended = Promise.withResolvers<Outcome>()
    const slow: Entry = { hooks: { request: () => gate.promise, end: (_x, outcome) => ended.resolve(outcome) } }
    const { upstream } = run([slow, ...loggers(log, ['b'])])
    assert.equal(upstream.requests.length, 0)
    assert.deepEqual(log, [])
    gate.resolve(undefined)
    assert.equal((await ended.promise).status, 'ok')
    assert.equal(upstream.requests.length, 1)
    assert.equal(log[0], 'b request')
  })

  test('a rejected promise and a promise that takes too long count as failures', async () => {
    for (const hook of [() => Promise.reject(new Error('x')), () => new Promise<undefined>(() => {})]) {
      const ended = Promise.withResolvers<Outcome>()
      const { reply } = run([{ hooks: { request: hook, end: (_x, outcome) => ended.resolve(outcome) }, timeoutMs: 5 }])
      assert.equal((await ended.promise).status, 'failed')
      assert.match(reply.text, /interceptor_(failed|timeout)/)
    }
  })

  test('a client that leaves while a hook waits ends the exchange; later hooks do not run', async () => {
    const log: string[] = []
    const gate = Promise.withResolvers<undefined>()
    const { relay, upstream, table } = run([{ hooks: { request: () => gate.promise } }, ...loggers(log, ['b'])])
    relay.onClose()
    gate.resolve(undefined)
    await gate.promise
    await Promise.resolve()
    assert.deepEqual(log, ['b end aborted'])
    assert.equal(upstream.requests.length, 0)
    assert.equal(table.retained, 0)
  })

  test('the signal is aborted at the end, also for one who asks late', () => {
    let signal: AbortSignal | null = null
    const { relay } = run([{ hooks: { request: (_m, exchange) => void (signal = exchange.signal) } }])
    assert.equal((signal as AbortSignal | null)?.aborted, true)
    assert.equal(run([]).relay.exchange.signal.aborted, true)
    assert.equal(relay.finished, true)
  })
})

describe('shadow', () => {
  test('an edit and a refusal are recorded and change nothing', () => {
    const shadow: Entry = {
      mode: 'shadow',
      hooks: {
        request: message => message.edit(json => void (json['x'] = 1)),
        response: () => Verdict.deny('denied', 'would refuse'),
      },
    }
    const { upstream, reply, relay } = run([shadow])
    assert.equal(Buffer.from(upstream.requests[0]?.body as Uint8Array).toString(), CALL)
    assert.equal(reply.text, ANSWER)
    const records = relay.exchange.verdicts ?? []
    assert.deepEqual(
      records.map(({ mode, action }) => `${mode} ${action}`),
      ['shadow edit', 'shadow deny'],
    )
    assert.equal(relay.tally.status, 'ok')
  })

  test('a shadow that throws or hangs holds nobody up', () => {
    const { reply } = run([
      { mode: 'shadow', hooks: { request: () => new Promise(() => {}) } },
      {
        mode: 'shadow',
        hooks: {
          request: () => {
            throw new Error('x')
          },
        },
      },
    ])
    assert.equal(reply.text, ANSWER)
  })
})

describe('state and notes', () => {
  test('each entry has its own state, made once an exchange', () => {
    let made = 0
    const seen: unknown[] = []
    const entry = (tag: string): Entry => ({
      hooks: {
        state: () => ({ tag, n: ++made }),
        request: (_m, _x, state) => void seen.push(state),
        response: (_m, _x, state) => void seen.push(state),
        end: (_x, _o, state) => void seen.push(state),
      },
    })
    run([entry('a'), entry('b')])
    assert.equal(made, 2)
    assert.deepEqual(
      seen.map(state => (state as { tag: string }).tag),
      ['a', 'b', 'b', 'a', 'a', 'b'],
    )
  })

  test('notes are bounded', () => {
    const { relay } = run([
      {
        hooks: {
          request: (_m, exchange) => {
            for (let i = 0; i < 100; i++) exchange.note(`k${i}`, i)
          },
        },
      },
    ])
    assert.equal(Object.keys(relay.exchange.notes ?? {}).length, 32)
  })
})

describe('a stream', () => {
  const stream = (...events: string[]) =>
    new MemoryUpstream(sink => {
      sink.onHead(200, ['content-type', 'text/event-stream'], 'r1')
      sink.onData(Buffer.from(events.join('')))
      sink.onEnd()
    })
  const event = (json: string, id = '') => `${id === '' ? '' : `id: ${id}\n`}data: ${json}\n\n`

  test('events that nobody edits are written as they came, in one piece', () => {
    const text = `: hello\n\n${event(NOTE, '7')}retry: 5\r\ndata:${ANSWER}\r\n\r\n`
    const { reply } = run(loggers([], ['a']), CALL, stream(text))
    assert.equal(reply.text, text)
    assert.equal(reply.chunks.length, 1)
  })

  test('a dropped notification is left out, an edited one keeps its other lines', () => {
    const entry: Entry = {
      hooks: {
        notification: message =>
          message.method === 'notifications/message'
            ? Verdict.drop('noise')
            : message.edit(json => void (json['seen'] = true)),
      },
    }
    const noise = '{"jsonrpc":"2.0","method":"notifications/message","params":{}}'
    const { reply } = run([entry], CALL, stream(event(noise), event(NOTE, '9'), event(ANSWER)))
    assert.equal(reply.text, `id: 9\ndata: ${NOTE.slice(0, -1)},"seen":true}\n\n${event(ANSWER)}`)
  })

  test('a hook that waits keeps the order and holds the server', async () => {
    const gate = Promise.withResolvers<undefined>()
    const done = Promise.withResolvers<Outcome>()
    const entry: Entry = { hooks: { notification: () => gate.promise, end: (_x, outcome) => done.resolve(outcome) } }
    const { reply, upstream } = run([entry], CALL, stream(event(NOTE), event(ANSWER)))
    assert.equal(reply.text, '')
    assert.equal(upstream.flow.paused, 1)
    gate.resolve(undefined)
    assert.equal((await done.promise).status, 'ok')
    assert.equal(reply.text, event(NOTE) + event(ANSWER))
  })

  test('an event that is no message breaks the stream off with an error', () => {
    const { reply, upstream, relay } = run(loggers([], ['a']), CALL, stream(event('{"half":')))
    assert.match(reply.text, /"code":"uninspectable"/)
    assert.equal(upstream.flow.aborted, 1)
    assert.equal(relay.tally.status, 'failed')
  })

  test('a stream without an answer ends with an error, seen or unseen', () => {
    for (const entries of [[], loggers([], ['a'])]) {
      const { reply } = run(entries, CALL, stream(event(NOTE)))
      assert.match(reply.text, /"id":1,"error":\{"code":-31042/)
      const polling = run(entries, CALL, stream(event(NOTE, 'x1')))
      assert.equal(polling.reply.text, event(NOTE, 'x1'))
    }
  })

  test('a slow client stops the server until it reads on', () => {
    for (const entries of [[], loggers([], ['a'])]) {
      const table = tableOf(entries)
      const upstream = new MemoryUpstream()
      const exchange = memoryExchange(table, upstream, CALL)
      exchange.relay.start()
      exchange.reply.accepts = false
      upstream.sink?.onHead(200, ['content-type', 'text/event-stream'], 'r1')
      upstream.sink?.onData(Buffer.from(event(NOTE)))
      assert.equal(upstream.flow.paused, 1)
      exchange.relay.onDrain()
      assert.equal(upstream.flow.resumed, 1)
    }
  })
})
