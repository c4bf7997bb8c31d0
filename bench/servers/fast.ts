/**
 * The upstream of the benchmark: HTTP/1.1 by hand on node:net, so that it costs a fraction of what is measured. Every
 * request gets the same 200 answer. Keep-alive, pipelined requests, requests cut anywhere, Content-Length only.
 *
 * Usage: node bench/servers/fast.ts PORT; prints `listening` when it serves.
 */
import { createServer, type Socket } from 'node:net'
import { answerBody } from '../lib/payload.ts'

const HEAD_END = Buffer.from('\r\n\r\n')
const LENGTH = /\r\ncontent-length: *(\d+)/i
const MAX_HEAD_BYTES = 16_384
const ANSWER = Buffer.concat([
  Buffer.from(`HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: ${answerBody.length}\r\n\r\n`),
  answerBody,
])

/** Reads one connection: what is left of a cut request stays in `rest`. */
class Connection {
  readonly socket: Socket
  rest: Buffer | null

  constructor(socket: Socket) {
    this.socket = socket
    this.rest = null
  }

  read(chunk: Buffer): void {
    let input = this.rest === null ? chunk : Buffer.concat([this.rest, chunk])
    this.rest = null
    while (input.length > 0) {
      const size = requestSize(input)
      if (size < 0) {
        this.refuse()
        return
      }
      if (size === 0 || size > input.length) {
        this.rest = input
        return
      }
      this.socket.write(ANSWER)
      input = input.subarray(size)
    }
  }

  refuse(): void {
    this.socket.end('HTTP/1.1 400 Bad Request\r\nConnection: close\r\nContent-Length: 0\r\n\r\n')
  }
}

/** The size of the first request in bytes; 0 = its head is not complete yet; -1 = this server cannot frame it. */
function requestSize(input: Buffer): number {
  const end = input.indexOf(HEAD_END)
  if (end < 0) return input.length > MAX_HEAD_BYTES ? -1 : 0
  const match = LENGTH.exec(input.toString('latin1', 0, end))
  if (match !== null) return end + 4 + Number(match[1])
  return input[0] === 0x47 ? end + 4 : -1 // a GET has no body; anything else must say its length
}

const server = createServer({ noDelay: true }, socket => {
  const connection = new Connection(socket)
  socket.on('data', (chunk: Buffer) => connection.read(chunk))
  socket.on('error', () => socket.destroy())
})
server.listen(Number(process.argv[2] ?? 0), '127.0.0.1', () => console.log('listening', server.address()))
