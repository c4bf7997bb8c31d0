import { type AnswerHead, redirectText } from './head.ts'
import type { Relay } from './relay.ts'

/**
 * What holds for the head of every answer, whoever looks at its body: the client gets a token of ours for the server's
 * session, and neither a challenge nor a redirect.
 * @returns false when the exchange has ended with that
 */
export function passHead(relay: Relay, head: AnswerHead): boolean {
  sealSession(relay, head)
  if ((head.challenge || head.status === 401) && !relay.inbound.forwardAuthorization) {
    refuseChallenge(relay, head)
    return false
  }
  if (head.status >= 300 && head.status < 400 && head.status !== 304) {
    refuseRedirect(relay, head)
    return false
  }
  return true
}

/** A modern exchange has no session at all. */
function sealSession(relay: Relay, head: AnswerHead): void {
  if (head.sessionAt === -1) return
  const { era, server, principal } = relay.inbound
  if (era === 'modern') {
    head.headers.splice(head.sessionAt - 1, 2)
    return
  }
  const upstreamId = head.headers[head.sessionAt] as string
  head.headers[head.sessionAt] = relay.services.sealSession(server, relay.tally.replica, upstreamId, principal.id)
}

/**
 * A challenge names the server as the resource: a client that followed it would send its tokens there. And a 401 is about
 * what the proxy showed, whether it comes with a challenge or, against RFC 9110, without one.
 */
function refuseChallenge(relay: Relay, head: AnswerHead): void {
  const text = `${relay.inbound.server} refused the credentials of the proxy (HTTP ${head.status})`
  relay.stopServer()
  relay.failLocally('upstream_unauthorized', text, null)
}

/** A client that followed a redirect would go around the proxy and everything it is there for. */
function refuseRedirect(relay: Relay, head: AnswerHead): void {
  relay.stopServer()
  relay.failLocally('upstream_broken', redirectText(relay.inbound.server, head), null)
}
