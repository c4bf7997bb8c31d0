/**
 * The upstream of `npm run bench`: HTTP/1.1 by hand on node:net, so that it costs a fraction of what is measured. It answers
 * every request of both eras, by its tool: JSON of 300 B or 20 KB at once, `events` with a stream, `large` with megabytes,
 * `slow` later.
 *
 * Usage: node bench/servers/raw.ts PORT [--delay MS] [--faults PERCENT] [--events N] [--burst N] [--bytes N]
 */
import { createServer, type Socket } from 'node:net'
import { parseArgs } from 'node:util'
import { page, records, small, toolList } from '../lib/payload.ts'
import { Call, requestSize } from './raw-call.ts'

const text = { type: 'string' } as const
const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: { delay: text, faults: text, events: text, burst: text, bytes: text },
})
const DELAY_MS = Number(values.delay ?? 100)
const FAULTS = Number(values.faults ?? 0) / 100
const EVENTS = Number(values.events ?? 100)
const BURST = Number(values.burst ?? 10)
const LARGE_BYTES = Number(values.bytes ?? 10_000_000)
const EVENT_BYTES = 200

const SSE_HEAD =
  'HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nCache-Control: no-cache\r\nTransfer-Encoding: chunked\r\n\r\n'
const SMALL = after(small.answerBody)
const BODIES: Readonly<Record<string, Buffer>> = {
  [page.tool]: after(page.answerBody),
  [records.tool]: after(records.answerBody),
}
const LARGE = { text: 'Nothing in here needs an escape. '.repeat(LARGE_BYTES / 33) }
const LARGE_TEXT = JSON.stringify(LARGE.text)
const LARGE_REST = Buffer.from(
  `,"result":{"content":[{"type":"text","text":${LARGE_TEXT}}],"isError":false,"resultType":"complete"}}`,
)
const NO_CONTENT = Buffer.from('HTTP/1.1 202 Accepted\r\nContent-Length: 0\r\n\r\n')
const BUSY = Buffer.from('HTTP/1.1 503 Service Unavailable\r\nContent-Length: 0\r\n\r\n')
let sessions = 0
let owed = 0

/** The answers to id 1, which is what most requests are. */
const ready = new Map<string, Buffer>()

/** What stands behind the id. */
function after(body: Buffer): Buffer {
  return body.subarray(body.indexOf(',"result"'))
}

function json(id: string, rest: Buffer, fields = ''): Buffer {
  const start = `{"jsonrpc":"2.0","id":${id}`
  const head = `HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n${fields}Content-Length: ${start.length + rest.length}\r\n\r\n`
  return Buffer.concat([Buffer.from(head + start, 'latin1'), rest])
}

function result(id: string, value: object, fields = ''): Buffer {
  return json(id, Buffer.from(`,"result":${JSON.stringify(value)}}`), fields)
}

function once(id: string, what: string, make: () => Buffer): Buffer {
  if (id !== '1') return make()
  const known = ready.get(what)
  if (known !== undefined) return known
  const made = make()
  ready.set(what, made)
  return made
}

/** Serves one connection: what is left of a cut request stays in `rest`. */
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
        this.socket.end('HTTP/1.1 400 Bad Request\r\nConnection: close\r\nContent-Length: 0\r\n\r\n')
        return
      }
      if (size === 0 || size > input.length) {
        this.rest = input
        return
      }
      this.answer(new Call(input.subarray(0, size)))
      input = input.subarray(size)
    }
  }

  answer(call: Call): void {
    if (call.verb !== 'POST') this.answerOther(call)
    else if (call.id === '') this.socket.write(NO_CONTENT)
    else if (call.method === 'tools/call') this.call(call)
    else if (call.method === 'subscriptions/listen') this.open()
    else this.socket.write(this.about(call))
  }

  answerOther(call: Call): void {
    if (call.verb === 'GET') this.open()
    else this.socket.write(NO_CONTENT)
  }

  /** A stream that nothing comes over. */
  open(): void {
    this.socket.write(`${SSE_HEAD}8\r\n: open\n\n\r\n`)
  }

  call(call: Call): void {
    owed += FAULTS
    if (owed >= 1) {
      owed -= 1
      this.fail()
      return
    }
    const { id, tool } = call
    if (tool === 'events') this.stream(call, 0)
    else if (tool === 'large') this.socket.write(once(id, tool, () => json(id, LARGE_REST)))
    else if (tool === 'slow') setTimeout(() => this.socket.write(json(id, SMALL)), DELAY_MS)
    else this.socket.write(once(id, tool, () => json(id, BODIES[tool] ?? SMALL)))
  }

  /** In turn: a refusal, a broken connection. */
  fail(): void {
    if (sessions++ % 2 === 0) this.socket.write(BUSY)
    else this.socket.destroy()
  }

  /** Some events in each turn of the loop, as a server that works would. */
  stream(call: Call, from: number): void {
    const last = Math.min(EVENTS - 1, from + BURST)
    let out = from === 0 ? SSE_HEAD : ''
    for (let i = from; i < last; i++) out += chunk(event(call, i))
    if (last === EVENTS - 1) {
      out += `${chunk(`data: {"jsonrpc":"2.0","id":${call.id}${SMALL.toString('latin1')}\n\n`)}0\r\n\r\n`
    } else setImmediate(() => this.stream(call, last))
    if (this.socket.writable) this.socket.write(out, 'latin1')
  }

  about({ id, method, wantedTools }: Call): Buffer {
    if (method === 'initialize') {
      const about = {
        protocolVersion: '2025-11-25',
        capabilities: { tools: {} },
        serverInfo: { name: 'raw', version: '1' },
      }
      return result(id, about, `Mcp-Session-Id: raw-${++sessions}\r\n`)
    }
    if (method === 'server/discover') {
      const kept = { resultType: 'complete', ttlMs: 3_600_000, cacheScope: 'public' }
      return result(id, { supportedVersions: ['2026-07-28'], capabilities: { tools: {} }, ...kept })
    }
    if (method === 'tools/list') {
      return result(id, { tools: list(wantedTools), ttlMs: 3_600_000, cacheScope: 'public', resultType: 'complete' })
    }
    return result(id, { resultType: 'complete' })
  }
}

const ANY = { type: 'object', properties: {} }
const TOOLS = [
  ...toolList,
  ...['events', 'large', 'slow'].map(name => ({ name, description: `Answers with ${name}.`, inputSchema: ANY })),
]

/** Our own tools, and as many more as the URL asks for. */
function list(count: number): object[] {
  const inputSchema = { type: 'object', properties: { query: { type: 'string', minLength: 1 } }, required: ['query'] }
  const more = Array.from({ length: Math.max(0, count - TOOLS.length) }, (_, index) => {
    return { name: `tool_${index}`, description: `Does what number ${index} is for.`, inputSchema }
  })
  return [...TOOLS, ...more]
}

/** One event of exactly 200 bytes. */
function event({ progressToken }: Call, n: number): string {
  const start = `data: {"jsonrpc":"2.0","method":"notifications/progress","params":{"progressToken":${progressToken},"progress":${n + 1},"total":${EVENTS},"message":"`
  return `${start}${FILLER.slice(0, EVENT_BYTES - start.length - 5)}"}}\n\n`
}

const FILLER = 'Reading the next part of the repository, then its tests, then what was said about them. '.repeat(2)

function chunk(content: string): string {
  return `${content.length.toString(16)}\r\n${content}\r\n`
}

const server = createServer({ noDelay: true }, socket => {
  const connection = new Connection(socket)
  socket.on('data', (data: Buffer) => connection.read(data))
  socket.on('error', () => socket.destroy())
})
server.listen({ port: Number(positionals[0] ?? 0), host: '127.0.0.1', backlog: 4096 }, () =>
  console.log('listening', server.address()),
)
