import type { HttpAnswer } from './http-client.ts'

/** One parsed SSE event, and the text it was parsed from. */
export interface SseEvent {
  readonly id: string | undefined
  readonly event: string | undefined
  readonly retry: string | undefined
  readonly data: string
  readonly comments: readonly string[]
  /** The source text, its final empty line included. */
  readonly source: string
}

/** Writes one event; `data` objects become one line of JSON. */
export function sseEvent(data: object | string, fields: { id?: string; event?: string; retry?: number } = {}): string {
  const lines: string[] = []
  if (fields.event !== undefined) lines.push(`event: ${fields.event}`)
  if (fields.id !== undefined) lines.push(`id: ${fields.id}`)
  if (fields.retry !== undefined) lines.push(`retry: ${fields.retry}`)
  const text = typeof data === 'string' ? data : JSON.stringify(data)
  for (const line of text.split('\n')) lines.push(`data: ${line}`)
  return `${lines.join('\n')}\n\n`
}

/**
 * Parses SSE text the plain way (WHATWG HTML 9.2.6), blocks without data included, so that tests can see comments and priming
 * events. An unfinished last block is not given.
 */
export function parseSse(text: string): SseEvent[] {
  const events: SseEvent[] = []
  const blocks = text.replace(/^\uFEFF/, '').match(/[\s\S]*?(?:\r\n\r\n|\n\n|\r\r)/g) ?? []
  for (const source of blocks) events.push(parseBlock(source))
  return events
}

/** Reads an answer event by event, as they come. */
export class SseReader {
  readonly #answer: HttpAnswer
  #text = ''
  readonly #decoder = new TextDecoder()

  constructor(answer: HttpAnswer) {
    this.#answer = answer
  }

  /** The next block (an event, or lone comments), or `null` when the stream is over. */
  async next(): Promise<SseEvent | null> {
    for (;;) {
      const [event] = parseSse(this.#text)
      if (event !== undefined) {
        this.#text = this.#text.slice(this.#text.indexOf(event.source) + event.source.length)
        return event
      }
      const chunk = await this.#answer.next()
      if (chunk === null) return null
      this.#text += this.#decoder.decode(chunk, { stream: true })
    }
  }

  /** The next event's data as JSON, or `null` when the stream is over; comments and priming events are passed over. */
  // biome-ignore lint/suspicious/noExplicitAny: a test knows what it asked for
  async nextMessage(): Promise<any> {
    for (;;) {
      const event = await this.next()
      if (event === null) return null
      if (event.data !== '') return JSON.parse(event.data)
    }
  }

  /** All messages up to the end of the stream. */
  // biome-ignore lint/suspicious/noExplicitAny: a test knows what it asked for
  async messages(): Promise<any[]> {
    const all: unknown[] = []
    for (let message = await this.nextMessage(); message !== null; message = await this.nextMessage()) all.push(message)
    return all
  }
}

function parseBlock(source: string): SseEvent {
  const data: string[] = []
  const comments: string[] = []
  const fields: Record<string, string> = {}
  for (const line of source.split(/\r\n|\n|\r/)) {
    const colon = line.indexOf(':')
    const name = colon < 0 ? line : line.slice(0, colon)
    const value = colon < 0 ? '' : line.slice(colon + 1).replace(/^ /, '')
    if (colon === 0) comments.push(value)
    else if (name === 'data') data.push(value)
    else if (name !== '') fields[name] = value
  }
  return { id: fields.id, event: fields.event, retry: fields.retry, data: data.join('\n'), comments, source }
}
