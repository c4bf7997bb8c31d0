import type { ServerResponse } from 'node:http'
import type { Duplex } from 'node:stream'

const LAST = Symbol('sluice last request')

interface Marked extends Duplex {
  [LAST]?: true
}

/** Closes a request's connection after its answer, and lets nothing that follows on it count as a request. */
export function closeAfter(response: ServerResponse): void {
  response.shouldKeepAlive = false
  markClosing(response.req.socket)
}

/** Takes no further request from a connection: a server that closes must not process any (RFC 9112, 9.6). */
export function markClosing(socket: Duplex): void {
  const marked: Marked = socket
  marked[LAST] = true
}

/** Whether the connection closes after a request before this one. */
export function isClosing(socket: Duplex): boolean {
  return (socket as Marked)[LAST] === true
}
