/**
 * The cache: `node bench/micro/cache-key.ts`. The key of a request beside `JSON.parse` of it, the facts of a result, and a whole
 * request hook that hits.
 */
import cache from '../../interceptors/cache/cache.ts'
import { type JsonObject, readResult, requestKey } from '../../proxy/api/index.ts'
import { LiveExchange } from '../../proxy/chain/exchange.ts'
import { FrozenClock } from '../../proxy/testing/frozen-clock.ts'
import { probeEnvironment } from '../../proxy/testing/probe-environment.ts'
import { probeInbound, probeTable } from '../../proxy/testing/probe-inbound.ts'
import { probeMessage } from '../../proxy/testing/probe-message.ts'
import { measure, printCost } from '../lib/micro.ts'

const META = {
  'io.modelcontextprotocol/protocolVersion': '2026-07-28',
  'io.modelcontextprotocol/clientCapabilities': { sampling: {} },
  'io.modelcontextprotocol/clientInfo': { name: 'bench', version: '1.0.0' },
}

function call(args: JsonObject, meta?: JsonObject): Buffer {
  const params = { ...(meta === undefined ? {} : { _meta: meta }), name: 'search', arguments: args }
  return Buffer.from(JSON.stringify({ jsonrpc: '2.0', id: 4711, method: 'tools/call', params }))
}

const REQUESTS: readonly [string, Buffer][] = [
  ['legacy call', call({ query: 'model context protocol', limit: 10 })],
  ['modern call', call({ query: 'model context protocol gateways' }, META)],
  [
    '1 KB of arguments',
    call({ rows: Array.from({ length: 20 }, (_, id) => ({ id, name: `row ${id}`, tags: ['a', 'b'] })) }),
  ],
]

const LONG_TEXT = JSON.stringify({ content: [{ type: 'text', text: 'The quick brown fox jumps. '.repeat(750) }] })

async function hit(body: Buffer): Promise<() => unknown> {
  const options = cache.options.parse({ tools: ['search'] })
  const hooks = await cache.create(options, probeEnvironment('cache', new FrozenClock(0), [], ['demo'], {}))
  const ask = (): unknown => {
    const message = probeMessage(body, 'request', 'toServer', null, { need: 'bytes' })
    const live = new LiveExchange(NOBODY, TABLE, INBOUND, message)
    return [hooks.request?.(message, live, hooks.state?.(live)), message, live]
  }
  const message = probeMessage(body, 'request', 'toServer', null, { need: 'bytes' })
  const live = new LiveExchange(NOBODY, TABLE, INBOUND, message)
  const state = hooks.state?.(live)
  hooks.request?.(message, live, state)
  const answer = `{"jsonrpc":"2.0","id":4711,"result":${LONG_TEXT}}`
  hooks.response?.(probeMessage(answer, 'response', 'toClient', message, { need: 'bytes' }), live, state)
  return ask
}

const NOBODY = { call: () => Promise.reject(new Error('nobody is there')) }
const TABLE = probeTable('cache')
const INBOUND = probeInbound({ client: 'bench' })

/** What a hook's caller does in any case. */
function bare(body: Buffer): unknown {
  const message = probeMessage(body, 'request', 'toServer', null, { need: 'bytes' })
  return [message, new LiveExchange(NOBODY, TABLE, INBOUND, message)]
}

for (const [label, body] of REQUESTS) {
  const ask = await hit(body)
  console.log(`${label} (${body.length} bytes)`)
  printCost(
    '  JSON.parse',
    measure(() => JSON.parse(body.toString())),
    body.length,
  )
  printCost(
    '  requestKey',
    measure(() => requestKey(body)),
    body.length,
  )
  printCost(
    '  message and exchange',
    measure(() => bare(body)),
  )
  printCost('  the same and a hit', measure(ask))
}
const answer = Buffer.from(`{"jsonrpc":"2.0","id":1,"result":${LONG_TEXT}}`)
console.log(`result of ${answer.length} bytes`)
printCost(
  '  readResult',
  measure(() => readResult(answer)),
  answer.length,
)
