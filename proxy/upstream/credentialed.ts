import type { CredentialSource } from './credential-port.ts'
import { CredentialedCall } from './credentialed-call.ts'
import { tellUses, withFields } from './showing-request.ts'
import type { Upstream, UpstreamRequest, UpstreamSink } from './upstream.ts'

/**
 * Puts what is configured to be shown to a server on every request to it: clients' messages, and the proxy's own. This is
 * behind the chain, so no interceptor sees it, and it is in no cache key.
 */
export class CredentialedUpstream implements Upstream {
  private readonly inner: Upstream
  private readonly server: string
  private readonly source: CredentialSource

  constructor(inner: Upstream, server: string, source: CredentialSource) {
    this.inner = inner
    this.server = server
    this.source = source
  }

  send(request: UpstreamRequest, sink: UpstreamSink): void {
    const shown = this.source.find(request.client)
    if (shown === null) {
      this.inner.send(request, sink)
    } else if (!shown.renewable && shown.fields !== null && shown.expiresAt > Date.now()) {
      // Nothing to wait for, nothing to do again: nobody needs to stand between.
      tellUses(sink, shown.uses)
      this.inner.send(withFields(request, shown.fields), sink)
    } else {
      const call = new CredentialedCall(this.inner, this.server, shown, request, sink)
      sink.onFlow(call)
      call.begin()
    }
  }

  get ready(): boolean {
    return this.inner.ready
  }

  authorizes(client: string): boolean {
    return this.source.authorizes(client)
  }

  close(): Promise<void> {
    return this.inner.close()
  }
}
