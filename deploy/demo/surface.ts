import { completable, type McpServer, ResourceTemplate } from '@modelcontextprotocol/server'
import { z } from 'zod'
import { COUNTER_URI, type World } from './world.ts'

const STYLES = ['formal', 'friendly', 'pirate']
const NOTES = '/notes/'

/** Adds the resources: two static ones, one that changes, and the notes by template. */
export function addResources(server: McpServer, world: World): void {
  server.registerResource(
    'about',
    'demo://about',
    { description: 'What this server is', mimeType: 'text/plain', cacheHint: { ttlMs: 60_000, cacheScope: 'public' } },
    uri => text(uri, 'The demo server of Sluice. Everything it knows is made up.'),
  )
  server.registerResource(
    'stats',
    'demo://stats',
    { description: 'How calls of the tool "slow" ended', mimeType: 'application/json' },
    uri => text(uri, JSON.stringify(world.slow), 'application/json'),
  )
  server.registerResource(
    'counter',
    COUNTER_URI,
    { description: 'A number; the tool "bump" raises it', mimeType: 'text/plain' },
    uri => text(uri, String(world.counter)),
  )
  server.registerResource('note', notes(world), { description: 'A note', mimeType: 'text/markdown' }, (uri, { name }) =>
    text(uri, world.files.get(`${NOTES}${name}`) ?? '', 'text/markdown'),
  )
}

/** Adds the prompts; the style of `greet` can be completed. */
export function addPrompts(server: McpServer): void {
  const style = completable(z.string().default('friendly'), start =>
    STYLES.filter(known => known.startsWith(start ?? '')),
  )
  server.registerPrompt(
    'greet',
    { description: 'Greets somebody', argsSchema: z.object({ name: z.string(), style }) },
    ({ name, style }) => asks(`Write a ${style} greeting for ${name}.`),
  )
  server.registerPrompt('summarise', { description: 'Summarises the conversation' }, () =>
    asks('Summarise our conversation in three sentences.'),
  )
}

/** Serves `resources/subscribe` and `resources/unsubscribe` of one legacy session; gives the check whether a URI is subscribed. */
export function addSubscriptions(server: McpServer): (uri: string) => boolean {
  const subscribed = new Set<string>()
  server.server.setRequestHandler('resources/subscribe', request => {
    subscribed.add(request.params.uri)
    return {}
  })
  server.server.setRequestHandler('resources/unsubscribe', request => {
    subscribed.delete(request.params.uri)
    return {}
  })
  return uri => subscribed.has(uri)
}

function notes(world: World): ResourceTemplate {
  const names = () =>
    [...world.files.keys()].filter(path => path.startsWith(NOTES)).map(path => path.slice(NOTES.length))
  return new ResourceTemplate('note:///{name}', {
    list: () => ({ resources: names().map(name => ({ uri: `note:///${name}`, name })) }),
    complete: { name: start => names().filter(name => name.startsWith(start)) },
  })
}

function text(uri: URL, contents: string, mimeType = 'text/plain') {
  return { contents: [{ uri: uri.href, mimeType, text: contents }] }
}

function asks(question: string) {
  return { messages: [{ role: 'user' as const, content: { type: 'text' as const, text: question } }] }
}
