import type { IncomingMessage, Server, ServerResponse } from 'node:http'
import { Readable } from 'node:stream'
import { pipeline } from 'node:stream/promises'
import type { Json } from '../api/index.ts'
import { http } from '../base/node-modules.ts'
import { channels } from './channels.ts'
import { type ControlAnswer, ControlError, isStream } from './control-routes.ts'
import { bindPrivately } from './control-socket.ts'

/** A request as it came over the socket, before a route took it. */
export interface ControlAsk {
  readonly method: string
  /** Without the query. */
  readonly path: string
  /** The last value of each. */
  readonly query: Readonly<Record<string, string>>
  /** `null` = none. */
  readonly body: Json
  /** Aborted when whoever asked has gone. */
  readonly signal: AbortSignal
}

export interface ControlOptions {
  /** Absolute path of the socket. */
  readonly path: string
  /** Rejects with a ControlError for what the asker did wrong. */
  answer(ask: ControlAsk): Promise<ControlAnswer>
}

export interface Control {
  readonly path: string
  /** Stops listening, ends running answers, removes the socket. */
  close(): Promise<void>
}

/** Connections at a time; further ones are closed at once. */
const MAX_CONNECTIONS = 32
const MAX_HEADER_BYTES = 16_384
/** Largest body of a request. */
export const MAX_BODY_BYTES = 1024 * 1024
/** Until a request has come whole. */
const REQUEST_TIMEOUT_MS = 10_000
const JSON_TYPE = 'application/json; charset=utf-8'
const LINES_TYPE = 'application/x-ndjson; charset=utf-8'

/**
 * The door for people at the machine: HTTP on a unix socket that only the user who runs the proxy can open (mode 0600, in
 * a folder that nobody else can write to). It knows no other credential. Bodies are JSON; answers are JSON, or JSON lines
 * that go on until the asker leaves.
 * @throws Error that names the socket when it cannot be had, or another process listens there
 */
export async function openControl(options: ControlOptions): Promise<Control> {
  const server = http.createServer(
    { maxHeaderSize: MAX_HEADER_BYTES, requestTimeout: REQUEST_TIMEOUT_MS },
    (request, reply) => {
      void serve(options, request, reply)
    },
  )
  server.maxConnections = MAX_CONNECTIONS
  await bindPrivately(server, options.path)
  server.on('error', error => {
    channels.notice.publish({ level: 'error', text: 'the control socket had an error', fields: { error } })
  })
  return { path: options.path, close: () => close(server) }
}

async function serve(options: ControlOptions, request: IncomingMessage, reply: ServerResponse): Promise<void> {
  const gone = new AbortController()
  reply.once('close', () => gone.abort())
  try {
    const answer = await options.answer(await readAsk(request, gone.signal))
    if (isStream(answer)) await sendLines(reply, answer)
    else send(reply, 200, answer)
  } catch (error) {
    if (gone.signal.aborted) return
    if (reply.headersSent) reply.destroy()
    else if (error instanceof ControlError) send(reply, error.status, { error: error.message })
    else {
      const fields = { path: request.url ?? '', error }
      channels.notice.publish({ level: 'error', text: 'the control socket could not answer', fields })
      send(reply, 500, { error: error instanceof Error ? error.message : String(error) })
    }
  }
}

async function readAsk(request: IncomingMessage, signal: AbortSignal): Promise<ControlAsk> {
  const url = URL.parse(`http://control${request.url ?? '/'}`)
  if (url === null) throw new ControlError(400, `"${request.url}": expected a path such as /status`)
  const query = Object.fromEntries(url.searchParams)
  return { method: request.method ?? 'GET', path: url.pathname, query, body: await readBody(request), signal }
}

async function readBody(request: IncomingMessage): Promise<Json> {
  const chunks: Buffer[] = []
  let bytes = 0
  for await (const chunk of request as AsyncIterable<Buffer>) {
    bytes += chunk.length
    if (bytes > MAX_BODY_BYTES) throw new ControlError(413, `the body is larger than ${MAX_BODY_BYTES} bytes`)
    chunks.push(chunk)
  }
  if (bytes === 0) return null
  try {
    return JSON.parse(Buffer.concat(chunks).toString()) as Json
  } catch (error) {
    throw new ControlError(400, `the body is not JSON: ${(error as Error).message}`)
  }
}

function send(reply: ServerResponse, status: number, value: Json): void {
  const text = `${JSON.stringify(value)}\n`
  // A body that was too large has not been read: what follows on the connection is no request.
  const last = status === 413 ? { connection: 'close' } : {}
  reply.writeHead(status, { 'content-type': JSON_TYPE, 'content-length': Buffer.byteLength(text), ...last })
  reply.end(text)
}

async function sendLines(reply: ServerResponse, lines: AsyncIterable<string>): Promise<void> {
  reply.writeHead(200, { 'content-type': LINES_TYPE })
  reply.flushHeaders()
  await pipeline(Readable.from(lines, { objectMode: true, highWaterMark: 1 }), reply)
}

function close(server: Server): Promise<void> {
  return new Promise(resolve => {
    server.close(() => resolve())
    server.closeAllConnections()
  })
}
