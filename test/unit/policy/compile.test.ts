import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import type { Environment } from '#api'
import { LoadError } from '../../../proxy/base/diagnostic.ts'
import { services } from '../../policies/case.ts'
import { compile, interceptor } from './kit.ts'

const quiet = interceptor('quiet', () => ({ end() {} }))

describe('compiling a policy', () => {
  it('gives every entry its environment', async () => {
    const seen: Environment[] = []
    const keys: string[] = []
    const spy = interceptor('spy', environment => {
      seen.push(environment)
      return { end() {} }
    })
    const get = (key: string): Promise<null> => {
      keys.push(key)
      return Promise.resolve(null)
    }
    const store = { ...services.store, get }
    const policy = await compile('interceptors: [spy, spy]', [spy], { services: { ...services, store } })
    assert.deepEqual(policy.table.entries, ['spy', 'spy#2'])
    assert.deepEqual(
      seen.map(environment => environment.entry),
      ['spy', 'spy#2'],
    )
    await seen[1]?.store.get('key')
    assert.deepEqual(keys, ['spy#2/key'])
    assert.deepEqual(seen[0]?.servers, ['a', 'b'])
    assert.equal(seen[0]?.accessControl, null)
    assert.equal(seen[0]?.resolve('x.json'), `${process.cwd()}/x.json`)
  })

  it('tells an entry what its match fits', async () => {
    const seen: Environment[] = []
    const spy = interceptor('spy', environment => {
      seen.push(environment)
      return { end() {} }
    })
    const match = '{ server: a, method: tools/call, name: "get_*" }'
    await compile(`interceptors: [{ use: spy, match: ${match} }, spy]`, [spy])
    const asks = [
      ['a', 'tools/call', 'get_x', 'ci'],
      ['a', 'tools/call', 'set_x', 'ci'],
      ['a', 'tools/list', '', 'ci'],
      ['b', 'tools/call', 'get_x', 'ci'],
    ] as const
    assert.deepEqual(
      asks.map(ask => seen.map(environment => environment.applies(...(ask as [string, string, string, string])))),
      [
        [true, true],
        [false, true],
        [false, true],
        [false, true],
      ],
    )
  })

  it('hands over access_control as the policy says it', async () => {
    let given: Environment['accessControl'] = null
    const access = interceptor('access', ({ accessControl }) => {
      given = accessControl
      return { request() {} }
    })
    await compile(
      `access_control:
  clients:
    ci: { allowed_servers: [a], allowed_tools: { a: [x] }, rate_limit: 100/minute, rate_limits: { requests_per_minute: 5, tokens_per_day: 9 } }
    none:
interceptors: [access]`,
      [access],
    )
    const nothing = {
      allowedServers: null,
      allowedTools: null,
      rateLimit: null,
      requestsPerMinute: null,
      tokensPerDay: null,
    }
    const ci = {
      allowedServers: ['a'],
      allowedTools: { a: ['x'] },
      rateLimit: '100/minute',
      requestsPerMinute: 5,
      tokensPerDay: 9,
    }
    const clients = new Map<string, unknown>([
      ['ci', ci],
      ['none', nothing],
    ])
    assert.deepEqual(given, { defaultPolicy: 'deny', clients })
  })

  it('awaits create, in order', async () => {
    const order: string[] = []
    const slow = interceptor('slow', () => {
      order.push('slow')
      return Promise.resolve().then(() => {
        order.push('slow is ready')
        return { end() {} }
      }) as never
    })
    const next = interceptor('next', () => {
      order.push('next')
      return { end() {} }
    })
    await compile('interceptors: [slow, next]', [slow, next])
    assert.deepEqual(order, ['slow', 'slow is ready', 'next'])
  })

  it('closes what was created when another one fails, and tells every failure', async () => {
    const closed: string[] = []
    const good = interceptor('good', ({ entry }) => ({ end() {}, close: () => void closed.push(entry) }))
    const bad = interceptor('bad', (_, options) => {
      throw new Error(`no luck with ${(options as { value: string }).value}`)
    })
    const nothing = interceptor('nothing', () => undefined as never)
    const yaml = 'interceptors:\n  - good\n  - { use: bad, options: { value: x } }\n  - good\n  - nothing\n'
    await assert.rejects(compile(yaml, [good, bad, nothing]), {
      message: [
        'test.yaml:3:5: interceptors[1]: "bad" cannot start: no luck with x',
        'test.yaml:5:5: interceptors[3]: "nothing" cannot start: create gave no hooks: expected an object',
      ].join('\n'),
    })
    assert.deepEqual(closed, ['good#2', 'good'])
  })

  it('closes what was created when a warning counts as an error', async () => {
    const closed: string[] = []
    const good = interceptor('good', ({ entry }) => ({ end() {}, close: () => void closed.push(entry) }))
    const yaml = 'interceptors:\n  - good\n  - { use: good, match: { server: nowhere } }\n'
    await assert.rejects(compile(yaml, [good], { strict: true }), LoadError)
    assert.deepEqual(closed, ['good#2', 'good'])
    assert.equal((await compile(yaml, [good])).warnings.length, 1)
  })

  it('creates nothing of a policy that has an error', async () => {
    let created = 0
    const counted = interceptor('counted', () => {
      created++
      return { end() {} }
    })
    await assert.rejects(compile('interceptors: [counted, nowhere]', [counted]), LoadError)
    assert.equal(created, 0)
  })

  it('keeps values of the environment out of the texts of others', async () => {
    const leaky = interceptor('leaky', (_, options) => {
      throw new Error(`cannot log in with ${(options as { value: string }).value}`)
    })
    const { parseYaml } = await import('../../../proxy/base/read-yaml.ts')
    const inline = [
      parseYaml('interceptors: [{ use: leaky, options: { value: "${S}" } }]', 'test.yaml', { S: 'hunter2' }),
    ]
    await assert.rejects(compile('', [leaky], { inline }), {
      message: 'test.yaml:1:16: interceptors[0]: "leaky" cannot start: cannot log in with ***',
    })
  })

  it('without any policy is pass-through', async () => {
    const { table, files } = await compile('', [quiet], { inline: [] })
    assert.equal(table.slots, 0)
    assert.deepEqual(files, [])
    const { toServer, toClient, ends } = table.find('a', 'tools/call', 'x', 'ci')
    assert.deepEqual([...Object.values(toServer), ...Object.values(toClient), ends], Array(7).fill(null))
  })
})
