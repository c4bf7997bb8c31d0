import type { ErrorCode, JsonObject } from '../../api/index.ts'
import { SluiceError } from '../../api/index.ts'
import type { Envelope } from '../../message/envelope.ts'
import type { Pipe } from './pipe.ts'

/** The answer to a request of the bridge's own. */
export interface OwnAnswer {
  readonly envelope: Envelope
  /** A copy. */
  readonly line: Buffer
}

/** A request of the bridge's own: a question about the era, a check of health, the handshake of a shared process. */
export class OwnCall {
  readonly exchange = null
  readonly tokenText = ''
  readonly wantsLog = false
  readonly answer: Promise<OwnAnswer>
  serverId = 0
  readonly #method: string
  readonly #params: JsonObject
  readonly #resolve: (answer: OwnAnswer) => void
  readonly #reject: (error: SluiceError) => void

  constructor(method: string, params: JsonObject) {
    const { promise, resolve, reject } = Promise.withResolvers<OwnAnswer>()
    promise.catch(() => {})
    this.answer = promise
    this.#method = method
    this.#params = params
    this.#resolve = resolve
    this.#reject = reject
  }

  request(id: number): Buffer {
    this.serverId = id
    return Buffer.from(JSON.stringify({ jsonrpc: '2.0', id, method: this.#method, params: this.#params }))
  }

  settle(envelope: Envelope, line: Buffer): void {
    this.#resolve({ envelope, line: Buffer.from(line) })
  }

  fail(code: ErrorCode, text: string, _data: JsonObject | null): void {
    this.#reject(new SluiceError(code, text))
  }
}

/**
 * Asks a process something.
 * @throws SluiceError when it does not answer in time, or ends
 */
export async function askProcess(
  pipe: Pipe,
  method: string,
  params: JsonObject,
  timeoutMs: number,
): Promise<OwnAnswer> {
  const call = new OwnCall(method, params)
  const timer = setTimeout(
    () => call.fail('upstream_timeout', `no answer to ${method} in ${timeoutMs} ms`, null),
    timeoutMs,
  )
  timer.unref()
  try {
    pipe.ask(call)
    return await call.answer
  } finally {
    clearTimeout(timer)
  }
}
