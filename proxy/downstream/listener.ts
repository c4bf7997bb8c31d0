import { readFileSync } from 'node:fs'
import type { IncomingMessage, Server, ServerOptions, ServerResponse } from 'node:http'
import type { Server as TlsServer } from 'node:https'
import type { AddressInfo } from 'node:net'
import { http, https } from '../base/node-modules.ts'
import { closeAfter, isClosing } from './last-request.ts'
import { LeanRequest } from './lean-request.ts'
import { type Fault, malformed, onClientError, refuse } from './malformed.ts'
import { type TlsFiles, watchTls } from './tls.ts'

export interface ListenerOptions {
  readonly host: string
  /** 0 = a free one. */
  readonly port: number
  /** `null` = plain HTTP. */
  readonly tls: TlsFiles | null
  readonly limits: {
    /** All header fields of a request together, in bytes; beyond it 431. */
    readonly maxHeaderBytes: number
    /** Header fields of a request; further ones would be invisible, so such a request gets 431. */
    readonly maxHeaders: number
    /** Connections at once; further ones are closed at once. 0 = no limit. */
    readonly maxConnections: number
  }
  readonly timeouts: {
    /** For the whole head of a request, in milliseconds; beyond it 408. */
    readonly headersMs: number
    /** For the whole request, body included, in milliseconds; beyond it 408. */
    readonly requestMs: number
    /** How long an idle connection is kept for a next request, in milliseconds. */
    readonly keepAliveMs: number
  }
  onRequest(request: LeanRequest, response: ServerResponse): void
}

/** One open port. */
export interface Listener {
  /** `http://127.0.0.1:8080`, without a path. */
  readonly url: string
  readonly address: AddressInfo
  /**
   * Takes no new connections and refuses new requests (503 `draining`); running answers may finish until the limit,
   * then their connections are cut.
   */
  drain(timeoutMs: number): Promise<void>
  /** Cuts everything now. */
  close(): Promise<void>
  /** Reads certificate and key again. What does not fit together changes nothing. */
  reloadTls(): void
}

/** Between two looks for connections that went idle while draining. */
const DRAIN_TICK_MS = 50
const DRAINING: Fault = { code: 'draining', text: 'this instance is shutting down; try again' }
/** Idle time-outs are looked for this often. */
const CHECK_INTERVAL_MS = 1000

/**
 * Opens a port for HTTP/1.1, strict to the letter: what two parsers could read in two ways is refused
 * (RFC 9112, 2.2, 5.2, 6.1, 6.3, 11.2).
 * @throws Error that names the option when the address cannot be had, or certificate and key do not fit
 */
export function createListener(options: ListenerOptions): Promise<Listener> {
  return new Promise(resolve => resolve(new OpenListener(options).open()))
}

class OpenListener implements Listener {
  readonly #options: ListenerOptions
  readonly #server: Server | TlsServer
  readonly #tls: { reload(): void; close(): void } | null
  #draining = false
  #closed: Promise<void> | null = null
  url = ''
  address: AddressInfo = { address: '', family: '', port: 0 }

  constructor(options: ListenerOptions) {
    this.#options = options
    this.#server = options.tls === null ? http.createServer(httpOptions(options)) : tlsServer(options, options.tls)
    this.#tls = options.tls === null ? null : watchTls(this.#server as TlsServer, options.tls)
    this.#server.maxHeadersCount = 0 // counted in `malformed`: node would hide the surplus instead of refusing it
    if (options.limits.maxConnections > 0) this.#server.maxConnections = options.limits.maxConnections
    this.#server.on('clientError', onClientError)
    this.#server.on('request', this.#onRequest)
    this.#server.on('checkExpectation', onExpectation)
  }

  open(): Promise<Listener> {
    const { host, port } = this.#options
    return new Promise((resolve, reject) => {
      const onError = (error: NodeJS.ErrnoException): void => {
        this.#tls?.close()
        reject(new Error(explainListenError(error, host, port), { cause: error }))
      }
      this.#server.once('error', onError)
      this.#server.listen({ host, port, exclusive: false }, () => {
        this.#server.off('error', onError)
        this.address = this.#server.address() as AddressInfo
        this.url = urlOf(this.#options, this.address)
        resolve(this)
      })
    })
  }

  readonly #onRequest = (incoming: IncomingMessage, response: ServerResponse): void => {
    if (isClosing(incoming.socket)) return
    const request = incoming as LeanRequest
    if (request.head.upgrade) closeAfter(response)
    const fault = this.#draining ? DRAINING : malformed(request, this.#options.limits.maxHeaders)
    if (fault === null) this.#options.onRequest(request, response)
    else refuse(request, response, fault.code, fault.text)
  }

  drain(timeoutMs: number): Promise<void> {
    this.#draining = true
    const closed = this.#stopAccepting()
    // A connection whose last answer ends while we drain goes idle, and node looks for idle ones only at `close()`.
    const tick = setInterval(() => this.#server.closeIdleConnections(), DRAIN_TICK_MS)
    const limit = setTimeout(() => this.#server.closeAllConnections(), timeoutMs)
    return closed.finally(() => {
      clearInterval(tick)
      clearTimeout(limit)
    })
  }

  close(): Promise<void> {
    this.#draining = true
    const closed = this.#stopAccepting()
    this.#server.closeAllConnections()
    return closed
  }

  reloadTls(): void {
    this.#tls?.reload()
  }

  #stopAccepting(): Promise<void> {
    this.#tls?.close()
    this.#closed ??= new Promise(resolve => {
      // Sockets tell their own end only in the loop's next close phase: until then their exchanges count as running.
      this.#server.close(() => setImmediate(setImmediate, resolve))
    })
    return this.#closed
  }
}

function httpOptions(options: ListenerOptions): ServerOptions {
  return {
    IncomingMessage: LeanRequest,
    insecureHTTPParser: false,
    requireHostHeader: false, // `malformed` sees to it, with an answer that says why
    joinDuplicateHeaders: false,
    noDelay: true,
    keepAlive: true,
    maxHeaderSize: options.limits.maxHeaderBytes,
    headersTimeout: options.timeouts.headersMs,
    requestTimeout: options.timeouts.requestMs,
    keepAliveTimeout: options.timeouts.keepAliveMs,
    connectionsCheckingInterval: CHECK_INTERVAL_MS,
  }
}

function tlsServer(options: ListenerOptions, tls: TlsFiles): TlsServer {
  try {
    const pair = { cert: readFileSync(tls.certFile), key: readFileSync(tls.keyFile) }
    const server = https().createServer({
      ...httpOptions(options),
      ...pair,
      minVersion: 'TLSv1.2',
      ALPNProtocols: ['http/1.1'],
    })
    // Without a listener a failed handshake is nobody's business; the socket is closed by node either way.
    server.on('tlsClientError', (_error, socket) => socket.destroy())
    return server
  } catch (error) {
    throw new Error(`tls: cannot use cert ${tls.certFile} with key ${tls.keyFile}: ${(error as Error).message}`, {
      cause: error,
    })
  }
}

/** Only `100-continue` exists (RFC 9110, 10.1.1); node answers that one itself. */
function onExpectation(request: IncomingMessage, response: ServerResponse): void {
  refuse(request, response, 'invalid_request', 'the Expect field may only say 100-continue', 417)
}

function urlOf(options: ListenerOptions, address: AddressInfo): string {
  const host = address.family === 'IPv6' ? `[${address.address}]` : address.address
  return `${options.tls === null ? 'http' : 'https'}://${host}:${address.port}`
}

function explainListenError(error: NodeJS.ErrnoException, host: string, port: number): string {
  const at = `cannot listen on ${host}:${port}`
  if (error.code === 'EADDRINUSE')
    return `${at}: another process has this port; stop it, or choose another one (--listen HOST:PORT, 0 = a free one)`
  if (error.code === 'EACCES')
    return `${at}: not allowed; ports below 1024 need a privilege, choose another one (--listen HOST:PORT)`
  if (error.code === 'EADDRNOTAVAIL') return `${at}: this machine has no such address; check --listen HOST:PORT`
  if (error.code === 'ENOTFOUND' || error.code === 'EAI_AGAIN')
    return `${at}: the name "${host}" cannot be resolved; check --listen HOST:PORT`
  return `${at}: ${error.message} (--listen HOST:PORT)`
}
