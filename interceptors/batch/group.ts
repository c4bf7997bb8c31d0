import { type Exchange, type JsonObject, type Message, readResult, SluiceError, Verdict } from '#api'
import type { Merge } from './options.ts'
import { type Parts, split } from './split.ts'

/** One call that waits to be merged. */
export interface Item {
  /** What it is about: a string or a number, and its JSON text. */
  readonly value: string | number | JsonObject
  readonly text: string
  readonly exchange: Exchange
  readonly resolve: (verdict: Verdict | undefined) => void
}

/** What a group needs of its owner. */
export interface GroupOwner {
  readonly entry: string
  readonly timeoutMs: number
  readonly maxSize: number
  /** The group takes no more. */
  closed(group: Group): void
  /** So many calls became one, and so many of them were answered by it. */
  merged(server: string, calls: number, answered: number): void
}

/** Calls that become one: of one tool, with the same other arguments, of one caller. */
export class Group {
  readonly key: string
  readonly #owner: GroupOwner
  readonly #rule: Merge
  /** The merged call without its list. */
  readonly #params: JsonObject
  readonly #items = new Set<Item>()
  readonly #stop = new AbortController()
  readonly #timer: NodeJS.Timeout
  #sent = false

  constructor(owner: GroupOwner, key: string, rule: Merge, params: JsonObject, windowMs: number) {
    this.key = key
    this.#owner = owner
    this.#rule = rule
    this.#params = params
    this.#timer = setTimeout(() => this.send(), windowMs)
  }

  add(item: Item): void {
    this.#items.add(item)
    if (this.#items.size >= this.#owner.maxSize) this.send()
  }

  /** The client of this call has left: the others go on, unless there are none. */
  leave(item: Item): void {
    if (!this.#items.delete(item)) return
    item.resolve(undefined)
    if (this.#items.size > 0) return
    if (this.#sent) this.#stop.abort()
    else this.#close()
  }

  send(): void {
    if (this.#sent) return
    this.#sent = true
    this.#close()
    const [first, second] = this.#items
    if (first === undefined) return
    // One alone is what its client asked for: nothing is made of it.
    if (second === undefined) this.#settle(item => item.resolve(undefined))
    else this.#call(first)
  }

  #close(): void {
    clearTimeout(this.#timer)
    this.#owner.closed(this)
  }

  #call(first: Item): void {
    const { entry, timeoutMs } = this.#owner
    const values = new Map([...this.#items].map(item => [item.text, item.value]))
    const given = this.#params.arguments as JsonObject
    const args: JsonObject = { ...given, [this.#rule.collect.to]: [...values.values()] }
    const message = { method: 'tools/call', params: { ...this.#params, name: this.#rule.into, arguments: args } }
    first.exchange.call(message, { below: entry, signal: this.#stop.signal, timeoutMs }).then(
      answer => this.#answered(answer, first.exchange.server),
      error => this.#failed(error),
    )
  }

  /** Whoever finds nothing about its own in the answer asks by itself: the server then says what is wrong with it. */
  #answered(answer: Message, server: string): void {
    const parts = this.#partsOf(answer)
    const calls = this.#items.size
    let answered = 0
    this.#settle(item => {
      const part = parts.get(item.text)
      if (part === undefined) return item.resolve(undefined)
      answered++
      item.exchange.note('batch', 'merged')
      item.exchange.note('batch_size', calls)
      item.resolve(Verdict.reply(part, `answered by one call of ${this.#rule.into} for ${calls}`))
    })
    this.#owner.merged(server, calls, answered)
  }

  #partsOf(answer: Message): Parts {
    const bytes = answer.bytes()
    const facts = readResult(bytes)
    if (facts === null || !facts.isComplete) return new Map()
    return split(bytes.subarray(facts.start, facts.end), this.#rule.split)
  }

  /** A server that is too slow for one call is not asked again by many. */
  #failed(error: unknown): void {
    const late = error instanceof SluiceError && error.code === 'upstream_timeout' ? error : null
    this.#settle(item => item.resolve(late === null ? undefined : Verdict.deny(late.code, late.message)))
  }

  #settle(each: (item: Item) => void): void {
    for (const item of this.#items) each(item)
    this.#items.clear()
  }
}
