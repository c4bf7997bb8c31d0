import type { Json } from '../api/index.ts'
import { type SseSink, SseSplitter } from '../message/sse.ts'
import { fieldOf, plainBody } from './recording.ts'

/**
 * The messages of an HTTP body, in order. What is no JSON is kept as text.
 * @param plain whether the body's compression is undone already
 * @throws Error when a body cannot be unpacked
 */
export function bodyMessages(headers: readonly string[], packed: Buffer, plain = false): Json[] {
  const body = plain ? packed : plainBody(headers, packed)
  if (body.length === 0) return []
  return fieldOf(headers, 'content-type').startsWith('text/event-stream') ? eventsOf(body) : [parsed(body)]
}

function eventsOf(body: Buffer): Json[] {
  const found: Json[] = []
  const splitter = new SseSplitter(Number.MAX_SAFE_INTEGER)
  const sink: SseSink = {
    onEvent: (_raw, data) => void (data === null || found.push(parsed(data))),
    onOversize() {},
  }
  splitter.push(body, sink)
  splitter.finish(sink)
  return found
}

/** What is no JSON is text. */
export function parsed(body: Buffer): Json {
  try {
    return JSON.parse(body.toString()) as Json
  } catch {
    return body.toString()
  }
}
