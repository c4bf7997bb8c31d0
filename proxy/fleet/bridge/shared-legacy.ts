import type { ErrorCode, JsonObject } from '../../api/index.ts'
import type { Envelope } from '../../message/envelope.ts'
import { SLOT } from '../../message/keys.ts'
import { scan } from '../../message/scan.ts'
import type { Call } from './call.ts'
import { type BridgeContext, tell } from './context.ts'
import { isAnnouncement, refusal } from './exclusive.ts'
import { askProcess } from './own-call.ts'
import { patched } from './patch.ts'
import type { Pipe, PipeOwner } from './pipe.ts'
import type { Claim, Processes } from './processes.ts'
import type { Session } from './session.ts'
import { SharedSession } from './shared-session.ts'
import { CLIENT_INFO, endOf, LATEST_LEGACY_VERSION, MAX_DEPTH, startOf } from './wire.ts'

const MAX_WAITING = 1_000
/** How long the process may take for its one handshake. */
const HANDSHAKE_MS = 60_000
const INITIALIZED = Buffer.from('{"jsonrpc":"2.0","method":"notifications/initialized"}')

/**
 * The one process of a legacy server that keeps no state between calls (`share: true`), for all sessions. The bridge
 * shakes hands once, with no capabilities, so that the server has nothing to ask of clients; every client's `initialize` is
 * answered with what it said. Sessions outlive the process: the next one gets the same handshake.
 */
export class SharedLegacy implements PipeOwner, Claim {
  readonly isShared = true
  readonly sessions: Map<string, SharedSession>
  private readonly context: BridgeContext
  private readonly processes: Processes
  private pipe: Pipe | null
  private claimed: boolean
  private waiting: Call[]
  /** The server's answer to `initialize`, with where its id stands; `null` = no process has shaken hands. */
  private greeting: Buffer | null
  private idStart: number
  private idEnd: number
  private version: string

  constructor(context: BridgeContext, processes: Processes) {
    this.sessions = new Map()
    this.context = context
    this.processes = processes
    this.pipe = null
    this.claimed = false
    this.waiting = []
    this.greeting = null
    this.idStart = 0
    this.idEnd = 0
    this.version = ''
  }

  /** The process, when one runs and has shaken hands. */
  get current(): Pipe | null {
    return this.greeting === null ? null : this.pipe
  }

  /** Begins a session, with its `initialize`. */
  open(id: string): SharedSession {
    const session = new SharedSession(id, this)
    this.sessions.set(id, session)
    return session
  }

  send(call: Call): void {
    if (this.current !== null) return this.pass(call)
    if (this.waiting.length >= MAX_WAITING) return call.fail('overloaded', `${this.context.server} is starting`, null)
    if (call.method === 'initialize' && this.version === '') this.version = versionOf(call.body)
    this.waiting.push(call)
    if (this.claimed) return
    this.claimed = true
    this.processes.take(this)
  }

  granted(pipe: Pipe): void {
    this.pipe = pipe
    pipe.owner = this
    this.shakeHands(pipe)
  }

  refused(code: ErrorCode, text: string, data: JsonObject | null): void {
    this.claimed = false
    for (const call of this.waiting.splice(0)) call.fail(code, text, data)
  }

  private shakeHands(pipe: Pipe): void {
    const protocolVersion = this.version || LATEST_LEGACY_VERSION
    const params = { protocolVersion, capabilities: {}, clientInfo: CLIENT_INFO }
    askProcess(pipe, 'initialize', params, HANDSHAKE_MS).then(
      ({ envelope, line }) => (envelope.isError ? this.unwilling(pipe, line) : this.ready(pipe, line)),
      (error: Error) => this.unwilling(pipe, Buffer.from(JSON.stringify({ error: { message: error.message } }))),
    )
  }

  private ready(pipe: Pipe, line: Buffer): void {
    if (this.pipe !== pipe) return
    scan(line, MAX_DEPTH)
    this.greeting = line
    this.idStart = startOf(SLOT.id)
    this.idEnd = endOf(SLOT.id)
    this.claimed = false
    pipe.tell(INITIALIZED)
    for (const call of this.waiting.splice(0)) if (call.exchange.isOpen) this.pass(call)
  }

  private unwilling(pipe: Pipe, answer: Buffer): void {
    if (this.pipe !== pipe) return
    const { error } = JSON.parse(answer.toString()) as { error: { message?: unknown } }
    this.pipe = null
    this.claimed = false
    this.processes.end(pipe)
    const text = `${this.context.server} refused initialize: ${error.message}`
    for (const call of this.waiting.splice(0)) call.fail('upstream_broken', text, null)
  }

  private pass(call: Call): void {
    if (call.method !== 'initialize') return (this.pipe as Pipe).send(call)
    const answer = patched(this.greeting as Buffer, this.idStart, this.idEnd, call.idText, -1, -1, '', 0)
    call.succeeded = true
    call.exchange.answer(200, answer)
    call.holder.settled(call, answer)
  }

  /** Forgets a call whose client has gone before it was sent. */
  forget(call: Call): void {
    const place = this.waiting.indexOf(call)
    if (place >= 0) this.waiting.splice(place, 1)
  }

  tell(message: Buffer): void {
    this.current?.tell(message)
  }

  survives(): boolean {
    return false
  }

  onMessage(pipe: Pipe, envelope: Envelope, line: Buffer): void {
    if (envelope.kind === 'request') this.request(pipe, envelope, line)
    else if (envelope.method === 'notifications/resources/updated') this.updated(pipe, envelope.name, line)
    else if (isAnnouncement(envelope.method)) {
      for (const { session } of this.sessions.values()) session.announce(pipe, line)
    } else {
      const only = this.onlyCall()
      if (only !== null) pipe.deliver(only.exchange, line)
    }
  }

  /** A request of the server can only be put to somebody when there is one call it can be about. */
  private request(pipe: Pipe, envelope: Envelope, line: Buffer): void {
    const only = this.onlyCall()
    const holder = only === null ? undefined : this.sessions.get((only.holder as Session).id)
    if (envelope.method === 'ping') {
      pipe.tell(Buffer.from(`{"jsonrpc":"2.0","id":${envelope.idText},"result":{}}`))
    } else if (only !== null && holder?.session.ask(envelope.idText) === true) {
      pipe.deliver(only.exchange, line)
    } else {
      tell(this.context, 'warn', 'a request of a shared server for nobody', { method: envelope.method })
      pipe.tell(refusal(envelope.idText, -32601, 'several clients share this server: it cannot ask one of them'))
    }
  }

  private updated(pipe: Pipe, uri: string, line: Buffer): void {
    for (const one of this.sessions.values()) if (one.follows(uri)) one.session.announce(pipe, line)
  }

  private onlyCall(): Call | null {
    let found: Call | null = null
    for (const { session } of this.sessions.values()) {
      if (session.newestCall === null) continue
      if (found !== null) return null
      found = session.onlyCall
      if (found === null) return null
    }
    return found
  }

  onEnded(pipe: Pipe): void {
    if (this.pipe !== pipe) return
    this.pipe = null
    this.greeting = null
    this.claimed = false
    for (const call of this.waiting.splice(0)) call.fail('upstream_unreachable', pipe.sentence, null)
    // The next process knows nothing of their subscriptions.
    for (const one of this.sessions.values()) one.uris.clear()
  }
}

function versionOf(body: Buffer): string {
  const { params } = JSON.parse(body.toString()) as { params?: { protocolVersion?: unknown } }
  return typeof params?.protocolVersion === 'string' ? params.protocolVersion : ''
}
