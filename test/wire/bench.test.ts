import assert from 'node:assert/strict'
import { spawn } from 'node:child_process'
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, before, describe, it } from 'node:test'
import type { LoadResult } from '../../proxy/load/load-result.ts'
import { runLoad } from '../../proxy/load/load-run.ts'
import { type Scenario, scenarioSchema } from '../../proxy/load/scenario.ts'

/** A server that counts what it was asked, and answers as the tool's name says. */
class CountingServer {
  readonly server: Server = createServer((request, response) => void this.#answer(request, response))
  readonly calls: { method: string; id: unknown; headers: IncomingMessage['headers'] }[] = []
  readonly sessions = new Set<string>()
  ended = 0

  async start(): Promise<URL> {
    await new Promise<void>(resolve => this.server.listen(0, '127.0.0.1', resolve))
    return new URL(`http://127.0.0.1:${(this.server.address() as AddressInfo).port}/mcp`)
  }

  async #answer(request: IncomingMessage, response: ServerResponse): Promise<void> {
    if (request.method === 'DELETE') {
      this.ended++
      response.writeHead(200).end()
      return
    }
    if (request.method === 'GET') {
      response.writeHead(200, { 'content-type': 'text/event-stream' }).write(': hello\n\n')
      return
    }
    const chunks: Buffer[] = []
    for await (const chunk of request) chunks.push(chunk as Buffer)
    const { id, method, params } = JSON.parse(Buffer.concat(chunks).toString())
    this.calls.push({ method, id, headers: request.headers })
    const say = (body: object, fields: Record<string, string> = {}): void => {
      response
        .writeHead(200, { 'content-type': 'application/json', ...fields })
        .end(JSON.stringify({ jsonrpc: '2.0', id, ...body }))
    }
    if (method === 'server/discover') say({ error: { code: -32601, message: 'no' } })
    else if (method === 'initialize') {
      const session = `s${this.sessions.size}`
      this.sessions.add(session)
      say(
        { result: { protocolVersion: '2025-11-25', capabilities: {}, serverInfo: { name: 'x', version: '1' } } },
        { 'mcp-session-id': session },
      )
    } else if (id === undefined) response.writeHead(202).end()
    else if (params?.name === 'fail') say({ result: { isError: true, content: [] } })
    else if (params?.name === 'missing') say({ error: { code: -32602, message: 'unknown tool' } })
    else if (params?.name === 'busy') response.writeHead(503).end()
    else if (params?.name === 'break') request.socket.destroy()
    else if (params?.name === 'hang') return
    else if (params?.name === 'stream') {
      response.writeHead(200, { 'content-type': 'text/event-stream' })
      response.write('data: {"jsonrpc":"2.0","method":"notifications/progress","params":{}}\n\n')
      response.end(`data: ${JSON.stringify({ jsonrpc: '2.0', id, result: {} })}\n\n`)
    } else say({ result: { content: [] } })
  }
}

let counting: CountingServer
let url: URL
before(async () => {
  counting = new CountingServer()
  url = await counting.start()
})
after(() => {
  counting.server.closeAllConnections()
  counting.server.close()
})

function load(scenario: object): Promise<LoadResult> {
  const checked: Scenario = scenarioSchema.parse({ warm_up: 0, duration: '300ms', connections: 4, ...scenario })
  counting.calls.length = 0
  return runLoad({ url, scenario: checked, signal: new AbortController().signal })
}

describe('a load test', () => {
  it('of a legacy server opens sessions, uses them all, and ends them', async () => {
    counting.sessions.clear()
    counting.ended = 0
    const result = await load({ sessions: 3, mix: [{ call: 'ok', arguments: { n: 1 } }], idle_streams: 2 })
    assert.deepEqual([result.era, result.loop, result.sessions, counting.ended], ['legacy', 'closed', 3, 3])
    assert.deepEqual(result.idle_streams, { asked: 2, open: 2, broken: 0 })
    const calls = counting.calls.filter(call => call.method === 'tools/call')
    assert.equal(calls.length, result.requests)
    assert.ok(result.requests > 0 && result.failed === 0)
    assert.deepEqual([...new Set(calls.map(call => call.headers['mcp-session-id']))].sort(), ['s0', 's1', 's2'])
    assert.equal(new Set(calls.map(call => call.id)).size, calls.length, 'an id was used twice')
    assert.equal(result.latency_ms.count, result.requests)
  })

  it('of a modern server sends what that revision asks for', async () => {
    const result = await load({
      era: 'modern',
      mix: [{ call: 'wörld', weight: 1 }, { method: 'tools/list' }],
      headers: { 'x-own': 'yes' },
    })
    assert.equal(result.failed, 0)
    const call = counting.calls.find(one => one.method === 'tools/call')
    assert.equal(call?.headers['mcp-name'], `=?base64?${Buffer.from('wörld').toString('base64')}?=`)
    assert.deepEqual(
      [call?.headers['mcp-protocol-version'], call?.headers['mcp-method'], call?.headers['x-own']],
      ['2026-07-28', 'tools/call', 'yes'],
    )
    assert.deepEqual(
      result.steps.map(step => step.name),
      ['wörld', 'tools/list'],
    )
    assert.equal(
      result.steps.reduce((sum, step) => sum + step.requests, 0),
      result.requests,
    )
  })

  it('counts failures by kind, apart from the latencies', async () => {
    const mix = ['fail', 'missing', 'busy', 'break', 'ok'].map(call => ({ call }))
    const {
      errors,
      failed,
      latency_ms: latency,
      requests,
    } = await load({ era: 'modern', mix, connections: 1, max_requests: 50 })
    assert.equal(requests, 50)
    assert.deepEqual(Object.keys(errors).sort(), ['UND_ERR_SOCKET', 'http 503', 'json-rpc -32602', 'tool error'])
    assert.equal(
      failed,
      Object.values(errors).reduce((sum, one) => sum + one, 0),
    )
    assert.equal(latency.count + failed, requests)
  })

  it('gives up what takes too long', async () => {
    const result = await load({ era: 'modern', mix: [{ call: 'hang' }], timeout: '50ms', max_requests: 4 })
    assert.deepEqual(result.errors, { timeout: 4 })
  })

  it('reads streams: events, and the error in the last one', async () => {
    const result = await load({ era: 'modern', mix: [{ call: 'stream', progress: true }], max_requests: 10 })
    assert.deepEqual([result.requests, result.failed, result.events], [10, 0, 20])
  })

  it('in an open loop counts waiting as latency, and says what it could not send', async () => {
    // One connection that hangs: everything behind it waits for as long as the run lasts.
    const result = await load({ era: 'modern', mix: [{ call: 'hang' }], rate: 100, connections: 1, timeout: '200ms' })
    assert.equal(result.loop, 'open')
    assert.ok((result.errors['timeout'] ?? 0) >= 1, JSON.stringify(result.errors))
    assert.ok((result.errors['not sent: no connection was free'] ?? 0) >= 10, JSON.stringify(result.errors))
  })
})

describe('sluice bench', () => {
  const dir = mkdtempSync(join(tmpdir(), 'bench-'))
  after(() => rmSync(dir, { recursive: true }))
  const file = (name: string): string => join(dir, name)

  it('reports, writes JSON and a page, and compares', async () => {
    writeFileSync(
      file('load.yaml'),
      'name: <mix>\nera: modern\nwarm_up: 0\nmix:\n  - { call: ok }\n  - { call: fail, weight: 0.1 }\n',
    )
    const flags = ['--scenario', file('load.yaml'), '--duration', '300ms', '--connections', '2']
    const run = await sluice('bench', url.href, ...flags, '--json', file('a.json'), '--html', file('a.html'))
    assert.equal(run.code, 1, run.err)
    assert.match(run.out, /failed {5}\d+ × tool error/)
    const result = JSON.parse(readFileSync(file('a.json'), 'utf8')) as LoadResult
    assert.equal(result.target, url.href)
    const page = readFileSync(file('a.html'), 'utf8')
    assert.ok(page.includes('&#60;mix&#62;') && page.includes('<svg') && !/<script|src=|href=/.test(page))
    const compared = await sluice('bench', '--compare', file('a.json'), file('a.json'))
    assert.equal(compared.code, 0, compared.err)
    assert.match(compared.out, /^p99 +\S+ +\S+ +1\.00$/m)
  })

  it('says what is wrong', async () => {
    writeFileSync(file('bad.yaml'), 'mix:\n  - { cal: x }\n')
    const cases: [string[], RegExp][] = [
      [[], /give the URL/],
      [['http://203.0.113.7/mcp'], /neither this machine nor in a private network/],
      [
        ['http://127.0.0.1:1/mcp', '--scenario', file('bad.yaml')],
        /bad\.yaml:2:7: mix\[0\]: unknown key "cal", did you mean "call"\?/,
      ],
      [['http://127.0.0.1:1/mcp', '--tool', 'x', '--args', '[]'], /expected a JSON object/],
      [['--compare', file('bad.yaml'), file('bad.yaml')], /expected a file that/],
    ]
    for (const [args, text] of cases) {
      const run = await sluice('bench', ...args)
      assert.equal(run.code, 2, run.err)
      assert.match(run.err, text)
    }
    const gone = await sluice('bench', 'http://127.0.0.1:1/mcp')
    assert.deepEqual([gone.code, gone.err], [1, 'sluice bench: http://127.0.0.1:1 cannot be asked: ECONNREFUSED\n'])
  })
})

function sluice(...args: string[]): Promise<{ code: number | null; out: string; err: string }> {
  const child = spawn(process.execPath, [join(import.meta.dirname, '../../proxy/cli/sluice.ts'), ...args])
  let out = ''
  let err = ''
  child.stdout.on('data', chunk => (out += chunk))
  child.stderr.on('data', chunk => (err += chunk))
  return new Promise(resolve => child.on('close', code => resolve({ code, out, err })))
}
