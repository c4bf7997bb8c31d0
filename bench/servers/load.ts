/**
 * The load generator where wrk is missing: keep-alive connections on node:net, one request at a time on each. It takes
 * more CPU than wrk, so the figures are those of a busier machine.
 *
 * Usage: node bench/servers/load.ts URL CONNECTIONS SECONDS [TOOL]; its last line is a JSON object (`LoadResult`).
 */
import { connect, type Socket } from 'node:net'
import { small, workloads } from '../lib/payload.ts'

const HEAD_END = Buffer.from('\r\n\r\n')
const [url = '', connections = '16', seconds = '3', tool = ''] = process.argv.slice(2)
const { requestBody, requestHeaders } = workloads.find(one => one.tool === tool) ?? small
const target = new URL(url)
const request = Buffer.concat([Buffer.from(head()), requestBody])
const latenciesMs: number[] = []
let errors = 0
let running = true

function head(): string {
  const fields = Object.entries(requestHeaders).map(([name, value]) => `${name}: ${value}\r\n`)
  const length = `Content-Length: ${requestBody.length}\r\n`
  return `POST ${target.pathname} HTTP/1.1\r\nHost: ${target.host}\r\n${fields.join('')}${length}\r\n`
}

/** One connection: sends, waits for the whole answer, sends again. */
class Caller {
  readonly socket: Socket
  rest: Buffer
  sentAt: number

  constructor() {
    this.rest = Buffer.alloc(0)
    this.sentAt = 0
    this.socket = connect({ port: Number(target.port), host: target.hostname, noDelay: true })
    this.socket.on('connect', () => this.send())
    this.socket.on('data', (chunk: Buffer) => this.read(chunk))
    this.socket.on('error', () => this.socket.destroy())
    this.socket.on('close', () => {
      if (running) errors++
    })
  }

  send(): void {
    this.sentAt = performance.now()
    this.socket.write(request)
  }

  read(chunk: Buffer): void {
    this.rest = this.rest.length === 0 ? chunk : Buffer.concat([this.rest, chunk])
    const size = answerSize(this.rest)
    if (size === 0 || this.rest.length < size) return
    if (!this.rest.subarray(0, 12).equals(Buffer.from('HTTP/1.1 200'))) errors++
    latenciesMs.push(performance.now() - this.sentAt)
    this.rest = this.rest.subarray(size)
    if (running) this.send()
  }
}

/** The size of the answer in bytes; 0 = its head is not complete yet. An answer without a length counts as an error. */
function answerSize(input: Buffer): number {
  const end = input.indexOf(HEAD_END)
  if (end < 0) return 0
  const match = /\r\ncontent-length: *(\d+)/i.exec(input.toString('latin1', 0, end))
  if (match === null) errors++
  return end + 4 + Number(match?.[1] ?? 0)
}

function percentile(sorted: readonly number[], share: number): number {
  return sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * share))] ?? 0
}

function finish(startedAt: number): void {
  running = false
  const sorted = Float64Array.from(latenciesMs).sort()
  const result = {
    requests: latenciesMs.length,
    errors,
    seconds: (performance.now() - startedAt) / 1e3,
    p50Ms: percentile([...sorted], 0.5),
    p99Ms: percentile([...sorted], 0.99),
  }
  console.log(JSON.stringify(result))
  process.exit(0)
}

const startedAt = performance.now()
for (let i = 0; i < Number(connections); i++) new Caller()
setTimeout(finish, Number(seconds) * 1e3, startedAt)
