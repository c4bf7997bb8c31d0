import assert from 'node:assert/strict'
import { before, describe, test } from 'node:test'
import { fileURLToPath } from 'node:url'
import { startDemoServer } from '../../deploy/demo/demo-server.ts'
import { send } from '../helpers/http-client.ts'
import { initialize, modern } from '../helpers/mcp-messages.ts'
import { startSluice } from '../helpers/program.ts'
import { suiteScope } from '../helpers/scope.ts'
import { connectSdk, PEERS } from '../helpers/sdk-clients.ts'

/** The demo's own configuration and policy, as `npm start` runs them: what each client may do, with every official client. */
const CONFIG = fileURLToPath(new URL('../../deploy/demo/sluice.yaml', import.meta.url))

describe('the demo policy', () => {
  const scope = suiteScope()
  let url = ''

  before(async () => {
    const demo = await startDemoServer(0)
    scope.after(() => demo.close())
    url = (await startSluice(scope, ['-c', CONFIG, demo.url, '--name', 'demo'])).url
  })

  for (const peer of PEERS) {
    const connect = (t: Parameters<typeof connectSdk>[0], name: string | null) =>
      connectSdk(t, peer, url, name === null ? {} : { headers: { 'x-client-id': name } })

    test(`${peer}: an anonymous client may use harmless tools`, async t => {
      const client = await connect(t, null)
      assert.equal(await client.callText('echo', { text: 'hello' }), 'hello')
      await assert.rejects(client.call('get_secret'), /Access denied: anonymous -> demo\.get_secret/)
      const tools = await client.toolNames()
      assert.ok(tools.includes('search') && !tools.includes('get_secret') && !tools.includes('read'), tools.join())
    })

    test(`${peer}: restricted-client may search, and not read`, async t => {
      const client = await connect(t, 'restricted-client')
      const { results } = (await client.call('search', { query: 'docker' })).structuredContent
      assert.equal(results.length, 10)
      await assert.rejects(
        client.call('read', { path: '/etc/passwd' }),
        /Access denied: restricted-client -> demo\.read/,
      )
      assert.deepEqual(await client.toolNames(), ['search'])
    })

    test(`${peer}: production-agent may read`, async t => {
      const client = await connect(t, 'production-agent')
      assert.match(await client.callText('read', { path: '/etc/passwd' }), /^root:/)
      await assert.rejects(client.call('toggle_tool'), /Access denied: production-agent -> demo\.toggle_tool/)
    })

    test(`${peer}: admin-client may do anything`, async t => {
      const client = await connect(t, 'admin-client')
      assert.match(await client.callText('get_secret'), /FAKE/)
      assert.ok((await client.toolNames()).includes('toggle_tool'))
    })
  }

  test('a client nobody named may do nothing, not even connect', async t => {
    for (const request of [initialize(), modern(1, 'server/discover'), modern(2, 'tools/call', { name: 'echo' })]) {
      const answer = await send(t, url, { ...request, headers: { ...request.headers, 'x-client-id': 'somebody' } })
      assert.equal(answer.status, 200)
      assert.match((await answer.json()).error.message, /^Access denied: somebody/)
    }
  })
})
