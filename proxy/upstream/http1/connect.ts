import { connect as connectSocket, type Socket, type TcpNetConnectOpts } from 'node:net'
import { ConnectionError } from './connection-error.ts'

/** Where a plain connection leads. */
export interface Destination {
  /** A name or address, an IPv6 one without brackets. */
  readonly hostname: string
  readonly port: number
  /** Path of a unix socket, in place of the other two; `''` = none. */
  readonly socketPath: string
  /** How long it may take, in milliseconds; 0 = as long as the system lets it. */
  readonly timeoutMs: number
}

/** Reads without a stream: into one buffer, told each time how many bytes. */
export type OnRead = NonNullable<TcpNetConnectOpts['onread']>

export type OnConnected = (error: Error | null, socket: Socket | null) => void

const KEEP_ALIVE_PROBE_MS = 60_000

/**
 * Connects, and tells once how that ended. Of a name with several addresses each is tried (RFC 8305).
 */
export function connect(destination: Destination, onread: OnRead, done: OnConnected): void {
  const { hostname, port, socketPath, timeoutMs } = destination
  const place = socketPath === '' ? { host: hostname, port } : { path: socketPath }
  const socket = connectSocket({ ...place, onread })
  const timer = timeoutMs === 0 ? null : setTimeout(() => socket.destroy(timedOut()), timeoutMs)
  const onError = (error: Error): void => settle(isTimeout(error) ? timedOut(error) : error)
  const onClose = (): void => settle(new ConnectionError('UND_ERR_SOCKET', 'closed'))
  const onConnect = (): void => settle(null)
  const settle = (error: Error | null): void => {
    if (timer !== null) clearTimeout(timer)
    socket.off('error', onError).off('close', onClose).off('connect', onConnect)
    // Whatever a socket that failed has to say later.
    if (error !== null) socket.on('error', nothing)
    done(error, error === null ? socket : null)
  }
  socket.setNoDelay(true).setKeepAlive(true, KEEP_ALIVE_PROBE_MS)
  socket.on('error', onError).on('close', onClose).on('connect', onConnect)
}

function timedOut(cause?: Error): ConnectionError {
  return new ConnectionError('UND_ERR_CONNECT_TIMEOUT', 'connect timeout', cause)
}

/** The system gave up on the address, or on one of them. */
function isTimeout(error: Error): boolean {
  if ((error as NodeJS.ErrnoException).code === 'ETIMEDOUT') return true
  return error instanceof AggregateError && error.errors.some(isTimeout)
}

function nothing(): void {}
