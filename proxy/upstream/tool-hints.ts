import { brotliDecompress, gunzip, inflate } from 'node:zlib'
import type { Json, JsonObject, SluiceError } from '../api/index.ts'
import { type SseSink, SseSplitter } from '../message/sse.ts'
import type { Flow, UpstreamRequest, UpstreamSink } from './upstream.ts'

/** Largest `tools/list` answer that is read, as it comes and unpacked; of larger ones nothing is learnt. */
const MAX_BYTES = 1024 * 1024
/** Most tools remembered, and the longest name. */
const MAX_TOOLS = 10_000
const MAX_NAME = 256
const HINT = Buffer.from('Hint"')
const CURSOR = Buffer.from('"cursor"')

type Unpack = (
  bytes: Buffer,
  options: { maxOutputLength: number },
  done: (error: Error | null, plain: Buffer) => void,
) => void

const UNPACKERS: Readonly<Record<string, Unpack>> = {
  gzip: gunzip,
  'x-gzip': gunzip,
  deflate: inflate,
  br: brotliDecompress,
}

/**
 * Which tools of a server may be called twice without harm, as the server itself said in the `tools/list` answers that
 * passed (`readOnlyHint`, `idempotentHint`). Whether anybody else looks at these answers does not matter: they pass as they
 * are, and are read when they are over.
 */
export class ToolHints {
  private readonly repeatable: Set<string>
  private readonly reading: Set<string>

  constructor() {
    this.repeatable = new Set()
    this.reading = new Set()
  }

  mayRepeat(tool: string): boolean {
    return this.repeatable.has(tool)
  }

  onlyReads(tool: string): boolean {
    return this.reading.has(tool)
  }

  /** The sink to use for a request: one that listens along where it asks for the tools. */
  listen(request: UpstreamRequest, sink: UpstreamSink): UpstreamSink {
    return request.rpc === 'tools/list' ? new Listener(this, isFirstPage(request), sink) : sink
  }

  /** Takes in a page. @param isFirst whether what was known before is forgotten */
  learn(tools: readonly Json[], isFirst: boolean): void {
    if (isFirst) {
      this.repeatable.clear()
      this.reading.clear()
    }
    for (const tool of tools) {
      if (!isObject(tool)) continue
      const { name, annotations: hints } = tool
      // The empty name is that of requests that call no tool.
      if (typeof name !== 'string' || name === '' || name.length > MAX_NAME) continue
      const reads = isObject(hints) && hints['readOnlyHint'] === true
      const repeats = reads || (isObject(hints) && hints['idempotentHint'] === true)
      // On a later page, or named twice: the last word counts.
      this.reading.delete(name)
      this.repeatable.delete(name)
      if (this.repeatable.size >= MAX_TOOLS) continue
      if (reads) this.reading.add(name)
      if (repeats) this.repeatable.add(name)
    }
  }
}

function isFirstPage({ body }: UpstreamRequest): boolean {
  return body === null || !Buffer.from(body.buffer, body.byteOffset, body.byteLength).includes(CURSOR)
}

/** Passes everything on, and keeps the bytes of an answer until it is whole. */
class Listener implements UpstreamSink, SseSink {
  private readonly hints: ToolHints
  private readonly isFirst: boolean
  private readonly sink: UpstreamSink
  /** `null` = there is nothing to learn, or too much. */
  private chunks: Buffer[] | null
  private length: number
  private isStream: boolean
  private encoding: string

  constructor(hints: ToolHints, isFirst: boolean, sink: UpstreamSink) {
    this.hints = hints
    this.isFirst = isFirst
    this.sink = sink
    this.chunks = null
    this.length = 0
    this.isStream = false
    this.encoding = ''
  }

  onFlow(flow: Flow): void {
    this.sink.onFlow(flow)
  }

  onHead(status: number, headers: string[], replica: string): void {
    this.chunks = status === 200 ? [] : null
    this.length = 0
    this.isStream = fieldOf(headers, 'content-type').startsWith('text/event-stream')
    this.encoding = fieldOf(headers, 'content-encoding').toLowerCase()
    this.sink.onHead(status, headers, replica)
  }

  onData(chunk: Buffer): void {
    this.length += chunk.length
    if (this.length > MAX_BYTES) this.chunks = null
    // A view may be of a buffer that is used again.
    this.chunks?.push(Buffer.from(chunk))
    this.sink.onData(chunk)
  }

  onEnd(): void {
    this.sink.onEnd()
    const { chunks } = this
    if (chunks === null) return
    this.chunks = null
    const bytes = Buffer.concat(chunks)
    if (this.encoding === '' || this.encoding === 'identity') this.read(bytes)
    else UNPACKERS[this.encoding]?.(bytes, { maxOutputLength: MAX_BYTES }, (error, plain) => error ?? this.read(plain))
  }

  onFail(error: SluiceError): void {
    this.sink.onFail(error)
  }

  onSecret(name: string, usedFor: string): void {
    this.sink.onSecret?.(name, usedFor)
  }

  onEvent(_: Buffer, data: Buffer | null): void {
    if (data !== null) this.take(data)
  }

  onOversize(): void {}

  private read(bytes: Buffer): void {
    if (!this.isStream) this.take(bytes)
    else new SseSplitter(MAX_BYTES).push(bytes, this)
  }

  private take(message: Buffer): void {
    // Without hints there is nothing to read; what was known may be forgotten all the same.
    if (!message.includes(HINT)) {
      if (this.isFirst && message.includes('"tools"')) this.hints.learn([], true)
      return
    }
    const result = parse(message)?.['result']
    const tools = isObject(result) ? result['tools'] : undefined
    if (Array.isArray(tools)) this.hints.learn(tools, this.isFirst)
  }
}

function parse(message: Buffer): JsonObject | null {
  try {
    const value = JSON.parse(message.toString()) as Json
    return isObject(value) ? value : null
  } catch {
    return null
  }
}

function fieldOf(headers: readonly string[], name: string): string {
  for (let i = 0; i < headers.length; i += 2) if (headers[i] === name) return headers[i + 1] as string
  return ''
}

function isObject(value: Json | undefined): value is JsonObject {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
}
