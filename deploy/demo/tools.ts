import { setTimeout as delay } from 'node:timers/promises'
import {
  acceptedContent,
  type CallToolResult,
  fromJsonSchema,
  inputRequired,
  inputResponse,
  type McpServer,
  type ServerContext,
} from '@modelcontextprotocol/server'
import { z } from 'zod'
import type { World } from './world.ts'

/** Tools whose answers are streams in both eras, because something may come before the result. */
export const STREAMING_TOOLS = new Set(['countdown', 'slow', 'ask', 'sample'])

/** The example key of the AWS documentation: it opens nothing. */
const FAKE_SECRET = [
  'This is a FAKE secret for demonstrations; it is the example of the AWS documentation and opens nothing.',
  'aws_access_key_id = AKIAIOSFODNN7EXAMPLE',
  'aws_secret_access_key = wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY',
].join('\n')

const MAX_BIG_BYTES = 64 * 1024 * 1024
const MAX_SLOW_MS = 600_000

/** Adds the tools that answer at once. */
export function addPlainTools(server: McpServer, world: World): void {
  server.registerTool(
    'echo',
    { description: 'Gives the text back.', inputSchema: z.object({ text: z.string() }) },
    ({ text }) => says(text),
  )
  server.registerTool(
    'add',
    {
      description: 'Adds two numbers; the answer is structured.',
      inputSchema: z.object({ a: z.number(), b: z.number() }),
      outputSchema: z.object({ sum: z.number() }),
    },
    ({ a, b }) => ({ ...says(String(a + b)), structuredContent: { sum: a + b } }),
  )
  server.registerTool('search', SEARCH, search)
  server.registerTool(
    'read',
    { description: 'Reads a file of a pretend file system.', inputSchema: z.object({ path: z.string() }) },
    ({ path }) => {
      const text = world.files.get(path)
      return text === undefined ? fails(`error: file not found: ${path}`) : says(text)
    },
  )
  server.registerTool(
    'get_secret',
    { description: 'Answers with a fake secret, to show what a scanner does with it.' },
    () => says(FAKE_SECRET),
  )
  server.registerTool(
    'big',
    {
      description: 'A large result: one text of so many bytes.',
      inputSchema: z.object({ bytes: z.int().min(0).max(MAX_BIG_BYTES) }),
    },
    ({ bytes }) => says('x'.repeat(bytes)),
  )
}

/** Adds the tools that take their time, ask back, or change the server. */
export function addLivelyTools(server: McpServer, world: World): void {
  server.registerTool(
    'countdown',
    {
      description: 'Counts down to 0, with a progress notification for each step if the caller asks for progress.',
      inputSchema: z.object({ from: z.int().min(1).max(1000).default(3), interval_ms: z.int().min(0).default(100) }),
    },
    countdown,
  )
  server.registerTool(
    'slow',
    {
      description: 'Answers after so many milliseconds, unless it is cancelled.',
      inputSchema: z.object({ ms: z.int().min(0).max(MAX_SLOW_MS) }),
    },
    ({ ms }, context) => slow(world, ms, context),
  )
  server.registerTool(
    'ask',
    { description: 'Asks the user for a name (elicitation) and greets.', inputSchema: z.object({}) },
    ask,
  )
  server.registerTool(
    'sample',
    { description: "Asks the client's model (sampling).", inputSchema: z.object({ prompt: z.string() }) },
    sample,
  )
  server.registerTool(
    'bump',
    { description: 'Adds 1 to the resource demo://counter; subscribers are told.', inputSchema: z.object({}) },
    () => says(String(world.bump())),
  )
  server.registerTool(
    'toggle_tool',
    {
      description: 'Adds or removes the tool "surprise"; clients are told that the list changed.',
      inputSchema: z.object({}),
    },
    () => says(world.toggleSurprise() ? 'added: surprise' : 'removed: surprise'),
  )
}

/** Adds the tool that comes and goes, and gives the function that sets it as the world says. */
export function addSurprise(server: McpServer, world: World): () => void {
  const tool = server.registerTool(
    'surprise',
    { description: 'Only sometimes there.', inputSchema: z.object({}) },
    () => says('surprise!'),
  )
  if (!world.surprise) tool.disable()
  return () => (world.surprise ? tool.enable() : tool.disable())
}

/** The schema is for clients; the tool checks by itself, because its users know the text of its error. */
const SEARCH = {
  description: 'Searches a made-up web.',
  inputSchema: fromJsonSchema<{ query?: unknown; max_results?: unknown }>(
    {
      type: 'object',
      properties: {
        query: { type: 'string', description: 'What to look for' },
        max_results: { type: 'integer', minimum: 1, maximum: 50, default: 10 },
      },
      required: ['query'],
    },
    { getValidator: () => input => ({ valid: true, data: input as never, errorMessage: undefined }) },
  ),
}

function search({ query, max_results }: { query?: unknown; max_results?: unknown }): CallToolResult {
  if (typeof query !== 'string' || query === '') return fails('Missing required parameter: query')
  const count = Math.min(typeof max_results === 'number' ? max_results : 10, 50)
  const results = Array.from({ length: count }, (_, i) => ({
    title: `${query}: result ${i + 1}`,
    url: `https://example.com/${encodeURIComponent(query)}/${i + 1}`,
    snippet: `Made-up page ${i + 1} about ${query}.`,
  }))
  return { ...says(JSON.stringify({ results })), structuredContent: { results } }
}

async function countdown(
  { from, interval_ms }: { from: number; interval_ms: number },
  context: ServerContext,
): Promise<CallToolResult> {
  const progressToken = context.mcpReq._meta?.progressToken
  for (let left = from; left > 0; left -= 1) {
    const params = { progressToken, progress: from - left + 1, total: from, message: `${left}…` }
    if (progressToken !== undefined) await context.mcpReq.notify({ method: 'notifications/progress', params })
    await context.mcpReq.log('info', `countdown: ${left}`, 'demo')
    await delay(interval_ms, undefined, { signal: context.mcpReq.signal })
  }
  return says('lift-off')
}

async function slow(world: World, ms: number, context: ServerContext): Promise<CallToolResult> {
  world.slow.started += 1
  try {
    await delay(ms, undefined, { signal: context.mcpReq.signal })
  } catch (error) {
    world.slow.cancelled += 1
    throw error
  }
  world.slow.finished += 1
  return says(`done after ${ms} ms`)
}

const NAME = z.object({ name: z.string().describe('Your name') })

function ask(_: object, context: ServerContext) {
  const answer = inputResponse(context.mcpReq.inputResponses, 'name')
  if (answer.kind === 'elicit' && answer.action !== 'accept') return says(`no name: the user chose ${answer.action}`)
  const accepted = acceptedContent(context.mcpReq.inputResponses, 'name', NAME)
  if (accepted !== undefined) return says(`Hello, ${accepted.name}!`)
  const question = inputRequired.elicit({ message: 'What is your name?', requestedSchema: NAME })
  return inputRequired({ inputRequests: { name: question } })
}

function sample({ prompt }: { prompt: string }, context: ServerContext) {
  const answer = inputResponse(context.mcpReq.inputResponses, 'answer')
  if (answer.kind === 'sampling') return says(`The model says: ${JSON.stringify(answer.result.content)}`)
  const messages = [{ role: 'user' as const, content: { type: 'text' as const, text: prompt } }]
  return inputRequired({ inputRequests: { answer: inputRequired.createMessage({ messages, maxTokens: 100 }) } })
}

function says(text: string): CallToolResult {
  return { content: [{ type: 'text', text }] }
}

function fails(text: string): CallToolResult {
  return { ...says(text), isError: true }
}
