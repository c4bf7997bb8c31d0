import { createServer } from 'node:http'
import { answer } from './mcp.mjs'

const server = createServer((request, response) => {
  let body = ''
  request.on('data', chunk => {
    body += chunk
  })
  request.on('end', () => {
    if (request.method !== 'POST') return response.writeHead(request.url === '/health' ? 200 : 405).end()
    const said = answer(JSON.parse(body))
    if (said === null) return response.writeHead(202).end()
    response.writeHead(200, { 'content-type': 'application/json' }).end(JSON.stringify(said))
  })
})
server.listen(Number(process.env.PORT ?? 3000), () => console.log('listening'))
process.on('SIGTERM', () => process.exit(0))
