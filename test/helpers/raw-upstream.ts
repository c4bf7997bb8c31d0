import { once } from 'node:events'
import net, { type AddressInfo, type Socket } from 'node:net'
import { type Scope, until } from './scope.ts'

/** One TCP connection at a raw upstream. */
export class RawPeer {
  readonly socket: Socket
  #chunks: Buffer[] = []

  constructor(socket: Socket) {
    this.socket = socket
    socket.on('error', () => {})
  }

  /** Starts to read; called for you unless the upstream was started with `read: false`. */
  read(): void {
    this.socket.on('data', (chunk: Buffer) => this.#chunks.push(chunk))
  }

  /** All bytes so far, head and body, as they came over the wire. */
  get received(): Buffer {
    return Buffer.concat(this.#chunks)
  }

  /** Waits until the bytes so far contain `text` (latin1). */
  async sees(text: string): Promise<void> {
    await until(
      () => this.received.includes(text, 0, 'latin1') || this.socket.destroyed,
      `"${text}" at the raw upstream`,
    )
  }
}

/** A server on bare TCP: for what node:http would not send or would not show. */
export interface RawUpstream {
  /** `http://127.0.0.1:<port>/mcp` */
  readonly url: string
  readonly port: number
  readonly peers: RawPeer[]
}

/**
 * Starts a raw TCP upstream on a free port of 127.0.0.1; it is closed with `scope`.
 * `onPeer` gets each connection and may write any bytes. With `read: false` it never reads: the proxy's writes back up.
 */
export async function startRawUpstream(
  scope: Scope,
  onPeer: (peer: RawPeer) => void | Promise<void> = () => {},
  options: { read?: boolean } = {},
): Promise<RawUpstream> {
  const peers: RawPeer[] = []
  const server = net.createServer(socket => {
    const peer = new RawPeer(socket)
    peers.push(peer)
    if (options.read === false) socket.pause()
    else peer.read()
    void onPeer(peer)
  })
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  scope.after(async () => {
    for (const peer of peers) peer.socket.destroy()
    server.close()
    await once(server, 'close')
  })
  const { port } = server.address() as AddressInfo
  return { url: `http://127.0.0.1:${port}/mcp`, port, peers }
}
