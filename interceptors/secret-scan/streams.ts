import { isJsonObject, type Json, type JsonObject, type Message } from '#api'
import type { Stream } from './message-scan.ts'

/** Characters of a stream's text that are kept to be read together with what follows. */
const KEPT = 4096
const MAX_STREAMS = 16

/** Where log messages that are objects carry their text. */
const TEXT_KEYS = ['text', 'message', 'msg', 'content', 'delta']

/** The stream a notification belongs to, and where its text is. */
export interface Piece {
  readonly key: string
  readonly stream: Stream
}

/**
 * The ends of the texts that progress and log notifications of one exchange carry in pieces, so that a secret split over two of
 * them is found in the second. What came last of each stream is kept: 4096 characters, 16 streams.
 */
export class Streams {
  readonly #tails: Map<string, string>

  constructor() {
    this.#tails = new Map()
  }

  /** The stream of a notification; `null` where it carries no text in pieces. */
  pieceOf(message: Message): Piece | null {
    const isProgress = message.method === 'notifications/progress'
    if (!isProgress && message.method !== 'notifications/message') return null
    const { params } = JSON.parse(Buffer.from(message.bytes()).toString()) as JsonObject
    if (!isJsonObject(params)) return null
    const path = isProgress ? ['params', 'message'] : logPath(params.data)
    if (path === null) return null
    const name = isProgress ? params.progressToken : params.logger
    const key = `${isProgress ? 'progress' : 'log'}:${JSON.stringify(name) ?? ''}:${path.at(-1)}`
    return { key, stream: { path, before: this.#tails.get(key) ?? '' } }
  }

  /** Remembers the end of a text. */
  keep({ key, stream }: Piece, text: string): void {
    if (text === '') return
    this.#tails.delete(key)
    this.#tails.set(key, (stream.before + text).slice(-KEPT))
    const [oldest] = this.#tails.keys()
    if (this.#tails.size > MAX_STREAMS && oldest !== undefined) this.#tails.delete(oldest)
  }
}

function logPath(data: Json | undefined): string[] | null {
  if (typeof data === 'string') return ['params', 'data']
  if (!isJsonObject(data)) return null
  const key = TEXT_KEYS.find(name => typeof data[name] === 'string')
  return key === undefined ? null : ['params', 'data', key]
}
