import { SluiceError } from '../api/index.ts'
import type { Inbound, RelayServices, ReplyPort, Tap } from '../chain/ports.ts'
import { Relay } from '../chain/relay.ts'
import { Envelope } from '../message/envelope.ts'
import { WireMessage } from '../message/message.ts'
import { peekKind } from '../message/peek.ts'
import { scan } from '../message/scan.ts'
import type { Flow, Upstream, UpstreamRequest, UpstreamSink } from '../upstream/upstream.ts'
import { plainBody, plainHeaders, type RecordedAnswer, type Recording } from './recording.ts'
import { RecordingTap } from './tap.ts'

/** What a second run came to. */
export interface SecondRun {
  readonly recording: Recording
  /** The chain let the message through to the server, and there is no recorded answer to go on with. */
  readonly lacksAnswer: boolean
  /** An interceptor wanted to ask the server something of its own (`exchange.call`): it was told that nobody is there. */
  readonly asked: boolean
}

/** Nesting that a recorded message may have: it has passed the limit of the first run. */
const MAX_DEPTH = 10_000

/**
 * Runs a recorded exchange through a chain: the client's message as it came, and the server's answer as it came. No server
 * is asked. `done` is called exactly once, at once where no hook has to be waited for.
 * @param services those of the second chain; their `witness` is not asked
 * @throws Error when the recorded answer cannot be unpacked, or the message is none
 */
export function runAgain(services: RelayServices, recording: Recording, done: (run: SecondRun) => void): void {
  const envelope = scan(recording.request, MAX_DEPTH)
  if (!(envelope instanceof Envelope)) throw new TypeError(`the recorded message is none: ${envelope.text}`)
  const { method, name } = recording
  const message = new WireMessage('toServer', envelope, recording.request, method, name)
  const server = new RecordedServer(unpacked(recording.answer))
  let tap: RecordingTap | null = null
  const begin = (...given: Parameters<NonNullable<RelayServices['witness']>['begin']>): Tap => {
    const finish = (after: Recording | null): void => {
      if (after !== null) done({ recording: after, lacksAnswer: server.lacksAnswer, asked: server.asked })
    }
    tap = new RecordingTap({ reserve: () => true, release() {}, done: finish }, ...given)
    server.client = tap
    return tap
  }
  const relay = new Relay(
    { ...services, quiet: true, witness: { begin } },
    inboundOf(recording, server),
    new Nobody(),
    message,
  )
  server.leave = () => relay.onClose()
  Object.assign(relay.exchange, { startedAt: recording.startedAt })
  // So that what the log says about it is not taken for the exchange of the client.
  Object.defineProperty(relay.exchange, 'id', { value: `${recording.id}~again` })
  relay.start()
}

function unpacked(answer: RecordedAnswer | null): RecordedAnswer | null {
  if (answer === null) return null
  return { ...answer, body: plainBody(answer.headers, answer.body), headers: plainHeaders(answer.headers) }
}

function inboundOf(recording: Recording, upstream: Upstream): Inbound {
  const { httpMethod, server, era, principal, session, headers, upstreamHeaders, query } = recording
  return {
    httpMethod,
    server,
    upstream,
    era,
    principal,
    session: session === null ? null : { replica: '', upstreamId: '', fingerprint: session },
    rawHeaders: headers,
    upstreamHeaders: [...upstreamHeaders],
    acceptEncoding: '',
    query,
    startedMs: performance.now(),
    forwardAuthorization: false,
    wholeEvents: false,
  }
}

const NO_FLOW: Flow = { pause() {}, resume() {}, abort() {} }

/** Gives the recorded answer to the client's message, and nothing to anybody else. */
class RecordedServer implements Upstream {
  readonly ready = true
  lacksAnswer = false
  asked = false
  /** The sink of the client's own message. */
  client: UpstreamSink | null = null
  leave: () => void = () => {}
  readonly #answer: RecordedAnswer | null

  constructor(answer: RecordedAnswer | null) {
    this.#answer = answer
  }

  send(request: UpstreamRequest, sink: UpstreamSink): void {
    sink.onFlow(NO_FLOW)
    if (sink === this.client) this.#replay(sink)
    else if (isQuestion(request)) {
      this.asked = true
      sink.onFail(
        new SluiceError('upstream_unreachable', 'this is a second run of a recorded exchange: no server is asked'),
      )
    }
  }

  close(): Promise<void> {
    return Promise.resolve()
  }

  #replay(sink: UpstreamSink): void {
    if (this.#answer === null || !this.#answer.whole) {
      this.lacksAnswer = true
      this.leave()
      return
    }
    const { status, headers, body, error } = this.#answer
    if (status !== 0) sink.onHead(status, [...headers], 'recorded')
    if (body.length > 0) sink.onData(body)
    if (error === null) sink.onEnd()
    else sink.onFail(error)
  }
}

/** Answers to a server's own requests go nowhere, and nobody waits for what becomes of them. */
function isQuestion({ body }: UpstreamRequest): boolean {
  if (body === null) return false
  const bytes = Buffer.from(body.buffer, body.byteOffset, body.byteLength)
  return peekKind(bytes, 0, bytes.length) === 'method'
}

/** The client's side where there is none: what it would get is kept by the tap before it. */
class Nobody implements ReplyPort {
  started = false
  status = 0
  bytes = 0

  head(status: number): void {
    this.status = status
  }

  flush(): void {
    this.started = true
  }

  write(chunk: Uint8Array): boolean {
    this.started = true
    this.bytes += chunk.byteLength
    return true
  }

  end(chunk: Uint8Array | null): void {
    if (chunk !== null) this.write(chunk)
    this.started = true
  }

  destroy(): void {}
}
