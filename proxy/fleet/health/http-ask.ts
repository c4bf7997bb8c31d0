import type { IncomingMessage } from 'node:http'
import { http } from '../../base/node-modules.ts'

/** Most of an answer that is read; nobody's health needs more words. */
const MAX_ANSWER_BYTES = 256 * 1024

/** Where an instance listens. */
export interface Endpoint {
  readonly url: string
  /** `''` = TCP. */
  readonly socketPath: string
}

export interface Question {
  readonly method: 'GET' | 'POST' | 'DELETE'
  /** In place of the endpoint's own path; `''` = that. */
  readonly path: string
  readonly headers: Readonly<Record<string, string>>
  /** `''` = none. */
  readonly body: string
}

export interface Answer {
  readonly status: number
  readonly headers: Readonly<Record<string, string | string[] | undefined>>
  readonly text: string
}

/**
 * Asks once, on a connection of its own. Reads until the answer's end, or until `isEnough` says so: a stream may stay open.
 * Rejects with a sentence for people.
 */
export function askHttp(
  { url, socketPath }: Endpoint,
  question: Question,
  timeoutMs: number,
  isEnough: (text: string) => boolean = () => false,
): Promise<Answer> {
  const target = new URL(question.path === '' ? url : new URL(question.path, url))
  const limitMs = Math.max(1, Math.ceil(timeoutMs))
  const signal = AbortSignal.timeout(limitMs)
  return new Promise((resolve, reject) => {
    const asked = http.request(target, {
      method: question.method,
      headers: {
        ...question.headers,
        ...(question.body !== '' && { 'content-length': Buffer.byteLength(question.body) }),
      },
      agent: false,
      signal,
      ...(socketPath !== '' && { socketPath }),
    })
    asked.on('error', error => reject(new Error(signal.aborted ? `no answer within ${limitMs} ms` : wordsOf(error))))
    asked.on('response', response => {
      collect(response, isEnough, text => {
        resolve({ status: response.statusCode ?? 0, headers: response.headers, text })
        asked.destroy()
      })
    })
    asked.end(question.body)
  })
}

function collect(response: IncomingMessage, isEnough: (text: string) => boolean, done: (text: string) => void): void {
  let text = ''
  response.setEncoding('utf8')
  response.on('data', (chunk: string) => {
    text += chunk
    if (text.length > MAX_ANSWER_BYTES || isEnough(text)) done(text)
  })
  response.on('end', () => done(text))
}

export function wordsOf(error: Error): string {
  const { code } = error as NodeJS.ErrnoException
  if (code === 'ECONNREFUSED') return 'connection refused'
  if (code === 'ENOENT') return 'its socket is not there'
  if (code === 'ECONNRESET') return 'the connection was cut'
  return code === undefined ? error.message : `${error.message} (${code})`
}
