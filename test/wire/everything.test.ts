import assert from 'node:assert/strict'
import { before, describe, test } from 'node:test'
import { fileURLToPath } from 'node:url'
import { comparable, EVERYTHING, ready, STEPS } from '../helpers/everything.ts'
import { startProgram, startSluice } from '../helpers/program.ts'
import { suiteScope } from '../helpers/scope.ts'
import { refusedPort } from '../helpers/scripted-upstream.ts'
import { connectSdk, type Peer } from '../helpers/sdk-clients.ts'

/**
 * The reference server "everything", which nobody here wrote, behind Sluice as its users start it, with the official clients. Each
 * step's answer must be the one the same client gets directly. `v2 auto` probes the modern era and must fall back by itself.
 */
const DEFAULT_POLICY = fileURLToPath(new URL('../../policies/default.yaml', import.meta.url))
const CLIENTS: Peer[] = ['v1', 'v2 legacy', 'v2 auto']

describe('server-everything behind Sluice', () => {
  const scope = suiteScope()
  let direct = ''
  let proxied = ''
  let policed = ''

  before(async () => {
    const port = await refusedPort()
    const command = ['node', EVERYTHING, 'streamableHttp']
    await startProgram(scope, command, { ready: /listening on port/, env: { PORT: String(port) } })
    direct = `http://127.0.0.1:${port}/mcp`
    proxied = (await startSluice(scope, [direct])).url
    policed = (await startSluice(scope, [direct, '--policy', DEFAULT_POLICY])).url
  })

  for (const peer of CLIENTS) {
    test(`answers ${peer} as it does directly`, async t => {
      const [before, behind] = [await connectSdk(t, peer, direct), await connectSdk(t, peer, proxied)]
      for (const client of [before, behind]) await ready(client)
      for (const [name, step] of Object.entries(STEPS)) {
        assert.deepEqual(comparable(await step(behind)), comparable(await step(before)), name)
      }
    })

    test(`answers ${peer} as it does directly, with the policy to begin with`, async t => {
      const [before, behind] = [await connectSdk(t, peer, direct), await connectSdk(t, peer, policed)]
      for (const client of [before, behind]) await ready(client)
      for (const [name, step] of Object.entries(STEPS)) {
        const [there, here] = [comparable(await step(before)), comparable(await step(behind))]
        if (POLICED.includes(name)) assert.match(JSON.stringify(here), /Invalid parameters|expected a number/, name)
        else assert.deepEqual(here, there, name)
      }
    })

    test(`ends the session of ${peer}`, async t => {
      const client = await connectSdk(t, peer, proxied)
      assert.equal(typeof client.sessionId, 'string')
      await client.transport.terminateSession()
      assert.equal(client.sessionId, undefined)
    })
  }
})

/** What `default.yaml` answers itself: arguments that do not fit are told in its own words. */
const POLICED = ['bad arguments']
