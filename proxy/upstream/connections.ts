import type { Dispatcher } from 'undici'
import type { AnswerHandler } from './http1/plain-connection.ts'
import type { Outgoing } from './http1/request-bytes.ts'

/** A request, for either kind of connection. */
export type Sending = Dispatcher.DispatchOptions & Outgoing

/** One connection, as far as those see it that lend it. */
export interface Connection {
  dispatch(options: Sending, borrower: Borrower): unknown
  /** Ends it as soon as it is free. */
  close(): Promise<void>
  /** Ends it now, and its request. */
  destroy(): Promise<void>
}

/** What a request over one of these connections must do: give it back, once, when it is over. */
export interface Borrower extends AnswerHandler, Pick<Dispatcher.DispatchHandler, 'onResponseStart'> {
  client: Connection | null
}

/** Connections to one replica, lent to one request at a time. */
export interface Lender {
  /** Sends a request as soon as a connection is there for it. */
  dispatch(options: Sending, borrower: Borrower): void
  /** The request is over, or was given up while it waited. */
  giveBack(borrower: Borrower): void
  /** Closes idle connections; running requests finish first. */
  close(): Promise<unknown>
  /** Ends everything now. */
  destroy(): Promise<unknown>
}

/** Makes a connection, which connects when it is used. @param onGone told each time when it is not connected any more */
export type ConnectionMaker = (onGone: (connection: Connection) => void) => Connection

interface Waiting {
  readonly options: Sending
  readonly borrower: Borrower
}

/**
 * The connections to one replica: each serves one request at a time, and the one used last is used next, so that a calm
 * hour needs few of them. (undici's own Pool looks through all its clients at every request, and wakes up once more for
 * each: 0.6-1.3 µs a request here, and much more beside ten thousand idle streams.)
 */
export class Connections implements Lender {
  private readonly make: ConnectionMaker
  private readonly max: number
  private readonly idle: Connection[]
  private readonly all: Set<Connection>
  /** Bounded by `max_in_flight`, for each entry is an exchange. */
  private readonly queue: Waiting[]
  private closed: boolean

  /** @param max most connections; further requests wait in order */
  constructor(make: ConnectionMaker, max: number) {
    this.make = make
    this.max = max
    this.idle = []
    this.all = new Set()
    this.queue = []
    this.closed = false
  }

  dispatch(options: Sending, borrower: Borrower): void {
    const client = this.idle.pop() ?? (this.all.size < this.max ? this.open() : null)
    if (client === null) {
      this.queue.push({ options, borrower })
      return
    }
    borrower.client = client
    client.dispatch(options, borrower)
  }

  /** Takes a connection back and gives it to whoever has waited longest. */
  giveBack(borrower: Borrower): void {
    const { client } = borrower
    if (client === null) {
      this.forget(borrower)
      return
    }
    borrower.client = null
    const next = this.queue.shift()
    if (next !== undefined) {
      next.borrower.client = client
      client.dispatch(next.options, next.borrower)
    } else if (this.closed) {
      client.close().catch(alreadyClosed)
    } else {
      this.idle.push(client)
    }
  }

  /** A request that was given up while it waited. */
  private forget(borrower: Borrower): void {
    const at = this.queue.findIndex(waiting => waiting.borrower === borrower)
    if (at !== -1) this.queue.splice(at, 1)
  }

  close(): Promise<unknown> {
    this.closed = true
    const idle = this.idle.splice(0)
    return Promise.all(idle.map(client => client.close().catch(alreadyClosed)))
  }

  destroy(): Promise<unknown> {
    this.closed = true
    return Promise.all([...this.all].map(client => client.destroy().catch(alreadyClosed)))
  }

  private open(): Connection {
    const client = this.make(gone => this.dropIdle(gone))
    this.all.add(client)
    return client
  }

  /** A connection that the server closed while nobody used it is not worth keeping. */
  private dropIdle(client: Connection): void {
    const at = this.idle.lastIndexOf(client)
    if (at === -1) return
    this.idle.splice(at, 1)
    this.all.delete(client)
    client.destroy().catch(alreadyClosed)
  }
}

/** A connection that is gone already is what was wanted. */
function alreadyClosed(): void {}
