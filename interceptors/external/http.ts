import { readFileSync } from 'node:fs'
import { Pool } from 'undici'
import type { Environment, Json } from '#api'
import { parseOutput } from './answer.ts'
import { type Bounds, type Caller, ExternalError } from './caller.ts'
import { Deadline } from './deadline.ts'
import { Gate } from './gate.ts'
import type { Target } from './options.ts'

/** How long a connection that nobody uses stays open. */
const KEEP_ALIVE_MS = 30_000
const MAX_HEAD_BYTES = 16 * 1024

/** A service that answers a POST of JSON with JSON or nothing, over connections that stay open. Redirects are not followed. */
export class HttpCaller implements Caller {
  readonly #pool: Pool
  readonly #path: string
  readonly #headers: Record<string, string>
  readonly #bounds: Bounds
  readonly #gate: Gate

  /** @throws Error when `ca_file` cannot be read */
  constructor(target: Target, bounds: Bounds, environment: Environment) {
    const url = new URL(target.http ?? '')
    const ca = target.ca_file === undefined ? undefined : readFileSync(environment.resolve(target.ca_file))
    this.#pool = new Pool(url.origin, {
      connections: target.connections,
      pipelining: 1,
      keepAliveTimeout: KEEP_ALIVE_MS,
      headersTimeout: bounds.timeoutMs,
      bodyTimeout: bounds.timeoutMs,
      maxHeaderSize: MAX_HEAD_BYTES,
      connect: { timeout: bounds.timeoutMs, ...(ca !== undefined && { ca }) },
    })
    this.#path = url.pathname + url.search
    this.#headers = { accept: 'application/json', 'content-type': 'application/json', ...lowerCased(target.headers) }
    this.#bounds = bounds
    this.#gate = new Gate(target.connections, bounds.queue)
  }

  async call(body: string, signal: AbortSignal): Promise<Json | undefined> {
    const deadline = new Deadline(this.#bounds.timeoutMs, signal)
    try {
      return await this.#gate.run(deadline.signal, () => this.#post(body, deadline.signal))
    } catch (error) {
      if (deadline.signal.aborted) throw deadline.signal.reason
      throw error instanceof ExternalError ? error : new ExternalError(`cannot be asked: ${codeOf(error)}`)
    } finally {
      deadline.clear()
    }
  }

  close(): Promise<void> {
    return this.#pool.destroy(new ExternalError('the policy was replaced'))
  }

  async #post(body: string, signal: AbortSignal): Promise<Json | undefined> {
    const {
      statusCode,
      headers,
      body: answer,
    } = await this.#pool.request({
      path: this.#path,
      method: 'POST',
      headers: this.#headers,
      body,
      signal,
    })
    // Whoever does not read an answer to its end has to take it off the connection.
    answer.on('error', () => undefined)
    const fault = faultOf(statusCode, headers['content-encoding'])
    if (fault !== null) {
      answer.destroy()
      throw new ExternalError(fault)
    }
    return parseOutput(await this.#read(answer))
  }

  async #read(answer: AsyncIterable<Buffer> & { destroy(): unknown }): Promise<string> {
    const chunks: Buffer[] = []
    let bytes = 0
    for await (const chunk of answer) {
      bytes += chunk.length
      if (bytes > this.#bounds.maxOutputBytes) {
        answer.destroy()
        throw new ExternalError(`answered with more than ${this.#bounds.maxOutputBytes} bytes (max_output_bytes)`)
      }
      chunks.push(chunk)
    }
    return Buffer.concat(chunks).toString()
  }
}

function faultOf(status: number, encoding: string | string[] | undefined): string | null {
  if (status < 200 || status > 299) return `answered with HTTP ${status}`
  return encoding === undefined || encoding === 'identity' ? null : 'answered with a compressed body'
}

/** The code of an error of the network; never its text, which may hold what was sent. */
function codeOf(error: unknown): string {
  const { code, name } = error as { code?: unknown; name?: unknown }
  return typeof code === 'string' ? code : String(name)
}

function lowerCased(headers: Readonly<Record<string, string>>): Record<string, string> {
  return Object.fromEntries(Object.entries(headers).map(([name, value]) => [name.toLowerCase(), value]))
}
