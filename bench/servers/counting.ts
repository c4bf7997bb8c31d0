import { appendFileSync } from 'node:fs'
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http'
import { join } from 'node:path'

/**
 * A stateless MCP server that keeps count: the tool `look` only reads (and says so), `book` writes the id of its request as a
 * line to $COUNT_DIR/written before it answers. Each takes $WORK_MS. Its pid goes to $COUNT_DIR/started. Listens on $PORT.
 * It has no dependencies: containers run it as it is.
 */
const { PORT = '3000', HOST = '127.0.0.1', COUNT_DIR = '/count', WORK_MS = '5' } = process.env

const TOOLS = [
  { name: 'look', inputSchema: { type: 'object' }, annotations: { readOnlyHint: true } },
  { name: 'book', inputSchema: { type: 'object' }, annotations: { readOnlyHint: false, idempotentHint: false } },
]

interface Message {
  readonly id?: number | string
  readonly method: string
  readonly params?: { readonly name?: string }
}

const server = createServer((request, response) => {
  if (request.method !== 'POST') response.writeHead(405).end()
  else void take(request, response)
})
server.listen(Number(PORT), HOST, () => appendFileSync(join(COUNT_DIR, 'started'), `${process.pid}\n`))
process.on('SIGTERM', () => {
  server.close(() => process.exit(0))
  server.closeIdleConnections()
})

async function take(request: IncomingMessage, response: ServerResponse): Promise<void> {
  const chunks: Buffer[] = []
  for await (const chunk of request) chunks.push(chunk)
  const message = JSON.parse(Buffer.concat(chunks).toString()) as Message
  const isBooking = message.method === 'tools/call' && message.params?.name === 'book'
  if (isBooking) appendFileSync(join(COUNT_DIR, 'written'), `${message.id}\n`)
  setTimeout(() => {
    response.writeHead(200, { 'content-type': 'application/json' })
    response.end(JSON.stringify({ jsonrpc: '2.0', id: message.id, result: resultOf(message) }))
  }, Number(WORK_MS))
}

function resultOf({ method }: Message): object {
  const resultType = 'complete'
  if (method === 'server/discover') {
    const serverInfo = { name: 'counting', version: '1' }
    return { resultType, supportedVersions: ['2026-07-28'], capabilities: { tools: {} }, serverInfo }
  }
  if (method === 'tools/list') return { resultType, tools: TOOLS, ttlMs: 0, cacheScope: 'public' }
  return { resultType, content: [{ type: 'text', text: 'done' }] }
}
