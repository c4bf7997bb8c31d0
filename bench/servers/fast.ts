/**
 * The upstream of the benchmark: HTTP/1.1 by hand on node:net, so that it costs a fraction of what is measured. Every
 * call gets the 200 answer of its tool; `tools/list` gets its list. Keep-alive, pipelined requests, requests cut anywhere, Content-Length only.
 *
 * Usage: node bench/servers/fast.ts PORT; prints `listening` when it serves.
 */
import { createServer, type Socket } from 'node:net'
import { page, records, small, toolList, type Workload } from '../lib/payload.ts'

const HEAD_END = Buffer.from('\r\n\r\n')
const LENGTH = /\r\ncontent-length: *(\d+)/i
const MAX_HEAD_BYTES = 16_384
const SMALL = answer(small.answerBody)
const PAGE = answer(page.answerBody)
const PAGE_CALL = callOf(page)
const RECORDS = answer(records.answerBody)
const RECORDS_CALL = callOf(records)
const LIST_CALL = ': tools/list\r\n'

/** What its header says. */
function callOf({ tool }: Workload): string {
  return `: ${tool}\r\n`
}

function answer(body: Buffer): Buffer {
  const head = `HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: ${body.length}\r\n\r\n`
  return Buffer.concat([Buffer.from(head), body])
}

/** What `schema` asks once. */
function list(request: Buffer): Buffer {
  const { id } = JSON.parse(request.toString()) as { id: unknown }
  const result = { tools: toolList, ttlMs: 3_600_000, cacheScope: 'public', resultType: 'complete' }
  return answer(Buffer.from(JSON.stringify({ jsonrpc: '2.0', id, result })))
}

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
      const end = input.indexOf(HEAD_END)
      const head = end < 0 ? '' : input.toString('latin1', 0, end + 2)
      const size = end < 0 ? unfinished(input) : requestSize(head, input)
      if (size < 0) {
        this.refuse()
        return
      }
      if (size === 0 || size > input.length) {
        this.rest = input
        return
      }
      this.socket.write(answerTo(head, input, size))
      input = input.subarray(size)
    }
  }

  refuse(): void {
    this.socket.end('HTTP/1.1 400 Bad Request\r\nConnection: close\r\nContent-Length: 0\r\n\r\n')
  }
}

function answerTo(head: string, input: Buffer, size: number): Buffer {
  if (head.includes(RECORDS_CALL)) return RECORDS
  if (head.includes(PAGE_CALL)) return PAGE
  return head.includes(LIST_CALL) ? list(input.subarray(head.length + 2, size)) : SMALL
}

/** 0 = the head is not complete yet; -1 = it never will be. */
function unfinished(input: Buffer): number {
  return input.length > MAX_HEAD_BYTES ? -1 : 0
}

/** The size of the first request in bytes; -1 = this server cannot frame it. */
function requestSize(head: string, input: Buffer): number {
  const match = LENGTH.exec(head)
  if (match !== null) return head.length + 2 + Number(match[1])
  return input[0] === 0x47 ? head.length + 2 : -1 // a GET has no body; anything else must say its length
}

const server = createServer({ noDelay: true }, socket => {
  const connection = new Connection(socket)
  socket.on('data', (chunk: Buffer) => connection.read(chunk))
  socket.on('error', () => socket.destroy())
})
server.listen(Number(process.argv[2] ?? 0), '127.0.0.1', () => console.log('listening', server.address()))
