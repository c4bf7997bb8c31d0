/** A replica for tests that kill it: writes down the id of each request it executes, then answers. `node FILE LEDGER` */
import { appendFileSync } from 'node:fs'
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'

const ledger = process.argv[2] ?? ''

const server = createServer((request, response) => {
  const chunks: Buffer[] = []
  request.on('data', (chunk: Buffer) => void chunks.push(chunk))
  request.on('end', () => {
    const { id } = JSON.parse(Buffer.concat(chunks).toString()) as { id: number }
    appendFileSync(ledger, `${id}\n`)
    setTimeout(() => {
      response.setHeader('content-type', 'application/json')
      response.end(`{"jsonrpc":"2.0","id":${id},"result":{}}`)
    }, 5)
  })
})
server.listen(0, '127.0.0.1', () => console.log((server.address() as AddressInfo).port))
