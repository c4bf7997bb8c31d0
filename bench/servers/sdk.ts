/**
 * An upstream on the official SDK, of both eras: what real servers cost beside the proxy.
 *
 * Usage: node bench/servers/sdk.ts PORT
 */
import { createServer } from 'node:http'
import { McpServer } from '@modelcontextprotocol/server'
import { z } from 'zod'
import { DualEra } from '../../deploy/demo/dual-era.ts'
import { small } from '../lib/payload.ts'

const { result } = JSON.parse(small.answerBody.toString()) as {
  result: { content: { type: 'text'; text: string }[]; structuredContent: Record<string, unknown> }
}
const outputSchema = z.object({ ok: z.boolean(), lines: z.number() })

function makeServer(): McpServer {
  const server = new McpServer({ name: 'sdk', version: '1.0.0' })
  const description = 'Says what it was told.'
  server.registerTool('echo', { description, inputSchema: z.object({ text: z.string() }), outputSchema }, () => ({
    content: result.content,
    structuredContent: result.structuredContent,
  }))
  return server
}

const endpoint = new DualEra({ makeServer, answersJson: () => true })
const server = createServer((incoming, outgoing) => void endpoint.handle(incoming, outgoing))
server.listen(Number(process.argv[2] ?? 0), '127.0.0.1', () => console.log('listening', server.address()))
