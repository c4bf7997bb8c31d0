import assert from 'node:assert/strict'
import { describe, it, type TestContext } from 'node:test'
import type { JsonObject } from '#api'
import { type Probe, probe } from '#testing'
import jq from '../../interceptors/jq/jq.ts'
import { noJq } from '../helpers/jq.ts'

const CALL = { method: 'tools/call', params: { name: 'find', arguments: {} } }

type Seen = Awaited<ReturnType<Probe['response']>>

async function start(t: TestContext, options: JsonObject): Promise<Probe> {
  const made = await probe(jq, { options: { queue: 2000, ...options }, failures: 'verdict' })
  t.after(() => made.close())
  return made
}

/** Every client's message says whose it is, and so must what comes back; failures are refused. */
function send(p: Probe, number: number, more: JsonObject = {}): Promise<Seen> {
  const structuredContent = { owner: `owner-${number}`, n: number, ...more }
  return p.response({ result: { structuredContent } }, CALL, { client: `client-${number}` })
}

async function sendMany(p: Probe, count: number, more: (n: number) => JsonObject = () => ({})): Promise<Seen[]> {
  return Promise.all(Array.from({ length: count }, (_, n) => send(p, n, more(n))))
}

/** What is seen of message `number` names no other client, and no other message. */
function assertOwn(seen: Seen, number: number): void {
  for (const [found] of seen.message.text.matchAll(/(?:owner|client)-\d+/g)) {
    assert.equal(found.split('-')[1], String(number), seen.message.text)
  }
}

const resultOf = (seen: Seen): unknown => (seen.message.json['result'] as JsonObject)['structuredContent']

describe('messages of different clients in one jq', { skip: noJq }, () => {
  it('never mix: 1,000 at a time', async t => {
    const p = await start(t, { filter: '{owner, n, client: $client, pad: ("x" * (.n % 50 + 1))}', processes: 3 })
    const all = await sendMany(p, 1000, n => ({ body: 'y'.repeat((n * 37) % 3000) }))
    for (const [n, seen] of all.entries()) {
      const pad = 'x'.repeat((n % 50) + 1)
      assert.deepEqual(resultOf(seen), { owner: `owner-${n}`, n, client: `client-${n}`, pad })
    }
  })

  it('never mix where one filter fails, never ends or eats all memory in between', async t => {
    const filter = `if .n % 50 == 7 then last(repeat(1))
      elif .n % 50 == 17 then [range(1e9)]
      elif .n % 10 == 3 then error(.owner)
      elif .n % 10 == 9 then error({__jq: 1})
      elif .n % 50 == 31 then def f: [f, f]; f
      elif .n % 50 == 41 then "x" * 1e9
      elif .n % 50 == 2 then [1114112] | implode
      else {owner, client: $client} end`
    const p = await start(t, { filter, processes: 3, deadline: 150, max_memory: '64MiB' })
    const all = await sendMany(p, 200)
    const failed = (n: number): boolean => [7, 17, 31, 41].includes(n % 50) || [3, 9].includes(n % 10)
    for (const [n, seen] of all.entries()) {
      assertOwn(seen, n)
      if (failed(n)) assert.equal(seen.verdict?.action, 'deny', `message ${n}`)
      else if (n % 50 !== 2) assert.deepEqual(resultOf(seen), { owner: `owner-${n}`, client: `client-${n}` })
    }
    assert.ok(all.every(seen => !/owner|client/.test(seen.verdict?.reason ?? '')))
  })

  const attempts: Readonly<Record<string, string>> = {
    input: '[., input]',
    'input, caught': '[., (try input catch "none")]',
    inputs: '[., (try (inputs) catch "none")]',
    'first(inputs)': '[., first(inputs)]',
    'input as a closure': 'def f(g): [., (try g catch .)]; f(input)',
    'input through limit': '[limit(3; ., (try input catch 1), (try input catch 2))]',
    'input in a path': 'try (path(input)) catch "none"',
    debug: 'debug | debug',
    stderr: 'stderr | .',
    halt: 'halt',
    'halt, caught': '[., (try halt catch "no")]',
    halt_error: 'halt_error',
    'halt_error(0)': '"bye\\n" | halt_error(0)',
    env: '[., env, $ENV, env.HOME, $ENV.PATH]',
    input_filename: '[., input_filename]',
    input_line_number: '[., input_line_number]',
    get_search_list: '[., get_search_list]',
    getpath: '[getpath(["owner"]), getpath(["a", "b"])]',
    paths: '[paths, ([path(..)] | length)]',
    limit: '[limit(0; .owner), limit(2; repeat(.owner))]',
    '@sh': '[.owner | @sh, @json, @text, @base64]',
    modulemeta: '"/etc/passwd" | modulemeta',
    $__loc__: '[., $__loc__]',
    break: 'label $out | ., break $out, 5',
    'error(null)': '.owner, (try error(null) catch 1)',
    'break, deeper': '[label $a | (1, 2, label $b | 3, break $b, 4), break $a, 5], first(.owner, .n)',
    'an error that no try catches': 'error({__jq: 0})',
    'error caught by itself': 'try error({__jq: 0, owner}) catch [.]',
    'error that is rethrown': 'try error(.owner) catch error([.])',
    'assignment to the variables': '($client | . + "x") as $client | {owner, c: $client}',
    'the number of the message': '[., (try $__n catch 0)?]',
    'splits and closures': '[splits("x")?] , (.owner | [match("-").offset])',
    now: '[.owner, (now | type)]',
    $ARGS: '[., $ARGS]',
    $__prog_args: '[., $__prog_args]',
    'many outputs': '.owner, .n',
    'no output': 'empty',
    'a newline in a string': '{owner, s: "a\\nb\\u0000\\u2028"}',
    'sorting by the environment': '[., ($ENV | keys), (env | keys)]',
  }

  /** The others give something: what they tried has done nothing. */
  const fail = new Set([
    'input',
    'first(inputs)',
    'halt',
    'halt_error',
    'halt_error(0)',
    'modulemeta',
    'an error that no try catches',
    'error that is rethrown',
  ])

  for (const [name, filter] of Object.entries(attempts)) {
    it(`never mix, whatever the filter tries: ${name}`, async t => {
      // Some of them no jq knows: then they are refused at load.
      const p = await start(t, { filter, source: 'text' }).catch((error: Error) => error)
      if (p instanceof Error) return assert.match(p.message, /not defined/)
      const call = (n: number): Promise<Seen> => {
        const content = [{ type: 'text', text: JSON.stringify({ owner: `owner-${n}`, n, client: `client-${n}` }) }]
        return p.response({ result: { content } }, CALL, { client: `client-${n}` })
      }
      const all = await Promise.all(Array.from({ length: 40 }, (_, n) => call(n)))
      for (const [n, seen] of all.entries()) {
        assertOwn(seen, n)
        assert.doesNotMatch(seen.message.text, /nonexistent|\/bin|PWD/)
        // Never a time-out: a filter that waits for the next message has got hold of the input.
        assert.equal(seen.verdict?.code, fail.has(name) ? 'interceptor_failed' : undefined)
      }
    })
  }
})
