import assert from 'node:assert/strict'
import { fileURLToPath } from 'node:url'
import { until } from './scope.ts'
import { ROOT, SAMPLED, type SdkClient } from './sdk-clients.ts'

/** The reference server, which nobody here wrote: `node EVERYTHING stdio` or `streamableHttp`. */
export const EVERYTHING = fileURLToPath(
  new URL('../../node_modules/@modelcontextprotocol/server-everything/dist/index.js', import.meta.url),
)

/** What a client does with the server, step by step; each gives something that can be compared. */
export const STEPS: Record<string, (client: SdkClient) => Promise<unknown>> = {
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

/** The server adds the tools that need the client once it has read `notifications/initialized`. */
export async function ready(client: SdkClient): Promise<void> {
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
export function comparable(value: unknown): unknown {
  const text = JSON.stringify(value) ?? 'null'
  return JSON.parse(text.replace(/\d{1,2}:\d{2}:\d{2}( [AP]M)?/g, 'HH:MM:SS'))
}
