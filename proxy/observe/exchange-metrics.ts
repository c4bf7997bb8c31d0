import type { Outcome, OutcomeStatus, VerdictRecord } from '../api/index.ts'
import type { ExchangeEnd } from './channels.ts'
import type { Families } from './families.ts'
import { methodLabel, OTHER } from './methods.ts'
import type { Histogram, Value } from './series.ts'

/** Servers come from the configuration; this is far beyond any, and keeps a mistake upstream of here bounded. */
const MAX_SERVERS = 1000

/** The part of a family's limit that names nobody vouches for may take: the rest is kept for tools that exist. */
const UNPROVEN_SHARE = 0.5

interface ToolSeries {
  readonly label: string
  readonly calls: Value
  /** `null` until the server was asked: refused calls have no time. */
  seconds: Histogram | null
  readonly errors: Map<string, Value>
}

interface MethodSeries {
  readonly label: string
  readonly byStatus: Map<OutcomeStatus, Value>
  readonly duration: Histogram
}

interface EntrySeries {
  readonly seconds: Histogram
  /** By action; `edit` may happen in every exchange. */
  readonly enforced: Map<string, Value>
  readonly shadowed: Map<string, Value>
}

/** All series of one server. */
class ServerSeries {
  readonly name: string
  readonly active: Value
  readonly methods = new Map<string, MethodSeries>()
  /** Of exchanges without a method, by HTTP method. */
  readonly streams = new Map<string, MethodSeries>()
  readonly tools = new Map<string, ToolSeries>()
  otherTools: ToolSeries | null = null
  readonly routing: Histogram
  readonly upstream: Histogram
  readonly firstByte: Histogram
  readonly toServer: Value
  readonly toClient: Value

  constructor(families: Families, name: string) {
    this.name = name
    this.active = families.active.get(name)
    this.routing = families.routing.get(name)
    this.upstream = families.upstream.get(name)
    this.firstByte = families.firstByte.get(name)
    this.toServer = families.bytes.get(name, 'to_server')
    this.toClient = families.bytes.get(name, 'to_client')
  }
}

/**
 * Feeds exchanges into their series. The series hang in nested maps (server → method → status, server → tool, client,
 * entry), so an exchange costs a handful of look-ups and no label text. What clients choose is bounded by the families.
 */
export class ExchangeMetrics {
  readonly #families: Families
  readonly #servers = new Map<string, ServerSeries>()
  readonly #clients = new Map<string, Value>()
  readonly #entries = new Map<string, EntrySeries>()

  constructor(families: Families) {
    this.#families = families
  }

  start(server: string): void {
    this.#server(server).active.value++
  }

  end(end: ExchangeEnd): void {
    const outcome = end.outcome
    const server = this.#server(end.server)
    if (server.active.value > 0) server.active.value--
    const method = this.#method(server, end)
    this.#status(server, method, outcome.status).value++
    const seconds = outcome.durationMs / 1000
    method.duration.observe(seconds)
    server.routing.observe(seconds - outcome.upstreamMs / 1000 - this.#chain(outcome))
    if (outcome.upstreamMs > 0) server.upstream.observe(outcome.upstreamMs / 1000)
    if (outcome.firstByteMs > 0) server.firstByte.observe(outcome.firstByteMs / 1000)
    server.toServer.value += outcome.bytesToServer
    server.toClient.value += outcome.bytesToClient
    if (end.method === 'tools/call') this.#toolCall(server, end)
  }

  /** Gives the seconds that all entries together took. */
  #chain(outcome: Outcome): number {
    const micros = outcome.interceptorMicros
    let total = 0
    for (const entry in micros) {
      const spent = micros[entry] as number
      total += spent
      this.#entry(entry).seconds.observe(spent / 1e6)
    }
    for (let index = 0; index < outcome.verdicts.length; index++)
      this.#verdict(outcome.verdicts[index] as VerdictRecord)
    return total / 1e6
  }

  #verdict(verdict: VerdictRecord): void {
    const entry = this.#entry(verdict.entry)
    const byAction = verdict.mode === 'shadow' ? entry.shadowed : entry.enforced
    let value = byAction.get(verdict.action)
    if (value === undefined) {
      value = this.#families.verdicts.get(verdict.entry, verdict.action, verdict.mode)
      byAction.set(verdict.action, value)
    }
    value.value++
  }

  #entry(name: string): EntrySeries {
    const known = this.#entries.get(name)
    if (known !== undefined) return known
    const made = { seconds: this.#families.interceptors.get(name), enforced: new Map(), shadowed: new Map() }
    this.#entries.set(name, made)
    return made
  }

  #toolCall(server: ServerSeries, end: ExchangeEnd): void {
    const outcome = end.outcome
    const tool = this.#tool(server, end.name, outcome.status === 'ok')
    tool.calls.value++
    this.#client(end.client).value++
    if (outcome.upstreamMs > 0) {
      tool.seconds ??= this.#families.toolSeconds.get(server.name, tool.label)
      tool.seconds.observe(outcome.upstreamMs / 1000)
    }
    const code = errorCode(outcome)
    if (code === null) return
    let errors = tool.errors.get(code)
    if (errors === undefined) {
      errors = this.#families.toolErrors.get(server.name, tool.label, code)
      tool.errors.set(code, errors)
    }
    errors.value++
  }

  /**
   * A tool's series. Anybody can call tools that do not exist, so names without a good answer so far may fill only a
   * part of the limit; a tool that has answered once gets its own series as long as there is any room.
   */
  #tool(server: ServerSeries, name: string, proven: boolean): ToolSeries {
    const known = server.tools.get(name)
    if (known !== undefined) return known
    if (this.#families.toolCalls.hasRoom(proven ? 1 : UNPROVEN_SHARE)) {
      const made = this.#makeTool(server.name, name)
      server.tools.set(name, made)
      return made
    }
    server.otherTools ??= this.#makeTool(server.name, OTHER)
    return server.otherTools
  }

  #makeTool(server: string, label: string): ToolSeries {
    return { label, calls: this.#families.toolCalls.get(server, label), seconds: null, errors: new Map() }
  }

  #client(client: string): Value {
    const known = this.#clients.get(client)
    if (known !== undefined) return known
    const own = this.#families.clientCalls.hasRoom()
    const made = this.#families.clientCalls.get(client)
    if (own) this.#clients.set(client, made)
    return made
  }

  #method(server: ServerSeries, end: ExchangeEnd): MethodSeries {
    const map = end.method === '' ? server.streams : server.methods
    const key = end.method === '' ? end.httpMethod : end.method
    const known = map.get(key)
    if (known !== undefined) return known
    const label = methodLabel(end.method, end.httpMethod)
    // Unknown methods share one record, kept under `other`: clients invent as many as they like.
    const shared = label === OTHER ? map.get(OTHER) : undefined
    if (shared !== undefined) return shared
    const made = { label, byStatus: new Map(), duration: this.#families.duration.get(server.name, label) }
    map.set(label === OTHER ? OTHER : key, made)
    return made
  }

  #status(server: ServerSeries, method: MethodSeries, status: OutcomeStatus): Value {
    const known = method.byStatus.get(status)
    if (known !== undefined) return known
    const made = this.#families.requests.get(server.name, method.label, status)
    method.byStatus.set(status, made)
    return made
  }

  #server(name: string): ServerSeries {
    const known = this.#servers.get(name)
    if (known !== undefined) return known
    const label = this.#servers.size < MAX_SERVERS ? name : OTHER
    const made = this.#servers.get(label) ?? new ServerSeries(this.#families, label)
    this.#servers.set(label, made)
    return made
  }
}

/** The `code` label of a tools/call that gave no good result; `null` for a good one, and where the client left. */
function errorCode(outcome: Outcome): string | null {
  if (outcome.status === 'tool_error') return 'tool_error'
  if (outcome.status === 'error') return outcome.code ?? 'upstream_error'
  if (outcome.status === 'denied' || outcome.status === 'failed') return outcome.code ?? outcome.status
  return null
}
