import assert from 'node:assert/strict'
import { before, describe, test } from 'node:test'
import { startBridge } from '../../helpers/bridge.ts'
import { comparable, EVERYTHING, ready, STEPS } from '../../helpers/everything.ts'
import { suiteScope } from '../../helpers/scope.ts'
import { connectSdk, connectStdio, type Peer } from '../../helpers/sdk-clients.ts'

/** The reference server over stdio: through the bridge each step must give what the same client gets on the pipes itself. */
const COMMAND = [process.execPath, EVERYTHING, 'stdio']
const CLIENTS: Peer[] = ['v1', 'v2 legacy', 'v2 auto']
/** On pipes of its own the SDK's client loses a progress notification that comes in one piece with the answer. */
const LOSSY = ['a long call with progress']

describe('server-everything over stdio behind the bridge', () => {
  const scope = suiteScope()
  let url = ''

  before(async () => {
    url = (await startBridge(scope, COMMAND)).url
  })

  for (const peer of CLIENTS) {
    test(`answers ${peer} as it does directly`, async t => {
      const [direct, behind] = await Promise.all([connectStdio(t, peer, COMMAND), connectSdk(t, peer, url)])
      for (const client of [direct, behind]) await ready(client)
      for (const [name, step] of Object.entries(STEPS)) {
        const answer = comparable(await step(behind))
        if (!LOSSY.includes(name)) assert.deepEqual(answer, comparable(await step(direct)), name)
      }
      assert.deepEqual(behind.errors, [])
    })

    test(`relays logs and updates of resources to ${peer}`, async t => {
      const client = await connectSdk(t, peer, url)
      await ready(client)
      await client.raw.setLoggingLevel('debug')
      await client.subscribe('demo://resource/dynamic/text/1')
      await client.call('toggle-simulated-logging')
      await client.call('toggle-subscriber-updates')
      const deadline = Date.now() + 15_000
      while ((client.logs.length === 0 || client.updates.length === 0) && Date.now() < deadline) {
        await new Promise(resolve => setTimeout(resolve, 50))
      }
      assert.ok(client.logs.length > 0, 'a log message')
      assert.deepEqual([...new Set(client.updates)], ['demo://resource/dynamic/text/1'])
      await client.transport.terminateSession()
    })
  }
})
