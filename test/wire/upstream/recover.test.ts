import assert from 'node:assert/strict'
import { describe, it, type TestContext } from 'node:test'
import { UPSTREAM_DEFAULTS } from '../../../proxy/config/servers/upstream-keys.ts'
import { send } from '../../helpers/http-client.ts'
import { error, initialize, initializeResult, legacy, notification, result, rpc } from '../../helpers/mcp-messages.ts'
import { startProxy, type TestProxy } from '../../helpers/proxy.ts'
import { type Scope, until } from '../../helpers/scope.ts'
import { type Script, type ScriptedUpstream, startScriptedUpstream } from '../../helpers/scripted-upstream.ts'

/** A legacy server with sessions of its own, counted from 1. */
class Server {
  readonly upstream: ScriptedUpstream
  readonly sessions: Set<string>
  /** `id method` of every message, in order. */
  readonly heard: string[]

  private constructor(upstream: ScriptedUpstream, sessions: Set<string>, heard: string[]) {
    this.upstream = upstream
    this.sessions = sessions
    this.heard = heard
  }

  static async start(t: TestContext, name: string): Promise<Server> {
    const sessions = new Set<string>()
    const heard: string[] = []
    let count = 0
    const script: Script = (request, answer) => {
      const session = request.header('mcp-session-id') ?? '-'
      const { id, method } = request.method === 'POST' ? request.json() : { id: 0, method: request.method }
      heard.push(`${session} ${method}`)
      if (method === 'initialize') {
        const made = `${name}-${++count}`
        sessions.add(made)
        answer.json(initializeResult(id), { headers: { 'mcp-session-id': made } })
      } else if (!sessions.has(session)) {
        answer.json(error(id, -32001, 'Session not found'), { status: 404 })
      } else if (id === undefined) {
        answer.status(202)
      } else {
        answer.json(result(id, { session }), { headers: { 'mcp-session-id': session } })
      }
    }
    return new Server(await startScriptedUpstream(t, script), sessions, heard)
  }
}

interface House {
  readonly proxy: TestProxy
  /** The one that has the session, and the other one. */
  readonly home: Server
  readonly other: Server
  readonly token: string
}

async function open(t: Scope, proxy: TestProxy): Promise<string> {
  const answer = await send(t, proxy.endpoint(), initialize())
  await answer.body()
  return answer.headers['mcp-session-id'] as string
}

async function start(t: TestContext, sessions: 'strict' | 'recover'): Promise<House> {
  const [a, b] = [await Server.start(t, 'a'), await Server.start(t, 'b')]
  const upstream = { ...UPSTREAM_DEFAULTS, sessions }
  const proxy = await startProxy(t, { servers: { s: [a.upstream.url, b.upstream.url] }, server: { upstream } })
  const token = await open(t, proxy)
  const [home, other] = a.sessions.size > 0 ? [a, b] : [b, a]
  return { proxy, home, other, token }
}

const call = (id: number, token: string): ReturnType<typeof legacy> =>
  legacy(rpc(id, 'tools/call', { name: 'echo', arguments: {} }), { session: token })

async function answerTo(
  t: Scope,
  proxy: TestProxy,
  post: ReturnType<typeof legacy>,
): Promise<[number, string, string]> {
  const answer = await send(t, proxy.endpoint(), post)
  const text = await answer.text()
  const { session = '' } = text.startsWith('{') ? (JSON.parse(text).result ?? {}) : {}
  return [answer.status, session, (answer.headers['mcp-session-id'] as string | undefined) ?? '']
}

describe('sessions: recover', () => {
  it('begins a session anew on another replica when its own is gone, and keeps the old token good', async t => {
    const { proxy, home, other, token } = await start(t, 'recover')
    await home.upstream.close()
    const [status, session, newToken] = await answerTo(t, proxy, call(1, token))
    assert.deepEqual([status, session], [200, [...other.sessions][0]])
    const name = [...other.sessions][0]
    assert.deepEqual(other.heard, ['- initialize', `${name} notifications/initialized`, `${name} tools/call`])
    const first = home.upstream.requests[0]
    assert.deepEqual(other.upstream.requests[0]?.json(), first?.json())
    assert.deepEqual((await answerTo(t, proxy, call(2, token))).slice(0, 2), [200, name])
    assert.deepEqual((await answerTo(t, proxy, call(3, newToken))).slice(0, 2), [200, name])
    assert.equal(other.sessions.size, 1)
  })

  it('does so when a server has forgotten its sessions, too', async t => {
    const { proxy, home, other, token } = await start(t, 'recover')
    home.sessions.clear()
    const [status, session] = await answerTo(t, proxy, call(1, token))
    assert.equal(status, 200)
    assert.ok(home.sessions.has(session) || other.sessions.has(session))
    assert.equal(home.sessions.size + other.sessions.size, 1)
  })

  it('once for all calls that meet the loss at the same time', async t => {
    const { proxy, home, other, token } = await start(t, 'recover')
    await home.upstream.close()
    const answers = await Promise.all([1, 2, 3, 4, 5].map(id => answerTo(t, proxy, call(id, token))))
    for (const [status] of answers) assert.equal(status, 200)
    assert.equal(other.heard.filter(line => line.endsWith(' initialize')).length, 1)
  })

  it('again, when the second replica is lost as well', async t => {
    const { proxy, home, other, token } = await start(t, 'recover')
    home.sessions.clear()
    await answerTo(t, proxy, call(1, token))
    home.sessions.clear()
    other.sessions.clear()
    assert.equal((await answerTo(t, proxy, call(2, token)))[0], 200)
  })

  it('for streams and notifications, but not for answers to what the lost replica asked', async t => {
    const { proxy, home, other, token } = await start(t, 'recover')
    await home.upstream.close()
    const answered = await send(t, proxy.endpoint(), legacy(result(9, {}), { session: token }))
    assert.equal(answered.status, 404)
    const told = await send(
      t,
      proxy.endpoint(),
      legacy(notification('notifications/roots/list_changed'), { session: token }),
    )
    assert.equal(told.status, 202)
    const { headers } = legacy(rpc(1, 'ping'), { session: token })
    const stream = await send(t, proxy.endpoint(), {
      method: 'GET',
      headers: { ...headers, accept: 'text/event-stream' },
    })
    assert.equal(stream.status, 200)
    await until(() => other.heard.length === 4, 'all of it is there')
  })

  it('a session that this proxy did not see begin is for the client to begin anew', async t => {
    const { proxy, home, other, token } = await start(t, 'recover')
    const upstream = { ...UPSTREAM_DEFAULTS, sessions: 'recover' as const }
    const servers = { s: [home.upstream.url, other.upstream.url] }
    const second = await startProxy(t, { servers, server: { upstream } })
    assert.equal((await answerTo(t, second, call(1, token)))[0], 200)
    home.sessions.clear()
    assert.equal((await answerTo(t, second, call(2, token)))[0], 404)
    assert.equal((await answerTo(t, proxy, call(3, token)))[0], 200)
  })

  it('a client is told to begin anew where no other session can be had', async t => {
    const { proxy, home, other, token } = await start(t, 'recover')
    await home.upstream.close()
    await other.upstream.close()
    const answer = await send(t, proxy.endpoint(), call(1, token))
    assert.equal(answer.status, 404)
    assert.match(await answer.text(), /no other session could be begun/)
  })
})

describe('sessions: strict', () => {
  it('404 when the replica is gone', async t => {
    const { proxy, home, other, token } = await start(t, 'strict')
    await home.upstream.close()
    assert.equal((await answerTo(t, proxy, call(1, token)))[0], 404)
    assert.equal(other.heard.length, 0)
  })
})
