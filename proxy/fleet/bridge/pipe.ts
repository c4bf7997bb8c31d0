import type { ErrorCode, JsonObject } from '../../api/index.ts'
import { Envelope } from '../../message/envelope.ts'
import { SLOT } from '../../message/keys.ts'
import { scan, scanBatch } from '../../message/scan.ts'
import type { ScanFault } from '../../message/scan-fault.ts'
import type { Ended } from '../launcher.ts'
import type { StdioChannel, StdioListener } from '../stdio-channel.ts'
import type { Call } from './call.ts'
import { type BridgeContext, tell } from './context.ts'
import type { Connection } from './http/connection.ts'
import type { Exchange } from './http/exchange.ts'
import { LastWords } from './last-words.ts'
import { type LineSink, LineSplitter } from './line-splitter.ts'
import { findMember, member } from './member.ts'
import { oversizeId } from './oversize.ts'
import type { OwnCall } from './own-call.ts'
import { asLine, endLine, patched } from './patch.ts'
import { endOf, integerAt, MAX_BATCH, MAX_DEPTH, startOf } from './wire.ts'

/** Most calls that one process works on at a time. */
const MAX_CALLS = 10_000
/** What may wait to be written to a process, besides one message of any size. */
const MAX_WAITING_BYTES = 16 * 1024 * 1024
/** What may wait to be read by one client of a shared process before its stream is cut. */
const MAX_UNREAD_BYTES = 4 * 1024 * 1024
/** Slow readers of a shared process beyond which it is not read any more, until one of them catches up. */
const MAX_SLOW_READERS = 32

/** Whoever a process works for now. */
export interface PipeOwner {
  /** Whether several clients share the process: then none of them may hold it up. */
  readonly isShared: boolean
  /** Whether a call goes on although the process has ended: the owner sends it again. Otherwise it fails. */
  survives(call: Call): boolean
  /** A request or notification of the server; what belongs to a call by its progress token has been sent on already. */
  onMessage(pipe: Pipe, envelope: Envelope, line: Buffer): void
  /** The process has ended; all its calls have been told. */
  onEnded(pipe: Pipe): void
}

/** Who keeps the process itself. */
export interface PipeKeeper {
  /** It has said its first message. */
  onHeard(pipe: Pipe): void
  onEnded(pipe: Pipe): void
}

/**
 * One process and the calls it works on. Towards the server every request has an id of ours, which is its progress token
 * too, so that clients cannot collide; all other bytes stay as they were. Lines of one turn of the event loop are one
 * write.
 */
export class Pipe implements StdioListener, LineSink {
  readonly id: string
  readonly startedMs: number
  owner: PipeOwner
  /** Whether it has said a message yet. */
  heard: boolean
  /** Why it has ended, behind "its process "; `''` = it has not. */
  reason: string
  /** Whether it was told to stop. */
  stopping: boolean
  /** Whether another start could do no better. */
  isPermanent: boolean
  /** Whether it may end at the first message without that being a failure: some servers do at one they do not expect. */
  isTrial: boolean
  readonly words: LastWords
  private readonly context: BridgeContext
  private readonly keeper: PipeKeeper
  private readonly pending: Map<number, Call | OwnCall>
  private readonly splitter: LineSplitter
  private readonly abort: AbortController
  private readonly corked: Connection[]
  private readonly slow: Set<Exchange>
  private readonly flush: () => void
  private nextId: number
  private channel: StdioChannel | null
  private opening: Promise<void>
  private outbox: Buffer[]
  private outboxBytes: number
  private scheduled: boolean
  private blocked: boolean
  private paused: boolean

  constructor(context: BridgeContext, id: string, keeper: PipeKeeper, owner: PipeOwner) {
    this.id = id
    this.startedMs = performance.now()
    this.owner = owner
    this.heard = false
    this.reason = ''
    this.stopping = false
    this.isPermanent = false
    this.isTrial = false
    this.words = new LastWords(context, id)
    this.context = context
    this.keeper = keeper
    this.pending = new Map()
    this.splitter = new LineSplitter(this, context.spec.maxLineBytes)
    this.abort = new AbortController()
    this.corked = []
    this.slow = new Set()
    this.flush = () => this.writeOut()
    this.nextId = 1
    this.channel = null
    this.opening = Promise.resolve()
    this.outbox = []
    this.outboxBytes = 0
    this.scheduled = false
    this.blocked = false
    this.paused = false
  }

  /** Starts the process; what is sent meanwhile waits. Resolves when it runs or has failed, which `onEnded` tells too. */
  open(): Promise<void> {
    this.opening = this.start()
    return this.opening
  }

  private async start(): Promise<void> {
    try {
      const channel = await this.context.opener.open(this.id, this, this.abort.signal)
      this.channel = channel
      channel.ended.then(ended => this.over(ended.reason, ended))
      if (this.stopping) await channel.stop(0)
      else this.writeOut()
    } catch (error) {
      this.isPermanent = (error as { permanent?: boolean }).permanent === true
      this.over(`did not start: ${(error as Error).message}`, null)
    }
  }

  get isOver(): boolean {
    return this.reason !== ''
  }

  /** Calls it works on. */
  get calls(): number {
    return this.pending.size
  }

  get handle(): string {
    return this.channel?.handle ?? ''
  }

  usage(): Promise<{ memoryBytes: number; cpuSeconds: number } | null> {
    return this.channel?.usage() ?? Promise.resolve(null)
  }

  /** Sends a client's request. What cannot be sent is answered at once. */
  send(call: Call): void {
    if (this.isOver) return call.fail('upstream_broken', this.sentence, null)
    if (this.pending.size >= MAX_CALLS) return call.fail('overloaded', `${this.context.server}: too many calls`, RETRY)
    if (this.outboxBytes > MAX_WAITING_BYTES) {
      return call.fail('overloaded', `${this.context.server} does not read what is sent to it`, RETRY)
    }
    const id = this.nextId++
    const text = String(id)
    call.serverId = id
    call.pipe = this
    this.pending.set(id, call)
    this.write(endLine(patched(call.body, call.idStart, call.idEnd, text, call.tokenStart, call.tokenEnd, text, 1)))
  }

  /** Sends a request of the bridge's own. */
  ask(call: OwnCall): void {
    if (this.isOver) return call.fail('upstream_broken', this.sentence, null)
    const id = this.nextId++
    this.pending.set(id, call)
    this.write(asLine(call.request(id)))
  }

  /** Sends a notification or an answer as it is, on one line. */
  tell(message: Buffer): void {
    if (!this.isOver && this.outboxBytes <= MAX_WAITING_BYTES) this.write(asLine(message))
  }

  /** The call of this id, while it has no answer. */
  callOf(id: number): Call | OwnCall | undefined {
    return this.pending.get(id)
  }

  /** All calls without an answer. */
  waiting(): Iterable<Call | OwnCall> {
    return this.pending.values()
  }

  /** Nobody waits for this call any more: the server is told, and a late answer is dropped. */
  cancel(call: Call, reason: string): void {
    if (!this.pending.delete(call.serverId)) return
    const params = { requestId: call.serverId, reason }
    this.tell(Buffer.from(JSON.stringify({ jsonrpc: '2.0', method: 'notifications/cancelled', params })))
  }

  /** Nobody waits for this call any more, and the server has been told. */
  forget(call: Call): void {
    this.pending.delete(call.serverId)
  }

  /** A client catches up, or has gone. */
  forgetFull(exchange: Exchange): void {
    if (!this.slow.delete(exchange)) return
    if (!this.paused || this.slow.size >= this.maxSlow) return
    this.paused = false
    this.channel?.resume()
  }

  /** Ends the process. Its calls hear that it has ended. */
  stop(graceMs: number): Promise<void> {
    this.stopping = true
    this.abort.abort()
    // A start that is called off takes back what it has begun: a container, say.
    return this.channel?.stop(graceMs) ?? this.opening
  }

  onData(chunk: Buffer): void {
    this.splitter.push(chunk)
    for (let i = 0; i < this.corked.length; i++) (this.corked[i] as Connection).uncork()
    this.corked.length = 0
  }

  onDrain(): void {
    this.blocked = false
    this.writeOut()
  }

  onStderr(line: string): void {
    this.words.stderr(line)
  }

  onLine(raw: Buffer): void {
    const end = raw.length
    const line = end > 0 && raw[end - 1] === 0x0d ? raw.subarray(0, end - 1) : raw
    if (line.length === 0) return
    if (line[0] === 0x5b) return this.batch(line)
    this.message(scan(line, MAX_DEPTH), line)
  }

  onOversize(head: Buffer, tail: Buffer, lengthBytes: number): void {
    const text = `${this.context.server} wrote a message of ${lengthBytes} bytes, more than max_line_bytes (${this.context.spec.maxLineBytes})`
    tell(this.context, 'error', 'line over the limit', { process: this.id, bytes: lengthBytes })
    const { kind, idText } = oversizeId(head, tail)
    if (kind === 'request') {
      this.tell(
        Buffer.from(`{"jsonrpc":"2.0","id":${idText},"error":{"code":-32600,"message":"the message is too long"}}`),
      )
      return
    }
    const call = kind === 'response' ? this.pending.get(Number(idText)) : this.onlyCall()
    if (call === undefined || kind === 'notification') return
    this.settled(call)
    call.fail('upstream_broken', text, null)
  }

  /** The call that waits alone: what has no readable id can only be for it. */
  private onlyCall(): Call | OwnCall | undefined {
    return this.pending.size === 1 ? this.pending.values().next().value : undefined
  }

  /** Sends an event to a client, a line or a copy of it. */
  deliver(exchange: Exchange, message: Buffer): void {
    const connection = exchange.cork()
    if (connection !== null) this.corked.push(connection)
    exchange.event(message)
    this.watch(exchange)
  }

  /** Looks after a client that is slow to read. */
  private watch(exchange: Exchange): void {
    if (!exchange.isFull) return
    if (this.owner.isShared && exchange.waitingBytes > MAX_UNREAD_BYTES) {
      tell(this.context, 'warn', 'a client does not read its stream: cut', { process: this.id })
      exchange.cut()
      return
    }
    this.slow.add(exchange)
    if (this.paused || this.slow.size < this.maxSlow) return
    this.paused = true
    this.channel?.pause()
  }

  private get maxSlow(): number {
    return this.owner.isShared ? MAX_SLOW_READERS : 1
  }

  private batch(line: Buffer): void {
    const items = scanBatch(line, MAX_DEPTH, MAX_BATCH)
    if (!Array.isArray(items)) return this.garbage(items, line)
    for (const { start, end } of items) {
      const one = line.subarray(start, end)
      this.message(scan(one, MAX_DEPTH), one)
    }
  }

  private message(envelope: Envelope | ScanFault, line: Buffer): void {
    if (!(envelope instanceof Envelope)) return this.garbage(envelope, line)
    if (!this.heard) {
      this.heard = true
      this.keeper.onHeard(this)
    }
    if (envelope.kind === 'response') this.answer(envelope, line)
    else if (envelope.method === 'notifications/progress') this.progress(line)
    else this.owner.onMessage(this, envelope, line)
  }

  private answer(envelope: Envelope, line: Buffer): void {
    const start = startOf(SLOT.id)
    const call = envelope.idText === '' ? this.onlyCall() : this.pending.get(integerAt(line, start, endOf(SLOT.id)))
    if (call === undefined) {
      tell(this.context, 'debug', 'an answer that nobody waits for', { process: this.id, id: envelope.idText })
      return
    }
    this.settled(call)
    if (envelope.idText === '') call.fail('upstream_broken', `${this.context.server}: ${errorMessage(line)}`, null)
    else call.settle(envelope, line)
  }

  private settled(call: Call | OwnCall): void {
    this.pending.delete(call.serverId)
    if (this.slow.size > 0 && call.exchange !== null) this.forgetFull(call.exchange)
  }

  private progress(line: Buffer): void {
    if (!findMember(line, startOf(SLOT.params), 'progressToken')) return
    const { start, end } = member
    const call = this.pending.get(integerAt(line, start, end))
    if (call === undefined || call.exchange === null || call.tokenText === '') return
    this.deliver(call.exchange, patched(line, start, end, call.tokenText, -1, -1, '', 0))
  }

  /** Something on standard output that is no message. Where it shows which call it was for, that call has its answer. */
  private garbage(fault: ScanFault, line: Buffer): void {
    this.words.garbage(line.toString('utf8', 0, 300))
    const call = fault.idText === '' ? undefined : this.pending.get(Number(fault.idText))
    if (call === undefined) return
    this.settled(call)
    call.fail('upstream_broken', `${this.context.server} gave an answer that cannot be read: ${fault.text}`, null)
  }

  private write(line: Buffer): void {
    this.outbox.push(line)
    this.outboxBytes += line.length
    if (this.scheduled || this.channel === null || this.blocked) return
    this.scheduled = true
    setImmediate(this.flush)
  }

  private writeOut(): void {
    this.scheduled = false
    if (this.channel === null || this.blocked || this.isOver || this.outbox.length === 0) return
    const bytes = this.outbox.length === 1 ? (this.outbox[0] as Buffer) : Buffer.concat(this.outbox, this.outboxBytes)
    this.outbox = []
    this.outboxBytes = 0
    this.blocked = !this.channel.write(bytes)
  }

  private over(reason: string, ended: Ended | null): void {
    if (this.isOver) return
    this.reason = reason === '' ? 'ended' : reason
    if (ended?.oomKilled === true) this.reason += ' (out of memory)'
    this.outbox = []
    this.splitter.reset()
    if (!this.stopping) tell(this.context, 'warn', `process ${this.reason}`, { process: this.id, calls: this.calls })
    const calls = [...this.pending.values()]
    this.pending.clear()
    for (const call of calls) {
      if (call.exchange === null || !this.owner.survives(call)) call.fail(this.failureCode, this.sentence, null)
    }
    this.keeper.onEnded(this)
    this.owner.onEnded(this)
  }

  /** A process that never spoke cannot have worked on anything. */
  private get failureCode(): ErrorCode {
    return this.heard ? 'upstream_broken' : 'upstream_unreachable'
  }

  /** What a caller is told about the end of the process. */
  get sentence(): string {
    // One that never ran has said nothing, as everybody knows.
    const when = this.heard || this.channel === null ? '' : ' before it answered anything'
    return `${this.context.server}: its process ${this.reason}${when}${this.words.quote}`
  }
}

const RETRY: JsonObject = { retry_after_ms: 1_000 }

function errorMessage(line: Buffer): string {
  const { error } = JSON.parse(line.toString()) as { error?: { message?: unknown } }
  return typeof error?.message === 'string' ? error.message : 'an error without a message'
}
