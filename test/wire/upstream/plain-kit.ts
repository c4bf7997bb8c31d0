import assert from 'node:assert/strict'
import {
  type AnswerHandler,
  PlainConnection,
  type RequestControl,
} from '../../../proxy/upstream/http1/plain-connection.ts'
import type { Outgoing } from '../../../proxy/upstream/http1/request-bytes.ts'
import type { RawPeer } from '../../helpers/raw-upstream.ts'
import { deferred, type Scope, within } from '../../helpers/scope.ts'

/** Keeps everything of one answer, and does what a test wants at a callback. */
export class Kept implements AnswerHandler {
  readonly log: string[] = []
  readonly chunks: Buffer[] = []
  readonly done = deferred<Error | null>()
  status = 0
  fields: string[] = []
  control: RequestControl | undefined
  flushed = false
  at: { start?: (c: RequestControl) => void; head?: (c: RequestControl) => void; data?: (c: RequestControl) => void } =
    {}

  onRequestStart(control: RequestControl): void {
    this.control = control
    this.log.push('start')
    this.at.start?.(control)
  }

  onAnswerHead(control: RequestControl, status: number, fields: string[]): void {
    this.log.push('head')
    this.status = status
    this.fields = fields
    this.at.head?.(control)
  }

  onResponseData(control: RequestControl, chunk: Buffer): void {
    if (this.log.at(-1) !== 'data') this.log.push('data')
    this.chunks.push(chunk)
    this.at.data?.(control)
  }

  isFlushed(): boolean {
    return this.flushed
  }

  onResponseEnd(): void {
    this.log.push('end')
    this.done.resolve(null)
  }

  onResponseError(_: RequestControl, error: Error): void {
    this.log.push('error')
    this.done.resolve(error)
  }

  get body(): string {
    return Buffer.concat(this.chunks).toString('latin1')
  }

  /** The body of an answer that came to its end. */
  async ended(): Promise<string> {
    assert.equal(await within(this.done.promise, 'the end of an answer'), null)
    return this.body
  }

  async error(): Promise<Error & { code?: string }> {
    const error = await within(this.done.promise, 'an error')
    assert.ok(error !== null, 'the answer came to its end')
    return error
  }
}

export const GET: Outgoing = { path: '/mcp', method: 'GET', headers: [], body: null }

export function post(body: Uint8Array, headers: string[] = []): Outgoing {
  return { path: '/mcp', method: 'POST', headers, body }
}

export interface Made {
  readonly connection: PlainConnection
  /** How often it said that it is not connected any more. */
  readonly gone: () => number
  /** Sends it. */
  ask(outgoing?: Outgoing, at?: Kept['at']): Kept
}

export function connect(t: Scope, port: number, options: { keepAliveMs?: number; socketPath?: string } = {}): Made {
  let gone = 0
  const connection = new PlainConnection(
    {
      origin: `http://127.0.0.1:${port}`,
      socketPath: options.socketPath ?? '',
      connectMs: 5_000,
      maxHeadBytes: 16_384,
      keepAliveMs: options.keepAliveMs ?? 60_000,
    },
    () => gone++,
  )
  t.after(() => connection.destroy())
  const ask = (outgoing = GET, at: Kept['at'] = {}): Kept => {
    const kept = new Kept()
    kept.at = at
    connection.dispatch(outgoing, kept)
    return kept
  }
  return { connection, gone: () => gone, ask }
}

export function counted(body: string, ...lines: string[]): string {
  return `HTTP/1.1 200 OK\r\n${lines.map(line => `${line}\r\n`).join('')}Content-Length: ${body.length}\r\n\r\n${body}`
}

/** Answers the requests without a body of a connection, in order. */
export function answering(...answers: readonly (string | ((peer: RawPeer) => void))[]): (peer: RawPeer) => void {
  let next = 0
  return peer => {
    peer.socket.on('data', () => {
      const answer = answers[Math.min(next++, answers.length - 1)]
      if (typeof answer === 'string') peer.socket.write(answer, 'latin1')
      else answer?.(peer)
    })
  }
}
