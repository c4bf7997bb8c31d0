import { mutate } from '../../wire/fuzz/mutate.ts'
import type { Random } from '../../wire/fuzz/random.ts'
import { anyObject, anyRows, anyString, anyValue, secretText, TOKEN } from './values.ts'

/** What the server says to one message, from the first byte of its head to the last of its body. */
export interface HostileAnswer {
  readonly bytes: Buffer
  /** Whether the body says how long it is; else the connection's end is its end. */
  readonly framed: boolean
  readonly isPlain: boolean
}

function content(random: Random): string {
  const block = (): string => {
    const kind = random.below(6)
    if (kind < 3) return `{"type":"text","text":${anyString(random)}}`
    if (kind === 3) return `{"type":"resource","resource":{"uri":"a:b","text":${anyString(random)}}}`
    if (kind === 4) return `{"type":"text","text":${JSON.stringify(anyRows(random))}}`
    return anyObject(random)
  }
  return `[${Array.from({ length: random.below(4) }, block).join(',')}]`
}

function resultFor(method: string, random: Random): string {
  if (random.chance(0.15)) return anyValue(random)
  if (random.chance(0.1))
    return `{"content":[{"type":"text","text":${JSON.stringify(`say ${TOKEN}!`)}}],"structuredContent":{"value":${JSON.stringify(TOKEN)}}}`
  if (method === 'resources/read') return `{"contents":[{"uri":"a:b","text":${anyString(random)}}]}`
  if (method === 'prompts/get')
    return `{"messages":[{"role":"user","content":{"type":"text","text":${anyString(random)}}}]}`
  const structured = random.pick([
    () => '',
    () => `,"structuredContent":${anyValue(random)}`,
    () => `,"structuredContent":{"value":${anyString(random)},"n":1.0}`,
    () => `,"structuredContent":{"items":${anyRows(random)}}`,
  ])()
  return `{"content":${content(random)}${structured}${random.chance(0.1) ? ',"isError":true' : ''}}`
}

/** The answer to a message as JSON text. */
function answerText(id: string, method: string, random: Random): string {
  const its = random.chance(0.04) ? random.pick(['null', '1', '"other"', '[]']) : id
  const what = random.chance(0.12)
    ? `"error":{"code":-32000,"message":${anyString(random)},"data":${anyValue(random)}}`
    : `"result":${resultFor(method, random)}`
  const parts = ['"jsonrpc":"2.0"', `"id":${its}`, what]
  return `{${(random.chance(0.2) ? parts.toReversed() : parts).join(random.pick([',', ', ', ',\n']))}}`
}

/** Messages before the answer; some carry a secret in two pieces. */
function messagesBefore(random: Random): string[] {
  const progress = (text: string): string =>
    `{"jsonrpc":"2.0","method":"notifications/progress","params":{"progressToken":7,"progress":1,"message":${text}}}`
  const log = (text: string): string =>
    `{"jsonrpc":"2.0","method":"notifications/message","params":{"level":"info","data":${text}}}`
  const messages: string[] = []
  for (let left = random.below(5); left > 0; left--) {
    const kind = random.below(8)
    const cut = 5 + random.below(TOKEN.length - 10)
    if (kind < 2) messages.push(progress(anyString(random)))
    else if (kind < 4) messages.push(log(random.chance(0.3) ? JSON.stringify(secretText(random)) : anyValue(random)))
    else if (kind === 4)
      messages.push(
        progress(JSON.stringify(`a ${TOKEN.slice(0, cut)}`)),
        progress(JSON.stringify(`${TOKEN.slice(cut)} b`)),
      )
    else if (kind === 5)
      messages.push(`{"jsonrpc":"2.0","id":"s${left}","method":"sampling/createMessage","params":${anyObject(random)}}`)
    else if (kind === 6) messages.push('{"jsonrpc":"2.0","method":"notifications/tools/list_changed"}')
    else messages.push(anyObject(random))
  }
  return messages
}

function eventOf(message: string, random: Random, end: string): string {
  const before = random.pick([
    ...['', '', '', `: comment${end}`, `event: message${end}`, `retry: 5${end}`, `x: ${TOKEN.slice(0, 8)}${end}`],
    `:${end}${end}`,
  ])
  // A line break in JSON is only ever a blank, so that it may be one of the event too.
  const lines = message.split(/\r\n|\r|\n/)
  return `${before}${lines.map(line => `data:${random.chance(0.8) ? ' ' : ''}${line}`).join(end)}${end}${end}`
}

function streamText(messages: readonly string[], random: Random): string {
  const end = random.pick(['\n', '\n', '\r\n', '\r'])
  const mixed = random.chance(0.1)
  const bom = random.chance(0.1) ? '\ufeff' : ''
  return (
    bom + messages.map(message => eventOf(message, random, mixed ? random.pick(['\n', '\r\n', '\r']) : end)).join('')
  )
}

function chunked(body: Buffer, random: Random): Buffer {
  const parts: Buffer[] = []
  for (let at = 0; at < body.length; ) {
    const size = 1 + random.below(Math.max(1, body.length - at))
    const piece = body.subarray(at, at + size)
    parts.push(Buffer.from(`${piece.length.toString(16)}\r\n`), piece, Buffer.from('\r\n'))
    at += piece.length
  }
  return Buffer.concat([...parts, Buffer.from('0\r\n\r\n')])
}

/** What the server says to a message: JSON or a stream, sound or broken, always the same for the same random numbers. */
export function hostileAnswer(id: string, method: string, random: Random): HostileAnswer {
  const isStream = random.chance(0.45)
  const answer = answerText(id, method, random)
  const ends = random.chance(0.93)
  const text = isStream ? streamText([...messagesBefore(random), ...(ends ? [answer] : [])], random) : answer
  const isPlain = random.chance(0.8)
  const body = isPlain ? Buffer.from(text) : mutate(Buffer.from(text), random, 1 + random.below(2))
  const framing = random.below(isStream ? 3 : 2)
  const length = ['transfer-encoding: chunked', `content-length: ${body.length}`, 'connection: close'][framing]
  const type = isStream ? 'text/event-stream' : random.pick(['application/json', 'application/json; charset=utf-8'])
  const head = Buffer.from(`HTTP/1.1 200 OK\r\ncontent-type: ${type}\r\n${length}\r\n\r\n`)
  return { bytes: Buffer.concat([head, framing === 0 ? chunked(body, random) : body]), framed: framing !== 2, isPlain }
}
