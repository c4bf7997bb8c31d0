/**
 * The secret scan: `node bench/micro/secret-scan.ts`. What a message costs that holds nothing, one that nearly does, one that does,
 * and the worst that a hostile peer can send.
 */
import { options } from '../../interceptors/secret-scan/options.ts'
import { SecretScanner } from '../../interceptors/secret-scan/scanner.ts'
import { measure, printCost } from '../lib/micro.ts'

const ROUNDS = 300
const ROUND_MS = 2

const clock = { now: () => Date.now(), monotonic: () => performance.now() }
const scanner = new SecretScanner(options.parse({}), [], clock)

function look(bytes: Buffer): unknown {
  return scanner.suspects(bytes) ? scanner.scan(bytes, 'toClient', 'tool', null) : null
}

function report(label: string, bytes: Buffer, rounds = ROUNDS): void {
  const cost = measure(() => look(bytes), { rounds, roundMs: ROUND_MS })
  const found = scanner.suspects(bytes) ? scanner.scan(bytes, 'toClient', 'tool', null) : null
  const what = found === null ? 'passed over' : `${found.findings.length} found, ${found.verifications} tries`
  printCost(label, cost, bytes.length, `  ${what}${found?.truncated ? `, cut short: ${found.truncated}` : ''}`)
}

function result(text: string, structured?: unknown): Buffer {
  const content = [{ type: 'text', text }]
  return Buffer.from(JSON.stringify({ jsonrpc: '2.0', id: 12, result: { content, structuredContent: structured } }))
}

function rows(count: number): unknown[] {
  return Array.from({ length: count }, (_, n) => ({
    id: n,
    title: `Row number ${n} of the report`,
    score: n / 7,
    tags: ['alpha', 'beta'],
    updated: '2026-01-05T12:00:00Z',
    link: `https://example.net/items/${n}?view=full`,
    ok: n % 3 === 0,
  }))
}

function nearMisses(count: number): unknown[] {
  return Array.from({ length: count }, (_, n) => ({
    key: `customer-${n}`,
    token_count: 100 + n,
    nextPageToken: 'CAUQAA',
    auth: 'oauth2',
    sha: '3f786850e387550fdab836ed7e6dc881de23001b',
    uuid: '1b4e28ba-2fa1-11d2-883f-0016d3cca427',
    password_hash: null,
    secretName: 'projects/prod/database',
  }))
}

const PROSE =
  'The quick brown fox jumps over the lazy dog, and "quotes" it.\nThen it rests in the shade of an old tree. '

function clean(): void {
  const call = { name: 'search', arguments: { query: 'model context protocol', limit: 10, lang: 'en' } }
  report(
    'tools/call, 150 B',
    Buffer.from(JSON.stringify({ jsonrpc: '2.0', id: 1, method: 'tools/call', params: call })),
  )
  report('clean prose, 1 KB', result(PROSE.repeat(9)))
  report('clean rows, 20 KB', result('', rows(120)))
  report('clean prose, 20 KB', result(PROSE.repeat(185)))
  report('clean rows, 500 KB', result('', rows(3000)))
  report('clean prose, 500 KB', result(PROSE.repeat(4700)))
  report('clean JSON in a string, 500 KB', result(JSON.stringify(rows(2700))))
  report('image in base64, 500 KB', result('', { data: Buffer.from(noise(375_000)).toString('base64') }))
}

/** Bytes without a pattern. */
function noise(length: number): Uint8Array {
  let state = 1
  return Uint8Array.from({ length }, () => {
    state = (Math.imul(state, 1664525) + 1013904223) | 0
    return state >>> 24
  })
}

function dirty(): void {
  report('near misses, 1 KB', result('', nearMisses(4)))
  report('near misses, 20 KB', result('', nearMisses(85)))
  report('near misses, 500 KB', result('', nearMisses(2100)))
  const secret = `${'ghp'}_${'a1B2c3D4e5F6'.repeat(3)}`
  report('one secret in 1 KB', result(`${PROSE.repeat(9)}${secret}`))
  report('one secret in 20 KB', result(PROSE.repeat(185) + secret))
}

/** Texts that keep patterns busy without ever fitting one. */
function hostile(): void {
  const size = 16 * 1024
  const fill = (piece: string, total: number): Buffer => result(piece.repeat(Math.ceil(total / piece.length)))
  for (const [label, piece] of [
    ['keywords only', 'password_'],
    ['names and operators', 'api_key = token: secret => '],
    ['heads of tokens', ' ghp_ sk- sk_live_ xoxb-'],
    ['heads of private keys', '-----BEGIN RSA PRIVATE KEY-----\n'],
    ['heads of URLs', 'postgres://aaaaaaaaaaaa:'],
    ['values that nearly fit', `datadog=${'0123456789abcdef'.repeat(2)}0 `],
    ['escapes', '\\u0061\\"\\\\\\n%41%20'],
    ['eyJ', 'eyJaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa.'],
  ] as const) {
    report(`hostile: ${label}, 16 KB`, fill(piece, size), 5)
    report(`hostile: ${label}, 4 MB`, fill(piece, 4_000_000), 1)
  }
}

clean()
dirty()
hostile()
