/**
 * The stdio server of the bridge benchmark, of both eras: it parses each line, as any server does, and gives every
 * `tools/call` the same small answer. Answers of one turn are one write.
 */
import { small } from '../lib/payload.ts'

interface Request {
  readonly id?: number | string
  readonly method: string
}

const RESULTS: Readonly<Record<string, object>> = {
  initialize: {
    protocolVersion: '2025-11-25',
    capabilities: { tools: {} },
    serverInfo: { name: 'bench', version: '1.0.0' },
  },
  'server/discover': {
    supportedVersions: ['2026-07-28'],
    capabilities: { tools: {} },
    resultType: 'complete',
    ttlMs: 0,
    cacheScope: 'private',
  },
  'tools/call': (JSON.parse(small.answerBody.toString()) as { result: object }).result,
}
const TEXTS = new Map(Object.entries(RESULTS).map(([method, result]) => [method, JSON.stringify(result)]))

let rest = ''

function answerAll(chunk: string): void {
  const lines = (rest + chunk).split('\n')
  rest = lines.pop() ?? ''
  let out = ''
  for (const line of lines) {
    const { id, method } = JSON.parse(line) as Request
    if (id !== undefined) out += `{"result":${TEXTS.get(method) ?? '{}'},"jsonrpc":"2.0","id":${JSON.stringify(id)}}\n`
  }
  if (out !== '') process.stdout.write(out)
}

process.stdin.setEncoding('utf8')
process.stdin.on('data', answerAll)
process.stdin.on('end', () => process.exit(0))
