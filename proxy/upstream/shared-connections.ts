import type { buildConnector, Client } from 'undici'
import { undici } from '../base/undici.ts'
import type { Borrower, Lender, Sending } from './connections.ts'

/** Most requests at a time on one HTTP/2 connection; a server that allows fewer makes undici wait. */
export const MAX_STREAMS = 100

/** How many requests one connection may carry: until its protocol is known, the one that opened it. */
interface Member {
  readonly client: Client
  room: number
  load: number
}

interface Waiting {
  readonly options: Sending
  readonly borrower: Borrower
}

/**
 * Connections to one https replica that carry many requests each, where the replica agrees to HTTP/2; with one that does
 * not, each carries one. While the first connection finds out, further requests wait for it.
 */
export class SharedConnections implements Lender {
  private readonly origin: string
  private readonly options: Client.Options
  private readonly connector: buildConnector.connector
  private readonly max: number
  private readonly members: Map<Client, Member>
  /** Bounded by `max_in_flight`, for each entry is an exchange. */
  private readonly queue: Waiting[]
  private closed: boolean

  /** @param max most connections; further requests wait in order */
  constructor(origin: string, options: Client.Options, connector: buildConnector.connector, max: number) {
    this.origin = origin
    this.options = options
    this.connector = connector
    this.max = max
    this.members = new Map()
    this.queue = []
    this.closed = false
  }

  dispatch(options: Sending, borrower: Borrower): void {
    const member = this.roomy()
    if (member === null) this.queue.push({ options, borrower })
    else this.lend(member, options, borrower)
  }

  giveBack(borrower: Borrower): void {
    const { client } = borrower
    if (client === null) {
      const at = this.queue.findIndex(waiting => waiting.borrower === borrower)
      if (at !== -1) this.queue.splice(at, 1)
      return
    }
    borrower.client = null
    const member = this.members.get(client as Client)
    if (member !== undefined) member.load--
    this.drain()
    if (this.closed && member?.load === 0) void this.drop(member)
  }

  close(): Promise<unknown> {
    this.closed = true
    return Promise.all([...this.members.values()].filter(member => member.load === 0).map(member => this.drop(member)))
  }

  destroy(): Promise<unknown> {
    this.closed = true
    return Promise.all([...this.members.keys()].map(client => client.destroy().catch(alreadyClosed)))
  }

  private lend(member: Member, options: Sending, borrower: Borrower): void {
    member.load++
    borrower.client = member.client
    member.client.dispatch(options, borrower)
  }

  /** The connection for the next request, opened where needed; `null` = none for now. */
  private roomy(): Member | null {
    let finding = false
    for (const member of this.members.values()) {
      if (member.load < Math.max(1, member.room)) return member
      finding ||= member.room === 0
    }
    return finding || this.members.size >= this.max ? null : this.open()
  }

  private drain(): void {
    while (this.queue.length > 0) {
      const member = this.roomy()
      const next = member === null ? undefined : this.queue.shift()
      if (member === null || next === undefined) return
      this.lend(member, next.options, next.borrower)
    }
  }

  private open(): Member {
    const connect: buildConnector.connector = (options, callback) => {
      this.connector(options, (...[error, socket]: Parameters<buildConnector.Callback>) => {
        if (error !== null) {
          callback(error, null)
          return
        }
        member.room = (socket as { alpnProtocol?: unknown }).alpnProtocol === 'h2' ? MAX_STREAMS : 1
        callback(null, socket)
      })
    }
    const client = new (undici().Client)(this.origin, { ...this.options, connect })
    const member: Member = { client, room: 0, load: 0 }
    this.members.set(member.client, member)
    member.client.on('connect', () => this.drain())
    member.client.on('disconnect', () => this.lost(member))
    member.client.on('connectionError', () => this.lost(member))
    return member
  }

  /** The connection is gone. The next one may speak another protocol. */
  private lost(member: Member): void {
    member.room = 0
    if (member.load === 0) void this.drop(member)
  }

  private drop(member: Member): Promise<unknown> {
    this.members.delete(member.client)
    return member.client.close().catch(alreadyClosed)
  }
}

/** A connection that is gone already is what was wanted. */
function alreadyClosed(): void {}
