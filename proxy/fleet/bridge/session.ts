import type { Envelope } from '../../message/envelope.ts'
import { SLOT } from '../../message/keys.ts'
import type { Call, CallHolder } from './call.ts'
import type { Exchange, ExchangeOwner } from './http/exchange.ts'
import { findMember, member } from './member.ts'
import { patched } from './patch.ts'
import type { Pipe } from './pipe.ts'
import { startOf } from './wire.ts'

/** Messages, and bytes of them, that wait for a stream of the client; beyond that notifications are dropped. */
const MAX_BACKLOG = 256
const MAX_BACKLOG_BYTES = 4 * 1024 * 1024
/** Requests of the server that a client has not answered. */
const MAX_ASKED = 1_000

/** A JSON-RPC error for a call that its client has cancelled: it does not wait for it, but the HTTP request does. */
const CANCELLED = '{"code":-32800,"message":"cancelled by the client"}'

const CANCEL = 'notifications/cancelled'

/** What a session's requests go through. */
export interface SessionLine {
  send(call: Call): void
  /** A notification or an answer of the client; `method` is `''` for an answer. */
  tell(message: Buffer, method: string): void
  /** The client has gone while it waited for this call. */
  onCallGone(call: Call): void
  /** `line` = the server's answer, `null` = there is none. */
  onCallSettled(call: Call, line: Buffer | null): void
  /** The client takes data again, or has gone. */
  onStreamDrained(exchange: Exchange): void
}

/**
 * One legacy session as its client sees it: the calls it has running, the stream it listens on, and what the server asked
 * it. Every message of the server goes to exactly one place (MCP 2025-11-25, Streamable HTTP, "Multiple Connections").
 */
export class Session implements CallHolder, ExchangeOwner {
  readonly id: string
  /** By source text of the client's own id, in the order they came. */
  readonly calls: Map<string, Call>
  /** The stream of its GET. */
  stream: Exchange | null
  lastUsedMs: number
  private readonly line: SessionLine
  private readonly asked: Set<string>
  private backlog: Buffer[]
  private backlogBytes: number
  private hadStream: boolean

  constructor(id: string, line: SessionLine) {
    this.id = id
    this.calls = new Map()
    this.stream = null
    this.lastUsedMs = performance.now()
    this.line = line
    this.asked = new Set()
    this.backlog = []
    this.backlogBytes = 0
    this.hadStream = false
  }

  /** Runs a request of the client. */
  run(call: Call): void {
    const isTaken = this.calls.has(call.idText)
    const fault = isTaken ? `the id ${call.idText} is in use by a request that still runs` : call.fault
    if (fault !== '') {
      call.refuse('invalid_request', `Invalid request: ${fault}`)
      return
    }
    this.calls.set(call.idText, call)
    this.line.send(call)
    if (this.backlog.length > 0 && !this.hadStream && call.exchange.isOpen && call.method !== 'initialize') {
      this.flush(call.exchange)
    }
  }

  /** Takes a notification or an answer of the client, just scanned. */
  take(envelope: Envelope, body: Buffer): void {
    if (envelope.kind === 'response') {
      if (this.asked.delete(envelope.idText)) this.line.tell(body, '')
    } else if (envelope.method === CANCEL) {
      this.cancel(body)
    } else {
      this.line.tell(body, envelope.method)
    }
  }

  /** Another client's id, or one that has its answer, cancels nothing. */
  private cancel(body: Buffer): void {
    if (!findMember(body, startOf(SLOT.params), 'requestId') || member.isTwin) return
    const { start, end } = member
    const call = this.calls.get(body.toString('utf8', start, end))
    if (call === undefined || call.method === 'initialize') return
    if (call.pipe !== null) {
      this.line.tell(patched(body, start, end, String(call.serverId), -1, -1, '', 0), CANCEL)
      call.pipe.forget(call)
    }
    call.exchange.answer(200, Buffer.from(`{"jsonrpc":"2.0","id":${call.idText},"error":${CANCELLED}}`))
    this.settled(call, null)
  }

  /** Opens the stream of a GET; an older one ends. */
  listen(exchange: Exchange): void {
    const older = this.stream
    this.stream = exchange
    this.hadStream = true
    older?.end()
    exchange.owner = this
    exchange.stream()
    this.flush(exchange)
  }

  /** The only call somebody waits for; `null` when there are none or several. */
  get onlyCall(): Call | null {
    let found: Call | null = null
    for (const call of this.calls.values()) {
      if (!isTarget(call)) continue
      if (found !== null) return null
      found = call
    }
    return found
  }

  get newestCall(): Call | null {
    let found: Call | null = null
    for (const call of this.calls.values()) if (isTarget(call)) found = call
    return found
  }

  /** Whether nothing runs that the client waits for. */
  get isIdle(): boolean {
    if (this.stream !== null) return false
    for (const call of this.calls.values()) if (call.exchange.isOpen) return false
    return true
  }

  /** Hands on what is about a running call, as far as anybody can tell. @returns false = there is nowhere to put it */
  deliver(pipe: Pipe, line: Buffer): boolean {
    const target = this.onlyCall?.exchange ?? this.stream ?? this.newestCall?.exchange ?? null
    if (target !== null) pipe.deliver(target, line)
    return target !== null || this.keep(line)
  }

  /** Hands on what is about no call: a list or a resource that has changed. */
  announce(pipe: Pipe, line: Buffer): void {
    const target = this.stream ?? this.newestCall?.exchange ?? null
    if (target !== null) pipe.deliver(target, line)
    else this.keep(line)
  }

  /** Whether somebody listens now. */
  get isReachable(): boolean {
    return this.stream !== null || this.newestCall !== null
  }

  /** Notes that the client was asked something. @returns false = it has been asked too much already */
  ask(idText: string): boolean {
    if (this.asked.size >= MAX_ASKED) return false
    this.asked.add(idText)
    return true
  }

  private keep(line: Buffer): boolean {
    if (this.backlog.length >= MAX_BACKLOG || this.backlogBytes + line.length > MAX_BACKLOG_BYTES) return false
    this.backlog.push(Buffer.from(line))
    this.backlogBytes += line.length
    return true
  }

  private flush(exchange: Exchange): void {
    const { backlog } = this
    this.backlog = []
    this.backlogBytes = 0
    for (const line of backlog) exchange.event(line)
  }

  /** Ends what is still open. */
  close(): void {
    this.stream?.end()
    this.stream = null
  }

  settled(call: Call, line: Buffer | null): void {
    if (this.calls.get(call.idText) === call) this.calls.delete(call.idText)
    this.line.onCallSettled(call, line)
  }

  abandoned(call: Call): void {
    this.line.onCallGone(call)
  }

  onGone(exchange: Exchange): void {
    if (this.stream === exchange) this.stream = null
    this.lastUsedMs = performance.now()
    this.line.onStreamDrained(exchange)
  }

  onDrain(exchange: Exchange): void {
    this.line.onStreamDrained(exchange)
  }
}

function isTarget(call: Call): boolean {
  return call.exchange.isOpen && call.method !== 'initialize'
}
