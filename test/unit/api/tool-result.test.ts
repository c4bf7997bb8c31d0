import assert from 'node:assert/strict'
import { it } from 'node:test'
import {
  defineInterceptor,
  estimateTokens,
  finishedResult,
  type JsonObject,
  jsonOfText,
  readableBytes,
  setOutputSchemas,
  textBlocks,
  z,
} from '#api'
import { probe } from '#testing'

it('a result is finished when it is no error and the last word', () => {
  const done = { content: [] }
  assert.equal(finishedResult({ result: done }), done)
  assert.deepEqual(finishedResult({ result: { resultType: 'complete' } }), { resultType: 'complete' })
  for (const result of [null, [], 5, { isError: true }, { resultType: 'input_required' }, { resultType: 'task' }]) {
    assert.equal(finishedResult({ result } as JsonObject), null)
  }
  assert.equal(finishedResult({ error: { code: 1, message: '' } }), null)
})

it('text blocks keep their places; what is none is passed over', () => {
  const content = [
    { type: 'image', data: '' },
    { type: 'text', text: 'a' },
    null,
    1,
    [],
    { type: 'text' },
    { type: 'text', text: '' },
  ]
  assert.deepEqual(textBlocks({ content }), [
    { index: 1, text: 'a' },
    { index: 6, text: '' },
  ])
  for (const none of [null, {}, 'text', undefined]) assert.deepEqual(textBlocks({ content: none } as JsonObject), [])
})

it('only an object or an array counts as the JSON of a text', () => {
  assert.deepEqual(jsonOfText(' \n{"a":1}\n'), { a: 1 })
  assert.deepEqual(jsonOfText('[1]'), [1])
  for (const text of ['', '1', '"a"', 'null', '{', '[1] 2', '{a: 1}', '\u00a0[]'])
    assert.equal(jsonOfText(text), undefined)
})

it('what a model reads is the text, or else structuredContent', () => {
  const content = [{ type: 'text', text: 'äb' }]
  assert.equal(readableBytes({ content, structuredContent: { long: 'x'.repeat(50) } }), 3)
  assert.equal(readableBytes({ content: [], structuredContent: { a: 'ä' } }), 10)
  assert.equal(readableBytes({}), 0)
  assert.deepEqual([0, 1, 4, 5].map(estimateTokens), [0, 1, 1, 2])
})

const schemas = defineInterceptor<{ schema: JsonObject | null }>({
  name: 'schemas',
  summary: 'Changes the output schemas of tools whose names begin with x.',
  options: z.strictObject({ schema: z.record(z.string(), z.json()).nullable() }),
  looks: { response: { need: 'json', edits: true } },
  onFailure: 'closed',
  create: ({ schema }) => ({
    response: message => setOutputSchemas(message, tool => tool.startsWith('x'), schema),
  }),
})

it('output schemas of the tools that are meant are replaced or removed, and all else keeps its text', async () => {
  const list =
    '{"jsonrpc":"2.0","id":1,"result":{"tools":[ {"name":"x", "outputSchema":{}}, {"name":"a","outputSchema":{}}, {"name":"xx"}, 5 ]}}'
  const removed = await (await probe(schemas, { options: { schema: null } })).response(list, { method: 'tools/list' })
  assert.equal(removed.message.text, list.replace(', "outputSchema":{}', ''))
  const replaced = await (await probe(schemas, { options: { schema: { a: 1 } } })).response(list, {
    method: 'tools/list',
  })
  const expected = list
    .replace('"outputSchema":{}', '"outputSchema":{"a":1}')
    .replace('{"name":"xx"}', '{"name":"xx","outputSchema":{"a":1}}')
  assert.equal(replaced.message.text, expected)
})

it('a list without such tools, or what is no list, stays as it is', async () => {
  const p = await probe(schemas, { options: { schema: null } })
  for (const result of [{ tools: [{ name: 'x' }, { name: 'a', outputSchema: {} }] }, { tools: 5 }, {}, null]) {
    assert.equal((await p.response({ result }, { method: 'tools/list' })).edited, false)
  }
})
