import assert from 'node:assert/strict'
import { once } from 'node:events'
import { createServer, type IncomingMessage, type RequestListener } from 'node:http'
import type { AddressInfo } from 'node:net'
import { join } from 'node:path'
import { describe, it } from 'node:test'
import { createChecker } from '../../../proxy/fleet/health/checker.ts'
import type { Instance } from '../../../proxy/fleet/launcher.ts'
import type { HealthSpec } from '../../../proxy/fleet/spec.ts'
import { lastFirst, tempDir } from '../../fleet/kit.ts'
import type { Scope } from '../../helpers/scope.ts'
import { FakeInstance, LIFE } from './kit.ts'

interface Asked {
  readonly method: string
  readonly headers: IncomingMessage['headers']
  readonly rpc: { readonly id?: number; readonly method?: string }
}

type Answer = readonly [status: number, body?: unknown, headers?: Record<string, string>]

/** A server that answers as told and keeps what it was asked. */
async function serve(scope: Scope, answer: (asked: Asked) => Answer | 'never', socketPath = '') {
  const asked: Asked[] = []
  const listener: RequestListener = async (request, response) => {
    const chunks: Buffer[] = []
    for await (const chunk of request) chunks.push(chunk)
    const text = Buffer.concat(chunks).toString()
    const one = { method: request.method ?? '', headers: request.headers, rpc: text === '' ? {} : JSON.parse(text) }
    asked.push(one)
    const given = answer(one)
    if (given === 'never') return
    const [status, body = '', headers = { 'content-type': 'application/json' }] = given
    response.writeHead(status, headers).end(typeof body === 'string' ? body : JSON.stringify(body))
  }
  const server = createServer(listener)
  if (socketPath === '') server.listen(0, '127.0.0.1')
  else server.listen(socketPath)
  await once(server, 'listening')
  lastFirst(scope).after(() => {
    server.closeAllConnections()
    server.close()
  })
  const url =
    socketPath === '' ? `http://127.0.0.1:${(server.address() as AddressInfo).port}/mcp` : 'http://localhost/mcp'
  const instance: Instance = Object.assign(new FakeInstance('kb-1'), { url, socketPath })
  return { instance, asked, names: () => asked.map(({ method, rpc }) => rpc.method ?? method) }
}

const health = (rest: Partial<HealthSpec>): HealthSpec => ({ ...LIFE.health, ...rest })

const reply = (id: number | undefined, result: object): object => ({ jsonrpc: '2.0', id, result })
const failure = (id: number | undefined, code: number): object => ({
  jsonrpc: '2.0',
  id,
  error: { code, message: 'no' },
})

/** A legacy server that knows one session at a time. */
function legacyServer(): { answer(asked: Asked): Answer; forget(): void; sessions: number } {
  const state = {
    sessions: 0,
    current: '',
    forget: () => {
      state.current = ''
    },
    answer: ({ method, headers, rpc }: Asked): Answer => {
      if (rpc.method === 'initialize') {
        state.current = `s${++state.sessions}`
        const result = reply(rpc.id, { protocolVersion: '2025-06-18', capabilities: {}, serverInfo: {} })
        const fields = { 'content-type': 'text/event-stream', 'mcp-session-id': state.current }
        return [200, `event: message\ndata: ${JSON.stringify(result)}\n\n`, fields]
      }
      if (headers['mcp-session-id'] === undefined) return [400, failure(rpc.id, -32000)]
      if (headers['mcp-session-id'] !== state.current) return [404, failure(rpc.id, -32001)]
      if (method === 'DELETE' || rpc.id === undefined) return [202]
      return [200, reply(rpc.id, {})]
    },
  }
  return state
}

describe('a health check', () => {
  it('by default takes any answer but a 5xx, opens no session, and knows one that hangs', async t => {
    for (const [status, expected] of [
      [200, ''],
      [400, ''],
      [404, ''],
      [503, 'answers HTTP 503'],
    ] as const) {
      const { instance, names } = await serve(t, () => [status])
      assert.equal(await createChecker(instance, health({})).check(1_000), expected)
      assert.deepEqual(names(), ['server/discover'])
    }
    const hung = await serve(t, () => 'never')
    assert.equal(await createChecker(hung.instance, health({})).check(50), 'no answer within 50 ms')
  })

  it('by default believes what the instance says itself', async t => {
    const { instance, asked } = await serve(t, () => [200])
    const checker = createChecker(instance, health({}))
    instance.selfCheck = async () => true
    assert.equal(await checker.check(1_000), '')
    instance.selfCheck = async () => false
    assert.equal(await checker.check(1_000), 'it says itself that it is not well')
    instance.selfCheck = () => new Promise(() => {})
    assert.equal(await checker.check(20), 'no answer within 20 ms')
    assert.equal(asked.length, 0)
  })

  it('by HTTP wants a 2xx of its path, also on a socket', async t => {
    const socket = join(await tempDir(t), 's.sock')
    let status = 204
    const { instance, names } = await serve(t, () => [status], socket)
    const checker = createChecker(instance, health({ kind: 'http', path: '/health' }))
    assert.equal(await checker.check(1_000), '')
    status = 302
    assert.equal(await checker.check(1_000), '/health answers HTTP 302')
    assert.deepEqual(names(), ['GET', 'GET'])
  })

  it('by TCP wants a connection', async t => {
    const { instance, asked } = await serve(t, () => 'never')
    assert.equal(await createChecker(instance, health({ kind: 'tcp' })).check(1_000), '')
    const nobody = Object.assign(new FakeInstance('kb-2'), { url: 'http://127.0.0.1:1/mcp' })
    assert.equal(await createChecker(nobody, health({ kind: 'tcp' })).check(1_000), 'connection refused')
    assert.equal(asked.length, 0)
  })

  it('by MCP asks a modern server server/discover, and nothing else', async t => {
    const { instance, names } = await serve(t, ({ rpc }) => [200, reply(rpc.id, { supportedVersions: [] })])
    const checker = createChecker(instance, health({ kind: 'mcp' }))
    assert.equal(await checker.check(1_000), '')
    assert.equal(await checker.check(1_000), '')
    await checker.close()
    assert.deepEqual(names(), ['server/discover', 'server/discover'])
  })

  it('by MCP pings a legacy server in one session, which it opens again when it was forgotten, and ends', async t => {
    const legacy = legacyServer()
    const { instance, names, asked } = await serve(t, one => legacy.answer(one))
    const checker = createChecker(instance, health({ kind: 'mcp' }))
    for (let i = 0; i < 3; i++) assert.equal(await checker.check(1_000), '')
    assert.equal(legacy.sessions, 1)
    legacy.forget()
    assert.equal(await checker.check(1_000), '')
    assert.equal(legacy.sessions, 2)
    await checker.close()
    const opened = ['initialize', 'notifications/initialized', 'ping']
    assert.deepEqual(names(), ['server/discover', ...opened, 'ping', 'ping', 'ping', ...opened, 'DELETE'])
    assert.equal(asked[3]?.headers['mcp-protocol-version'], '2025-06-18', 'the version that was agreed on')
  })

  it('by MCP says what a server that does not work says', async t => {
    const { instance } = await serve(t, ({ rpc }) =>
      rpc.method === 'initialize' ? [200, failure(rpc.id, -32603)] : [400, 'nonsense'],
    )
    const checker = createChecker(instance, health({ kind: 'mcp' }))
    assert.equal(await checker.check(1_000), 'initialize: no (-32603)')
    const broken = await serve(t, () => [500, 'oops'])
    assert.equal(await createChecker(broken.instance, health({ kind: 'mcp' })).check(1_000), 'answers HTTP 500')
  })
})
