import type { ServerResponse } from 'node:http'
import type { ReplyOwner, ReplyPort } from '../chain/ports.ts'
import { closeAfter } from './last-request.ts'

const OWNER = Symbol('sluice reply')

/** Whoever has to know that an answer is over. */
export interface Guest {
  gone(): void
}

interface OwnedResponse extends ServerResponse {
  [OWNER]?: HttpReply
}

/**
 * The client's side of one exchange over `node:http`. The head is held back until there is a body to send with it, so
 * that an answer which turns out to be none can still become an error.
 */
export class HttpReply implements ReplyPort {
  started: boolean
  status: number
  bytes: number
  private readonly response: OwnedResponse
  private readonly cors: readonly string[] | null
  private owner: ReplyOwner | null
  private readonly guest: Guest
  private headers: string[]
  private readonly stallMs: number
  private stall: NodeJS.Timeout | null

  /**
   * @param guest told once when the answer is over, however it ended
   * @param cors header fields that a browser needs, added to every answer; `null` = none
   */
  constructor(response: ServerResponse, guest: Guest, cors: readonly string[] | null, stallMs: number) {
    this.started = false
    this.status = 0
    this.bytes = 0
    this.response = response
    this.cors = cors
    this.owner = null
    this.guest = guest
    this.headers = NONE
    this.stallMs = stallMs
    this.stall = null
    this.response[OWNER] = this
    response.on('close', onClose)
  }

  /** Tells `owner` from now on when the client reads again or has left. */
  attach(owner: ReplyOwner): void {
    this.owner = owner
    if (this.response.destroyed) owner.onClose()
  }

  /** Closes the connection after this answer. */
  closeAfter(): void {
    closeAfter(this.response)
  }

  head(status: number, headers: string[]): void {
    this.status = status
    this.headers = headers
  }

  flush(): void {
    this.begin()
    this.response.flushHeaders()
  }

  write(chunk: Uint8Array): boolean {
    if (!this.started) this.begin()
    this.bytes += chunk.byteLength
    if (this.response.write(chunk)) return true
    this.waitForDrain()
    return false
  }

  end(chunk: Uint8Array | null): void {
    if (!this.started) this.begin()
    const { response, stallMs } = this
    if (chunk === null) {
      response.end()
    } else {
      this.bytes += chunk.byteLength
      response.end(chunk)
    }
    if (response.writableLength > 0 && stallMs > 0) limitRest(response, stallMs)
  }

  isFlushed(): boolean {
    return this.response.writableLength === 0
  }

  destroy(): void {
    this.response.destroy()
  }

  drained(): void {
    this.clearStall()
    this.owner?.onDrain()
  }

  closed(): void {
    this.clearStall()
    if (!this.response.writableFinished) this.owner?.onClose()
    this.guest.gone()
  }

  private begin(): void {
    this.started = true
    const response = this.response
    const fields = this.cors === null ? this.headers : withCors(this.headers, this.cors)
    response.sendDate = fields.indexOf('date') === -1
    try {
      response.writeHead(this.status, fields)
    } catch {
      // A server may send bytes in a field that HTTP does not allow: the answer goes on without that field.
      response.writeHead(this.status, fields.filter(isSendable))
    }
  }

  /** A client that stops reading holds a connection to the server: not for ever. */
  private waitForDrain(): void {
    if (this.stall !== null) return
    this.response.once('drain', onDrain)
    if (this.stallMs > 0) this.stall = setTimeout(onStall, this.stallMs, this.response)
  }

  private clearStall(): void {
    if (this.stall === null) return
    clearTimeout(this.stall)
    this.stall = null
  }
}

const NONE: string[] = []
/** RFC 9110, 5.5: visible characters, space, tab, obs-text. */
// biome-ignore lint/suspicious/noControlCharactersInRegex: these are the ones a field must not have
const UNSENDABLE = /[\x00-\x08\x0a-\x1f\x7f]|[^\x00-\xff]/

/** For `filter` over flat fields: whether this name's or value's pair may be sent. */
function isSendable(_item: string, index: number, fields: string[]): boolean {
  return !UNSENDABLE.test(fields[index | 1] as string)
}

/** Who may read an answer is the proxy's to say: two answers to that make a browser refuse both. */
function withCors(headers: readonly string[], cors: readonly string[]): string[] {
  const fields: string[] = []
  for (let i = 0; i < headers.length; i += 2) {
    const name = headers[i] as string
    if (!name.startsWith('access-control-')) fields.push(name, headers[i + 1] as string)
  }
  fields.push(...cors)
  return fields
}

function onDrain(this: OwnedResponse): void {
  this[OWNER]?.drained()
}

function onClose(this: OwnedResponse): void {
  this[OWNER]?.closed()
}

/** What is left of a whole answer is not held for ever either. The socket's own time-out knows slow from stalled. */
function limitRest(response: ServerResponse, stallMs: number): void {
  response.setTimeout(stallMs)
  response.prependOnceListener('finish', onTaken)
}

/** The next answer on this connection may take its time. */
function onTaken(this: ServerResponse): void {
  this.socket?.setTimeout(0)
}

function onStall(response: ServerResponse): void {
  response.destroy()
}
