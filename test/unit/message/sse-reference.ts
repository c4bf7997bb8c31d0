import type { SseSink } from '../../../proxy/message/sse.ts'

/** One event as a sink sees it, with copies of its bytes as text. */
export interface SeenEvent {
  raw: string
  data: string | null
  eventType: string
  id: string | null
}

/** Keeps all events. */
export class Recorder implements SseSink {
  readonly events: SeenEvent[] = []
  oversize = 0

  onEvent(raw: Buffer, data: Buffer | null, eventType: string, id: string | null): void {
    this.events.push({ raw: raw.toString('latin1'), data: data === null ? null : data.toString(), eventType, id })
  }

  onOversize(): void {
    this.oversize++
  }
}

/** HTML 9.2.6 read aloud: whole stream, no chunks. `raw` ends behind the blank line, with CR LF as one line end. */
export function referenceEvents(stream: Buffer): { events: SeenEvent[]; leftover: string } {
  const text = stream.toString('latin1')
  const events: SeenEvent[] = []
  let raw = ''
  let data: string[] = []
  let eventType = ''
  let id: string | null = null
  for (const match of text.matchAll(/([^\r\n]*)(\r\n|\r|\n)/g)) {
    let line = match[1] as string
    if (match.index === 0 && line.startsWith('\u00ef\u00bb\u00bf')) line = line.slice(3)
    raw += match[0]
    if (line === '') {
      const joined = Buffer.from(data.join('\n'), 'latin1').toString()
      events.push({ raw, data: joined === '' ? null : joined, eventType: eventType || 'message', id })
      raw = ''
      data = []
      eventType = ''
      id = null
      continue
    }
    const colon = line.indexOf(':')
    const name = colon < 0 ? line : line.slice(0, colon)
    const value = colon < 0 ? '' : line.slice(colon + 1).replace(/^ /, '')
    const decoded = Buffer.from(value, 'latin1').toString()
    if (name === 'data') data.push(value)
    else if (name === 'event') eventType = decoded
    else if (name === 'id' && !value.includes('\0')) id = decoded
  }
  const consumed = events.reduce((sum, event) => sum + event.raw.length, 0)
  return { events, leftover: text.slice(consumed) }
}

/** Cuts a stream at the given places (taken modulo its length). */
export function cut(stream: Buffer, places: readonly number[]): Buffer[] {
  const sorted = [...new Set(places.map(place => place % (stream.length + 1)))].sort((a, b) => a - b)
  const chunks: Buffer[] = []
  let from = 0
  for (const place of [...sorted, stream.length]) {
    chunks.push(Buffer.from(stream.subarray(from, place)))
    from = place
  }
  return chunks
}
