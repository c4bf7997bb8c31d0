import assert from 'node:assert/strict'
import { once } from 'node:events'
import net, { type AddressInfo, type Socket } from 'node:net'
import { after, before, describe, it } from 'node:test'
import fc from 'fast-check'
import { Client, type Dispatcher } from 'undici'
import { PlainConnection } from '../../../../proxy/upstream/http1/plain-connection.ts'
import { within } from '../../../helpers/scope.ts'

/** What a client makes of an answer. */
interface Answer {
  readonly status: number
  /** Name, then its values. */
  readonly fields: Record<string, string[]>
  readonly body: string
}

const MAX_HEAD_BYTES = 4_096
const CASES = 400

/** Sends the pieces of the case at hand to everyone who asks, then ends the connection. */
class Server {
  pieces: readonly Buffer[] = []
  readonly #sockets = new Set<Socket>()
  readonly #server = net.createServer(socket => {
    this.#sockets.add(socket)
    socket.setNoDelay(true)
    socket.on('error', () => {})
    socket.on('close', () => this.#sockets.delete(socket))
    socket.once('data', () => this.#send(socket, this.pieces))
  })

  async start(): Promise<string> {
    this.#server.listen(0, '127.0.0.1')
    await once(this.#server, 'listening')
    return `http://127.0.0.1:${(this.#server.address() as AddressInfo).port}`
  }

  async stop(): Promise<void> {
    for (const socket of this.#sockets) socket.destroy()
    this.#server.close()
    await once(this.#server, 'close')
  }

  #send(socket: Socket, [piece, ...rest]: readonly Buffer[]): void {
    if (piece === undefined) socket.end()
    else socket.write(piece, () => setImmediate(() => this.#send(socket, rest)))
  }
}

const server = new Server()
let origin = ''
before(async () => void (origin = await server.start()))
after(() => server.stop())

const REQUEST = { path: '/mcp', method: 'POST', headers: ['accept', '*/*'], body: Buffer.from('{}') } as const

function grouped(flat: readonly string[]): Record<string, string[]> {
  const fields: Record<string, string[]> = {}
  for (let i = 0; i < flat.length; i += 2) (fields[flat[i] as string] ??= []).push(flat[i + 1] as string)
  return fields
}

async function askOurs(): Promise<Answer | Error> {
  const { promise, resolve } = Promise.withResolvers<Answer | Error>()
  const options = { origin, socketPath: '', connectMs: 5_000, maxHeadBytes: MAX_HEAD_BYTES, keepAliveMs: 60_000 }
  const connection = new PlainConnection(options, () => {})
  const body: Buffer[] = []
  let head: Omit<Answer, 'body'> | undefined
  connection.dispatch(REQUEST, {
    onRequestStart() {},
    onAnswerHead: (_, status, fields) => void (head = { status, fields: grouped(fields) }),
    onResponseData: (_, chunk) => void body.push(chunk),
    isFlushed: () => false,
    onResponseEnd: () => resolve({ ...(head as Answer), body: Buffer.concat(body).toString('latin1') }),
    onResponseError: (_, error) => resolve(error),
  })
  const answer = await within(promise, 'our answer')
  await connection.destroy()
  return answer
}

const HOP_BY_HOP =
  /^(?:connection|keep-alive|proxy-(?:authenticate|authorization|connection)|te|trailer|transfer-encoding|upgrade)$/

/** undici leaves blanks behind values, which are not part of them (RFC 9110, 5.5). */
function trimmed(value: string): string {
  return value.replace(/[ \t]+$/, '')
}

/** End-to-end fields as undici gives them. */
function endToEnd(headers: Record<string, string | string[] | undefined>): Record<string, string[]> {
  const fields: Record<string, string[]> = {}
  const named = [headers['connection'] ?? []].flat().join(',').toLowerCase().split(',')
  const dropped = new Set(named.map(name => name.trim()))
  for (const [name, value] of Object.entries(headers)) {
    if (!HOP_BY_HOP.test(name) && !dropped.has(name)) fields[name] = [value ?? []].flat().map(trimmed)
  }
  return fields
}

async function askUndici(): Promise<Answer | Error> {
  const { promise, resolve } = Promise.withResolvers<Answer | Error>()
  const client = new Client(origin, { maxHeaderSize: MAX_HEAD_BYTES, pipelining: 1 })
  const body: Buffer[] = []
  let head: Omit<Answer, 'body'> | undefined
  const handler: Dispatcher.DispatchHandler = {
    onRequestStart() {},
    onResponseStart(_, status, headers) {
      if (status >= 200) head = { status, fields: endToEnd(headers) }
    },
    onResponseData: (_, chunk) => void body.push(chunk),
    onResponseEnd: () => resolve({ ...(head as Answer), body: Buffer.concat(body).toString('latin1') }),
    onResponseError: (_, error) => resolve(error),
  }
  client.dispatch({ ...REQUEST, headers: [...REQUEST.headers] }, handler)
  const answer = await within(promise, "undici's answer")
  await client.destroy()
  return answer
}

interface Generated {
  readonly text: string
  readonly expected: Answer
  /** Where it is cut into pieces. */
  readonly cuts: readonly number[]
}

const TOKEN_CHARS = [..."abcxyzABCXYZ019-_.!#$%&'*+^`|~"]
const fieldName = fc
  .string({ unit: fc.constantFrom(...TOKEN_CHARS), minLength: 1, maxLength: 12 })
  .map(name => `X${name}`)
const value = fc
  .string({ unit: fc.constantFrom(...'aZ09 ,;:="\'()<>@[]{}?/\\\t\xe4\xfc'), maxLength: 30 })
  .map(text => text.replace(/^[ \t]+|[ \t]+$/g, ''))
const field = fc.tuple(
  fc.oneof(fieldName, fc.constantFrom('Content-Type', 'Set-Cookie', 'set-cookie', 'Mcp-Session-Id', 'ETag')),
  value,
  fc.constantFrom('', ' ', '\t', '  '),
)
/** Fields that are not passed on; the second names one of them all. */
const OWN = [
  'Connection: keep-alive',
  'Connection: x-dropped, Keep-Alive',
  'Connection: close',
  'Keep-Alive: timeout=5',
]
const own = fc.subarray([...OWN, 'Trailer: X-Late', 'Upgrade: h2c', 'X-Dropped: by name'])
const status = fc.constantFrom(200, 200, 200, 201, 202, 204, 304, 400, 404, 500, 503, 299, 599)
const interim = fc.constantFrom(
  '',
  '',
  'HTTP/1.1 102 Processing\r\n\r\n',
  'HTTP/1.1 103 Early Hints\r\nLink: </a>; rel=preload\r\n\r\n',
)
const chunkList = fc.array(fc.string({ unit: 'binary-ascii', minLength: 1, maxLength: 50 }), { maxLength: 5 })
const framing = fc.constantFrom('length', 'chunked', 'close', 'old')

function chunked(chunks: readonly string[], extension: string, trailer: string): string {
  const lines = chunks.map(chunk => `${chunk.length.toString(16)}${extension}\r\n${chunk}\r\n`)
  return `${lines.join('')}0${extension}\r\n${trailer}\r\n`
}

/** Answers that follow the rules. */
const valid: fc.Arbitrary<Generated> = fc
  .record({
    status,
    interim,
    framing,
    chunks: chunkList,
    fields: fc.array(field, { maxLength: 6 }),
    own,
    reason: fc.constantFrom('OK', '', 'Some Reason: 1'),
    extension: fc.constantFrom('', '', ';a=b', ';a="b c"'),
    trailer: fc.constantFrom('', '', 'X-Late: 1\r\n', 'X-Late: 1\r\nX-Later:\r\n'),
    cuts: fc.array(fc.nat(800), { maxLength: 6 }),
  })
  .map(parts => {
    const { framing } = parts
    const isBare = parts.status === 204 || parts.status === 304
    const content = isBare ? '' : parts.chunks.join('')
    const counted = [['Content-Length', String(content.length), '']]
    const fields = framing === 'length' && !isBare ? [...counted, ...parts.fields] : parts.fields
    const dropped = parts.own.includes('Connection: x-dropped, Keep-Alive')
    const given = fields.map(([name, text]) => [(name as string).toLowerCase(), text as string])
    if (parts.own.includes('X-Dropped: by name') && !dropped) given.push(['x-dropped', 'by name'])
    const lines = [
      `HTTP/1.${framing === 'old' ? 0 : 1} ${parts.status} ${parts.reason}`,
      ...fields.map(([name, text, blank]) => `${name}:${blank}${text}${blank}`),
      ...(framing === 'chunked' && !isBare ? ['Transfer-Encoding: chunked'] : []),
      ...parts.own,
    ]
    const isChunked = framing === 'chunked' && !isBare
    const body = isChunked ? chunked(parts.chunks, parts.extension, parts.trailer) : content
    return {
      text: `${parts.interim}${lines.join('\r\n')}\r\n\r\n${body}`,
      expected: { status: parts.status, fields: grouped(given.flat()), body: content },
      cuts: parts.cuts,
    }
  })

const mutation = fc.record({
  kind: fc.constantFrom('insert', 'drop', 'change', 'repeat'),
  at: fc.nat(2_000),
  with: fc.constantFrom(...'\r\n\0 \t:;,0159afAF-+xX\x7f\x0b\xe4', '\r\n', '\r\n\r\n', '\r\n '),
})

/** Allowed, but not by undici: blanks behind a length, and `100 Continue` without having asked for it. */
function isBeyondUndici(text: string): boolean {
  return /\ncontent-length:[ \t]*\d+[ \t]+\r/i.test(text) || /HTTP\/1\.[01] 100[ \r]/.test(text)
}

function mutated(text: string, { kind, at, with: piece }: { kind: string; at: number; with: string }): string {
  const place = at % text.length
  switch (kind) {
    case 'insert':
      return text.slice(0, place) + piece + text.slice(place)
    case 'drop':
      return text.slice(0, place) + text.slice(place + 1)
    case 'change':
      return text.slice(0, place) + piece + text.slice(place + 1)
    default:
      return repeated(text, place)
  }
}

/** With one of its lines twice. */
function repeated(text: string, place: number): string {
  const start = text.lastIndexOf('\n', place) + 1
  const end = text.indexOf('\n', start) + 1
  return text.slice(0, start) + text.slice(start, end) + text.slice(start)
}

function inPieces(text: string, cuts: readonly number[]): Buffer[] {
  const all = Buffer.from(text, 'latin1')
  const places = [...new Set(cuts.map(cut => cut % (all.length + 1)))].toSorted((a, b) => a - b)
  return [...places, all.length]
    .map((place, i) => all.subarray(places[i - 1] ?? 0, place))
    .filter(piece => piece.length > 0)
}

describe('our reader and that of undici', () => {
  it('take every valid answer for the same', async () => {
    await fc.assert(
      fc.asyncProperty(valid, async ({ text, expected, cuts }) => {
        server.pieces = inPieces(text, cuts)
        const [ours, theirs] = await Promise.all([askOurs(), askUndici()])
        assert.deepEqual(ours, expected)
        assert.deepEqual(theirs, ours)
      }),
      { numRuns: CASES },
    )
  })

  it('take every damaged answer for the same, unless ours refuses it', async t => {
    let taken = 0
    await fc.assert(
      fc.asyncProperty(valid, fc.array(mutation, { minLength: 1, maxLength: 2 }), async (answer, mutations) => {
        const text = mutations.reduce(mutated, answer.text)
        server.pieces = inPieces(text, answer.cuts)
        const [ours, theirs] = await Promise.all([askOurs(), askUndici()])
        if (ours instanceof Error || isBeyondUndici(text)) return
        taken++
        assert.deepEqual(theirs, ours)
      }),
      { numRuns: CASES },
    )
    t.diagnostic(`${taken} of ${CASES} taken`)
    assert.ok(taken > CASES / 10)
  })
})
