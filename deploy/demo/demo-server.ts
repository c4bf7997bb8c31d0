import { once } from 'node:events'
import http from 'node:http'
import type { AddressInfo } from 'node:net'
import { McpServer } from '@modelcontextprotocol/server'
import { DualEra } from './dual-era.ts'
import { addPrompts, addResources, addSubscriptions } from './surface.ts'
import { addLivelyTools, addPlainTools, addSurprise, STREAMING_TOOLS } from './tools.ts'
import { World } from './world.ts'

/** A running demo server. */
export interface DemoServer {
  /** Its endpoint, for example `http://127.0.0.1:3001/mcp`. */
  readonly url: string
  readonly world: World
  /** Legacy standalone streams that are open now: without one, a legacy session cannot be told anything. */
  readonly standaloneStreams: number
  /** Closes the listener, all sessions and all streams. */
  close(): Promise<void>
}

const INSTRUCTIONS =
  'A demo server. Nothing it does or says is real: its files, search results and secrets are made up.'

/**
 * Starts the demo MCP server on 127.0.0.1: both eras on `/mcp`.
 * @param port 0 = any free port
 * @throws NodeJS.ErrnoException `EADDRINUSE` when the port is taken
 */
export async function startDemoServer(port: number): Promise<DemoServer> {
  const world = new World()
  const endpoint = makeEndpoint(world)
  const listener = http.createServer((incoming, outgoing) => {
    const { pathname } = new URL(incoming.url ?? '/', 'http://localhost')
    if (pathname === '/mcp') return void endpoint.handle(incoming, outgoing)
    outgoing.writeHead(404, { 'content-type': 'text/plain' }).end('The MCP endpoint is /mcp\n')
  })
  listener.listen(port, '127.0.0.1')
  await once(listener, 'listening')
  const address = listener.address() as AddressInfo
  const close = async () => {
    const closed = once(listener, 'close')
    listener.close()
    await endpoint.close()
    listener.closeAllConnections()
    await closed
  }
  return {
    url: `http://127.0.0.1:${address.port}/mcp`,
    world,
    close,
    get standaloneStreams() {
      return endpoint.standaloneStreams
    },
  }
}

function makeEndpoint(world: World): DualEra {
  const changes = new WeakMap<McpServer, SessionChanges>()
  const endpoint = new DualEra({
    makeServer: era => makeServer(world, era, changes),
    onSession: server => follow(world, server, changes.get(server)),
    answersJson,
  })
  world.on('tools', () => endpoint.notify.toolsChanged())
  world.on('updated', uri => endpoint.notify.resourceUpdated(uri))
  return endpoint
}

/** What one legacy session's server does when the world changes. */
interface SessionChanges {
  tools(): void
  isSubscribed(uri: string): boolean
}

function makeServer(world: World, era: 'legacy' | 'modern', changes: WeakMap<McpServer, SessionChanges>): McpServer {
  const capabilities = { logging: {}, resources: { subscribe: true } }
  const server = new McpServer(
    { name: 'sluice-demo', title: 'Sluice demo server', version: '1.0.0' },
    { capabilities, instructions: INSTRUCTIONS, cacheHints: { 'tools/list': { ttlMs: 1000, cacheScope: 'public' } } },
  )
  addPlainTools(server, world)
  addLivelyTools(server, world)
  const tools = addSurprise(server, world)
  addResources(server, world)
  addPrompts(server)
  if (era === 'legacy') changes.set(server, { tools, isSubscribed: addSubscriptions(server) })
  return server
}

function follow(world: World, server: McpServer, change: SessionChanges | undefined): () => void {
  const tools = () => change?.tools()
  const updated = (uri: string) => {
    if (change?.isSubscribed(uri)) void server.server.sendResourceUpdated({ uri }).catch(() => {})
  }
  world.on('tools', tools)
  world.on('updated', updated)
  return () => {
    world.off('tools', tools)
    world.off('updated', updated)
  }
}

/** Answers that bring nothing but their result are JSON, the others SSE: a client meets both. */
function answersJson(message: unknown): boolean {
  const { method, params } = (message ?? {}) as { method?: string; params?: { name?: string } }
  return method !== undefined && !(method === 'tools/call' && STREAMING_TOOLS.has(params?.name ?? ''))
}
