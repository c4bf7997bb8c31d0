import assert from 'node:assert/strict'
import { hash } from 'node:crypto'
import { once } from 'node:events'
import http from 'node:http'
import net, { type AddressInfo, type Socket } from 'node:net'
import { after, before, describe, test } from 'node:test'
import type { Interceptor } from '#api'
import { UPSTREAM_DEFAULTS } from '../../proxy/config/servers/upstream-keys.ts'
import { envelope, MODERN_VERSION } from '../helpers/mcp-messages.ts'
import { reader, startProxy, type TestProxy } from '../helpers/proxy.ts'
import { watchHeld } from '../helpers/raw-mcp.ts'
import { type Scope, suiteScope, until } from '../helpers/scope.ts'
import { type Answer, Wire } from './fuzz/drive.ts'
import { mutate, refield, restructure } from './fuzz/mutate.ts'
import { judgePost } from './fuzz/oracle.ts'
import { Random } from './fuzz/random.ts'

/**
 * Hostile cases against a running proxy. No crash, no hang, no wrong pass: what reaches the server is one unambiguous
 * message that its header fields agree with; what a client gets is a whole HTTP answer to its own request, or a broken
 * connection. `SLUICE_FUZZ_CASES` sets the number of all cases, `SLUICE_FUZZ_SEED` the first seed; a failure names the
 * seed of its case.
 */

const CASES = Number(process.env['SLUICE_FUZZ_CASES'] ?? 20_000)
const FIRST_SEED = Number(process.env['SLUICE_FUZZ_SEED'] ?? 1)
const AT_A_TIME = 32
/** How long a connection with half a request may be quiet before it is closed. */
const QUIET_MS = 15

/**
 * Tells cases apart: whoever gets an answer with a tag that is not its own got somebody else's. Two tags differ in many
 * places, so that no mutation makes one out of another.
 */
function tagOf(seed: number): string {
  return `T${hash('sha256', String(seed)).slice(0, 16)}T`
}

/** Of a call that is no case. */
const NOBODY = `T${'0'.repeat(16)}T`
const TAG = /T[0-9a-f]{16}T/g
const issued = new Set<string>()

function foreignTags(bytes: Buffer, own: string): string[] {
  return (bytes.toString('latin1').match(TAG) ?? []).filter(tag => tag !== own && issued.has(tag))
}

/** What a case starts from. */
interface Base {
  readonly fields: readonly string[]
  readonly body: string
}

const MODERN_FIELDS = [`MCP-Protocol-Version: ${MODERN_VERSION}`, 'Mcp-Method: tools/call', 'Mcp-Name: a']

function bases(tag: string): readonly Base[] {
  const text = (message: object): string => JSON.stringify({ jsonrpc: '2.0', ...message })
  const legacy = ['MCP-Protocol-Version: 2025-11-25']
  const call = { name: 'a', arguments: { tag, count: 1 } }
  return [
    { fields: legacy, body: text({ id: tag, method: 'ping' }) },
    { fields: legacy, body: text({ id: 7, method: 'tools/call', params: { ...call, _meta: { progressToken: tag } } }) },
    { fields: legacy, body: text({ method: 'notifications/progress', params: { progressToken: tag, progress: 1 } }) },
    { fields: legacy, body: text({ id: tag, result: { action: 'accept', content: {} } }) },
    {
      fields: legacy,
      body: text({ id: tag, method: 'completion/complete', params: { ref: { type: 'ref/prompt', name: 'a' } } }),
    },
    {
      fields: [],
      body: `[${text({ id: tag, method: 'ping' })},${text({ id: 2, method: 'tools/call', params: call })}]`,
    },
    {
      fields: [],
      body: text({ id: tag, method: 'initialize', params: { protocolVersion: '2025-11-25', capabilities: {} } }),
    },
    { fields: MODERN_FIELDS, body: text({ id: tag, method: 'tools/call', params: { ...call, _meta: envelope() } }) },
    {
      fields: MODERN_FIELDS,
      body: text({ id: 9, method: 'tools/call', params: { ...call, _meta: envelope(), requestState: tag } }),
    },
  ]
}

function request(lines: readonly string[], body: Buffer): Buffer {
  return Buffer.concat([Buffer.from(`${lines.join('\r\n')}\r\n\r\n`, 'latin1'), body])
}

function linesOf(fields: readonly string[], body: Buffer, tag: string): string[] {
  const own = [
    'Host: 127.0.0.1',
    'Content-Type: application/json',
    'Accept: application/json, text/event-stream',
    `X-Tag: ${tag}`,
  ]
  return [`POST /mcp?tag=${tag} HTTP/1.1`, ...own, ...fields, `Content-Length: ${body.length}`]
}

/** One case: what is sent, and whether it is whole and harmless, so that it must be answered well. */
interface Case {
  readonly tag: string
  readonly bytes: Buffer
  readonly isPlain: boolean
}

type Maker = (random: Random, tag: string) => Case

/** (a) Bodies: changed as text, as bytes, or both; the head fits the body's length. */
function hostileBody(random: Random, tag: string): Case {
  const base = random.pick(bases(tag))
  const structural = random.below(3)
  const bytewise = random.chance(0.4) ? 1 + random.below(3) : 0
  const body = mutate(Buffer.from(restructure(base.body, random, structural)), random, bytewise)
  const isPlain = structural === 0 && bytewise === 0
  return { tag, bytes: request(linesOf(base.fields, body, tag), body), isPlain }
}

/** (b) Heads: fields changed, repeated, removed, reordered, added. */
function hostileHead(random: Random, tag: string): Case {
  const base = random.pick(bases(tag))
  const body = Buffer.from(base.body)
  const [first = '', ...fields] = linesOf(base.fields, body, tag)
  const changes = random.below(4)
  const lines = [
    random.chance(0.05) ? mutate(Buffer.from(first), random, 1).toString('latin1') : first,
    ...refield(fields, random, changes),
  ]
  return { tag, bytes: request(lines, body), isPlain: changes === 0 && lines[0] === first }
}

/** (c) Everything: the bytes of one to three whole requests. */
function hostileBytes(random: Random, tag: string): Case {
  const requests = Array.from({ length: 1 + random.below(3) }, () => {
    const base = random.pick(bases(tag))
    const body = Buffer.from(base.body)
    const chunked = random.chance(0.3)
    if (!chunked) return request(linesOf(base.fields, body, tag), body)
    const lines = linesOf(base.fields, body, tag).with(-1, 'Transfer-Encoding: chunked')
    const cut = random.below(body.length)
    const pieces = [body.subarray(0, cut), body.subarray(cut)].filter(piece => piece.length > 0)
    const coded = pieces.map(piece => `${piece.length.toString(16)}\r\n${piece.toString('latin1')}\r\n`).join('')
    return request(lines, Buffer.from(`${coded}0\r\n\r\n`, 'latin1'))
  })
  return { tag, bytes: mutate(Buffer.concat(requests), random, random.below(5)), isPlain: false }
}

/** The server: answers with all tags it saw, and notes what should not have come. */
class Judge {
  readonly faults: string[] = []
  count = 0
  readonly server = http.createServer((incoming, outgoing) => {
    const chunks: Buffer[] = []
    incoming.on('data', (chunk: Buffer) => chunks.push(chunk))
    incoming.on('end', () => this.#answer(incoming, outgoing, Buffer.concat(chunks)))
  })

  async listen(scope: Scope): Promise<string> {
    this.server.listen(0, '127.0.0.1')
    await once(this.server, 'listening')
    scope.after(() => {
      this.server.close()
      this.server.closeAllConnections()
    })
    return `http://127.0.0.1:${(this.server.address() as AddressInfo).port}/mcp`
  }

  #answer({ method, url, rawHeaders }: http.IncomingMessage, outgoing: http.ServerResponse, body: Buffer): void {
    this.count++
    try {
      if (method === 'POST') judgePost(rawHeaders, body)
      else if (body.length > 0) throw new Error(`${method} with a body`)
    } catch (error) {
      this.faults.push(
        `${(error as Error).message}: ${url} ${JSON.stringify(rawHeaders)} ${JSON.stringify(body.toString('latin1'))}`,
      )
    }
    const tags = new Set(`${url} ${rawHeaders.join(' ')} ${body.toString('latin1')}`.match(TAG) ?? [])
    const answer = answerTo(body, [...tags])
    outgoing.writeHead(
      answer === '' ? 202 : 200,
      answer === '' ? {} : { 'content-type': 'application/json', 'content-length': Buffer.byteLength(answer) },
    )
    outgoing.end(answer)
  }
}

function answerTo(body: Buffer, tags: readonly string[]): string {
  try {
    const message = JSON.parse(body.toString())
    const one = ({ id }: { id?: unknown }): object => ({ jsonrpc: '2.0', id, result: { tags } })
    if (Array.isArray(message))
      return JSON.stringify(message.filter(({ id, method }) => id !== undefined && method !== undefined).map(one))
    return message.method === undefined || message.id === undefined ? '' : JSON.stringify(one(message))
  } catch {
    return ''
  }
}

/** Runs `count` cases over connections that are used again, many at a time; each case gets a seed of its own. */
async function runCases(
  count: number,
  firstSeed: number,
  port: number,
  run: (wire: Wire, random: Random, tag: string) => Promise<void>,
): Promise<void> {
  let next = 0
  const worker = async (): Promise<void> => {
    const wire = new Wire(port)
    while (next < count) {
      const seed = firstSeed + next++
      const tag = tagOf(seed)
      issued.add(tag)
      try {
        await run(wire, new Random(seed), tag)
      } catch (error) {
        throw new Error(`case with SLUICE_FUZZ_SEED=${seed} SLUICE_FUZZ_CASES=4: ${(error as Error).message}`, {
          cause: error,
        })
      } finally {
        issued.delete(tag)
      }
    }
    wire.close()
  }
  await Promise.all(Array.from({ length: AT_A_TIME }, worker))
}

/** What any answer must be; `0` is a connection that broke. */
function assertWhole(answer: Answer, { tag, bytes, isPlain }: Case): void {
  const show = (): string => `${answer.raw.toString('latin1')}\nto ${JSON.stringify(bytes.toString('latin1'))}`
  assert.deepEqual(foreignTags(answer.raw, tag), [], `another case's answer: ${show()}`)
  assert.ok(answer.status < 500, show())
  if (isPlain) assert.ok(answer.status === 200 || answer.status === 202, show())
  if (answer.contentType === 'application/json') assert.doesNotThrow(() => JSON.parse(answer.body.toString()), show())
}

const VIEWS: readonly { view: string; interceptors: readonly Interceptor[]; share: number }[] = [
  { view: 'nobody looks', interceptors: [], share: 0.5 },
  { view: 'somebody reads JSON', interceptors: [reader('fuzz-reader')], share: 0.5 },
]

const KINDS: readonly { kind: string; make: Maker; share: number; quietMs: number }[] = [
  { kind: 'bodies', make: hostileBody, share: 0.45, quietMs: 0 },
  { kind: 'heads', make: hostileHead, share: 0.2, quietMs: QUIET_MS },
  { kind: 'bytes', make: hostileBytes, share: 0.2, quietMs: QUIET_MS },
]

for (const [index, { view, interceptors, share }] of VIEWS.entries()) {
  describe(`hostile clients: ${view}`, () => {
    const scope = suiteScope()
    const judge = new Judge()
    const held = watchHeld(scope)
    let proxy: TestProxy
    let port = 0

    before(async () => {
      const url = await judge.listen(scope)
      proxy = await startProxy(scope, { servers: url, interceptors, timeouts: { headerMs: 5000, bodyMs: 5000 } })
      port = Number(new URL(proxy.url).port)
    })

    for (const [at, { kind, make, share: ofKind, quietMs }] of KINDS.entries()) {
      test(`${kind} (${Math.ceil(CASES * share * ofKind)} cases)`, async () => {
        const seeds = FIRST_SEED + (index * KINDS.length + at) * 10_000_000
        await runCases(Math.ceil(CASES * share * ofKind), seeds, port, async (wire, random, tag) => {
          const one = make(random, tag)
          if (quietMs === 0 || one.isPlain) return assertWhole(await wire.exchange(one.bytes), one)
          for (const answer of await wire.exchangeAll(one.bytes, quietMs)) assertWhole(answer, one)
        })
        assert.deepEqual(judge.faults.slice(0, 3), [])
        await assertWell(port, held)
        assert.deepEqual(proxy.notices.filter(({ level }) => level === 'error').slice(0, 3), [])
      })
    }

    after(() => assert.ok(judge.count > CASES * share * 0.1, 'enough has reached the server to say something'))
  })
}

/** A plain call works, and nothing is held back. */
async function assertWell(port: number, held: { inFlight: number; bytes: number }): Promise<void> {
  const wire = new Wire(port)
  const body = Buffer.from('{"jsonrpc":"2.0","id":1,"method":"ping"}')
  const answer = await wire.exchange(request(linesOf([], body, NOBODY), body))
  assert.equal(answer.status, 200)
  assert.equal(JSON.parse(answer.body.toString()).id, 1)
  wire.close()
  await until(() => held.inFlight === 0 && held.bytes === 0, 'the proxy to hold nothing')
}

/** What a server may send: well-formed answers, to be mutated and cut. */
function serverAnswers(tag: string): readonly string[] {
  const result = `{"jsonrpc":"2.0","id":"${tag}","result":{"content":[{"type":"text","text":"${tag}"}]}}`
  const note = `{"jsonrpc":"2.0","method":"notifications/message","params":{"data":"${tag}"}}`
  const ask = `{"jsonrpc":"2.0","id":1,"method":"elicitation/create","params":{"message":"${tag}"}}`
  const json = (body: string, more = ''): string =>
    `HTTP/1.1 200 OK\r\ncontent-type: application/json\r\n${more}content-length: ${body.length}\r\n\r\n${body}`
  const chunks = (body: string): string => `${body.length.toString(16)}\r\n${body}\r\n0\r\n\r\n`
  const stream = (events: string, framing: string): string =>
    `HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\n${framing}`.concat(events)
  const events = `id: 1\ndata:\n\n: c\n\ndata: ${note}\n\nevent: message\nid: 2\ndata: ${ask}\n\ndata: ${result}\n\n`
  return [
    json(result),
    json(result, `mcp-session-id: ${tag}\r\nset-cookie: a=b\r\nx-a: b\r\n`),
    stream(chunks(events), 'transfer-encoding: chunked\r\n\r\n'),
    stream(events, 'connection: close\r\n\r\n'),
    stream(events, `content-length: ${events.length}\r\n\r\n`),
    `HTTP/1.1 400 Bad Request\r\ncontent-type: application/json\r\ncontent-length: ${result.length}\r\n\r\n${result}`,
    `HTTP/1.1 401 Unauthorized\r\nwww-authenticate: Bearer realm="${tag}"\r\ncontent-length: 0\r\n\r\n`,
    'HTTP/1.1 202 Accepted\r\ncontent-length: 0\r\n\r\n',
    `HTTP/1.1 103 Early Hints\r\nlink: x\r\n\r\n${json(result)}`,
    `HTTP/1.1 200 OK\r\ncontent-type: text/html\r\ncontent-length: 5\r\n\r\nhello`,
    `HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-encoding: gzip\r\ncontent-length: ${result.length}\r\n\r\n${result}`,
  ]
}

/** Says to each request what its case tells it to, cut into pieces, and closes the connection in some way. */
async function startHostileServer(scope: Scope): Promise<string> {
  const sockets = new Set<Socket>()
  const server = net.createServer(socket => {
    sockets.add(socket)
    socket.setNoDelay(true)
    let seen = ''
    socket.on('error', () => {})
    socket.on('close', () => sockets.delete(socket))
    socket.on('data', chunk => {
      seen += chunk.toString('latin1')
      const tag = /\?tag=(T[0-9a-f]+T)/.exec(seen)?.[1]
      if (tag === undefined || !seen.endsWith('}')) return
      seen = ''
      void say(socket, tag)
    })
  })
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  scope.after(() => {
    server.close()
    for (const socket of sockets) socket.destroy()
  })
  return `http://127.0.0.1:${(server.address() as AddressInfo).port}/mcp`
}

const hostile = new Map<string, Random>()

async function say(socket: Socket, tag: string): Promise<void> {
  const random = hostile.get(tag)
  if (random === undefined) {
    const body = '{"jsonrpc":"2.0","id":1,"result":{}}'
    socket.end(`HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: ${body.length}\r\n\r\n${body}`)
    return
  }
  const bytes = mutate(Buffer.from(random.pick(serverAnswers(tag)) as string), random, random.below(4))
  const cuts = Array.from({ length: random.below(4) }, () => random.below(bytes.length + 1)).sort((a, b) => a - b)
  let from = 0
  for (const cut of [...cuts, bytes.length]) {
    if (cut > from) socket.write(bytes.subarray(from, cut))
    from = cut
    await new Promise(resolve => setImmediate(resolve))
  }
  if (random.chance(0.2)) socket.resetAndDestroy()
  else socket.end()
}

describe('hostile servers', () => {
  for (const [index, { view, interceptors }] of VIEWS.entries()) {
    const count = Math.ceil((CASES * 0.15) / VIEWS.length)
    test(`${view} (${count} cases)`, async t => {
      const held = watchHeld(t)
      const url = await startHostileServer(t)
      // What fails all the time would be let alone after a while.
      const server = { upstream: { ...UPSTREAM_DEFAULTS, breaker: null } }
      const proxy = await startProxy(t, { servers: url, interceptors, server })
      const port = Number(new URL(proxy.url).port)
      const seeds = FIRST_SEED + (10 + index) * 10_000_000
      await runCases(count, seeds, port, async (wire, random, tag) => {
        hostile.set(tag, random)
        const body = Buffer.from(`{"jsonrpc":"2.0","id":"${tag}","method":"tools/call","params":{"name":"a"}}`)
        const answer = await wire.exchange(request(linesOf([], body, tag), body))
        hostile.delete(tag)
        assertHonest(answer, tag)
      })
      await assertWell(port, held)
      assert.deepEqual(proxy.notices.filter(({ level }) => level === 'error').slice(0, 3), [])
    })
  }
})

/** Never another case's answer, never an empty success, never the server's challenge. */
function assertHonest(answer: Answer, tag: string): void {
  const show = JSON.stringify(answer.raw.toString('latin1'))
  assert.deepEqual(foreignTags(answer.raw, tag), [], show)
  assert.doesNotMatch(
    answer.raw.toString('latin1', 0, answer.raw.length - answer.body.length),
    /www-authenticate/i,
    show,
  )
  if (answer.status === 0 || answer.status >= 300) return
  assert.ok(answer.body.length > 0, `an empty success: ${show}`)
  if (answer.contentType.toLowerCase() !== 'text/event-stream') return
  const text = answer.body.toString('latin1')
  assert.ok(/"(result|error)"|^id/m.test(text), `a stream without an answer: ${show}`)
}
