/**
 * Micro-benchmark of the message room: `node bench/micro/scan.ts`. Prints nanoseconds for one call, best of several
 * rounds, and the throughput, for `scan` against `JSON.parse` and for the SSE splitter and tail.
 */
import { scan } from '../../proxy/message/scan.ts'
import { SseSplitter, StreamTail } from '../../proxy/message/sse.ts'

/** Many short rounds, of which the best counts: the machine may have other work. */
const ROUNDS = 400
const ROUND_MS = 1

/** Best of several rounds, in nanoseconds for one call. */
function measure(run: () => unknown): number {
  let best = Number.POSITIVE_INFINITY
  let kept: unknown = null
  for (let round = 0; round < ROUNDS; round++) {
    const start = process.hrtime.bigint()
    const until = start + BigInt(ROUND_MS * 1e6)
    let calls = 0
    let now = start
    while (now < until) {
      for (let i = 0; i < 8; i++) kept = run()
      calls += 8
      now = process.hrtime.bigint()
    }
    best = Math.min(best, Number(now - start) / calls)
  }
  if (kept === undefined) process.stdout.write('')
  return best
}

function report(label: string, bytes: number, nanos: number): void {
  const perKb = ((nanos / bytes) * 1024) / 1000
  const mbs = (bytes / nanos) * 1000
  process.stdout.write(
    `${label.padEnd(34)} ${nanos.toFixed(0).padStart(8)} ns ${perKb.toFixed(2).padStart(7)} us/KB ${mbs.toFixed(0).padStart(7)} MB/s\n`,
  )
}

function toolCall(args: object): string {
  return JSON.stringify({ jsonrpc: '2.0', id: 4711, method: 'tools/call', params: { name: 'search', arguments: args } })
}

function rows(count: number): string {
  const items = Array.from({ length: count }, (_, n) => ({
    id: n,
    name: `row ${n}`,
    score: n / 7,
    tags: ['a', 'b'],
    ok: true,
  }))
  return JSON.stringify({ jsonrpc: '2.0', id: 12, result: { structuredContent: { items }, content: [] } })
}

function prose(length: number): string {
  const line = 'The quick brown fox jumps over the lazy dog, and \\"quotes\\" it.\\n'
  const text = line
    .repeat(Math.ceil(length / line.length))
    .slice(0, length)
    .replace(/\\$/, '')
  return `{"jsonrpc":"2.0","id":12,"result":{"content":[{"type":"text","text":"${text}"}]}}`
}

const META = {
  'io.modelcontextprotocol/protocolVersion': '2026-07-28',
  'io.modelcontextprotocol/clientCapabilities': { sampling: {} },
}

const SAMPLES: readonly [string, string][] = [
  ['tools/call, small', toolCall({ query: 'model context protocol', limit: 10, page: 1, fresh: true, lang: 'en' })],
  [
    'tools/call, 300 B modern',
    JSON.stringify({
      jsonrpc: '2.0',
      id: 7,
      method: 'tools/call',
      params: { _meta: META, name: 'search', arguments: { query: 'model context protocol gateways' } },
    }),
  ],
  ['result, 1 KB rows', rows(14)],
  ['result, 1 KB prose', prose(960)],
  ['result, 20 KB rows', rows(290)],
  ['result, 20 KB prose', prose(20_000)],
  ['result, 500 KB rows', rows(7000)],
]

function scans(): void {
  for (const [label, text] of SAMPLES) {
    const bytes = Buffer.from(text)
    report(
      `scan ${label} (${bytes.length})`,
      bytes.length,
      measure(() => scan(bytes, 64)),
    )
    report(
      '  JSON.parse',
      bytes.length,
      measure(() => JSON.parse(bytes.toString())),
    )
  }
}

class Counter {
  events = 0
  bytes = 0
  onEvent(raw: Buffer): void {
    this.events++
    this.bytes += raw.length
  }
  onOversize(): void {
    this.events = Number.NaN
  }
}

function streams(): void {
  for (const size of [100, 1000, 20_000]) {
    const event = `event: message\nid: 7\ndata: {"jsonrpc":"2.0","method":"notifications/message","params":{"data":"${'x'.repeat(size)}"}}\n\n`
    const count = Math.max(4, Math.floor(60_000 / event.length))
    const chunk = Buffer.from(event.repeat(count))
    const counter = new Counter()
    const splitter = new SseSplitter(1 << 20)
    report(`SseSplitter, event of ${size}`, event.length, measure(() => splitter.push(chunk, counter)) / count)
    const tail = new StreamTail()
    report(`StreamTail, event of ${size}`, event.length, measure(() => tail.push(chunk)) / count)
  }
}

scans()
streams()
