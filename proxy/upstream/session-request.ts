import type { HashBy } from './settings.ts'
import type { UpstreamRequest } from './upstream.ts'

/** How long each step of beginning a session anew may keep silent. */
const STEP_MS = 10_000

/** The header field that names a session (MCP 2025-11-25, Streamable HTTP, "Session Management"). */
export const SESSION_FIELD = 'mcp-session-id'

/** Fields about the message they came with, or about the session that is gone. */
const ABOUT_MESSAGE = new Set([
  SESSION_FIELD,
  'accept',
  'accept-encoding',
  'content-type',
  'last-event-id',
  'mcp-method',
  'mcp-name',
])

/** A request of a session that lives elsewhere now, or one of those that begin it there. */
export class SessionRequest implements UpstreamRequest {
  readonly method: 'POST' | 'GET' | 'DELETE'
  readonly headers: string[]
  readonly body: Uint8Array | null
  readonly query: string
  readonly lane: 'call' | 'stream'
  readonly replica: string
  readonly client: string
  readonly idleTimeoutMs: number
  readonly firstByteTimeoutMs: number
  readonly rpc: string
  private readonly base: UpstreamRequest
  private readonly own: boolean

  /** @param own the message that is sent in place of the request's; `null` = the request's own */
  constructor(base: UpstreamRequest, replica: string, upstreamId: string, own: Uint8Array | null) {
    const moved = own === null
    this.method = moved ? base.method : 'POST'
    this.headers = moved ? movedHeaders(base.headers, upstreamId) : ownHeaders(base.headers, upstreamId)
    this.body = moved ? base.body : own
    this.query = base.query
    this.lane = moved ? base.lane : 'stream'
    this.replica = replica
    this.client = base.client
    this.idleTimeoutMs = moved ? base.idleTimeoutMs : STEP_MS
    this.firstByteTimeoutMs = moved ? base.firstByteTimeoutMs : STEP_MS
    this.rpc = moved ? base.rpc : ''
    this.base = base
    this.own = !moved
  }

  get repeatable(): boolean {
    return !this.own && this.base.repeatable
  }

  get reads(): boolean {
    return !this.own && this.base.reads
  }

  get tool(): string {
    return this.own ? '' : this.base.tool
  }

  hashKey(by: HashBy): string {
    return this.base.hashKey(by)
  }
}

/** The session that a request names; `''` = none. */
export function sessionOf(headers: readonly string[]): string {
  const at = headers.indexOf(SESSION_FIELD)
  return at === -1 || at % 2 === 1 ? '' : (headers[at + 1] ?? '')
}

/** What a server sent before is not known to the one that has the session now: there is nothing to resume. */
function movedHeaders(headers: readonly string[], upstreamId: string): string[] {
  return without(headers, name => name === SESSION_FIELD || name === 'last-event-id', [SESSION_FIELD, upstreamId])
}

function ownHeaders(headers: readonly string[], upstreamId: string): string[] {
  const own = ['content-type', 'application/json', 'accept', 'application/json, text/event-stream']
  if (upstreamId !== '') own.push(SESSION_FIELD, upstreamId)
  return without(headers, name => ABOUT_MESSAGE.has(name) || name.startsWith('mcp-param-'), own)
}

function without(headers: readonly string[], drops: (name: string) => boolean, added: string[]): string[] {
  const kept: string[] = []
  for (let i = 0; i < headers.length; i += 2) {
    if (!drops(headers[i] as string)) kept.push(headers[i] as string, headers[i + 1] as string)
  }
  return kept.concat(added)
}
