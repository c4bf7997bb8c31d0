import type { ErrorCode, JsonObject } from '../../api/index.ts'
import type { Envelope } from '../../message/envelope.ts'
import type { Call } from './call.ts'
import type { Exchange } from './http/exchange.ts'
import type { Pipe, PipeOwner } from './pipe.ts'
import type { Claim, Processes } from './processes.ts'
import { Session, type SessionLine } from './session.ts'

/** Who hears of the end of a session. */
export interface SessionKeeper {
  /** @param reason why, for the client; `''` = as it wanted */
  onSessionEnded(session: Session, reason: string): void
}

/** What is about a list, a resource or a task, and not about a running call. */
export function isAnnouncement(method: string): boolean {
  return method !== 'notifications/message' && method !== 'notifications/cancelled'
}

/** A legacy session with a process of its own, from the warm ones or started for it; both end together. */
export class Exclusive implements SessionLine, PipeOwner, Claim {
  readonly isShared = false
  readonly session: Session
  private readonly processes: Processes
  private readonly keeper: SessionKeeper
  private readonly server: string
  private pipe: Pipe | null
  /** Calls that wait for the process. */
  private waiting: Call[]
  private over: boolean

  constructor(id: string, server: string, processes: Processes, keeper: SessionKeeper) {
    this.session = new Session(id, this)
    this.processes = processes
    this.keeper = keeper
    this.server = server
    this.pipe = null
    this.waiting = []
    this.over = false
  }

  granted(pipe: Pipe): void {
    this.pipe = pipe
    pipe.owner = this
    for (const call of this.waiting.splice(0)) pipe.send(call)
  }

  refused(code: ErrorCode, text: string, data: JsonObject | null): void {
    for (const call of this.waiting.splice(0)) call.fail(code, text, data)
    this.end(text)
  }

  send(call: Call): void {
    if (this.pipe !== null) this.pipe.send(call)
    else {
      this.waiting.push(call)
      if (this.waiting.length === 1) this.processes.take(this)
    }
  }

  tell(message: Buffer): void {
    this.pipe?.tell(message)
  }

  /** A legacy client that has gone does not cancel; but nobody will ever use a session that was not told its id. */
  onCallGone(call: Call): void {
    if (call.method === 'initialize') this.end('its client has gone during initialize')
  }

  onCallSettled(call: Call, line: Buffer | null): void {
    if (call.method === 'initialize' && (line === null || !call.succeeded)) this.end('initialize failed')
  }

  onStreamDrained(exchange: Exchange): void {
    this.pipe?.forgetFull(exchange)
  }

  survives(): boolean {
    return false
  }

  onMessage(pipe: Pipe, envelope: Envelope, line: Buffer): void {
    if (envelope.kind === 'request') this.request(pipe, envelope, line)
    else if (isAnnouncement(envelope.method)) this.session.announce(pipe, line)
    else this.session.deliver(pipe, line)
  }

  private request(pipe: Pipe, envelope: Envelope, line: Buffer): void {
    const { session } = this
    if (envelope.method === 'ping' && !session.isReachable) {
      pipe.tell(Buffer.from(`{"jsonrpc":"2.0","id":${envelope.idText},"result":{}}`))
    } else if (!session.ask(envelope.idText) || !session.deliver(pipe, line)) {
      pipe.tell(refusal(envelope.idText, -32603, `the client of ${this.server} does not answer`))
    }
  }

  onEnded(pipe: Pipe): void {
    this.end(pipe.sentence)
  }

  /** Ends session and process. */
  end(reason: string): void {
    if (this.over) return
    this.over = true
    const { pipe } = this
    this.processes.leave(this)
    if (pipe !== null && !pipe.isOver) this.processes.end(pipe)
    this.session.close()
    this.keeper.onSessionEnded(this.session, reason)
  }
}

/** An error answer to a request of a server. */
export function refusal(idText: string, code: number, message: string): Buffer {
  return Buffer.from(`{"jsonrpc":"2.0","id":${idText},"error":${JSON.stringify({ code, message })}}`)
}
