/**
 * Clients that read an answer at 1 MB/s each.
 *
 * Usage: node bench/servers/slow-reader.ts URL CONNECTIONS MILLISECONDS BODY HEADERS; its last line is a JSON object.
 */
import { connect, type Socket } from 'node:net'

const BYTES_PER_SECOND = 1_000_000
const TICK_MS = 20

const [url = '', connections = '1', duration = '1000', body = '', fields = '[]'] = process.argv.slice(2)
const target = new URL(url)
const headers = JSON.parse(fields) as string[]
const lines = headers.flatMap((name, index) => (index % 2 === 0 ? [`${name}: ${headers[index + 1]}\r\n`] : []))
const request = `POST ${target.pathname}${target.search} HTTP/1.1\r\nHost: ${target.host}\r\n${lines.join('')}Content-Length: ${Buffer.byteLength(body)}\r\n\r\n${body}`
const startedAt = performance.now()
let bytes = 0
let failed = 0

function open(): Socket {
  let allowed = 0
  const socket = connect({ port: Number(target.port), host: target.hostname })
  socket.on('connect', () => socket.write(request))
  socket.once('data', (data: Buffer) => {
    if (!data.subarray(0, 12).equals(Buffer.from('HTTP/1.1 200'))) failed++
  })
  socket.on('data', (data: Buffer) => {
    bytes += data.length
    allowed -= data.length
    if (allowed <= 0) socket.pause()
  })
  socket.on('error', () => {
    failed++
    socket.destroy()
  })
  setInterval(() => {
    allowed += (BYTES_PER_SECOND * TICK_MS) / 1000
    if (allowed > 0) socket.resume()
  }, TICK_MS)
  return socket
}

for (let i = 0; i < Number(connections); i++) open()
setTimeout(() => {
  const seconds = (performance.now() - startedAt) / 1000
  const none = { p50: 0, p90: 0, p99: 0, p999: 0 }
  console.log(JSON.stringify({ requests: Number(connections), failed, seconds, bytes, ...none }))
  process.exit(0)
}, Number(duration))
