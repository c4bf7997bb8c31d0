import type { ErrorCode, JsonObject } from '../../api/index.ts'
import type { Envelope } from '../../message/envelope.ts'
import { SLOT } from '../../message/keys.ts'
import { type Call, type CallHolder, LISTEN } from './call.ts'
import { type BridgeContext, tell } from './context.ts'
import { refusal } from './exclusive.ts'
import { findMember, member } from './member.ts'
import { ParamHeaders } from './param-headers.ts'
import { patched } from './patch.ts'
import type { Pipe, PipeOwner } from './pipe.ts'
import type { Claim, Processes } from './processes.ts'
import { Resubscriptions } from './resubscriptions.ts'
import { integerAt, SUBSCRIPTION_KEY, startOf } from './wire.ts'

/** Calls that wait for the process to come; beyond that they are refused. */
const MAX_WAITING = 1_000
const ACKNOWLEDGED = 'notifications/subscriptions/acknowledged'

/**
 * The one process of a modern server, for all clients: every request carries all it needs (MCP 2026-07-28). A client that
 * goes cancels its request. When the process ends, running calls fail, and subscriptions are sent to the next one.
 */
export class Modern implements PipeOwner, CallHolder, Claim {
  readonly isShared = true
  private readonly context: BridgeContext
  private readonly processes: Processes
  private readonly subscriptions: Resubscriptions
  private readonly params: ParamHeaders
  private pipe: Pipe | null
  private waiting: Call[]
  private claimed: boolean

  constructor(context: BridgeContext, processes: Processes) {
    this.context = context
    this.processes = processes
    this.subscriptions = new Resubscriptions()
    this.params = new ParamHeaders()
    this.pipe = null
    this.waiting = []
    this.claimed = false
  }

  /** The process, when one runs. */
  get current(): Pipe | null {
    return this.pipe
  }

  /** Takes a process that was found to be modern. */
  adopt(pipe: Pipe): void {
    if (this.pipe !== null || this.claimed) this.processes.putBack(pipe)
    else this.granted(pipe)
  }

  granted(pipe: Pipe): void {
    this.claimed = false
    this.pipe = pipe
    pipe.owner = this
    for (const call of this.waiting.splice(0)) pipe.send(call)
  }

  refused(code: ErrorCode, text: string, data: JsonObject | null): void {
    this.claimed = false
    for (const call of this.waiting.splice(0)) call.fail(code, text, data)
  }

  send(call: Call): void {
    if (this.pipe !== null) return this.pipe.send(call)
    if (this.waiting.length >= MAX_WAITING) return call.fail('overloaded', `${this.context.server} is starting`, null)
    this.waiting.push(call)
    this.claim()
  }

  /** A notification of a client's own, which belongs to no call of anybody. */
  tell(message: Buffer): void {
    this.pipe?.tell(message)
  }

  private claim(): void {
    if (this.claimed) return
    this.claimed = true
    this.processes.take(this)
  }

  /** Why the `Mcp-Param-*` fields of a call do not say what it says; `''` = they do. */
  paramFault(call: Call, fields: readonly string[] | null): string {
    return call.method === 'tools/call' ? this.params.fault(call.name, call.body, fields) : ''
  }

  settled(call: Call, line: Buffer | null): void {
    if (call.method === LISTEN) this.subscriptions.forget(call)
    else if (call.method === 'tools/list' && line !== null && call.succeeded) this.params.learn(line)
  }

  abandoned(call: Call): void {
    if (call.method === LISTEN) this.subscriptions.forget(call)
    const place = this.waiting.indexOf(call)
    if (place >= 0) this.waiting.splice(place, 1)
    else call.pipe?.cancel(call, 'the client has closed the request')
  }

  onMessage(pipe: Pipe, envelope: Envelope, line: Buffer): void {
    if (envelope.kind === 'request') {
      tell(this.context, 'warn', 'a modern server must not send requests', {
        process: pipe.id,
        method: envelope.method,
      })
      pipe.tell(refusal(envelope.idText, -32601, 'MCP 2026-07-28: servers send no requests'))
    } else if (findMember(line, startOf(SLOT.meta), SUBSCRIPTION_KEY)) {
      this.toSubscriber(pipe, envelope.method, line, member.start, member.end)
    } else if (envelope.method === 'notifications/message') {
      this.log(pipe, line)
    } else {
      tell(this.context, 'debug', 'a notification for nobody', { process: pipe.id, method: envelope.method })
    }
  }

  private toSubscriber(pipe: Pipe, method: string, line: Buffer, start: number, end: number): void {
    const call = pipe.callOf(integerAt(line, start, end))
    if (call === undefined || call.exchange === null || call.method !== LISTEN) return
    if (method === ACKNOWLEDGED && this.subscriptions.isKnown(call)) {
      for (const missed of this.subscriptions.missed(call, line)) pipe.deliver(call.exchange, missed)
      return
    }
    if (method === ACKNOWLEDGED) this.subscriptions.acknowledged(call)
    pipe.deliver(call.exchange, patched(line, start, end, call.idText, -1, -1, '', 0))
  }

  /**
   * Nothing in a log message says whose it is, but only requests that asked for logs may cause any: when there is one such
   * request, it is that one's. Of several nobody gets it, as it could be another client's.
   */
  private log(pipe: Pipe, line: Buffer): void {
    let found: Call | null = null
    for (const call of pipe.waiting()) {
      if (!call.wantsLog || call.exchange === null) continue
      if (found !== null) return
      found = call
    }
    if (found !== null) pipe.deliver(found.exchange, line)
  }

  survives(call: Call): boolean {
    return call.exchange.isOpen && this.subscriptions.mayTryAgain(call)
  }

  onEnded(pipe: Pipe): void {
    if (this.pipe !== pipe) return
    this.pipe = null
    this.waiting.push(...this.subscriptions.pending())
    // One that worked is started again at once; one that never did, by the next request.
    if (this.waiting.length > 0 || (pipe.heard && !pipe.stopping)) this.claim()
  }
}
