import assert from 'node:assert/strict'
import { mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { before, describe, test } from 'node:test'
import { startProxy, type TestProxy } from '../helpers/proxy.ts'
import { watchHeld } from '../helpers/raw-mcp.ts'
import { suiteScope, until } from '../helpers/scope.ts'
import { referenceEvents } from '../unit/message/sse-reference.ts'
import { type Answer, Wire } from '../wire/fuzz/drive.ts'
import { Random } from '../wire/fuzz/random.ts'
import { type HostileRequest, hostileRequest } from './full-chain/requests.ts'
import { cutBytes, type Lane, LaneServer } from './full-chain/server.ts'
import { TOKEN } from './full-chain/values.ts'

/**
 * Hostile messages through whole chains, over real sockets. Each message is sent three times: in one piece, and twice with its
 * bytes, and those of what the server says to it, cut anywhere. The server gets the same, the client gets the same, and the
 * verdicts are the same; no hook breaks, nothing hangs, no secret passes. `SLUICE_CHAIN_FUZZ_MESSAGES` sets how many messages
 * (of both chains together), `SLUICE_FUZZ_SEED` the first seed; a failure names the seed of its message.
 */

const MESSAGES = Number(process.env['SLUICE_CHAIN_FUZZ_MESSAGES'] ?? 2500)
const FIRST_SEED = Number(process.env['SLUICE_FUZZ_SEED'] ?? 1)
const AT_A_TIME = 8
const CUTS = 2

const AUDIT = '{ use: audit, options: { path: audit.log, chain: false, include: [arguments, results] } }'
const LIMITS = '{ use: rate-limit, options: { limits: [{ limit: 1000M/minute }] } }'
/** What is given up after some time depends on the machine. */
const SCAN = '{ use: secret-scan, options: { max_ms: 10000, max_verifications: 1000000 } }'
const START = `access_control: { default_policy: allow, clients: {} }\ninterceptors: [${AUDIT}, access, ${LIMITS}`

const CHAINS = [
  {
    name: 'audit, access, rate-limit, schema, secret-scan',
    policy: `${START}, schema, ${SCAN}]`,
    times: 1,
    share: 0.7,
  },
  {
    name: 'audit, access, rate-limit, cache, shape, csv, schema, secret-scan',
    policy: `${START}, { use: cache, options: { tools: [table, read], list_ttl: 1m } },
      { use: shape, options: { rules: [{ max_bytes: 1500, max_items: 20, tools: [table, echo] }] } },
      { use: csv, match: { name: table } }, schema, ${SCAN}]`,
    times: 2,
    share: 0.3,
  },
]

/** All that is to be the same however the bytes were cut. */
interface Happened {
  readonly answers: readonly object[]
  readonly received: readonly object[]
  readonly ends: readonly object[]
}

/** One client, one connection, one server of the proxy. */
class Runner {
  readonly #name: string
  readonly #proxy: TestProxy
  readonly #lane: Lane
  readonly #times: number
  readonly #wire: Wire
  readonly #host: string
  #seenEnds = 0

  constructor(name: string, proxy: TestProxy, lane: Lane, times: number) {
    this.#name = name
    this.#proxy = proxy
    this.#lane = lane
    this.#times = times
    this.#host = new URL(proxy.url).host
    this.#wire = new Wire(Number(new URL(proxy.url).port))
  }

  async message(seed: number): Promise<void> {
    const request = hostileRequest(new Random(seed))
    const whole = await this.#send(request, seed, 0)
    for (let cut = 1; cut <= CUTS; cut++) assert.deepEqual(await this.#send(request, seed, cut), whole)
  }

  close(): void {
    this.#wire.close()
  }

  async #send(request: HostileRequest, seed: number, cut: number): Promise<Happened> {
    const lane = this.#lane
    const random = cut === 0 ? null : new Random(seed * 31 + cut)
    Object.assign(lane, { seed, cuts: random, received: [], isPlain: true } satisfies Lane)
    const bytes = this.#bytesOf(request, cut)
    const answers: Answer[] = []
    for (let time = 0; time < this.#times; time++) {
      answers.push(await this.#wire.exchangePieces(random === null ? [bytes] : cutBytes(bytes, random, 6)))
      await new Promise(resolve => setImmediate(resolve))
    }
    for (const answer of answers) this.#judge(answer, request)
    const isStream = answers.some(({ contentType }) => contentType === 'text/event-stream')
    const happened = { answers: answers.map(answerOf), received: this.#received(), ends: this.#ends(isStream) }
    return /^\s*\[/.test(request.body.toString('latin1')) ? unordered(happened) : happened
  }

  /** Whoever answers for another variant of a message (`cache`) is kept from it by a field that the server could tell apart. */
  #bytesOf({ fields, body }: HostileRequest, cut: number): Buffer {
    const own = [`Host: ${this.#host}`, 'Content-Type: application/json', 'Accept: application/json, text/event-stream']
    const first = `POST /servers/${this.#name}/mcp HTTP/1.1`
    const lines = [first, ...own, ...fields, `X-Variant: ${cut}`, `Content-Length: ${body.length}`]
    return Buffer.concat([Buffer.from(`${lines.join('\r\n')}\r\n\r\n`), body])
  }

  #judge(answer: Answer, request: HostileRequest): void {
    const show = (): string =>
      `${answer.raw.toString('latin1', 0, 3000)}\nto ${request.body.toString('latin1', 0, 3000)}`
    assert.ok(answer.status !== 0 || !this.#lane.isPlain, `no whole answer: ${show()}`)
    if (answer.contentType === 'application/json') assert.doesNotThrow(() => JSON.parse(answer.body.toString()), show())
    // What does not fit is told with the names that the client itself gave.
    const echoes = answer.body.includes('invalid_arguments')
    if (this.#lane.isPlain && !echoes) assert.ok(!answer.body.includes(TOKEN), `a secret for the client: ${show()}`)
    if (!request.isPlain) return
    for (const { body } of this.#lane.received) assert.ok(!body.includes(TOKEN), `a secret for the server: ${show()}`)
  }

  #received(): object[] {
    const all = this.#lane.received.map(({ head, body }) => ({
      head: head.filter(line => !/^(x-variant|traceparent):/i.test(line)),
      body: body.toString('latin1'),
    }))
    return all.sort((a, b) => (a.body < b.body ? -1 : 1))
  }

  #ends(isStream: boolean): object[] {
    const { ends } = this.#proxy
    const own = ends.slice(this.#seenEnds).filter(({ server }) => server === this.#name)
    this.#seenEnds = ends.length
    return own.map(({ method, name, outcome }) => {
      const { status, code, reason, httpStatus, bytesToServer, bytesToClient, messagesToClient } = outcome
      const { verdicts, notes, withheld, withheldName } = outcome
      const broken = verdicts.filter(({ action, code, reason }) => action === 'fail' && !isKnown(code, reason))
      assert.deepEqual(broken, [], 'a hook broke')
      // Of line ends in two pieces, the second may belong to this event or to none; see `answerOf`.
      const sums = isStream ? { bytesToServer, messagesToClient } : { bytesToServer, bytesToClient, messagesToClient }
      return { method, name, status, code, reason, httpStatus, ...sums, verdicts, notes, withheld, withheldName }
    })
  }
}

/** Failures that are meant to be. */
function isKnown(code: string | null, reason: string): boolean {
  return code === 'message_too_large' || code === 'uninspectable' || /scan truncated/.test(reason)
}

/** The answers to the messages of a batch come in the order in which they are ready. */
function unordered({ answers, received, ends }: Happened): Happened {
  const sorted = answers.map(answer => {
    const { text } = answer as { text: string }
    const parts = text.startsWith('[') ? (JSON.parse(text) as unknown[]) : messagesOf(text)
    return { ...answer, text: parts.map(part => JSON.stringify(part)).sort() }
  })
  return { answers: sorted, received, ends: ends.toSorted((a, b) => (JSON.stringify(a) < JSON.stringify(b) ? -1 : 1)) }
}

function messagesOf(stream: string): unknown[] {
  return referenceEvents(Buffer.from(stream, 'latin1')).events.flatMap(({ data }) => data ?? [])
}

/**
 * A stream with its line ends as LF: an event whose last CR came alone goes on at once, and the LF that came later may be
 * dropped with what follows it.
 */
function answerOf({ status, contentType, raw, body }: Answer): object {
  const end = raw.indexOf('\r\n\r\n')
  const head = raw.toString('latin1', 0, end).split('\r\n')
  const lines =
    contentType === 'text/event-stream' ? body.toString('latin1').replace(/\r\n|\r/g, '\n') : body.toString('latin1')
  // Ids of results that are kept are random, and of equal length.
  const text = lines.replace(/(sluice:\/\/result\/[0-9a-f]{8}-)[\w-]{24}/g, '$1')
  return { status, head: head.filter(line => !/^date:/i.test(line)), text }
}

for (const [index, { name, policy, times, share }] of CHAINS.entries()) {
  describe(`hostile messages: ${name}`, () => {
    const scope = suiteScope()
    const held = watchHeld(scope)
    const dir = mkdtempSync(join(tmpdir(), 'sluice-chain-fuzz-'))
    scope.after(() => rmSync(dir, { recursive: true, force: true }))
    const lanes = new Map<string, Lane>()
    const audit = join(dir, 'audit.log')
    let proxy: TestProxy

    before(async () => {
      const names = Array.from({ length: AT_A_TIME }, (_, at) => `w${at}`)
      for (const lane of names) lanes.set(`/${lane}`, { seed: 0, cuts: null, received: [], isPlain: true })
      const url = await new LaneServer(lanes).listen(scope)
      const servers = Object.fromEntries(names.map(lane => [lane, `${url}/${lane}`]))
      proxy = await startProxy(scope, { servers, policy: policy.replace('audit.log', audit) })
    })

    const count = Math.ceil(MESSAGES * share)
    test(`${count} messages, each in ${CUTS + 1} ways`, { timeout: Number.POSITIVE_INFINITY }, async () => {
      const firstSeed = FIRST_SEED + index * 100_000_000
      let next = 0
      const run = async (path: string, lane: Lane): Promise<void> => {
        const runner = new Runner(path.slice(1), proxy, lane, times)
        while (next < count) {
          const seed = firstSeed + next++
          await runner.message(seed).catch(error => {
            next = count
            throw new Error(`SLUICE_FUZZ_SEED=${seed - index * 100_000_000}: ${error.message}`, { cause: error })
          })
        }
        runner.close()
      }
      await Promise.all([...lanes].map(([path, lane]) => run(path, lane)))
      await until(() => held.inFlight === 0 && held.bytes === 0, 'the proxy to hold nothing')
      assert.deepEqual(proxy.notices.filter(({ level }) => level === 'error').slice(0, 3), [])
      await proxy.close()
      const outcomes = new Set<string>(proxy.ends.map(({ outcome }) => outcome.code ?? outcome.status))
      for (const one of count < 500 ? [] : ['ok', 'secret_found', 'error'])
        assert.ok(outcomes.has(one), `no message ended as ${one}`)
      assert.deepEqual(leaksOf(readFileSync(audit, 'utf8')), [])
    })
  })
}

/** Lines with the secret, but for calls that were refused before anybody looked for it. */
function leaksOf(text: string): string[] {
  const lines = text.split('\n').filter(line => line.includes(TOKEN))
  return lines.filter(
    line => !/"entry":"(schema|access)","mode":"enforce","kind":"request"[^}]*"action":"deny"/.test(line),
  )
}
