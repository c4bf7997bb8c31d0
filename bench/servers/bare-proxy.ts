/**
 * The floor of the stack: node:http in front, undici `Pool.dispatch` behind, nothing in between. No checks, no limits, no
 * scan, no sessions, no metrics: it shows what the two libraries cost, so that the rest can be called Sluice's own.
 *
 * Usage: node bench/servers/bare-proxy.ts PORT UPSTREAM_PORT
 */
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http'
import { type Dispatcher, Pool } from 'undici'

const [port, upstreamPort] = process.argv.slice(2).map(Number)
const pool = new Pool(`http://127.0.0.1:${upstreamPort}`, {
  connections: 64,
  headersTimeout: 30_000,
  bodyTimeout: 30_000,
})
const HOP_BY_HOP = new Set(['connection', 'content-length', 'host', 'keep-alive', 'te', 'transfer-encoding', 'upgrade'])

/** Carries one answer back; undici calls it, so there is no promise and no stream in between. */
class Answer implements Dispatcher.DispatchHandler {
  readonly response: ServerResponse

  constructor(response: ServerResponse) {
    this.response = response
  }

  onRequestStart(): void {}

  onResponseStart(_: unknown, status: number, headers: Record<string, string | string[] | undefined>): void {
    const flat: (string | string[])[] = []
    for (const name in headers) if (name !== 'connection' && name !== 'keep-alive') flat.push(name, headers[name] ?? '')
    this.response.writeHead(status, flat as string[])
  }

  onResponseData(_: unknown, chunk: Buffer): void {
    this.response.write(chunk)
  }

  onResponseEnd(): void {
    this.response.end()
  }

  onResponseError(): void {
    this.response.destroy()
  }
}

function forward(request: IncomingMessage, response: ServerResponse): void {
  const chunks: Buffer[] = []
  request.on('data', (chunk: Buffer) => chunks.push(chunk))
  request.on('end', () => {
    const body = chunks.length === 1 ? (chunks[0] as Buffer) : Buffer.concat(chunks)
    const headers = endToEnd(request.rawHeaders)
    pool.dispatch({ path: request.url ?? '/', method: 'POST', headers, body }, new Answer(response))
  })
}

function endToEnd(raw: string[]): string[] {
  const kept: string[] = []
  for (let i = 0; i < raw.length; i += 2) {
    const name = raw[i] as string
    if (!HOP_BY_HOP.has(name.toLowerCase())) kept.push(name, raw[i + 1] as string)
  }
  return kept
}

createServer(forward).listen(port, '127.0.0.1', () => console.log('listening'))
