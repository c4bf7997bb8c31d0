import { type Environment, type Exchange, type JsonObject, type Message, parseExact } from '#api'

/** Most answers that are fetched in the background at the same time. */
const MAX_REFRESHES = 64
/** The longest wait for one of them. */
const TIMEOUT_MS = 30_000

/** Members of `_meta` that belong to the client's own call. */
const OWN_META = ['progressToken', 'traceparent', 'tracestate', 'baggage']

/** Asks the server again what a client has asked, through the rest of the chain. */
export class Refresher {
  readonly #entry: string
  readonly #running = new Set<string>()
  readonly #closing = new AbortController()

  constructor({ entry }: Environment) {
    this.#entry = entry
  }

  /** Asks for the client itself: the call ends with its exchange. Rejects with a `SluiceError`. */
  ask(message: Message, exchange: Exchange): Promise<Message> {
    return exchange.call(again(message), { below: this.#entry })
  }

  /**
   * Asks behind its back, unless the same is being asked already, or too much is.
   * @param take gets the answer; a failure is nobody's business, the old answer is still there
   */
  refresh(key: string, message: Message, exchange: Exchange, take: (answer: Message) => void): void {
    if (this.#running.has(key) || this.#running.size >= MAX_REFRESHES) return
    this.#running.add(key)
    const { signal } = this.#closing
    exchange
      .call(again(message), { below: this.#entry, signal, timeoutMs: TIMEOUT_MS })
      .then(take)
      .catch(() => undefined)
      .finally(() => this.#running.delete(key))
  }

  close(): void {
    this.#closing.abort()
  }
}

function again(message: Message): JsonObject {
  const { method, params } = parseExact(message.bytes()) as JsonObject
  if (!isObject(params)) return { method: method as string }
  if (isObject(params._meta)) for (const key of OWN_META) delete params._meta[key]
  return { method: method as string, params }
}

function isObject(value: unknown): value is JsonObject {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
}
