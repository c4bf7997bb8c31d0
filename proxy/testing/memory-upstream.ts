import { SluiceError } from '../api/index.ts'
import type { ReplyPort } from '../chain/ports.ts'
import type { Flow, Upstream, UpstreamRequest, UpstreamSink } from '../upstream/upstream.ts'

/** The client's side, in memory. */
export class MemoryReply implements ReplyPort {
  started = false
  status = 0
  bytes = 0
  ended = false
  destroyed = false
  headers: string[] = []
  readonly chunks: Buffer[] = []
  /** What `write` gives: false = the client reads slowly. */
  accepts = true

  head(status: number, headers: string[]): void {
    this.status = status
    this.headers = headers
  }
  flush(): void {
    this.started = true
  }
  write(chunk: Uint8Array): boolean {
    this.started = true
    this.bytes += chunk.byteLength
    this.chunks.push(Buffer.from(chunk))
    return this.accepts
  }
  end(chunk: Uint8Array | null): void {
    if (chunk !== null) this.write(chunk)
    this.started = true
    this.ended = true
  }
  destroy(): void {
    this.destroyed = true
  }
  get text(): string {
    return Buffer.concat(this.chunks).toString()
  }
}

/** Answers what a `MemoryUpstream` is sent. */
export type UpstreamScript = (sink: UpstreamSink, request: UpstreamRequest) => void

/** The server's side, in memory: the test drives `sink` by hand, or gives a script. */
export class MemoryUpstream implements Upstream {
  readonly ready = true
  readonly requests: UpstreamRequest[] = []
  sink: UpstreamSink | null = null
  readonly flow = { paused: 0, resumed: 0, aborted: 0 }
  private readonly script: UpstreamScript | null

  constructor(script: UpstreamScript | null = null) {
    this.script = script
  }

  send(request: UpstreamRequest, sink: UpstreamSink): void {
    this.requests.push(request)
    this.sink = sink
    const { flow } = this
    const handle: Flow = {
      pause: () => void flow.paused++,
      resume: () => void flow.resumed++,
      abort: () => void flow.aborted++,
    }
    sink.onFlow(handle)
    this.script?.(sink, request)
  }

  close(): Promise<void> {
    return Promise.resolve()
  }
}

/** Answers with one whole body. */
export function answerWith(sink: UpstreamSink, status: number, contentType: string, body: Buffer): void {
  const type = body.length === 0 ? [] : ['content-type', contentType]
  const length = contentType === 'text/event-stream' ? [] : ['content-length', String(body.length)]
  sink.onHead(status, [...type, ...length], 'r1')
  if (body.length > 0) sink.onData(body)
  sink.onEnd()
}

/** An upstream that answers every request with one JSON body. */
export function jsonUpstream(body: string): MemoryUpstream {
  const bytes = Buffer.from(body)
  return new MemoryUpstream(sink => answerWith(sink, 200, 'application/json', bytes))
}

export function unreachable(): MemoryUpstream {
  return new MemoryUpstream(sink => sink.onFail(new SluiceError('upstream_unreachable', 'not reachable')))
}
