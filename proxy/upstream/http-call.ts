import { SluiceError } from '../api/index.ts'
import type { ProbeOutcome } from './breaker.ts'
import type { Borrower, Connection, Lender, Sending } from './connections.ts'
import { isOwn, isUnsent, SilenceError, StatusError } from './failure.ts'
import type { RequestControl } from './http1/plain-connection.ts'
import type { Replica } from './replica.ts'
import type { Flow, UpstreamRequest, UpstreamSink } from './upstream.ts'
import { type Watched, watchdog } from './watchdog.ts'

/** Who hears what becomes of a call and decides whether there is another try. */
export interface CallOwner {
  /** A try is over without an answer. */
  failed(call: HttpCall, error: unknown): void
  /** A 5xx came: whether to try elsewhere instead of passing it on. */
  declines(call: HttpCall, status: number): boolean
  /** It has waited for a replica for as long as it may. */
  waitedTooLong(call: HttpCall): void
  /** It was given up while it waited. */
  stoppedWaiting(call: HttpCall): void
  /** Nothing more will come of it; exactly once. */
  ended(call: HttpCall): void
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
 * One request on its way to a replica: the handler object that undici drives, and the `Flow` its sink holds. It may wait
 * for a replica, and may be tried several times, one after the other. No stream and no promise; every field is set here
 * so that all calls share one hidden class.
 */
export class HttpCall implements Borrower, Flow, Watched {
  readonly request: UpstreamRequest
  readonly sink: UpstreamSink
  readonly owner: CallOwner
  /** Where it is tried, or was tried last; `null` = nowhere yet. */
  replica: Replica | null
  /** The connection it runs on; `null` while it waits for one and afterwards. */
  client: Connection | null
  tries: number
  headSeen: boolean
  /** Whether its pool counts it among those that run. */
  counted: boolean
  /** Whether it waits for a replica. */
  waiting: boolean
  /** When it may wait no longer, by `performance.now()`; 0 = it has not waited yet. */
  waitsUntil: number
  /** Whether it is the one call that a half-open circuit lets through. */
  probing: boolean
  previous: Watched | null
  next: Watched | null
  list: number
  heardAt: number
  patienceTicks: number
  private controller: RequestControl | null
  private aborted: boolean
  private paused: boolean
  private done: boolean
  private lender: Lender | null
  /** Whether the replica has been told how this try went. */
  private judged: boolean
  /** Why the call must not begin any more, although its connection may still come. */
  private startError: SilenceError | null

  constructor(request: UpstreamRequest, sink: UpstreamSink, owner: CallOwner) {
    this.request = request
    this.sink = sink
    this.owner = owner
    this.replica = null
    this.client = null
    this.tries = 0
    this.headSeen = false
    this.counted = false
    this.waiting = false
    this.waitsUntil = 0
    this.probing = false
    this.previous = null
    this.next = null
    this.list = -1
    this.heardAt = 0
    this.patienceTicks = 0
    this.controller = null
    this.aborted = false
    this.paused = false
    this.done = false
    this.lender = null
    this.judged = false
    this.startError = null
  }

  /** Begins a try on `replica`. */
  dispatch(replica: Replica): void {
    const request = this.request
    this.replica = replica
    this.tries++
    this.judged = false
    replica.inFlight++
    const lender = replica.connectionsFor(request)
    this.lender = lender
    this.controller = null
    this.startError = null
    watchdog.watch(this, replica.firstByteMs(request))
    const options = {
      path: replica.pathFor(request.query),
      method: request.method,
      headers: request.headers,
      body: request.body,
      headersTimeout: 0,
      bodyTimeout: 0,
    } as Sending
    try {
      lender.dispatch(options, this)
    } catch (error) {
      if (this.lender === null) return
      this.leave()
      this.lost(error)
    }
  }

  /** Begins to wait for a replica. */
  wait(timeoutMs: number): void {
    this.waiting = true
    watchdog.watch(this, timeoutMs)
  }

  stopWaiting(): void {
    this.waiting = false
    watchdog.leave(this)
  }

  /** Gives up the connection and the replica's slot; each try does so exactly once. */
  private leave(): void {
    const { lender } = this
    if (lender === null) return
    this.lender = null
    // The connection may run another call from now on.
    this.controller = null
    ;(this.replica as Replica).inFlight--
    watchdog.leave(this)
    lender.giveBack(this)
  }

  /** Tells the replica how it did, once a try. */
  private judge(good: boolean, refused: boolean): void {
    if (this.judged) return
    this.judged = true
    const replica = this.replica as Replica
    if (!good) replica.failed(performance.now(), refused)
    const { breaker } = replica
    if (breaker === null) return
    if (this.probing) this.endProbe(good ? 'good' : 'bad')
    else if (good) breaker.succeeded()
    else breaker.failed()
  }

  private endProbe(outcome: ProbeOutcome): void {
    this.probing = false
    this.replica?.breaker?.endProbe(outcome)
  }

  /** The try failed. */
  private lost(cause: unknown): void {
    if (!isOwn(cause)) this.judge(false, !this.headSeen && isUnsent(cause))
    else if (this.probing) this.endProbe('unknown')
    this.owner.failed(this, cause)
  }

  private finish(): void {
    this.done = true
    if (this.probing) this.endProbe('unknown')
    this.owner.ended(this)
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
    if (this.client !== null) {
      this.controller?.abort(ABORTED)
      return
    }
    if (this.waiting) this.owner.stoppedWaiting(this)
    this.leave()
    this.finish()
  }

  /** The server has kept silent for too long. While we do not listen ourselves, that is no silence of its own. */
  onSilence(): void {
    if (this.waiting) {
      this.owner.waitedTooLong(this)
      return
    }
    if (this.paused) {
      this.heardAt = watchdog.tick
      return
    }
    const error = new SilenceError(this.headSeen)
    if (this.client === null) {
      this.leave()
      this.lost(error)
    } else if (this.controller === null) {
      this.startError = error
    } else {
      this.controller.abort(error)
    }
  }

  onRequestStart(controller: RequestControl): void {
    this.controller = controller
    if (this.aborted) controller.abort(ABORTED)
    else if (this.startError !== null) controller.abort(this.startError)
  }

  /** The head of an answer, as undici gives it. */
  onResponseStart(controller: RequestControl, status: number, headers: HeaderFields): void {
    if (status < 200 || this.aborted) return
    if (this.isDeclined(controller, status)) return
    this.begun(controller, status, endToEnd(headers))
  }

  onAnswerHead(controller: RequestControl, status: number, fields: string[]): void {
    if (this.aborted || this.isDeclined(controller, status)) return
    this.begun(controller, status, fields)
  }

  private isDeclined(controller: RequestControl, status: number): boolean {
    const replica = this.replica as Replica
    if (status >= 500) {
      this.judge(false, false)
      if (!this.owner.declines(this, status)) return false
      controller.abort(new StatusError(status))
      return true
    }
    replica.answered()
    // The answer may be a stream without end: what was asked is whether the replica is well.
    if (this.probing) this.judge(true, false)
    return false
  }

  private begun(controller: RequestControl, status: number, fields: string[]): void {
    const replica = this.replica as Replica
    this.headSeen = true
    watchdog.setPatience(this, replica.idleMs(this.request))
    this.sink.onHead(status, fields, replica.id)
    if (this.paused) controller.pause()
  }

  onResponseData(_controller: RequestControl, chunk: Buffer): void {
    this.heardAt = watchdog.tick
    if (!this.aborted) this.sink.onData(chunk)
  }

  isFlushed(): boolean {
    return this.sink.isFlushed?.() === true
  }

  onResponseEnd(): void {
    this.leave()
    this.judge(true, false)
    this.finish()
    if (!this.aborted) this.sink.onEnd()
  }

  onResponseError(_controller: RequestControl | null, error: Error): void {
    this.leave()
    if (this.aborted) this.finish()
    else this.lost(error)
  }

  /** Ends the call with an error; the owner has decided that there is no further try. */
  fail(error: SluiceError): void {
    this.finish()
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
