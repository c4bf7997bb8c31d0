import { GlobList, type Message, type Quota } from '#api'
import { KeyMaker } from './key.ts'
import type { LimitOptions } from './options.ts'
import { parseRate, type Rate } from './rate.ts'

export type What = LimitOptions['what']

/** Requests that are no work of the server: a client that may not ping thinks the connection dead. */
const FREE = /^(?:ping|transport\/.*)$/
/** What fills the context of a model. */
const ANSWERS = /^(?:tools\/call|resources\/read|prompts\/get)$/
const DAY_MS = 86_400_000
const MINUTE_MS = 60_000

/** One limit, ready to be kept. */
export class Rule {
  readonly name: string
  readonly what: What
  readonly quota: Quota
  readonly key: KeyMaker
  /** Clients it is for; `null` = all. */
  readonly #client: ((id: string) => boolean) | null
  readonly #tools: GlobList | null
  readonly #methods: GlobList | null

  constructor(
    name: string,
    given: LimitOptions,
    whenDown: Quota['whenDown'],
    client: Rule['fitsClient'] | null = null,
  ) {
    const { limit, windowMs } = rateOf(given)
    const { burst } = given
    this.name = name
    this.what = given.what
    this.quota = Object.freeze({
      limit,
      windowMs,
      window: burst === undefined ? given.window : 'smooth',
      burst: burst ?? 1,
      whenDown,
    })
    this.key = new KeyMaker(name, given.key)
    this.#client = client
    const isOfTools = given.tools !== undefined || this.key.isOfTools
    this.#tools = isOfTools ? new GlobList(given.tools ?? ['*']) : null
    this.#methods = given.methods === undefined ? null : new GlobList(given.methods)
  }

  fits(message: Message, client: string): boolean {
    if (!this.fitsClient(client)) return false
    const { method } = message
    if (this.#tools !== null) return method === 'tools/call' && this.#tools.fits(message.name)
    if (this.#methods !== null) return this.#methods.fits(method)
    return this.#paysLater ? ANSWERS.test(method) : !FREE.test(method)
  }

  fitsClient(id: string): boolean {
    return this.#client === null || this.#client(id)
  }

  /** What an answer of so many bytes costs. */
  cost(bytes: number): number {
    return this.what === 'result_tokens' ? Math.ceil(bytes / BYTES_PER_TOKEN) : bytes
  }

  get #paysLater(): boolean {
    return this.what === 'result_bytes' || this.what === 'result_tokens'
  }
}

/** English text and JSON come to about four bytes a token with the tokenizers in use. */
const BYTES_PER_TOKEN = 4

function rateOf({ limit }: LimitOptions): Rate {
  if (typeof limit === 'number') return { limit, windowMs: MINUTE_MS }
  return parseRate(limit) ?? unreadable(limit)
}

function unreadable(text: string): never {
  throw new Error(`"${text}": expected a rate such as 100/minute`)
}

const PLAIN: Omit<LimitOptions, 'limit'> = { what: 'requests', key: ['client'], window: 'sliding' }

/** What a client's `rate_limit: 100/minute` means. */
export function requestsOf(text: string): LimitOptions {
  return { ...PLAIN, limit: text }
}

/** What `requests_per_minute` means. */
export function requestsPerMinute(count: number): LimitOptions {
  return { ...PLAIN, limit: `${count}/minute` }
}

/** What `tokens_per_day` means: tokens of answers, by days in UTC. */
export function tokensPerDay(count: number): LimitOptions {
  return { ...PLAIN, limit: `${count}/${DAY_MS}ms`, what: 'result_tokens', window: 'fixed' }
}
