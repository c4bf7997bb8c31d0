import assert from 'node:assert/strict'
import { readFileSync } from 'node:fs'
import { describe, test } from 'node:test'
import { fileURLToPath } from 'node:url'
import { send } from '../helpers/http-client.ts'
import type { Id } from '../helpers/mcp-messages.ts'
import { error, legacy, result, rpc } from '../helpers/mcp-messages.ts'
import { startPair } from '../helpers/proxy.ts'

/** `policies/default.yaml` must not stop what works without it: servers whose list of tools is odd can be called all the same. */
const FILE = fileURLToPath(new URL('../../policies/default.yaml', import.meta.url))
const POLICY = readFileSync(FILE, 'utf8').replace('  - audit\n', '  - { use: audit, options: { path: audit.log } }\n')

const LISTS: Readonly<Record<string, (id: Id) => object>> = {
  'is not there': id => error(id, -32601, 'Method not found'),
  'is no list': id => result(id, { tools: 'many' }),
  'is empty': id => result(id, { tools: [] }),
  'does not end': id => result(id, { tools: [], nextCursor: 'again' }),
  'has tools without names': id => result(id, { tools: [{ description: 'x' }, null, { name: 7 }] }),
  'has schemas that are none': id => result(id, { tools: [{ name: 't', inputSchema: 'object', outputSchema: 5 }] }),
  'has schemas of another dialect': id =>
    result(id, {
      tools: [{ name: 't', inputSchema: { $schema: 'http://json-schema.org/draft-03/schema#', type: 'any' } }],
    }),
  'says t twice': id =>
    result(id, {
      tools: [
        { name: 't', inputSchema: {} },
        { name: 't', inputSchema: true },
      ],
    }),
}

describe('default.yaml and a server whose list of tools', () => {
  for (const [name, list] of Object.entries(LISTS)) {
    test(name, async t => {
      const { url, upstream } = await startPair(
        t,
        (request, answer) => {
          const { id, method } = request.json()
          return answer.json(
            method === 'tools/list' ? list(id) : result(id, { content: [{ type: 'text', text: 'yes' }] }),
          )
        },
        { policy: POLICY },
      )
      const call = legacy(rpc(1, 'tools/call', { name: 't', arguments: { a: 1 } }))
      for (let time = 0; time < 2; time++) {
        const answer = await (await send(t, url, call)).json()
        assert.deepEqual(answer, result(1, { content: [{ type: 'text', text: 'yes' }] }))
      }
      const listed = await (await send(t, url, legacy(rpc(2, 'tools/list')))).json()
      assert.deepEqual(listed, list(2))
      assert.equal(upstream.requests.filter(request => request.text === call.body).length, 2)
    })
  }

  test('matters not: a message too large to be searched passes', async t => {
    const body = JSON.stringify(result(1, { content: [{ type: 'text', text: 'x'.repeat(5_000_000) }] }))
    const { url } = await startPair(t, (_, answer) => answer.json(body), { policy: POLICY })
    assert.equal(await (await send(t, url, legacy(rpc(1, 'prompts/list')))).text(), body)
  })
})
