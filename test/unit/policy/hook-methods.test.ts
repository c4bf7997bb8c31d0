import assert from 'node:assert/strict'
import { it } from 'node:test'
import { defineInterceptor, z } from '#api'
import { probe } from '#testing'

const narrowed = defineInterceptor<{ methods: string[] }>({
  name: 'narrowed',
  summary: 'Looks at the methods that its options name.',
  options: z.strictObject({ methods: z.array(z.string()) }),
  looks: { request: { need: 'envelope', methods: ['tools/call'] }, response: { need: 'envelope', methods: ['ping'] } },
  onFailure: 'closed',
  create: ({ methods }) => ({ methods: { request: methods }, request: () => undefined, response: () => undefined }),
})

it('hooks may settle by their options which methods they look at, in place of the look', async () => {
  const probed = await probe(narrowed, { options: { methods: ['prompts/*'] } })
  const ran = async (method: string) => (await probed.request({ method })).ran
  assert.deepEqual([await ran('prompts/get'), await ran('prompts/list'), await ran('tools/call')], [true, true, false])
  const answered = async (method: string) => (await probed.response({ result: {} }, { method })).ran
  assert.deepEqual([await answered('ping'), await answered('prompts/get')], [true, false])
})
