import { once } from 'node:events'
import http from 'node:http'
import type { AddressInfo } from 'node:net'
import { parseArgs } from 'node:util'
import { McpServer } from '@modelcontextprotocol/server'
import { DualEra } from '../../deploy/demo/dual-era.ts'
import { addSubscriptions } from '../../deploy/demo/surface.ts'
import { addAskingTools } from './fixture/asking.ts'
import { MemoryEventStore } from './fixture/event-store.ts'
import { addHooks } from './fixture/hooks.ts'
import { addRounds, requestState } from './fixture/rounds.ts'
import { addPrompts, addResources } from './fixture/surface.ts'
import { addTaskMethods, addTaskTools, gateTaskTools, TASKS_EXTENSION } from './fixture/tasks.ts'
import { addTools } from './fixture/tools.ts'

/**
 * The server that the official conformance runner is pointed at, both eras on `/mcp`:
 * `node test/conformance/server.ts [--port 0]`. Prints its URL; ends on SIGTERM, or when its standard input closes.
 */
const { values } = parseArgs({ options: { port: { type: 'string', default: '0' } } })

const endpoint = new DualEra({
  makeServer,
  eventStore: () => new MemoryEventStore(),
  retryMs: 50,
})

function makeServer(era: 'legacy' | 'modern'): McpServer {
  const server = new McpServer(
    { name: 'sluice-conformance-fixture', version: '1.0.0' },
    {
      capabilities: {
        logging: {},
        resources: { subscribe: true },
        ...(era === 'modern' && { extensions: { [TASKS_EXTENSION]: {} } }),
      },
      requestState: { verify: requestState.verify },
      cacheHints: { 'tools/list': { ttlMs: 60_000, cacheScope: 'public' } },
    },
  )
  gateTaskTools(server)
  addTools(server)
  addAskingTools(server)
  addRounds(server)
  addResources(server)
  addPrompts(server)
  addHooks(server, {
    toolsChanged: () => endpoint.notify.toolsChanged(),
    promptsChanged: () => endpoint.notify.promptsChanged(),
  })
  addTaskTools(server)
  if (era === 'modern') addTaskMethods(server)
  else addSubscriptions(server)
  return server
}

const listener = http.createServer((incoming, outgoing) => void endpoint.handle(incoming, outgoing))
listener.listen(Number(values.port), '127.0.0.1')
await once(listener, 'listening')
console.log(`conformance fixture listening on http://127.0.0.1:${(listener.address() as AddressInfo).port}/mcp`)
process.stdin.once('end', () => process.exit(0)).resume()
