import { randomBytes } from 'node:crypto'
import type { ErrorCode, SluiceError } from '../../api/index.ts'
import { Lru } from '../../base/lru.ts'
import { Envelope } from '../../message/envelope.ts'
import { errorAnswer } from '../../message/jsonrpc.ts'
import { scan, startsWithArray } from '../../message/scan.ts'
import { BatchExchange } from './batch-exchange.ts'
import { Call } from './call.ts'
import type { BridgeContext } from './context.ts'
import { type Era, EraFinder, type EraMemory } from './era.ts'
import { Exclusive, type SessionKeeper } from './exclusive.ts'
import type { Connection, RequestHandler } from './http/connection.ts'
import { Exchange } from './http/exchange.ts'
import { Listener } from './http/listener.ts'
import type { RequestHead } from './http/request-head.ts'
import { Modern } from './modern.ts'
import { askProcess } from './own-call.ts'
import { Processes } from './processes.ts'
import type { Session } from './session.ts'
import { SharedLegacy } from './shared-legacy.ts'
import { MAX_DEPTH, MODERN_VERSION, OWN_META } from './wire.ts'

/** Path of the bridge's only endpoint. */
export const BRIDGE_PATH = '/mcp'
/** How often quiet streams are kept alive, idle sessions are looked for, and quiet calls become streams. */
const TICK_MS = 15_000
/** Ended sessions whose reason is remembered, for a clear 404. */
const REMEMBERED_ENDS = 1_000
/** Sessions of a shared process at a time. */
const MAX_SHARED_SESSIONS = 10_000
/** How long a process may take to answer a check of its health. */
const CHECK_MS = 5_000

/** A stdio server as a Streamable HTTP endpoint on a unix socket, for every era. */
export class Bridge implements RequestHandler, SessionKeeper {
  readonly maxBodyBytes: number
  readonly tooLarge: string
  readonly processes: Processes
  readonly listener: Listener
  private readonly context: BridgeContext
  private readonly modern: Modern
  private readonly shared: SharedLegacy | null
  private readonly eras: EraFinder
  /** Sessions with a process of their own, by id. */
  private readonly sessions: Map<string, Exclusive>
  private readonly ends: Lru<string, string>
  private readonly timer: NodeJS.Timeout

  constructor(context: BridgeContext, socketPath: string, memory: EraMemory, onGiveUp: (reason: string) => void) {
    this.maxBodyBytes = context.spec.maxLineBytes
    const limit = `the message is larger than max_line_bytes (${this.maxBodyBytes})`
    this.tooLarge = errorAnswer('', 'message_too_large', limit, null, false).toString()
    this.context = context
    this.processes = new Processes(context, onGiveUp)
    this.modern = new Modern(context, this.processes)
    this.shared = context.spec.share ? new SharedLegacy(context, this.processes) : null
    this.eras = new EraFinder(context, this.processes, memory, pipe => this.modern.adopt(pipe))
    this.sessions = new Map()
    this.ends = new Lru(REMEMBERED_ENDS)
    this.listener = new Listener(socketPath, this)
    this.timer = setInterval(() => this.tick(), Math.min(TICK_MS, context.spec.sessionIdleMs || TICK_MS))
    this.timer.unref()
    this.setWarmth()
  }

  /** Sessions that are open. */
  get sessionCount(): number {
    return this.sessions.size + (this.shared?.sessions.size ?? 0)
  }

  /** One process for all needs no other one that waits. */
  private setWarmth(): void {
    const isOne = this.shared !== null || this.eras.known === 'modern'
    this.processes.warmTarget = isOne && this.sessions.size === 0 ? 0 : this.context.spec.warm
  }

  onExchange(connection: Connection, head: RequestHead, body: Buffer): void {
    const exchange = new Exchange(connection, head.close, performance.now())
    if (head.path !== BRIDGE_PATH) exchange.empty(404)
    else if (head.method === 'POST') this.post(exchange, head, body)
    else if (head.method === '') exchange.empty(405, 'allow: POST, GET, DELETE\r\n')
    else if (head.session === '') exchange.empty(405, 'allow: POST\r\n')
    else this.withoutBody(exchange, head)
  }

  onClosed(): void {}

  private withoutBody(exchange: Exchange, head: RequestHead): void {
    const session = this.sessionOf(exchange, head.session)
    if (session === null) return
    session.lastUsedMs = performance.now()
    if (head.method === 'GET') return session.listen(exchange)
    this.endSession(session, '')
    exchange.empty(200)
  }

  private post(exchange: Exchange, head: RequestHead, body: Buffer): void {
    if (startsWithArray(body)) return this.batch(exchange, head, body)
    const envelope = scan(body, MAX_DEPTH)
    if (!(envelope instanceof Envelope)) {
      refuse(exchange, 400, envelope.code, envelope.text, envelope.idText)
    } else if (envelope.metaVersion !== null) {
      this.fromModern(exchange, head, envelope, body)
    } else if (envelope.method === 'initialize' && envelope.kind === 'request') {
      this.initialize(exchange, envelope, body)
    } else if (head.session === '') {
      this.withoutSession(exchange, envelope)
    } else {
      const session = this.sessionOf(exchange, head.session, envelope.kind === 'request' ? envelope.idText : '')
      if (session !== null) take(session, exchange, envelope, body)
    }
  }

  private fromModern(exchange: Exchange, head: RequestHead, envelope: Envelope, body: Buffer): void {
    // A request is cancelled by closing it: over HTTP nothing says whose the request of a notification would be.
    const isCancel = envelope.method === 'notifications/cancelled' || envelope.method === 'notifications/progress'
    if (envelope.kind !== 'request') {
      if (!isCancel) this.modern.tell(body)
      return exchange.empty(202)
    }
    const call = new Call(exchange, this.modern, envelope, body, true)
    exchange.owner = call
    const era = this.eras.known
    const version = envelope.metaVersion ?? ''
    if (era === null) this.findEra(call, version, head.params)
    else this.sendModern(call, era, version, head.params)
  }

  private findEra(call: Call, version: string, params: readonly string[] | null): void {
    this.eras.find().then(
      era => {
        this.setWarmth()
        this.sendModern(call, era, version, params)
      },
      (error: SluiceError) => call.fail(error.code, error.message, null),
    )
  }

  private sendModern(call: Call, era: Era, version: string, params: readonly string[] | null): void {
    if (!call.exchange.isOpen) return
    if (era === 'legacy') {
      const text = `${this.context.server} does not speak MCP ${MODERN_VERSION}: send initialize first`
      const { ending } = this.eras
      return call.refuse('invalid_request', ending === '' ? text : `${text} (asked for it, ${ending})`)
    }
    const { versions } = this.eras
    if (versions.length > 0 && call.isComplete && !versions.includes(version)) {
      return refuseVersion(call.exchange, call.idText, version, versions)
    }
    if (call.fault !== '') return call.refuse('invalid_request', `Invalid request: ${call.fault}`)
    const fault = this.modern.paramFault(call, params)
    if (fault === '') this.modern.send(call)
    else call.refuse('header_mismatch', fault)
  }

  /** `initialize` of a legacy client: begins a session, with or without a process of its own. */
  private initialize(exchange: Exchange, envelope: Envelope, body: Buffer): void {
    if (this.context.spec.era === 'modern') {
      const { versions } = this.eras
      return refuseVersion(exchange, envelope.idText, '', versions.length > 0 ? versions : [MODERN_VERSION])
    }
    if ((this.shared?.sessions.size ?? 0) >= MAX_SHARED_SESSIONS) {
      const text = `${this.context.server} has ${MAX_SHARED_SESSIONS} sessions`
      return refuse(exchange, 200, 'overloaded', text, envelope.idText)
    }
    const id = randomBytes(18).toString('base64url')
    const session = this.shared === null ? this.openExclusive(id) : this.shared.open(id).session
    const call = new Call(exchange, session, envelope, body, false)
    exchange.owner = call
    exchange.sessionId = id
    session.run(call)
  }

  private openExclusive(id: string): Session {
    const own = new Exclusive(id, this.context.server, this.processes, this)
    this.sessions.set(id, own)
    this.setWarmth()
    return own.session
  }

  private withoutSession(exchange: Exchange, envelope: Envelope): void {
    if (envelope.kind === 'notification' && this.eras.known === 'modern') return exchange.empty(202)
    const text = 'no session: send initialize first, then every request with its Mcp-Session-Id'
    refuse(exchange, 400, 'invalid_request', text, envelope.kind === 'request' ? envelope.idText : '')
  }

  /** 2025-03-26 only. */
  private batch(exchange: Exchange, head: RequestHead, body: Buffer): void {
    const session = head.session === '' ? null : this.sessionOf(exchange, head.session)
    if (session !== null) new BatchExchange(exchange, session).run(body)
    else if (exchange.isOpen)
      refuse(exchange, 400, 'invalid_request', 'a batch needs a session: send initialize first', '')
  }

  private sessionOf(exchange: Exchange, id: string, idText = ''): Session | null {
    const session = this.sessions.get(id)?.session ?? this.shared?.sessions.get(id)?.session
    if (session !== undefined) return session
    const reason = this.ends.get(id)
    const text = reason === undefined || reason === '' ? 'no such session' : `the session has ended: ${reason}`
    refuse(exchange, 404, 'session_not_found', `${text}: initialize again`, idText)
    return null
  }

  private endSession(session: Session, reason: string): void {
    const own = this.sessions.get(session.id)
    if (own !== undefined) return own.end(reason)
    session.close()
    this.shared?.sessions.delete(session.id)
    this.onSessionEnded(session, reason)
  }

  onSessionEnded(session: Session, reason: string): void {
    this.sessions.delete(session.id)
    this.ends.set(session.id, reason)
  }

  private tick(): void {
    const now = performance.now()
    for (const { exchange } of this.listener.connections) {
      if (exchange !== null && now - exchange.startedMs >= TICK_MS) exchange.keepAlive()
    }
    const { sessionIdleMs } = this.context.spec
    if (sessionIdleMs === 0) return
    for (const session of this.allSessions()) {
      if (session.isIdle && now - session.lastUsedMs > sessionIdleMs) this.endSession(session, 'it was not used')
    }
  }

  private *allSessions(): Iterable<Session> {
    for (const { session } of this.sessions.values()) yield session
    if (this.shared !== null) for (const { session } of this.shared.sessions.values()) yield session
  }

  /** Whether processes start, a shared one answers, and the socket is there. */
  async check(): Promise<boolean> {
    if (this.processes.trouble !== '' || !this.listener.isReachable) return false
    const pipe = this.modern.current ?? this.shared?.current ?? null
    if (pipe === null) return true
    const isModern = pipe === this.modern.current
    const asked = isModern
      ? askProcess(pipe, 'server/discover', { _meta: OWN_META }, CHECK_MS)
      : askProcess(pipe, 'ping', {}, CHECK_MS)
    return asked.then(
      () => true,
      () => false,
    )
  }

  /** Ends processes, then connections. */
  async close(graceMs: number): Promise<void> {
    clearInterval(this.timer)
    await this.processes.close(graceMs)
    await this.listener.close()
  }
}

function take(session: Session, exchange: Exchange, envelope: Envelope, body: Buffer): void {
  session.lastUsedMs = exchange.startedMs
  if (envelope.kind !== 'request') {
    session.take(envelope, body)
    return exchange.empty(202)
  }
  const call = new Call(exchange, session, envelope, body, false)
  exchange.owner = call
  session.run(call)
}

function refuse(exchange: Exchange, status: number, code: ErrorCode, text: string, idText: string): void {
  exchange.whole(status, errorAnswer(idText, code, text, null, false))
}

/** @param requested `''` = an `initialize`, which no modern server knows */
function refuseVersion(exchange: Exchange, idText: string, requested: string, supported: readonly string[]): void {
  const error = {
    code: -32022,
    message: `Unsupported protocol version: this server speaks ${supported.join(', ')}`,
    data: requested === '' ? { supported } : { supported, requested },
  }
  exchange.whole(400, Buffer.from(`{"jsonrpc":"2.0","id":${idText},"error":${JSON.stringify(error)}}`))
}
