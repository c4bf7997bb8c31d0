import type { SluiceError } from '../api/index.ts'
import { count } from './counts.ts'
import type { HttpCall } from './http-call.ts'
import type { Replica } from './replica.ts'
import type { RetryRules } from './retry-rules.ts'
import type { Flow, UpstreamRequest, UpstreamSink } from './upstream.ts'

/** What sends one try. */
interface Sender {
  sendOnce(request: UpstreamRequest, sink: UpstreamSink, not: Replica | null): HttpCall
}

/**
 * A request that only reads, sent to a second replica when the first one is slow to begin its answer. The first answer
 * wins, and the other try is cancelled. To its client it is one flow.
 */
export class HedgedCall implements Flow {
  private readonly sender: Sender
  private readonly rules: RetryRules
  private readonly request: UpstreamRequest
  private readonly sink: UpstreamSink
  private readonly afterMs: number
  private readonly server: string
  private timer: NodeJS.Timeout | null
  private first: Leg | null
  private second: Leg | null
  private winner: Leg | null
  private paused: boolean
  private over: boolean

  constructor(
    sender: Sender,
    rules: RetryRules,
    request: UpstreamRequest,
    sink: UpstreamSink,
    afterMs: number,
    server: string,
  ) {
    this.sender = sender
    this.rules = rules
    this.request = request
    this.sink = sink
    this.afterMs = afterMs
    this.server = server
    this.timer = null
    this.first = null
    this.second = null
    this.winner = null
    this.paused = false
    this.over = false
  }

  start(): void {
    this.sink.onFlow(this)
    this.timer = setTimeout(hedge, this.afterMs, this)
    this.first = new Leg(this)
    this.first.call = this.sender.sendOnce(this.request, this.first, null)
  }

  /** The first try has not begun to answer in time. */
  hedge(): void {
    this.timer = null
    const replica = this.first?.call?.replica ?? null
    // One that still waits for a replica would only wait twice.
    if (this.over || this.winner !== null || replica === null || !this.rules.spend()) return
    count(this.server, 'hedge')
    this.second = new Leg(this)
    this.second.call = this.sender.sendOnce(this.request, this.second, replica)
  }

  pause(): void {
    this.paused = true
    this.winner?.flow?.pause()
  }

  resume(): void {
    this.paused = false
    this.winner?.flow?.resume()
  }

  abort(): void {
    if (this.over) return
    this.finish()
    this.first?.flow?.abort()
    this.second?.flow?.abort()
  }

  /** A head came. @returns whether this leg goes on */
  onHead(leg: Leg, status: number, headers: string[], replica: string): void {
    if (this.over || (this.winner !== null && this.winner !== leg)) return
    const rival = this.rivalOf(leg)
    // A failure is no answer while the other one may still give one.
    if (this.winner === null && status >= 500 && rival !== null) {
      leg.lose()
      return
    }
    this.winner = leg
    this.clear()
    rival?.lose()
    this.sink.onHead(status, headers, replica)
    if (this.paused) leg.flow?.pause()
  }

  onData(leg: Leg, chunk: Buffer): void {
    if (!this.over && this.winner === leg) this.sink.onData(chunk)
  }

  onEnd(leg: Leg): void {
    if (this.over || this.winner !== leg) return
    this.finish()
    this.sink.onEnd()
  }

  onFail(leg: Leg, error: SluiceError): void {
    leg.isOut = true
    if (this.over || (this.winner !== null && this.winner !== leg)) return
    if (this.winner === null && this.rivalOf(leg) !== null) return
    this.finish()
    this.sink.onFail(error)
  }

  /** The other leg, while it may still win. */
  private rivalOf(leg: Leg): Leg | null {
    const rival = leg === this.first ? this.second : this.first
    return rival === null || rival.isOut ? null : rival
  }

  private finish(): void {
    this.over = true
    this.clear()
  }

  private clear(): void {
    if (this.timer !== null) clearTimeout(this.timer)
    this.timer = null
  }
}

/** One of the two tries. */
class Leg implements UpstreamSink {
  readonly whole: HedgedCall
  call: HttpCall | null
  flow: Flow | null
  /** Whether it can win no more. */
  isOut: boolean

  constructor(whole: HedgedCall) {
    this.whole = whole
    this.call = null
    this.flow = null
    this.isOut = false
  }

  lose(): void {
    this.isOut = true
    this.flow?.abort()
  }

  onFlow(flow: Flow): void {
    this.flow = flow
  }

  onHead(status: number, headers: string[], replica: string): void {
    this.whole.onHead(this, status, headers, replica)
  }

  onData(chunk: Buffer): void {
    this.whole.onData(this, chunk)
  }

  onEnd(): void {
    this.whole.onEnd(this)
  }

  onFail(error: SluiceError): void {
    this.whole.onFail(this, error)
  }
}

function hedge(call: HedgedCall): void {
  call.hedge()
}
