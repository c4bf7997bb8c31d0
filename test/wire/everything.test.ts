import assert from 'node:assert/strict'
import { before, describe, test } from 'node:test'
import { fileURLToPath } from 'node:url'
import { startProgram, startSluice } from '../helpers/program.ts'
import { suiteScope, until } from '../helpers/scope.ts'
import { refusedPort } from '../helpers/scripted-upstream.ts'
import { connectSdk, type Peer, ROOT, SAMPLED, type SdkClient } from '../helpers/sdk-clients.ts'

/**
 * The reference server "everything", which nobody here wrote, behind Sluice as its users start it, with the official clients. Each
 * step's answer must be the one the same client gets directly. `v2 auto` probes the modern era and must fall back by itself.
 */
const SERVER = fileURLToPath(
  new URL('../../node_modules/@modelcontextprotocol/server-everything/dist/index.js', import.meta.url),
)
const DEFAULT_POLICY = fileURLToPath(new URL('../../policies/default.yaml', import.meta.url))
const CLIENTS: Peer[] = ['v1', 'v2 legacy', 'v2 auto']

/** What a client does with the server, step by step; each gives something that can be compared. */
const STEPS: Record<string, (client: SdkClient) => Promise<unknown>> = {
  'server info': async ({ raw }) => [raw.getServerVersion(), raw.getServerCapabilities(), raw.getInstructions()],
  ping: ({ raw }) => raw.ping(),
  'tools/list': ({ raw }) => raw.listTools(),
  echo: client => client.call('echo', { message: 'grüße \u2028 😀' }),
  'structured content': client => client.call('get-structured-content', { location: 'New York' }),
  'a picture': client => client.call('get-tiny-image'),
  'resource links': client => client.call('get-resource-links', { count: 3 }),
  'bad arguments': client => failure(client.call('get-sum', { a: 'one', b: 2 })),
  'an unknown tool': client => failure(client.call('no-such-tool')),
  'a long call with progress': async client => {
    const steps: unknown[] = []
    const onprogress = (progress: unknown) => steps.push(progress)
    const result = await client.call('trigger-long-running-operation', { duration: 0.3, steps: 3 }, { onprogress })
    assert.equal(steps.length, 3)
    return [result, steps]
  },
  sampling: async client => {
    const result = await client.call('trigger-sampling-request', { prompt: 'What is it?', maxTokens: 10 })
    assert.match(JSON.stringify(result), new RegExp(SAMPLED))
    return result
  },
  elicitation: client => client.call('trigger-elicitation-request'),
  roots: async client => {
    const result = await client.call('get-roots-list')
    assert.match(JSON.stringify(result), new RegExp(ROOT))
    return result
  },
  'resources/list': ({ raw }) => raw.listResources(),
  'resources/templates/list': ({ raw }) => raw.listResourceTemplates(),
  'resources/read': ({ raw }) => raw.readResource({ uri: 'demo://resource/dynamic/text/1' }),
  'an unknown resource': ({ raw }) => failure(raw.readResource({ uri: 'demo://resource/dynamic/text/zero' })),
  'resources/subscribe': async ({ raw }) => [
    await raw.subscribeResource({ uri: 'demo://resource/dynamic/text/1' }),
    await raw.unsubscribeResource({ uri: 'demo://resource/dynamic/text/1' }),
  ],
  'prompts/list': ({ raw }) => raw.listPrompts(),
  'prompts/get': ({ raw }) => raw.getPrompt({ name: 'args-prompt', arguments: { city: 'Bern', state: 'BE' } }),
  'completion/complete': ({ raw }) =>
    raw.complete({
      ref: { type: 'ref/prompt', name: 'completable-prompt' },
      argument: { name: 'name', value: 'A' },
      context: { arguments: { department: 'Engineering' } },
    }),
  'logging/setLevel': ({ raw }) => raw.setLoggingLevel('debug'),
}

describe('server-everything behind Sluice', () => {
  const scope = suiteScope()
  let direct = ''
  let proxied = ''
  let policed = ''

  before(async () => {
    const port = await refusedPort()
    const command = ['node', SERVER, 'streamableHttp']
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

/** The server adds the tools that need the client once it has read `notifications/initialized`. */
async function ready(client: SdkClient): Promise<void> {
  let tools: string[] = []
  const look = async () => {
    tools = await client.toolNames()
  }
  await look()
  await until(() => {
    if (!tools.includes('get-roots-list')) void look()
    return tools.includes('get-roots-list')
  }, 'the tools that need the client')
}

/** How a call failed: its name, code and text. */
async function failure(call: Promise<unknown>): Promise<unknown> {
  try {
    return await call
  } catch (error) {
    const { name, message, code } = error as Error & { code?: unknown }
    return [name, code, message]
  }
}

/** Without what differs from call to call: the time of day in texts. */
function comparable(value: unknown): unknown {
  const text = JSON.stringify(value) ?? 'null'
  return JSON.parse(text.replace(/\d{1,2}:\d{2}:\d{2}( [AP]M)?/g, 'HH:MM:SS'))
}
