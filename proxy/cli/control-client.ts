import type { ClientRequest, IncomingMessage } from 'node:http'
import { createInterface } from 'node:readline'
import type { Json } from '../api/index.ts'
import { http } from '../base/node-modules.ts'
import { expectedPath } from './control-place.ts'
import { FAILED, MISUSED, ReportedError } from './failure.ts'
import { configOrDefault } from './settings.ts'

/** How a command says which running proxy it means. */
export interface ControlFlags {
  /** Default: ./sluice.yaml, if there is one. */
  readonly config?: string
  /** Goes before the configuration. */
  readonly socket?: string
}

export interface ControlQuestion {
  /** Default `GET`. */
  readonly method?: 'GET' | 'POST' | 'DELETE'
  readonly path: string
  readonly query?: Readonly<Record<string, string>>
  readonly body?: Json
  readonly signal?: AbortSignal
}

/** Statuses that say that the question was wrong: no such thing, or it cannot be done. */
const MISUSE: ReadonlySet<number> = new Set([400, 404, 405, 409])

/** Asks the proxy that runs for a configuration, by its control socket. */
export class ControlClient {
  readonly path: string

  constructor(path: string) {
    this.path = path
  }

  /** @throws UsageError when the configuration has no control socket, LoadError when it cannot be read */
  static find(flags: ControlFlags): ControlClient {
    return new ControlClient(flags.socket ?? expectedPath(configOrDefault({ ...flags, interceptors: [] })))
  }

  /** The answer's JSON. Rejects with a ReportedError that says what the proxy said, or that none is there. */
  async ask(question: ControlQuestion): Promise<Json> {
    const answer = await this.#send(question)
    const text = await textOf(answer)
    return JSON.parse(text) as Json
  }

  /** The lines of an answer that goes on. Rejects like `ask`; ends when the signal does. */
  async *lines(question: ControlQuestion): AsyncGenerator<string> {
    const answer = await this.#send(question)
    try {
      for await (const line of createInterface({ input: answer, crlfDelay: Number.POSITIVE_INFINITY })) yield line
      if (!answer.complete && question.signal?.aborted !== true) throw this.#broken()
    } catch (error) {
      if (question.signal?.aborted !== true) throw error
    } finally {
      answer.destroy()
    }
  }

  async #send(question: ControlQuestion): Promise<IncomingMessage> {
    const answer = await this.#open(question)
    if (answer.statusCode === 200) return answer
    const isMisuse = answer.statusCode !== undefined && MISUSE.has(answer.statusCode)
    throw new ReportedError(`sluice: ${messageOf(await textOf(answer))}`, isMisuse ? MISUSED : FAILED)
  }

  #open({ method = 'GET', path, query = {}, body, signal }: ControlQuestion): Promise<IncomingMessage> {
    const search = new URLSearchParams(query).toString()
    return new Promise((resolve, reject) => {
      const outgoing: ClientRequest = http.request(
        {
          socketPath: this.path,
          method,
          path: search === '' ? path : `${path}?${search}`,
          headers: body === undefined ? {} : { 'content-type': 'application/json' },
          ...(signal !== undefined && { signal }),
        },
        resolve,
      )
      outgoing.once('error', error => reject(this.#failure(error)))
      outgoing.end(body === undefined ? undefined : JSON.stringify(body))
    })
  }

  #failure(error: NodeJS.ErrnoException): Error {
    if (error.code === 'ENOENT' || error.code === 'ECONNREFUSED') {
      const text = `no running proxy at ${this.path}: start it (sluice run -c FILE), or say which one by -c FILE or --socket PATH`
      return new ReportedError(`sluice: ${text}`, FAILED)
    }
    if (error.code === 'EACCES') {
      return new ReportedError(`sluice: ${this.path}: only the user who runs the proxy may ask it`, FAILED)
    }
    return new ReportedError(`sluice: ${this.path}: ${error.message}`, FAILED)
  }

  #broken(): Error {
    return new ReportedError(`sluice: the proxy at ${this.path} broke its answer off; its log may say why`, FAILED)
  }
}

async function textOf(answer: IncomingMessage): Promise<string> {
  const chunks: Buffer[] = []
  for await (const chunk of answer as AsyncIterable<Buffer>) chunks.push(chunk)
  return Buffer.concat(chunks).toString()
}

function messageOf(text: string): string {
  try {
    return String((JSON.parse(text) as { error?: unknown }).error ?? text)
  } catch {
    return text
  }
}
