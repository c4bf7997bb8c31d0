import { Client, type Dispatcher } from 'undici'

/** What a request over one of these connections must do: give it back, once, when it is over. */
export interface Borrower extends Dispatcher.DispatchHandler {
  client: Client | null
}

/** Connections to one replica, lent to one request at a time. */
export interface Lender {
  /** Sends a request as soon as a connection is there for it. */
  dispatch(options: Dispatcher.DispatchOptions, borrower: Borrower): void
  /** The request is over, or was given up while it waited. */
  giveBack(borrower: Borrower): void
  /** Closes idle connections; running requests finish first. */
  close(): Promise<unknown>
  /** Ends everything now. */
  destroy(): Promise<unknown>
}

interface Waiting {
  readonly options: Dispatcher.DispatchOptions
  readonly borrower: Borrower
}

/**
 * The connections to one replica: each serves one request at a time, and the one used last is used next, so that a calm
 * hour needs few of them. (undici's own Pool looks through all its clients at every request, and wakes up once more for
 * each: 0.6-1.3 µs a request here, and much more beside ten thousand idle streams.)
 */
export class Connections implements Lender {
  private readonly origin: string
  private readonly options: Client.Options
  private readonly max: number
  private readonly idle: Client[]
  private readonly all: Set<Client>
  /** Bounded by `max_in_flight`, for each entry is an exchange. */
  private readonly queue: Waiting[]
  private closed: boolean

  /** @param max most connections; further requests wait in order */
  constructor(origin: string, options: Client.Options, max: number) {
    this.origin = origin
    this.options = options
    this.max = max
    this.idle = []
    this.all = new Set()
    this.queue = []
    this.closed = false
  }

  dispatch(options: Dispatcher.DispatchOptions, borrower: Borrower): void {
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

  private open(): Client {
    const client = new Client(this.origin, this.options)
    this.all.add(client)
    client.on('disconnect', () => this.dropIdle(client))
    return client
  }

  /** A connection that the server closed while nobody used it is not worth keeping. */
  private dropIdle(client: Client): void {
    const at = this.idle.lastIndexOf(client)
    if (at === -1) return
    this.idle.splice(at, 1)
    this.all.delete(client)
    client.destroy().catch(alreadyClosed)
  }
}

/** A connection that is gone already is what was wanted. */
function alreadyClosed(): void {}
