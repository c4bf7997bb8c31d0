import type { HashBy } from './settings.ts'
import type { UpstreamRequest, UpstreamSink } from './upstream.ts'

/** The request with these header fields; they go before its own of the same names. It itself stays as it is. */
export function withFields(request: UpstreamRequest, fields: readonly string[]): UpstreamRequest {
  return new ShowingRequest(request, fields)
}

class ShowingRequest implements UpstreamRequest {
  readonly method: 'POST' | 'GET' | 'DELETE'
  readonly headers: string[]
  readonly body: Uint8Array | null
  readonly query: string
  readonly lane: 'call' | 'stream'
  readonly replica: string
  readonly client: string
  readonly idleTimeoutMs: number
  readonly firstByteTimeoutMs: number
  private readonly base: UpstreamRequest

  constructor(base: UpstreamRequest, fields: readonly string[]) {
    this.method = base.method
    this.headers = merged(base.headers, fields)
    this.body = base.body
    this.query = base.query
    this.lane = base.lane
    this.replica = base.replica
    this.client = base.client
    this.idleTimeoutMs = base.idleTimeoutMs
    this.firstByteTimeoutMs = base.firstByteTimeoutMs
    this.base = base
  }

  get repeatable(): boolean {
    return this.base.repeatable
  }

  get reads(): boolean {
    return this.base.reads
  }

  get rpc(): string {
    return this.base.rpc
  }

  get tool(): string {
    return this.base.tool
  }

  hashKey(by: HashBy): string {
    return this.base.hashKey(by)
  }
}

function merged(own: readonly string[], fields: readonly string[]): string[] {
  const all: string[] = []
  for (let i = 0; i < own.length; i += 2) {
    if (!names(fields, own[i] as string)) all.push(own[i] as string, own[i + 1] as string)
  }
  for (const text of fields) all.push(text)
  return all
}

function names(fields: readonly string[], name: string): boolean {
  for (let i = 0; i < fields.length; i += 2) if (fields[i] === name) return true
  return false
}

/** Says for whom a secret is used, where somebody writes that down. */
export function tellUses(sink: UpstreamSink, uses: readonly string[]): void {
  if (sink.onSecret === undefined) return
  for (let i = 0; i < uses.length; i += 2) sink.onSecret(uses[i] as string, uses[i + 1] as string)
}
