/** The one pass over each message, beside `JSON.parse` of it: `node bench/micro/scan.ts`. */
import { scan } from '../../proxy/message/scan.ts'
import { measure, printCost } from '../lib/micro.ts'

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

for (const [label, text] of SAMPLES) {
  const bytes = Buffer.from(text)
  const cost = measure(() => scan(bytes, 64))
  printCost(`scan ${label} (${bytes.length})`, cost, bytes.length)
  const parse = measure(() => JSON.parse(bytes.toString()))
  printCost('  JSON.parse', parse, bytes.length)
}
