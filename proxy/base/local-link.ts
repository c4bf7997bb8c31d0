import { EventEmitter } from 'node:events'

/** Bytes on their way to one end beyond which its peer is asked to wait: as much as node asks for on a socket. */
const HIGH_WATER_BYTES = 65_536

/** What both ends of a connection need of a `net.Socket`, which is one too. */
export interface ByteLink {
  /** Bytes that the peer has not taken yet. */
  readonly writableLength: number
  /** @returns false where the peer takes them slower than they come: wait for `drain` */
  write(bytes: Uint8Array): boolean
  end(): unknown
  end(last: string): unknown
  cork(): void
  uncork(): void
  pause(): unknown
  resume(): unknown
  destroy(): unknown
  destroySoon(): void
  on(event: 'data', listener: (chunk: Buffer) => void): unknown
  on(event: 'error', listener: (error: Error) => void): unknown
  on(event: 'drain' | 'end' | 'close', listener: () => void): unknown
  removeAllListeners(event: 'data'): unknown
}

const listeners = new Map<string, (end: ByteLink) => void>()

/** Takes connections of this process to the unix socket `path` itself. @returns what ends that */
export function acceptLocally(path: string, accept: (end: ByteLink) => void): () => void {
  listeners.set(path, accept)
  return () => {
    if (listeners.get(path) === accept) listeners.delete(path)
  }
}

/** A connection to a unix socket on which this very process listens; `null` = it does not. */
export function connectLocally(path: string): ByteLink | null {
  const accept = listeners.get(path)
  if (accept === undefined) return null
  const [near, far] = [new LinkEnd(), new LinkEnd()]
  near.peer = far
  far.peer = near
  accept(far)
  return near
}

/**
 * One end of a connection within the process. It behaves as a socket does, without the system: a write and a read of a unix socket
 * cost 10 µs a message, and more for waking up. Chunks are handed over as they are: whoever writes one must not change it.
 */
class LinkEnd extends EventEmitter implements ByteLink {
  peer: LinkEnd | null
  private readonly incoming: Buffer[]
  private incomingBytes: number
  private paused: boolean
  private scheduled: boolean
  /** Whether the peer waits for `drain`. */
  private owesDrain: boolean
  /** Whether nothing more comes behind what is on its way. */
  private ending: boolean
  private sawEnd: boolean
  private destroyed: boolean
  private destroysWhenTaken: boolean

  constructor() {
    super()
    this.peer = null
    this.incoming = []
    this.incomingBytes = 0
    this.paused = false
    this.scheduled = false
    this.owesDrain = false
    this.ending = false
    this.sawEnd = false
    this.destroyed = false
    this.destroysWhenTaken = false
  }

  get writableLength(): number {
    return this.peer === null ? 0 : this.peer.incomingBytes
  }

  write(bytes: Uint8Array): boolean {
    const { peer } = this
    if (this.destroyed || peer === null || peer.ending || bytes.length === 0) return true
    peer.incoming.push(Buffer.isBuffer(bytes) ? bytes : Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength))
    peer.incomingBytes += bytes.length
    peer.schedule()
    if (peer.incomingBytes < HIGH_WATER_BYTES) return true
    peer.owesDrain = true
    return false
  }

  end(last?: string): void {
    if (last !== undefined) this.write(Buffer.from(last))
    this.peer?.noMore()
  }

  /** Writes of one turn arrive in another one, together, in any case. */
  cork(): void {}
  uncork(): void {}

  pause(): void {
    this.paused = true
  }

  resume(): void {
    this.paused = false
    this.schedule()
  }

  destroy(): void {
    if (this.destroyed) return
    this.destroyed = true
    this.incoming.length = 0
    this.incomingBytes = 0
    this.peer?.noMore()
    process.nextTick(close, this)
  }

  /** Ends it once the peer has taken everything. */
  destroySoon(): void {
    this.destroysWhenTaken = true
    this.end()
    if (this.writableLength === 0) this.destroy()
  }

  private noMore(): void {
    if (this.ending) return
    this.ending = true
    this.schedule()
  }

  private schedule(): void {
    if (this.scheduled || this.paused || this.destroyed) return
    this.scheduled = true
    process.nextTick(deliver, this)
  }

  /** For `deliver`. */
  handOver(): void {
    this.scheduled = false
    while (this.incoming.length > 0 && !this.paused && !this.destroyed) {
      const chunk = this.incoming.shift() as Buffer
      this.incomingBytes -= chunk.length
      this.emit('data', chunk)
    }
    if (this.incoming.length > 0 || this.destroyed) return
    this.tellTaken()
    if (this.ending && !this.paused && !this.sawEnd) this.sawLast()
  }

  private tellTaken(): void {
    const { peer } = this
    if (peer === null || peer.destroyed) return
    if (peer.destroysWhenTaken) peer.destroy()
    else if (this.owesDrain) {
      this.owesDrain = false
      peer.emit('drain')
    }
  }

  private sawLast(): void {
    this.sawEnd = true
    this.emit('end')
    // As sockets do that are not half-open.
    this.destroy()
  }
}

function deliver(end: LinkEnd): void {
  end.handOver()
}

function close(end: LinkEnd): void {
  end.emit('close')
}
