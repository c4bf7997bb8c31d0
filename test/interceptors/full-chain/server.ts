import { once } from 'node:events'
import net, { type AddressInfo, type Socket } from 'node:net'
import { crc32 } from 'node:zlib'
import type { Scope } from '../../helpers/scope.ts'
import { writeInTurns } from '../../wire/fuzz/drive.ts'
import { Random } from '../../wire/fuzz/random.ts'
import { hostileAnswer } from './answers.ts'
import { TOOLS } from './requests.ts'

/** One request as the server got it. */
export interface Received {
  /** Header lines in the order of the wire. */
  readonly head: readonly string[]
  readonly body: Buffer
}

/** What one client of the fuzz and its server agree on; each has a path of its own. */
export interface Lane {
  seed: number
  /** Where answers are cut: `null` = they are written whole. */
  cuts: Random | null
  received: Received[]
  /** Whether all answers so far were as they were made. */
  isPlain: boolean
}

/** Cuts bytes at up to `most` places. */
export function cutBytes(bytes: Buffer, random: Random, most: number): Buffer[] {
  const places = Array.from({ length: 1 + random.below(most) }, () => random.below(bytes.length + 1))
  const sorted = [...places.sort((a, b) => a - b), bytes.length]
  const pieces = sorted.map((end, at) => bytes.subarray(at === 0 ? 0 : sorted[at - 1], end))
  return pieces.filter(piece => piece.length > 0)
}

const HEAD_END = Buffer.from('\r\n\r\n')

/** Reads whole requests off a connection. */
class RequestReader {
  #bytes: Buffer = Buffer.alloc(0)

  push(chunk: Buffer): void {
    this.#bytes = this.#bytes.length === 0 ? chunk : Buffer.concat([this.#bytes, chunk])
  }

  take(): { path: string; received: Received } | null {
    const end = this.#bytes.indexOf(HEAD_END)
    if (end === -1) return null
    const [first = '', ...head] = this.#bytes.toString('latin1', 0, end).split('\r\n')
    const body = this.#body(head, end + HEAD_END.length)
    if (body === null) return null
    return { path: first.split(' ')[1] ?? '', received: { head, body } }
  }

  #body(head: readonly string[], from: number): Buffer | null {
    const length = head.find(line => /^content-length:/i.test(line))
    if (length === undefined) return this.#chunks(from)
    const to = from + Number(length.slice(length.indexOf(':') + 1))
    if (to > this.#bytes.length) return null
    const body = this.#bytes.subarray(from, to)
    this.#bytes = this.#bytes.subarray(to)
    return body
  }

  #chunks(from: number): Buffer | null {
    const parts: Buffer[] = []
    for (let at = from; ; ) {
      const line = this.#bytes.indexOf('\r\n', at)
      if (line === -1) return null
      const size = Number.parseInt(this.#bytes.toString('latin1', at, line), 16)
      const next = line + 2 + size + 2
      if (next > this.#bytes.length) return null
      parts.push(this.#bytes.subarray(line + 2, line + 2 + size))
      at = next
      if (size > 0) continue
      this.#bytes = this.#bytes.subarray(at)
      return Buffer.concat(parts)
    }
  }
}

/** Says the same to the same message of the same case, whole or in pieces. */
export class LaneServer {
  readonly #lanes: ReadonlyMap<string, Lane>
  readonly #sockets = new Set<Socket>()
  readonly #server = net.createServer(socket => this.#accept(socket))

  constructor(lanes: ReadonlyMap<string, Lane>) {
    this.#lanes = lanes
  }

  async listen(scope: Scope): Promise<string> {
    this.#server.listen(0, '127.0.0.1')
    await once(this.#server, 'listening')
    scope.after(() => {
      this.#server.close()
      for (const socket of this.#sockets) socket.destroy()
    })
    return `http://127.0.0.1:${(this.#server.address() as AddressInfo).port}`
  }

  #accept(socket: Socket): void {
    const reader = new RequestReader()
    this.#sockets.add(socket)
    socket.setNoDelay(true)
    socket.on('error', () => {})
    socket.on('close', () => this.#sockets.delete(socket))
    socket.on('data', chunk => {
      reader.push(chunk as Buffer)
      for (let next = reader.take(); next !== null; next = reader.take()) {
        void this.#answer(socket, this.#lanes.get(next.path) as Lane, next.received)
      }
    })
  }

  async #answer(socket: Socket, lane: Lane, received: Received): Promise<void> {
    const text = received.body.toString()
    const { id: parsed, method = '' } = JSON.parse(text) as { id?: unknown; method?: string }
    const id = idText(text, parsed)
    if (id.startsWith('"sluice-') && method === 'tools/list') return say(socket, listAnswer(id))
    // What the proxy says to a request of the server's own: nobody waits for it.
    if (/^"s\d"$/.test(id) && method === '') return say(socket, ACCEPTED)
    lane.received.push(received)
    if (id === '' || method === '') return say(socket, ACCEPTED)
    const answer = hostileAnswer(id, method, new Random(lane.seed ^ crc32(received.body)))
    lane.isPlain &&= answer.isPlain
    await writeInTurns(socket, lane.cuts === null ? [answer.bytes] : cutBytes(answer.bytes, lane.cuts, 6))
    if (!answer.framed) socket.end()
  }
}

/** An id as it is written; numbers may be more than what they are parsed to. */
function idText(text: string, id: unknown): string {
  if (id === undefined) return ''
  if (typeof id !== 'number') return JSON.stringify(id)
  const written = [...text.matchAll(/"id"\s*:\s*(-?[\d.eE+-]+)/g)].map(match => match[1] as string)
  return written.find(one => Number(one) === id) ?? String(id)
}

function say(socket: Socket, answer: string): void {
  socket.write(answer)
}

const ACCEPTED = 'HTTP/1.1 202 Accepted\r\ncontent-length: 0\r\n\r\n'

function listAnswer(id: string): string {
  const body = `{"jsonrpc":"2.0","id":${id},"result":{"tools":${JSON.stringify(TOOLS)}}}`
  return `HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: ${body.length}\r\n\r\n${body}`
}
