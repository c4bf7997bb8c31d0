import type { Dispatcher } from 'undici'
import { type SseSink, SseSplitter } from '../message/sse.ts'
import type { Ending } from './tally.ts'

/** Largest answer that is read to find out whether it is an error; of larger ones only the status counts. */
const MAX_READ_BYTES = 1024 * 1024
const MAX_EVENT_BYTES = 64 * 1024 * 1024

const NONE = Buffer.alloc(0)
const HAS_ERROR = Buffer.from('"error"')
const IS_ERROR = Buffer.from('"isError"')

/** Who hears how a call ended. Exactly once. */
export interface CallEnd {
  ended(call: LoadCall, ending: Ending): void
}

/** One request under way: the handler that undici drives. */
export class LoadCall implements Dispatcher.DispatchHandler, SseSink {
  readonly step: number
  readonly bytesSent: number
  /** When it should have been sent: waiting for a connection is part of its latency. */
  readonly dueAt: number
  readonly owner: CallEnd
  private status = 0
  private firstByteAt = 0
  private received = 0
  private events = 0
  private sse: SseSplitter | null = null
  private body: Buffer[] = []
  private last: Buffer = NONE
  private controller: Dispatcher.DispatchController | null = null
  private done = false
  session = ''

  constructor(step: number, bytesSent: number, dueAt: number, owner: CallEnd) {
    this.step = step
    this.bytesSent = bytesSent
    this.dueAt = dueAt
    this.owner = owner
  }

  abort(reason: string): void {
    if (this.done) return
    this.finish(reason)
    this.controller?.abort(new Error(reason))
  }

  onRequestStart(controller: Dispatcher.DispatchController): void {
    this.controller = controller
    if (this.done) controller.abort(new Error('too late'))
  }

  onResponseStart(
    _: Dispatcher.DispatchController,
    status: number,
    headers: Record<string, string | string[] | undefined>,
  ): void {
    if (status < 200) return
    this.status = status
    const session = headers['mcp-session-id']
    if (typeof session === 'string') this.session = session
    if (String(headers['content-type']).startsWith('text/event-stream')) this.sse = new SseSplitter(MAX_EVENT_BYTES)
  }

  onResponseData(_: Dispatcher.DispatchController, chunk: Buffer): void {
    this.received += chunk.length
    if (this.sse !== null) this.sse.push(chunk, this)
    else {
      if (this.firstByteAt === 0) this.firstByteAt = performance.now()
      if (this.received <= MAX_READ_BYTES) this.body.push(chunk)
    }
  }

  onEvent(_: Buffer, data: Buffer | null): void {
    if (data === null) return
    if (this.firstByteAt === 0) this.firstByteAt = performance.now()
    this.events++
    // A view of a chunk: it is looked at before the next one comes only if it is the last.
    this.last = Buffer.from(data)
  }

  onOversize(): void {}

  onResponseEnd(): void {
    this.finish('')
  }

  onResponseError(_: Dispatcher.DispatchController | null, error: Error): void {
    this.finish(kindOf(error))
  }

  private finish(problem: string): void {
    if (this.done) return
    this.done = true
    const now = performance.now()
    this.owner.ended(this, {
      step: this.step,
      error: problem === '' ? this.judge() : problem,
      latencyMs: now - this.dueAt,
      firstByteMs: (this.firstByteAt === 0 ? now : this.firstByteAt) - this.dueAt,
      bytesSent: this.bytesSent,
      bytesReceived: this.received,
      events: this.events,
    })
  }

  /** What an answer that came whole says: `''` = well. */
  private judge(): string {
    if (this.status >= 300) return `http ${this.status}`
    if (this.sse !== null) return this.events === 0 ? 'no answer in the stream' : judgeMessage(this.last)
    if (this.received > MAX_READ_BYTES) return ''
    return judgeMessage(this.body.length === 1 ? (this.body[0] as Buffer) : Buffer.concat(this.body))
  }
}

/** Looks closer only at what might be an error: the generator must be cheaper than what it measures. */
function judgeMessage(message: Buffer): string {
  if (!message.includes(HAS_ERROR) && !message.includes(IS_ERROR)) return ''
  try {
    const { error, result } = JSON.parse(message.toString()) as {
      error?: { code?: number }
      result?: { isError?: boolean }
    }
    if (error !== undefined) return `json-rpc ${String(error.code)}`
    return result?.isError === true ? 'tool error' : ''
  } catch {
    return 'bad JSON'
  }
}

function kindOf(error: Error): string {
  const code = (error as NodeJS.ErrnoException).code ?? ''
  if (code === 'ECONNREFUSED' || code === 'UND_ERR_CONNECT_TIMEOUT' || code === 'ENOTFOUND') return `connect (${code})`
  if (code === 'UND_ERR_HEADERS_TIMEOUT' || code === 'UND_ERR_BODY_TIMEOUT') return 'timeout'
  return code === '' ? error.message.split('\n')[0] || 'broken' : code
}
