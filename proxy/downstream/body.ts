import type { BodySink } from './lean-request.ts'

/** Told when a request's body is complete, too large, or will never be. */
export interface BodyOwner {
  onBody(body: Buffer): void
  onTooLarge(limit: 'body' | 'total'): void
}

/** Bytes of request bodies that are held at the moment, by all exchanges of this process. */
export class BufferBudget {
  readonly maxBytes: number
  used: number

  constructor(maxBytes: number) {
    this.maxBytes = maxBytes
    this.used = 0
  }
}

/**
 * Reads a request's body to its end: the whole message must be known to be one that all parsers read alike before a byte
 * of it goes on. The usual single chunk is not copied. Bounds: `max_body_bytes` each, `max_buffered_bytes` together.
 */
export class BodyReader implements BodySink {
  private readonly owner: BodyOwner
  private readonly budget: BufferBudget
  private readonly maxBytes: number
  private first: Buffer | null
  private more: Buffer[] | null
  private length: number
  private over: boolean
  private held: boolean

  constructor(owner: BodyOwner, budget: BufferBudget, maxBytes: number) {
    this.owner = owner
    this.budget = budget
    this.maxBytes = maxBytes
    this.first = null
    this.more = null
    this.length = 0
    this.over = false
    this.held = true
  }

  take(chunk: Buffer): void {
    if (this.over) return
    this.length += chunk.length
    this.budget.used += chunk.length
    if (this.length > this.maxBytes) this.refuse('body')
    else if (this.budget.used > this.budget.maxBytes) this.refuse('total')
    else if (this.first === null) this.first = chunk
    else if (this.more === null) this.more = [this.first, chunk]
    else this.more.push(chunk)
  }

  complete(): void {
    if (this.over) return
    const body = this.more === null ? (this.first ?? EMPTY) : Buffer.concat(this.more, this.length)
    this.over = true
    this.first = null
    this.more = null
    this.owner.onBody(body)
  }

  /** Gives the budget back, once: when the exchange is over, for until then its message is held. */
  release(): void {
    if (!this.held) return
    this.held = false
    this.over = true
    this.budget.used -= this.length
    this.first = null
    this.more = null
  }

  private refuse(limit: 'body' | 'total'): void {
    this.release()
    this.owner.onTooLarge(limit)
  }
}

const EMPTY = Buffer.alloc(0)
