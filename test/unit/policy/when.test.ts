import assert from 'node:assert/strict'
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { describe, it } from 'node:test'
import type { JsonObject, Kind, Message } from '#api'
import type { Envelope } from '../../../proxy/message/envelope.ts'
import { WireMessage } from '../../../proxy/message/message.ts'
import { scan } from '../../../proxy/message/scan.ts'
import type { Asked } from '../../../proxy/policy/plan.ts'
import { VARIABLES } from '../../../proxy/policy/when/variables.ts'
import { readWhen, type When } from '../../../proxy/policy/when/when.ts'
import { tableRows, uncode } from '../../docs/markdown.ts'

/** A Saturday. */
const CLOCK = { now: () => Date.parse('2026-01-03T23:30:00Z'), monotonic: () => 0 }

function wire(json: JsonObject | string, direction: 'toServer' | 'toClient' = 'toServer', of?: Message): WireMessage {
  const body = Buffer.from(typeof json === 'string' ? json : JSON.stringify({ jsonrpc: '2.0', id: 1, ...json }))
  const envelope = scan(body, 100) as Envelope
  return new WireMessage(direction, envelope, body, of?.method ?? envelope.method, of?.name ?? envelope.name)
}

const call = (args: JsonObject, name = 'read'): WireMessage =>
  wire({ method: 'tools/call', params: { name, arguments: args } })

function askedBy(request: Message, fields: Record<string, string> = {}): Asked {
  const headers = new Map(Object.entries(fields))
  return { server: 'github', principal: { id: 'agent', via: 'api-key' }, request, headers: () => headers }
}

function read(text: string): When {
  const { when, faults } = readWhen(text, CLOCK)
  assert.deepEqual(faults, undefined)
  return when as When
}

function holds(text: string, message: WireMessage = call({}), asked: Asked = askedBy(message)): boolean {
  return read(text).holds(message, asked)
}

function faultsOf(text: string): string[] {
  return (readWhen(text, CLOCK).faults ?? []).map(fault => `${fault.offset}: ${fault.text}`)
}

describe('what an expression can say', () => {
  const request = call({ path: '/etc/passwd', limit: 5, ratio: 0.5, deep: { list: [{ a: 1 }, { a: 2 }] }, none: null })
  const cases: [text: string, expected: boolean][] = [
    ['client == "agent" && server == "github"', true],
    ['method == "tools/call" && tool == "read" && name == "read"', true],
    ['tool in ["write", "delete"]', false],
    ['kind == "request" && direction == "to_server"', true],
    ['direction != "to_client"', true],
    ['has(arguments.path) && arguments.path.startsWith("/etc/")', true],
    ['has(arguments.other)', false],
    ['"path" in arguments', true],
    ['arguments["path"].matches("^/(etc|root)/")', true],
    ['arguments.path.matches("passwd$") && !arguments.path.matches("shadow")', true],
    ['arguments.limit > 4 && arguments.limit <= 5 && arguments.limit == 5', true],
    ['arguments.limit + 1 == 6 && 2 * arguments.limit >= 9.5 && arguments.limit - 1 < 5', true],
    ['arguments.ratio < 1', true],
    ['arguments.none == null', true],
    ['arguments.deep.list.exists(x, x.a == 2)', true],
    ['arguments.deep.list.all(x, x.a == 2)', false],
    ['arguments.deep.list.exists(x, type(x) == map && x.a == 2)', true],
    ['size(arguments.deep.list) == 2', true],
    ['arguments == {}', false],
    ['result == {}', true],
    ['now.getDayOfWeek() == 6', true],
    ['now.getDayOfWeek("Asia/Tokyo") == 0', true],
    ['now > timestamp("2026-01-01T00:00:00Z")', true],
    ['headers["x-team"] == "ops"', true],
    ['"authorization" in headers', false],
    ['cel.bind(p, arguments.path, p.contains("etc") && p.endsWith("d"))', true],
  ]
  for (const [text, expected] of cases) {
    it(text, () => assert.equal(holds(text, request, askedBy(request, { 'x-team': 'ops' })), expected))
  }

  it('the answer, and the call it answers', () => {
    const answer = wire({ result: { content: [{ type: 'text', text: 'x' }], isError: true } }, 'toClient', request)
    const asked = askedBy(request)
    assert.equal(holds('kind == "response" && tool == "read" && result.isError', answer, asked), true)
    assert.equal(holds('arguments.path == "/etc/passwd" && direction == "to_client"', answer, asked), true)
    assert.equal(holds('result.content.exists(c, c.type == "text")', answer, asked), true)
  })

  it("a client's answer has no arguments: they are not the server's", () => {
    const answer = wire({ result: { action: 'accept' } })
    assert.equal(holds('arguments == {} && result.action == "accept"', answer, askedBy(answer)), true)
  })

  it('nothing where there is nothing', () => {
    const empties = [
      wire({ method: 'ping' }),
      wire({ method: 'tools/call', params: [] }),
      wire({ method: 'tools/call', params: { name: 'x', arguments: 5 } }),
    ]
    for (const message of empties) assert.equal(holds('arguments == {} && result == {}', message), true)
    assert.equal(holds('tool == "" && name == "u"', wire({ method: 'resources/read', params: { uri: 'u' } })), true)
    const stream = new WireMessage(
      'toServer',
      empties[0]?.envelope as Envelope,
      Buffer.alloc(0),
      'transport/stream',
      '',
    )
    const answer = wire({ result: {} }, 'toClient', stream)
    assert.equal(holds('arguments == {}', answer, askedBy(stream)), true)
  })
})

describe('what a peer cannot do', () => {
  it('make a rule fail by a key that means something to JavaScript', () => {
    const keys = ['constructor', '__proto__', 'hasOwnProperty', 'toString']
    for (const key of keys) {
      const message = wire(
        `{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"x","arguments":{"${key}":{"${key}":1},"path":"/etc","l":[{"${key}":[],"a":1}]}}}`,
      )
      const text = `arguments.path == "/etc" && "${key}" in arguments && arguments.l.exists(x, x.a == 1) && !has(arguments.other)`
      assert.equal(holds(text, message), true, key)
      assert.equal(holds(`arguments.${key}.${key} == 1`, message), true, key)
    }
  })

  it('reach what objects inherit', () => {
    for (const key of ['constructor', '__proto__', 'toString']) {
      assert.equal(holds(`has(arguments.${key})`), false)
      assert.throws(() => holds(`arguments.${key} == 1`), /No such key/)
    }
  })

  it('stall a pattern', () => {
    assert.equal(holds('arguments.s.matches("^(a+)+$")', call({ s: `${'a'.repeat(100_000)}!` })), false)
  })

  it('read its own values in an error', () => {
    const message = call({ s: 'hunter2', n: 1 })
    for (const text of [
      'int(arguments.s) == 1',
      'timestamp(arguments.s) > now',
      'arguments.s > arguments.n',
      'duration(arguments.s) == duration("1s")',
    ]) {
      assert.throws(
        () => holds(text, message),
        (error: Error) => !error.message.includes('hunter2'),
        text,
      )
    }
  })
})

describe('an expression that cannot be decided', () => {
  it('is a failure, not an answer', () => {
    assert.throws(() => holds('arguments.path == "x"'), {
      message: 'when: No such key: path',
      code: 'interceptor_failed',
    })
    assert.throws(() => holds('arguments.flag', call({ flag: 'yes' })), {
      message: 'when: expected true or false, got a string',
    })
  })
})

describe('what is wrong is told at load', () => {
  const cases: [text: string, fault: string][] = [
    ['client == "a" && clinet == "b"', '17: unknown variable "clinet", did you mean "client"?'],
    ['argument.path == "x"', '0: unknown variable "argument", did you mean "arguments"?'],
    [
      'zzz',
      `0: unknown variable "zzz"; there are: ${VARIABLES.map(([name]) => name)
        .sort()
        .join(', ')}`,
    ],
    ['client = "a"', '7: a single "=": to compare, write "=="'],
    ['client == 1', '0: bad expression: no such overload: string == int'],
    ['client.foo()', "0: bad expression: found no matching overload for 'string.foo()'"],
    ['client ==', '9: bad expression: unexpected token: EOF'],
    ['"abc', '0: bad expression: unterminated string'],
    ['client', '0: expected an expression that is true or false, got one of type string'],
    ['size(arguments)', '0: expected an expression that is true or false, got one of type int'],
    [
      'tool.matches(client)',
      '13: matches() wants a pattern in quotes: one that comes from a message could be anything',
    ],
    [
      'tool.matches("a" + "b")',
      '13: matches() wants a pattern in quotes: one that comes from a message could be anything',
    ],
    ['direction == "toServer"', '13: "direction" is never "toServer", did you mean "to_server"?'],
    ['kind in ["request", "answer"]', '20: "kind" is never "answer"; allowed: notification, request, response'],
  ]
  for (const [text, fault] of cases) it(text, () => assert.deepEqual(faultsOf(text), [fault]))

  it('patterns that are not RE2', () => {
    assert.match(faultsOf('tool.matches("(?=x)")')[0] ?? '', /^13: bad pattern: .*RE2 syntax/)
    assert.match(faultsOf(String.raw`tool.matches(r"(a)\1")`)[0] ?? '', /^13: bad pattern: /)
    assert.match(faultsOf('["x"].exists(x, x.matches("("))')[0] ?? '', /^26: bad pattern: /)
  })

  it('what would cost more than one pass over a message', () => {
    const quadratic = [
      'arguments.l.exists(x, arguments.l.exists(y, x == y))',
      'arguments.l.exists(x, result.t.contains(x))',
      'arguments.l.all(x, tool.contains(x))',
      'arguments.l.exists(x, x.m.exists(y, x.m.exists(z, z == y)))',
      'arguments.l.exists(x, cel.bind(y, arguments, y.a == x))',
    ]
    for (const text of quadratic)
      assert.match(faultsOf(text)[0] ?? '', /may not be used within all, exists, map or filter/, text)
    const linear = [
      'arguments.l.exists(x, x.m.exists(y, y == client))',
      'arguments.l.filter(x, x.ok).map(x, x.name).exists(x, x == "a")',
      'arguments.l.exists(x, cel.bind(y, x.z, y.a == y.b))',
      'arguments.l.exists(x, type(x) == string)',
      'arguments.l.exists(client, client == "a")',
    ]
    for (const text of linear) assert.deepEqual(faultsOf(text), [], text)
  })

  it('expressions too long, too large, too deep', () => {
    assert.match(faultsOf(`client == "${'a'.repeat(5000)}"`)[0] ?? '', /at most 4096 characters, got 5012/)
    assert.match(faultsOf(Array(300).fill('now==now').join('||'))[0] ?? '', /maxAstNodes/)
    assert.match(faultsOf(`${'('.repeat(200)}true${')'.repeat(200)}`)[0] ?? '', /maxDepth/)
    assert.match(faultsOf(`tool in [${Array(300).fill('"a"').join(',')}]`)[0] ?? '', /maxListElements/)
  })
})

describe('how closely an expression looks', () => {
  const cases: [text: string, request: string, response: string][] = [
    ['client == "a" && tool == "b" && now == now && "x" in headers', 'envelope', 'envelope'],
    ['arguments.a == 1', 'json', 'envelope'],
    ['result.a == 1', 'envelope', 'json'],
    ['has(arguments.a) || has(result.a)', 'json', 'json'],
    ['["a"].exists(arguments, arguments == "a")', 'envelope', 'envelope'],
    ['cel.bind(result, "a", result == client)', 'envelope', 'envelope'],
  ]
  for (const [text, request, response] of cases) {
    it(text, () => {
      const when = read(text)
      const need = (kind: Kind): string => when.need(kind)
      assert.deepEqual([need('request'), need('notification'), need('response')], [request, request, response])
    })
  }
})

describe('the documentation', () => {
  it('has the variables as they are', () => {
    const text = readFileSync(join(import.meta.dirname, '../../../docs/policies.md'), 'utf8')
    const rows = tableRows(text, ['variable', 'type', 'value'])
    assert.deepEqual(
      rows.map(([name = '', ...rest]) => [uncode(name), ...rest]),
      VARIABLES,
    )
  })
})
