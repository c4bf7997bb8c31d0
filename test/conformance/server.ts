import { once } from 'node:events'
import http from 'node:http'
import type { AddressInfo } from 'node:net'
import { parseArgs } from 'node:util'
import { DualEra } from '../../deploy/demo/dual-era.ts'
import { MemoryEventStore } from './fixture/event-store.ts'
import { makeServer } from './fixture/make-server.ts'

/**
 * The server that the official conformance runner is pointed at, both eras on `/mcp`:
 * `node test/conformance/server.ts [--port 0]`. Prints its URL; ends on SIGTERM, or when its standard input closes.
 */
const { values } = parseArgs({ options: { port: { type: 'string', default: '0' } } })

const endpoint = new DualEra({
  makeServer: era =>
    makeServer(era, {
      toolsChanged: () => endpoint.notify.toolsChanged(),
      promptsChanged: () => endpoint.notify.promptsChanged(),
    }),
  eventStore: () => new MemoryEventStore(),
  retryMs: 50,
})

const listener = http.createServer((incoming, outgoing) => void endpoint.handle(incoming, outgoing))
listener.listen(Number(values.port), '127.0.0.1')
await once(listener, 'listening')
console.log(`conformance fixture listening on http://127.0.0.1:${(listener.address() as AddressInfo).port}/mcp`)
process.stdin.once('end', () => process.exit(0)).resume()
