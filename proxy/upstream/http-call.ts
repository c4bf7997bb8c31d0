import type { Client, Dispatcher } from 'undici'
import { SluiceError } from '../api/index.ts'
import type { Borrower, Connections } from './connections.ts'
import { SilenceError } from './failure.ts'
import type { Replica } from './replica.ts'
import type { Flow, UpstreamRequest, UpstreamSink } from './upstream.ts'
import { type Watched, watchdog } from './watchdog.ts'

/** Who hears that a try has failed and decides whether there is another one. */
export interface CallOwner {
  failed(call: HttpCall, error: unknown): void
}

type HeaderFields = Record<string, string | string[] | undefined>

/** Fields that belong to one connection (RFC 9110, 7.6.1), never passed on. */
const HOP_BY_HOP = new Set([
  'connection',
  'keep-alive',
  'proxy-authenticate',
  'proxy-authorization',
  'proxy-connection',
  'te',
  'trailer',
  'transfer-encoding',
  'upgrade',
])

/**
 * One try of one request on one replica: the handler object that undici drives, and the `Flow` its sink holds. No
 * stream and no promise; every field is set here so that all calls share one hidden class.
 */
export class HttpCall implements Borrower, Flow, Watched {
  readonly request: UpstreamRequest
  readonly sink: UpstreamSink
  readonly owner: CallOwner
  replica: Replica
  /** The connection it runs on; `null` while it waits for one and afterwards. */
  client: Client | null
  tries: number
  headSeen: boolean
  previous: Watched | null
  next: Watched | null
  heardAt: number
  patienceTicks: number
  private controller: Dispatcher.DispatchController | null
  private aborted: boolean
  private paused: boolean
  private done: boolean
  private lender: Connections | null
  /** Why the call must not begin any more, although its connection may still come. */
  private startError: SilenceError | null

  constructor(request: UpstreamRequest, sink: UpstreamSink, owner: CallOwner, replica: Replica) {
    this.request = request
    this.sink = sink
    this.owner = owner
    this.replica = replica
    this.client = null
    this.tries = 0
    this.headSeen = false
    this.previous = null
    this.next = null
    this.heardAt = 0
    this.patienceTicks = 0
    this.controller = null
    this.aborted = false
    this.paused = false
    this.done = false
    this.lender = null
    this.startError = null
  }

  /** Begins a try on `this.replica`. */
  dispatch(): void {
    const request = this.request
    this.tries++
    this.replica.inFlight++
    const lender = this.replica.connectionsFor(request)
    this.lender = lender
    this.controller = null
    watchdog.watch(this, request.firstByteTimeoutMs)
    const options = {
      path: this.replica.pathFor(request.query),
      method: request.method,
      headers: request.headers,
      body: request.body,
      headersTimeout: 0,
      bodyTimeout: 0,
    } as Dispatcher.DispatchOptions
    try {
      lender.dispatch(options, this)
    } catch (error) {
      if (this.lender === null) return
      this.leave()
      this.owner.failed(this, error)
    }
  }

  /** Gives up the connection and the replica's slot; each try does so exactly once. */
  private leave(): void {
    const { lender } = this
    if (lender === null) return
    this.lender = null
    this.replica.inFlight--
    watchdog.leave(this)
    lender.giveBack(this)
  }

  pause(): void {
    this.paused = true
    this.controller?.pause()
  }

  resume(): void {
    this.paused = false
    this.heardAt = watchdog.tick
    this.controller?.resume()
  }

  abort(): void {
    if (this.aborted || this.done) return
    this.aborted = true
    if (this.client === null) this.leave()
    else this.controller?.abort(ABORTED)
  }

  /** The server has kept silent for too long. While we do not listen ourselves, that is no silence of its own. */
  onSilence(): void {
    if (this.paused) {
      this.heardAt = watchdog.tick
      return
    }
    const error = new SilenceError(this.headSeen)
    if (this.client === null) {
      this.leave()
      this.owner.failed(this, error)
    } else if (this.controller === null) {
      this.startError = error
    } else {
      this.controller.abort(error)
    }
  }

  onRequestStart(controller: Dispatcher.DispatchController): void {
    this.controller = controller
    if (this.aborted) controller.abort(ABORTED)
    else if (this.startError !== null) controller.abort(this.startError)
  }

  onResponseStart(controller: Dispatcher.DispatchController, status: number, headers: HeaderFields): void {
    if (status < 200 || this.aborted) return
    this.headSeen = true
    watchdog.setPatience(this, this.request.idleTimeoutMs)
    this.replica.succeeded()
    this.sink.onHead(status, endToEnd(headers), this.replica.id)
    if (this.paused) controller.pause()
  }

  onResponseData(_controller: Dispatcher.DispatchController, chunk: Buffer): void {
    this.heardAt = watchdog.tick
    if (!this.aborted) this.sink.onData(chunk)
  }

  onResponseEnd(): void {
    this.leave()
    this.done = true
    if (!this.aborted) this.sink.onEnd()
  }

  onResponseError(_controller: Dispatcher.DispatchController | null, error: Error): void {
    this.leave()
    if (this.aborted) return
    this.owner.failed(this, error)
  }

  /** Ends the call with an error; the owner has decided that there is no further try. */
  fail(error: SluiceError): void {
    this.done = true
    if (!this.aborted) this.sink.onFail(error)
  }

  get isAborted(): boolean {
    return this.aborted
  }
}

const ABORTED = new SluiceError('upstream_broken', 'the exchange was ended by the proxy')
ABORTED.stack = ''

/** The answer's header fields without those of the connection: flat, lower-case, in the order they came. */
function endToEnd(headers: HeaderFields): string[] {
  const flat: string[] = []
  const connection = headers['connection']
  const named = connection === undefined || connection === 'keep-alive' || connection === 'close' ? null : connection
  for (const name in headers) {
    if (HOP_BY_HOP.has(name) || (named !== null && isNamed(named, name))) continue
    const value = headers[name]
    if (typeof value === 'string') flat.push(name, value)
    else if (value !== undefined) for (const one of value) flat.push(name, one)
  }
  return flat
}

/** Whether the `Connection` field names `name` as one of its own (RFC 9110, 7.6.1). */
export function isNamed(connection: string | string[], name: string): boolean {
  const list = typeof connection === 'string' ? connection : connection.join(',')
  return list
    .toLowerCase()
    .split(',')
    .some(token => token.trim() === name)
}
