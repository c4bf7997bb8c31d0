import { chmodSync, existsSync, mkdirSync, rmSync } from 'node:fs'
import { createServer, type Server } from 'node:net'
import { dirname } from 'node:path'
import { acceptLocally, type ByteLink } from '../../../base/local-link.ts'
import { Connection, type RequestHandler } from './connection.ts'

/** Longest path of a unix socket that all systems take, and a little less. */
export const MAX_SOCKET_PATH_BYTES = 100

/** The bridge's own end of the unix socket: only its user may connect, as the folder is closed to all others. */
export class Listener {
  readonly path: string
  readonly connections: Set<Connection>
  private readonly server: Server
  private readonly accept: (link: ByteLink) => void
  /** Ends that the pools of this process come here without the system. */
  private refuseLocally: () => void

  /** @param path absolute, shorter than `MAX_SOCKET_PATH_BYTES` */
  constructor(path: string, handler: RequestHandler) {
    this.path = path
    this.connections = new Set()
    this.refuseLocally = () => {}
    const { connections } = this
    const own: RequestHandler = {
      maxBodyBytes: handler.maxBodyBytes,
      tooLarge: handler.tooLarge,
      onExchange: (connection, head, body) => handler.onExchange(connection, head, body),
      onClosed(connection) {
        connections.delete(connection)
        handler.onClosed(connection)
      },
    }
    this.accept = link => void connections.add(new Connection(link, own))
    this.server = createServer(socket => this.accept(socket))
    // Of listening, `listen` tells; of a connection that cannot be accepted (too many open files), the peer hears itself.
    this.server.on('error', () => {})
  }

  /** @throws when the path is too long or cannot be listened on */
  listen(): Promise<void> {
    if (Buffer.byteLength(this.path) >= MAX_SOCKET_PATH_BYTES) {
      return Promise.reject(new Error(`the socket path ${this.path} is longer than ${MAX_SOCKET_PATH_BYTES} bytes`))
    }
    try {
      mkdirSync(dirname(this.path), { recursive: true, mode: 0o700 })
      // It may have been there before.
      chmodSync(dirname(this.path), 0o700)
      rmSync(this.path, { force: true })
    } catch (error) {
      return Promise.reject(error)
    }
    return new Promise((resolve, reject) => {
      this.server.once('error', reject)
      this.server.listen(this.path, () => {
        this.server.removeListener('error', reject)
        this.refuseLocally = acceptLocally(this.path, this.accept)
        resolve()
      })
    })
  }

  /** Whether its socket is still there: some systems clean up folders for temporary files. */
  get isReachable(): boolean {
    return existsSync(this.path)
  }

  /** Ends all connections and removes the socket. */
  close(): Promise<void> {
    this.refuseLocally()
    for (const connection of this.connections) connection.finish()
    return new Promise(resolve => {
      this.server.close(() => {
        rmSync(this.path, { force: true })
        resolve()
      })
    })
  }
}
