import { SluiceError } from '../api/index.ts'
import type { CredentialWaiter, ShownCredential } from './credential-port.ts'
import { tellUses, withFields } from './showing-request.ts'
import type { Flow, Upstream, UpstreamRequest, UpstreamSink } from './upstream.ts'
import { type Watched, watchdog } from './watchdog.ts'

/** How long a request waits for a credential that is on its way, in milliseconds. */
export const CREDENTIAL_WAIT_MS = 10_000

const UNAUTHORIZED = 401

/**
 * One request that shows a credential which can be renewed: waits for it where it is on its way, and when the server
 * refuses it (401: nothing was processed, whatever the request does), gets a newer one and sends once more.
 */
export class CredentialedCall implements UpstreamSink, Flow, CredentialWaiter, Watched {
  previous: Watched | null
  next: Watched | null
  list: number
  heardAt: number
  patienceTicks: number
  private readonly inner: Upstream
  private readonly server: string
  private readonly shown: ShownCredential
  private readonly request: UpstreamRequest
  private readonly sink: UpstreamSink
  private flow: Flow | null
  private paused: boolean
  private aborted: boolean
  private waiting: boolean
  /** The version that was sent last; -1 = none yet. */
  private sent: number
  /** Whether the server has refused one version already. */
  private refused: boolean

  constructor(inner: Upstream, server: string, shown: ShownCredential, request: UpstreamRequest, sink: UpstreamSink) {
    this.previous = null
    this.next = null
    this.list = -1
    this.heardAt = 0
    this.patienceTicks = 0
    this.inner = inner
    this.server = server
    this.shown = shown
    this.request = request
    this.sink = sink
    this.flow = null
    this.paused = false
    this.aborted = false
    this.waiting = false
    this.sent = -1
    this.refused = false
  }

  begin(): void {
    if (this.usable()) this.dispatch()
    else if (this.shown.coming || (this.shown.renewable && this.shown.renew(this.shown.version))) this.wait()
    else this.fail()
  }

  private usable(): boolean {
    const { fields, expiresAt, version } = this.shown
    return fields !== null && expiresAt > Date.now() && version !== this.sent
  }

  private dispatch(): void {
    const { fields, uses, version } = this.shown
    this.sent = version
    tellUses(this.sink, uses)
    this.inner.send(withFields(this.request, fields as readonly string[]), this)
  }

  private wait(): void {
    if (!this.shown.join(this)) {
      const text = `too many requests wait for the credential for ${this.server}`
      this.sink.onFail(new SluiceError('overloaded', text, undefined, 1_000))
      return
    }
    this.waiting = true
    watchdog.watch(this, CREDENTIAL_WAIT_MS)
  }

  credentialSettled(): void {
    if (!this.waiting) return
    this.endWait()
    if (this.usable()) this.dispatch()
    else this.fail()
  }

  onSilence(): void {
    this.shown.leave(this)
    this.endWait()
    this.fail()
  }

  private endWait(): void {
    this.waiting = false
    watchdog.leave(this)
  }

  private fail(): void {
    if (this.refused) {
      this.sink.onFail(refusal(this.server))
      return
    }
    const { reason, retryAt } = this.shown
    const text = reason === '' ? `No credential found for ${this.server}` : reason
    const retryMs = retryAt === 0 ? -1 : Math.max(1_000, retryAt - Date.now())
    this.sink.onFail(new SluiceError('credential_unavailable', text, undefined, retryMs))
  }

  // What the replica says.

  onFlow(flow: Flow): void {
    this.flow = flow
    if (this.paused) flow.pause()
    if (this.aborted) flow.abort()
  }

  onHead(status: number, headers: string[], replica: string): void {
    if (status !== UNAUTHORIZED || this.refused) {
      this.sink.onHead(status, headers, replica)
      return
    }
    this.refused = true
    this.flow?.abort()
    this.flow = null
    if (this.usable()) this.dispatch()
    else if (this.shown.renewable && this.shown.renew(this.sent)) this.wait()
    else this.fail()
  }

  onData(chunk: Buffer): void {
    this.sink.onData(chunk)
  }

  isFlushed(): boolean {
    return this.sink.isFlushed?.() === true
  }

  onEnd(): void {
    this.sink.onEnd()
  }

  onFail(error: SluiceError): void {
    this.sink.onFail(error)
  }

  // What whoever sent it wants.

  pause(): void {
    this.paused = true
    this.flow?.pause()
  }

  resume(): void {
    this.paused = false
    this.flow?.resume()
  }

  abort(): void {
    if (this.aborted) return
    this.aborted = true
    if (this.waiting) {
      this.shown.leave(this)
      this.endWait()
    }
    this.flow?.abort()
  }
}

function refusal(server: string): SluiceError {
  return new SluiceError('upstream_unauthorized', `${server} refused the credentials of the proxy (HTTP 401)`)
}
