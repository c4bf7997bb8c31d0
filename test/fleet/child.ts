import { appendFileSync } from 'node:fs'
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http'

/**
 * A small stateless MCP server for tests of the fleet: listens on $PORT, answers `server/discover` and the tool `work`
 * (`{ ms }`: how long it takes), and says who answered. $MODE: `exit` = ends at once, `late` = takes a second to listen.
 * SIGUSR2 makes it hang, SIGHUP slow: 400 ms more for each answer. $STARTED: a file that gets its pid.
 */
const { PORT = '0', MODE = '', STARTED = '', VERSION = '1' } = process.env
if (STARTED !== '') appendFileSync(STARTED, `${process.pid}\n`)
process.stderr.write(`version ${VERSION} starts\n`)
if (MODE === 'exit') process.exit(7)
process.on('SIGUSR2', () => {
  for (;;);
})
let slowMs = 0
process.on('SIGHUP', () => {
  slowMs = 400
})
process.on('SIGTERM', () => {
  server.close(() => process.exit(0))
  server.closeIdleConnections()
})

const server = createServer((request, response) => void answer(request, response))
setTimeout(() => server.listen(Number(PORT), '127.0.0.1'), MODE === 'late' ? 1000 : 0)

async function answer(request: IncomingMessage, response: ServerResponse): Promise<void> {
  if (request.method === 'GET') {
    // A stream that stays open, for tests of changes under it.
    response.writeHead(200, { 'content-type': 'text/event-stream' }).write(': open\n\n')
    return
  }
  const chunks: Buffer[] = []
  for await (const chunk of request) chunks.push(chunk)
  const { id, method, params } = JSON.parse(Buffer.concat(chunks).toString())
  const { ms = 0 } = params?.arguments ?? {}
  const text = JSON.stringify({ pid: process.pid, version: VERSION, env: Object.keys(process.env).toSorted() })
  const result = method === 'tools/call' ? { content: [{ type: 'text', text }] } : { supportedVersions: ['2026-07-28'] }
  setTimeout(() => {
    response.writeHead(200, { 'content-type': 'application/json' })
    response.end(JSON.stringify({ jsonrpc: '2.0', id, result: { resultType: 'complete', ...result } }))
  }, ms + slowMs)
}
