/** Bounds of a `SingleFlight`. */
export interface SingleFlightOptions {
  /** Different things that are fetched at the same time; what comes beyond is fetched alone. Default 10,000. */
  readonly maxFlights?: number
  /** How many may wait for one of them; who comes beyond fetches alone. Default 1,000. */
  readonly maxWaiting?: number
  /** How long one waits before it fetches alone, in milliseconds. Default 30,000. */
  readonly waitMs?: number
}

/**
 * Lets one fetch what several want at the same time. The first to come leads, the others wait for its value. When the
 * leader goes away, the next in line leads in its place; when what it got is not to be shared, one more tries, and if
 * that fails too, all that wait go on by themselves: nobody fails because of another one.
 */
export class SingleFlight<T> {
  readonly #flights = new Map<string, Flight<T>>()
  readonly #byTag = new Map<string, Ticket<T>>()
  readonly #maxFlights: number
  readonly #maxWaiting: number
  readonly #waitMs: number

  constructor(options: SingleFlightOptions = {}) {
    this.#maxFlights = options.maxFlights ?? 10_000
    this.#maxWaiting = options.maxWaiting ?? 1_000
    this.#waitMs = options.waitMs ?? 30_000
  }

  /** How many fetch now with others waiting, or able to wait. */
  get size(): number {
    return this.#flights.size
  }

  /** Whether somebody fetches this now. */
  has(key: string): boolean {
    return this.#flights.has(key)
  }

  /**
   * Comes to fetch something. Whoever does must `leave()` in the end.
   * @param tag names the caller for `leaveAs`; `''` = nobody will ask for it
   */
  join(key: string, tag = ''): Ticket<T> {
    const flight = this.#flights.get(key)
    const ticket = flight === undefined ? this.#begin(key, tag) : this.#queue(flight, tag)
    if (tag !== '') this.#byTag.set(tag, ticket)
    return ticket
  }

  /**
   * The caller of this tag is not interested any more: if it leads, another one does from now on. One that waits stays; it
   * has fetched nothing that could be called off.
   */
  leaveAs(tag: string): void {
    const ticket = this.#byTag.get(tag)
    if (ticket?.leads === true) ticket.leave()
  }

  /** What is fetched now is out of date: those who come from now on begin anew. */
  forget(fits: (key: string) => boolean): void {
    for (const key of this.#flights.keys()) if (fits(key)) this.#flights.delete(key)
  }

  /** @internal */
  untag(ticket: Ticket<T>): void {
    if (this.#byTag.get(ticket.tag) === ticket) this.#byTag.delete(ticket.tag)
  }

  /** @internal */
  land(flight: Flight<T>): void {
    if (this.#flights.get(flight.key) === flight) this.#flights.delete(flight.key)
  }

  #begin(key: string, tag: string): Ticket<T> {
    if (this.#flights.size >= this.#maxFlights) return new Ticket<T>(this, null, tag)
    const flight = new Flight<T>(key)
    this.#flights.set(key, flight)
    flight.leader = new Ticket<T>(this, flight, tag)
    return flight.leader
  }

  #queue(flight: Flight<T>, tag: string): Ticket<T> {
    if (flight.waiting.size >= this.#maxWaiting) return new Ticket<T>(this, null, tag)
    const ticket = new Ticket<T>(this, flight, tag)
    flight.waiting.add(ticket)
    ticket.queue(this.#waitMs)
    return ticket
  }
}

/** One thing that is being fetched. */
class Flight<T> {
  readonly key: string
  leader: Ticket<T> | null
  /** In the order they came. */
  readonly waiting: Set<Ticket<T>>
  failures: number

  constructor(key: string) {
    this.key = key
    this.leader = null
    this.waiting = new Set()
    this.failures = 0
  }
}

/** One caller's place in a `SingleFlight`. */
export class Ticket<T> {
  /** @internal */
  readonly tag: string
  readonly #owner: SingleFlight<T>
  /** `null` = alone, or over. */
  #flight: Flight<T> | null
  #resolve: ((value: T | null) => void) | null
  #promise: Promise<T | null> | null
  #timer: NodeJS.Timeout | null

  /** @internal */
  constructor(owner: SingleFlight<T>, flight: Flight<T> | null, tag: string) {
    this.tag = tag
    this.#owner = owner
    this.#flight = flight
    this.#resolve = null
    this.#promise = null
    this.#timer = null
  }

  /** Whether others may be waiting for what this one fetches. */
  get leads(): boolean {
    return this.#flight !== null && this.#flight.leader === this
  }

  /** How many wait for it. */
  get awaitedBy(): number {
    return this.#flight !== null && this.#flight.leader === this ? this.#flight.waiting.size : 0
  }

  /** What the leader got; `null` = fetch it yourself. Never rejects. A leader, or who is alone, has nothing to wait for. */
  get value(): Promise<T | null> | null {
    return this.#promise
  }

  /** @internal */
  queue(waitMs: number): void {
    const { promise, resolve } = Promise.withResolvers<T | null>()
    this.#promise = promise
    this.#resolve = resolve
    this.#timer = setTimeout(() => this.leave(), waitMs)
  }

  /** The leader has it: all that wait get it. From anyone else it means nothing. */
  done(value: T): void {
    const flight = this.#flight
    if (flight === null || flight.leader !== this) return
    this.#owner.land(flight)
    for (const ticket of flight.waiting) ticket.#settle(value)
    this.#settle(null)
  }

  /**
   * The leader got something that is its own alone: one of the others tries, the second time all of them do.
   * @param forAll whether the others would fare no better: then all of them try at once
   */
  failed(forAll = false): void {
    const flight = this.#flight
    if (flight === null || flight.leader !== this) return
    this.#settle(null)
    if (++flight.failures < 2 && !forAll) promote(flight, this.#owner)
    else this.#disband(flight)
  }

  /** The caller is gone, or done with it. May be called again. */
  leave(): void {
    const flight = this.#flight
    const led = this.leads
    this.#settle(null)
    if (flight === null) return
    flight.waiting.delete(this)
    if (led) promote(flight, this.#owner)
  }

  /** @internal The one before it went away. */
  takeOver(flight: Flight<T>): void {
    flight.leader = this
    this.#answer(null)
  }

  #disband(flight: Flight<T>): void {
    this.#owner.land(flight)
    for (const ticket of flight.waiting) ticket.#settle(null)
  }

  #settle(value: T | null): void {
    this.#flight = null
    if (this.tag !== '') this.#owner.untag(this)
    this.#answer(value)
  }

  #answer(value: T | null): void {
    if (this.#timer !== null) clearTimeout(this.#timer)
    this.#timer = null
    this.#resolve?.(value)
    this.#resolve = null
  }
}

/** The next in line leads; with nobody left it is over. */
function promote<T>(flight: Flight<T>, owner: SingleFlight<T>): void {
  const [next] = flight.waiting
  if (next === undefined) {
    owner.land(flight)
    return
  }
  flight.waiting.delete(next)
  next.takeOver(flight)
}
