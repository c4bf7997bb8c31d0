import assert from 'node:assert/strict'
import { describe, it, type TestContext } from 'node:test'
import type { JsonObject } from '#api'
import { type Probe, type ProbeOptions, probe } from '#testing'
import jq from '../../interceptors/jq/jq.ts'
import { noJq } from '../helpers/jq.ts'

const CALL = { method: 'tools/call', params: { name: 'find', arguments: { limit: 5, page: 1 } } }
const ITEMS = { items: [{ id: 1, name: 'a', secret: 's' }], total: 1 }

async function start(t: TestContext, options: JsonObject, more: ProbeOptions = {}): Promise<Probe> {
  const made = await probe(jq, { ...more, options })
  t.after(() => made.close())
  return made
}

function text(...texts: string[]): JsonObject[] {
  return texts.map(one => ({ type: 'text', text: one }))
}

/** What becomes of a result. */
async function filtered(t: TestContext, options: JsonObject, result: JsonObject): Promise<JsonObject> {
  const p = await start(t, options)
  return (await p.response({ result }, CALL)).message.json['result'] as JsonObject
}

describe('jq on results', { skip: noJq }, () => {
  it('filters structuredContent and keeps the text in step', async t => {
    const before = { content: text(JSON.stringify(ITEMS)), structuredContent: ITEMS, _meta: { a: 1 } }
    assert.deepEqual(await filtered(t, { filter: '{items: (.items | map(del(.secret)))}' }, before), {
      content: text('{"items":[{"id":1,"name":"a"}]}'),
      structuredContent: { items: [{ id: 1, name: 'a' }] },
      _meta: { a: 1 },
    })
  })

  it('makes an object of what is none, because structuredContent is one', async t => {
    const before = { content: text('[]', 'prose', '{"a":1}'), structuredContent: ITEMS }
    assert.deepEqual(await filtered(t, { filter: '.items[].id' }, before), {
      content: text('1', 'prose'),
      structuredContent: { result: 1 },
    })
  })

  it('filters each text block that holds JSON where there is no structuredContent', async t => {
    const before = {
      content: [...text('{"id":1,"x":2}', 'prose', ' [5] '), { type: 'image', data: '', mimeType: 'a/b' }],
    }
    const after = { content: [...text('1', 'prose', '5'), { type: 'image', data: '', mimeType: 'a/b' }] }
    assert.deepEqual(await filtered(t, { filter: '.id? // .[0]' }, before), after)
  })

  it('goes by its source alone', async t => {
    const before = { content: text('{"a":1}'), structuredContent: { a: 2 } }
    assert.deepEqual(await filtered(t, { filter: '{b: .a}', source: 'text' }, before), {
      content: text('{"b":1}'),
      structuredContent: { a: 2 },
    })
    assert.deepEqual(await filtered(t, { filter: '{b: .a}', source: 'structured' }, before), {
      content: text('{"a":1}'),
      structuredContent: { b: 2 },
    })
  })

  it('gives text without quotes, a line an output, as jq -r', async t => {
    const before = { content: text('prose'), structuredContent: ITEMS }
    const options = { filter: '.items[] | .name, .id, [.id, .name], ([.id, .name] | @csv)', raw: true }
    assert.deepEqual(await filtered(t, options, before), { content: text('a\n1\n[1,"a"]\n1,"a"', 'prose') })
  })

  it('gives nothing where the filter gives nothing', async t => {
    const before = { content: text('{"a":1}', 'prose'), structuredContent: { a: 1 } }
    assert.deepEqual(await filtered(t, { filter: 'empty' }, before), { content: text('prose') })
    assert.deepEqual(await filtered(t, { filter: 'empty', source: 'text' }, { content: text('[1]') }), { content: [] })
  })

  it('runs filters one after the other, also where one ends in a comment or begins with a dash', async t => {
    const filter = ['.items # all of them', '-(.[0].id) | {x: .}', 'def twice: . * 2; .x |= twice']
    assert.deepEqual(await filtered(t, { filter }, { structuredContent: ITEMS }), { structuredContent: { x: -2 } })
  })

  it('knows client, server, tool and method, whatever their names are', async t => {
    const p = await start(t, { filter: '{c: $client, s: $server, t: $tool, m: $method}' })
    const call = { method: 'tools/call', params: { name: '"; halt #\\(1)' } }
    const client = '"] | input | ["\n'
    const { message } = await p.response({ result: { structuredContent: {} } }, call, { client, server: 'sé' })
    const { structuredContent } = message.json['result'] as JsonObject
    assert.deepEqual(structuredContent, { c: client, s: 'sé', t: '"; halt #\\(1)', m: 'tools/call' })
  })

  it('leaves what it does not change byte for byte', async t => {
    const p = await start(t, { filter: '.a = 1' })
    const answer =
      '{"jsonrpc":"2.0", "id":1,"result":{ "big":9007199254740993, "structuredContent": {"a":0, "b":  1.0,"c":"\\u00e9"}}}'
    const { message } = await p.response(answer, CALL)
    assert.equal(message.text, answer.replace('"a":0', '"a":1'))
    const same = await start(t, { filter: '.' })
    assert.equal((await same.response(answer, CALL)).edited, false)
  })

  it('passes errors, unfinished results and what holds no JSON', async t => {
    const p = await start(t, { filter: '.never.there[]' })
    const answers = [
      { error: { code: 1, message: '{"a":1}' } },
      { result: { isError: true, content: text('{"a":1}') } },
      { result: { resultType: 'input_required', structuredContent: {} } },
      { result: { content: text('42', 'prose', '{"a":', '"x"') } },
      { result: { content: [1, null, { type: 'text' }] } },
      { result: {} },
    ]
    for (const answer of answers) assert.equal((await p.response(answer, CALL)).edited, false)
    const strict = await start(t, { filter: '.', missing: 'fail' })
    await assert.rejects(strict.response({ result: { content: text('prose') } }, CALL), /no JSON to filter/)
    assert.equal((await strict.response(answers[1] ?? {}, CALL)).edited, false)
  })
})

describe('jq on what is asked and listed', { skip: noJq }, () => {
  it('filters arguments, and nothing else of a call', async t => {
    const p = await start(t, { filter: '.limit = ([.limit, 3] | min) | .by = $client', on: 'arguments' })
    const { message } = await p.request(CALL, { client: 'ci' })
    assert.deepEqual(message.json['params'], { name: 'find', arguments: { limit: 3, page: 1, by: 'ci' } })
    const none = await p.request({ method: 'tools/call', params: { name: 'x' } })
    assert.deepEqual(none.message.json['params'], { name: 'x', arguments: { limit: null, by: 'anonymous' } })
    assert.equal((await p.response({ result: { structuredContent: {} } }, CALL)).ran, false)
    const wrong = await start(t, { filter: '[.]', on: 'arguments' })
    await assert.rejects(wrong.request(CALL), /gave no object/)
  })

  it('filters lists', async t => {
    const p = await start(t, { filter: 'map(select(.name | startswith("admin_") | not))', on: 'list' })
    const tools = [{ name: 'admin_x' }, { name: 'find' }]
    const { message } = await p.response({ result: { tools, nextCursor: 'n' } }, { method: 'tools/list' })
    assert.deepEqual(message.json['result'], { tools: [{ name: 'find' }], nextCursor: 'n' })
    const prompts = await p.response({ result: { prompts: tools } }, { method: 'prompts/list' })
    assert.deepEqual(prompts.message.json['result'], { prompts: [{ name: 'find' }] })
    assert.equal((await p.response({ result: { tools: null } }, { method: 'tools/list' })).edited, false)
    assert.equal((await p.response({ result: { structuredContent: [] } }, CALL)).ran, false)
    const wrong = await start(t, { filter: '{}', on: 'list' })
    await assert.rejects(wrong.response({ result: { tools } }, { method: 'tools/list' }), /gave no array/)
  })
})

describe('jq and outputSchema', { skip: noJq }, () => {
  const tools = [
    { name: 'find', outputSchema: { type: 'object' }, inputSchema: {} },
    { name: 'other', outputSchema: { type: 'object' } },
    { name: 'find_x' },
    5,
  ]

  async function listed(t: TestContext, options: JsonObject): Promise<unknown> {
    const p = await start(t, { filter: '.', ...options }, { match: { method: 'tools/call', name: 'find*' } })
    const { message } = await p.response({ result: { tools } }, { method: 'tools/list' })
    return (message.json['result'] as JsonObject)['tools']
  }

  it('takes it from the tools that are filtered', async t => {
    const [, other, x, odd] = tools
    assert.deepEqual(await listed(t, {}), [{ name: 'find', inputSchema: {} }, other, x, odd])
  })

  it('puts the declared one in its place', async t => {
    const schema = { properties: { id: { type: 'number' } } }
    const [, other] = tools
    assert.deepEqual(await listed(t, { output_schema: schema }), [
      { name: 'find', outputSchema: { ...schema, type: 'object' }, inputSchema: {} },
      other,
      { name: 'find_x', outputSchema: { ...schema, type: 'object' } },
      5,
    ])
    const [first] = (await listed(t, {
      output_schema: { type: 'array', items: { $ref: '#/$defs/row' }, $defs: { row: {} } },
    })) as JsonObject[]
    assert.deepEqual(first?.['outputSchema'], {
      type: 'object',
      properties: { result: { type: 'array', items: { $ref: '#/$defs/row' } } },
      required: ['result'],
      $defs: { row: {} },
    })
  })

  it('leaves it where structuredContent stays as it is, or the policy says so', async t => {
    assert.deepEqual(await listed(t, { source: 'text' }), tools)
    assert.deepEqual(await listed(t, { output_schema: 'keep' }), tools)
  })
})

describe('a filter that is none', { skip: noJq }, () => {
  const cases: [JsonObject, RegExp][] = [
    [{ filter: '.a |' }, /^filter: syntax error, unexpected .*line 1: \.a \|/],
    [{ filter: ['.', '$nope'] }, /^filter\[1\]: \$nope is not defined/],
    [{ filter: '1] } catch 9, {o: [2' }, /^filter: syntax error/],
    [{ filter: '1) | (2' }, /^filter: syntax error/],
    [{ filter: '. as $x | 1] } catch 9])] end #' }, /^filter: syntax error/],
    [{ filter: '-n' }, /^filter: n\/0 is not defined/],
    [{ filter: '--version' }, /^filter: (version\/0 is not defined|syntax error)/],
    [{ filter: '"open' }, /^filter: syntax error/],
    [{ filter: 'import "a" as a; .' }, /^filter: (module not found|cannot be used)/],
    [{ filter: '  ' }, /options\.filter: expected a jq filter/],
    [{ filter: `"${'x'.repeat(100_000)}"` }, /options\.filter: expected a filter of at most 100000 bytes/],
    [{ filter: '.\0' }, /options\.filter: a filter cannot hold NUL/],
    [{ filter: '.', deadline: '1h' }, /options\.deadline: expected 1ms to 30s/],
    [{ filter: '.', max_memory: '1KiB' }, /options\.max_memory: expected 32MiB to 8GiB/],
  ]
  for (const [options, message] of cases) {
    it(`is told at load: ${JSON.stringify(options).slice(0, 60)}`, async () => {
      await assert.rejects(probe(jq, { options }), (error: Error) => {
        assert.match(error.message.replace(/^jq: /, ''), message)
        return true
      })
    })
  }
})
