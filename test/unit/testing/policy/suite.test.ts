import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { defineInterceptor, type JsonObject, Verdict, z } from '#api'
import access from '../../../../interceptors/access/access.ts'
import { LoadError } from '../../../../proxy/base/diagnostic.ts'
import { parseYaml } from '../../../../proxy/base/read-yaml.ts'
import { Registry } from '../../../../proxy/policy/registry.ts'
import { policySchema } from '../../../../proxy/policy/schema.ts'
import { runSuite, type SuiteResult } from '../../../../proxy/testing/policy/suite.ts'

/** Does as its options say: one interceptor for all that a test can look at. */
const puppet = defineInterceptor({
  name: 'puppet',
  summary: 'Does as it is told.',
  options: z.object({ act: z.string().default('nothing') }),
  looks: {
    request: { need: 'json', edits: true },
    response: { need: 'json', edits: true, directions: ['toClient'] },
    notification: { need: 'json', edits: true },
  },
  onFailure: 'closed',
  create({ act }, { clock, store, rehearsal, tools }) {
    return {
      async request(message, exchange) {
        if (act === 'count') {
          const used = await store.increment(exchange.principal.id, 1, 60_000)
          return used > 3 ? Verdict.deny('rate_limited', `more than 3 a minute: ${used}`) : undefined
        }
        if (act === 'rename') message.edit(json => void ((json['params'] as JsonObject)['name'] = 'other'))
        if (act === 'reply') return Verdict.reply({ from: 'here' }, 'known already')
        if (act === 'throw') throw new Error('line 3: no such thing')
        if (act === 'call') {
          const answer = await exchange.call({ method: 'tools/list' })
          exchange.note('tools', JSON.stringify(answer.json()['result']))
        }
        if (act === 'clock') exchange.note('now', new Date(clock.now()).toISOString())
        if (act === 'header')
          exchange.note('header', `${exchange.header('X-Team')} ${exchange.header('Authorization')}`)
        if (act === 'tools') exchange.note('known', tools(exchange.server)?.size ?? 0)
        return undefined
      },
      response(message) {
        if (act === 'answer') message.edit(json => void ((json['result'] as JsonObject)['seen'] = true))
        return act === 'refuse' ? Verdict.deny('secret_found', 'a secret') : undefined
      },
      notification(message) {
        if (act === 'drop' || message.method === 'notifications/message') return Verdict.drop('not wanted')
        return undefined
      },
      end: exchange => rehearsal?.record(`{"client":"${exchange.principal.id}"}\n`),
    }
  },
})

const registry = Registry.of([access, puppet])

async function run(policy: string, tests: string, servers: string[] = []): Promise<SuiteResult> {
  const source = parseYaml(`${policy}\ntests:\n${tests}`, 'policy.yaml', {})
  assert.deepEqual(source.diagnostics, [])
  const raw = policySchema.parse(source.value)
  const suite = { label: 'policy.yaml', files: [], inline: [source], servers, registry, env: {} }
  return runSuite({ ...suite, sources: [{ source, tests: raw.tests ?? [] }] })
}

const acting = (act: string): string => `interceptors: [{ use: puppet, options: { act: ${act} } }]`

/** One test of one policy: its differences as text; none = it passed. */
async function differences(policy: string, test: string, servers: string[] = []): Promise<string[]> {
  const { results } = await run(policy, `  - name: it\n    ${test}`, servers)
  return results.flatMap(result => [
    ...result.differences.map(({ place, expected, actual }) => `${place.text}: ${expected} | ${actual}`),
    ...(result.ok ? [] : result.remarks),
  ])
}

describe('a test of a policy', () => {
  const passing: [what: string, policy: string, test: string][] = [
    ['what goes through', acting('nothing'), '{ when: { call: a }, then: allowed }'],
    [
      'the arguments the server gets',
      acting('nothing'),
      '{ when: { call: a, arguments: { n: 1 } }, then: { arguments: { $exactly: { n: 1 } } } }',
    ],
    ['another tool than asked for', acting('rename'), '{ when: { call: a }, then: { call: other } }'],
    [
      'the answer the client gets',
      acting('answer'),
      '{ when: { call: a, result: { x: 1 } }, then: { result: { x: 1, seen: true } } }',
    ],
    [
      "the server's error",
      acting('nothing'),
      '{ when: { call: a, error: { code: -1, message: no } }, then: { allowed: true, error: { code: -1 } } }',
    ],
    [
      'an answer from here',
      acting('reply'),
      '{ when: { call: a }, then: { replied: known already, server_asked: false, result: { from: here } } }',
    ],
    [
      'a refused answer',
      acting('refuse'),
      '{ when: { call: a }, then: { denied: a secret, code: secret_found, server_asked: true, by: puppet } }',
    ],
    [
      'a failure',
      acting('throw'),
      '{ when: { call: a }, then: { failed: "Interceptor failed: puppet", code: interceptor_failed } }',
    ],
    [
      'a dropped notification',
      acting('drop'),
      '{ when: { method: notifications/cancelled, params: { requestId: 1 } }, then: { dropped: true, server_asked: false } }',
    ],
    [
      'a notification that goes on',
      acting('nothing'),
      '{ when: { method: notifications/cancelled, params: { requestId: 1 } }, then: { allowed: true, http_status: 202 } }',
    ],
    [
      'events of the server',
      acting('nothing'),
      '{ when: { call: a, events: [{ method: notifications/progress, params: { progress: 1 } }, { method: notifications/message, params: {} }] }, then: { events: [{ method: notifications/progress }], result: { $any: true } } }',
    ],
    [
      'its own calls, answered by tools',
      acting('call'),
      '{ when: { call: a, tools: [{ name: t }] }, then: { call: a, notes: { tools: \'{"tools":[{"name":"t"}]}\' } } }',
    ],
    [
      'the time',
      acting('clock'),
      '{ now: 2026-03-01T08:00:00Z, when: { call: a }, then: { notes: { now: "2026-03-01T08:00:00.000Z" } } }',
    ],
    [
      'headers, and no credentials',
      acting('header'),
      '{ when: { call: a, headers: { X-Team: ops, Authorization: Bearer x } }, then: { notes: { header: ops null } } }',
    ],
    ['what is written', acting('nothing'), '{ when: { client: agent, call: a }, then: { audit: { client: agent } } }'],
    [
      'long texts',
      acting('nothing'),
      '{ when: { call: a, arguments: { s: { $repeat: ab, times: 3 } }, result: { l: [{ $repeat: c, times: 2 }] } }, then: { arguments: { s: ababab }, result: { l: [cc] } } }',
    ],
    [
      'a recorded message',
      acting('nothing'),
      `{ when: { message: '{"jsonrpc":"2.0","id":"x","method":"ping"}' }, then: allowed }`,
    ],
    [
      "a client's answer",
      acting('nothing'),
      '{ when: { message: { id: 7, result: {} }, answers: sampling/createMessage }, then: allowed }',
    ],
    [
      'steps that share a store and a clock',
      acting('count'),
      '{ when: { client: a, call: t }, steps: [{ times: 3, then: allowed }, { then: { denied: { $contains: more than 3 } } }, { after: 1m, then: allowed }] }',
    ],
    [
      'a step with a message of its own',
      acting('nothing'),
      '{ when: { call: t, arguments: { a: 1 } }, steps: [{ then: { call: t } }, { when: { method: ping }, then: { call: { $absent: true } } }] }',
    ],
    [
      'tools learned in an earlier step',
      acting('tools'),
      '{ steps: [{ when: { method: tools/list, result: { tools: [{ name: a }, { name: b }] } }, then: allowed }, { when: { call: a }, then: { notes: { known: 2 } } }] }',
    ],
  ]
  for (const [what, policy, test] of passing) {
    it(`sees ${what}`, async () => assert.deepEqual(await differences(policy, `<<: ${test}`), []))
  }

  it('begins with a fresh store each time', async () => {
    const test = '  - { name: NAME, when: { call: t }, steps: [{ times: 3, then: allowed }] }'
    const { results } = await run(acting('count'), `${test.replace('NAME', 'one')}\n${test.replace('NAME', 'two')}`)
    assert.deepEqual(
      results.map(result => result.ok),
      [true, true],
    )
  })

  it('tells what was expected, what came, and why', async () => {
    assert.deepEqual(await differences(acting('throw'), '<<: { when: { call: a }, then: allowed }'), [
      'then: allowed | failed by puppet: Interceptor failed: puppet',
      'interceptor failed (puppet): Error: line 3: no such thing',
    ])
    assert.deepEqual(
      await differences(acting('count'), '<<: { when: { call: a }, steps: [{ times: 9, then: allowed }] }'),
      [
        'then: allowed | denied by puppet: more than 3 a minute: 4',
        'step 1, time 4 of 9: denied by puppet: more than 3 a minute: 4',
      ],
    )
  })

  it('points at the value that differs', async () => {
    const { results } = await run(
      acting('nothing'),
      '  - name: it\n    when: { call: a }\n    then:\n      allowed: true\n      arguments:\n        n: 2',
    )
    assert.deepEqual(results[0]?.differences[0]?.place, {
      file: 'policy.yaml',
      line: 8,
      column: 12,
      severity: 'error',
      text: 'then.arguments.n',
    })
  })
})

describe('a test that makes no sense', () => {
  const wrong: [test: string, message: RegExp][] = [
    [
      '<<: { when: { call: a, server: gitub }, then: allowed }',
      /policy\.yaml:\d+:\d+: tests\[0\]\.when\.server: no such server, did you mean "github"\?/,
    ],
    ['<<: { when: { message: \'{"id":1}\' }, then: allowed }', /when: not a JSON-RPC message/],
    ['<<: { when: { call: a }, then: { result: { $has: 1 } } }', /then: unknown operator "\$has"/],
    [
      '<<: { when: { call: a, result: { x: { $repeat: y } } }, then: allowed }',
      /expected \{ \$repeat: TEXT, times: NUMBER \}/,
    ],
    ['<<: { when: { message_file: not-there.json }, then: allowed }', /not-there\.json: ENOENT/],
  ]
  for (const [test, message] of wrong) {
    it(test, async () => {
      await assert.rejects(differences(acting('nothing'), test, ['github', 'other']), (error: Error) => {
        assert.ok(error instanceof LoadError)
        assert.match(error.message, message)
        return true
      })
    })
  }
})

describe('coverage', () => {
  const POLICY = `access_control:
  clients:
    agent: {}
    other: {}
    '*': {}
interceptors:
  - access
  - { use: puppet, match: { method: ping } }
  - { use: puppet, mode: off }`

  async function missing(tests: string): Promise<string[]> {
    const { coverage } = await run(POLICY, tests)
    return coverage.missing.map(({ line, text }) => `${line} ${text}`)
  }

  it('lists the entries and clients that no test made run', async () => {
    assert.deepEqual(await missing('  - { name: a, when: { client: agent, call: x }, then: { denied: true } }'), [
      '4 access_control.clients.other: client "other"',
      '5 access_control.clients[\'*\']: client "*"'.replaceAll("'", '').replace('[*]', '.*'),
      '8 interceptors[1]: "puppet"',
    ])
  })

  it('counts a client that is not named for *, and an entry that was reached', async () => {
    const tests = ['agent', 'other', 'stranger'].map(
      client => `  - { name: ${client}, when: { client: ${client}, method: ping }, then: { denied: true } }`,
    )
    assert.deepEqual(await missing(tests.join('\n')), [])
  })
})
