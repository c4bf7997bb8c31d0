import assert from 'node:assert/strict'
import { spawnSync } from 'node:child_process'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { describe, test } from 'node:test'
import { gzipSync } from 'node:zlib'
import type { Config } from '../../proxy/config/config.ts'
import { send } from '../helpers/http-client.ts'
import { legacy, notification, result, rpc } from '../helpers/mcp-messages.ts'
import { type OnDisk, source, startOnDisk } from '../helpers/on-disk.ts'
import { type Scope, until } from '../helpers/scope.ts'
import type { Script } from '../helpers/scripted-upstream.ts'
import { sseEvent } from '../helpers/sse.ts'

/** A second policy on live traffic, over real sockets. */

const SLUICE = join(import.meta.dirname, '../../proxy/cli/sluice.ts')
const SECRET = 'kept-to-itself-7731'
const SETTINGS = { maxCpu: 1, sample: 1, maxQueue: 100, maxBytes: 1024 * 1024 }

const call = (name: string, args: object = {}, id = 1): ReturnType<typeof legacy> =>
  legacy(rpc(id, 'tools/call', { name, arguments: args }))

interface Shadowed extends OnDisk {
  /** Waits until so many exchanges were dealt with, and gives what became of them. */
  about(count: number): Promise<{ exchanges: Record<string, number>; changes: Record<string, unknown>[] }>
  /** Writes the shadow policy and loads it. */
  shadow(policy: string): Promise<void>
}

async function start(
  t: Scope,
  policy: string,
  shadow: string,
  script?: Script,
  more: Record<string, string> = {},
  settings: Partial<NonNullable<Config['shadow']>> = {},
): Promise<Shadowed> {
  const dir = mkdtempSync(join(tmpdir(), 'shadow-'))
  t.after(() => rmSync(dir, { recursive: true, force: true }))
  const file = join(dir, 'shadow.yaml')
  writeFileSync(file, `version: 1\n${shadow}`)
  const config = { shadow: { ...SETTINGS, ...settings, policies: [file] } }
  const onDisk = await startOnDisk(t, { 'policy.yaml': `version: 1\n${policy}`, ...more }, script, { config })
  const about = async (): ReturnType<Shadowed['about']> => {
    const ask = { method: 'GET', path: '/shadow', query: {}, body: null, signal: new AbortController().signal }
    return (await onDisk.proxy.sluice.control(ask)) as unknown as ReturnType<Shadowed['about']>
  }
  return {
    ...onDisk,
    async about(count) {
      let seen = await about()
      const total = (): number => Object.values(seen.exchanges).reduce((sum, one) => sum + one, 0)
      void (async () => {
        while (total() < count) {
          await new Promise(resolve => setImmediate(resolve))
          seen = await about()
        }
      })()
      await until(() => total() >= count, `${count} exchanges of the shadow: ${JSON.stringify(seen)}`)
      return seen
    },
    async shadow(text) {
      writeFileSync(file, `version: 1\n${text}`)
      await onDisk.proxy.sluice.reloadPolicy()
    },
  }
}

const ACCESS = (tools: string): string =>
  `access_control: { clients: { anonymous: { allowed_servers: ['*'], allowed_tools: { '*': [${tools}] } } } }\ninterceptors: [access]\n`

const answering: Script = (request, answer) => {
  const { id } = request.json()
  answer.json(result(id, { content: [{ type: 'text', text: SECRET }], structuredContent: { n: 1, who: SECRET } }))
}

describe('a shadow policy', () => {
  test('tells what it would refuse, by entry and tool, and refuses nothing', async t => {
    const proxy = await start(t, 'interceptors: []', ACCESS('get'), answering)
    assert.match(await (await send(t, proxy.url, call('get'))).text(), /structuredContent/)
    assert.match(await (await send(t, proxy.url, call('drop', { key: SECRET }))).text(), /structuredContent/)
    const { exchanges, changes } = await proxy.about(2)
    assert.deepEqual(exchanges, { same: 1, different: 1 })
    const [change] = changes
    assert.deepEqual(
      { ...change },
      {
        change: 'allowed -> denied',
        entry: 'access',
        code: 'access_denied',
        server: 's',
        method: 'tools/call',
        name: 'drop',
        count: 1,
      },
    )
    const notice = proxy.proxy.notices.find(({ text }) => text === 'the shadow policy differs')
    assert.equal(notice?.level, 'info')
    assert.equal(notice?.fields.client, 'anonymous')
    assert.doesNotMatch(JSON.stringify(notice), new RegExp(SECRET))
  })

  test('tells what it would let through', async t => {
    const proxy = await start(t, ACCESS('get'), 'interceptors: []', answering)
    assert.match(await (await send(t, proxy.url, call('drop'))).text(), /Access denied/)
    const { changes } = await proxy.about(1)
    assert.equal(changes[0]?.change, 'denied -> allowed')
    assert.equal(changes[0]?.entry, 'access')
    // It asked no server for that.
    assert.equal(proxy.upstream.requests.length, 0)
  })

  test('tells by path what it would change, in requests, answers and streams, and never a value', async t => {
    const edit = source(
      'edit',
      'request(m) { m.edit(json => { json.params.arguments.key = "other" }) },' +
        'response(m) { m.edit(json => { json.result.structuredContent.who = "nobody" }) },' +
        'notification(m) { if (m.direction === "toClient") m.edit(json => { json.params.data = "x" }) }',
    )
    const script: Script = async (request, answer) => {
      const text = result(request.json().id, { content: [], structuredContent: { who: SECRET } })
      if (request.json().params.name === 'get') return answer.json(text)
      const note = notification('notifications/message', { level: 'info', data: SECRET })
      return answer.events([sseEvent(note), sseEvent(text)])
    }
    const files = { 'edit.js': edit }
    const proxy = await start(t, 'interceptors: []', 'interceptors: [edit]', script, files)
    for (const name of ['get', 'stream']) {
      const seen = await (await send(t, proxy.url, call(name, { key: SECRET }))).text()
      assert.match(seen, new RegExp(SECRET))
      assert.doesNotMatch(seen, /nobody/)
    }
    assert.equal(proxy.upstream.requests[0]?.json().params.arguments.key, SECRET)
    assert.deepEqual((await proxy.about(2)).exchanges, { different: 2 })
    const notices = proxy.proxy.notices.filter(({ text }) => text === 'the shadow policy differs')
    const paths = notices.map(({ fields }) => [fields.name, fields.change, fields.entry, fields.paths])
    assert.deepEqual(paths, [
      ['get', 'request', 'edit', ['params.arguments.key']],
      ['get', 'answer', 'edit', ['result.structuredContent.who']],
      ['stream', 'request', 'edit', ['params.arguments.key']],
      ['stream', 'answer', 'edit', ['params.data', '[1].result.structuredContent.who']],
    ])
    assert.doesNotMatch(JSON.stringify(notices), new RegExp(SECRET))
  })

  test('changes not a byte of what clients and servers get', async t => {
    const body = gzipSync(JSON.stringify(result(1, { content: [{ type: 'text', text: 'x'.repeat(10_000) }] })))
    const script: Script = (request, answer) => {
      const { id, params } = request.json()
      if (params?.name === 'packed') {
        return answer.status(200, body, { 'content-type': 'application/json', 'content-encoding': 'gzip' })
      }
      if (params?.name === 'stream') return answer.events([sseEvent(result(id, { content: [] }))])
      return answer.json(`{ "jsonrpc" : "2.0","id":${id}, "result":{"n":9007199254740993, "content":[]} }`)
    }
    const wipe = source('wipe', 'response(m) { m.edit(json => { json.result = { wiped: true } }) }')
    const limit = 'interceptors: [{ use: rate-limit, options: { limits: [{ limit: 1/minute }] } }, wipe]'
    const bare = await start(t, 'interceptors: []', 'interceptors: []', script, { 'wipe.js': wipe }, { sample: 1e-9 })
    const shadowed = await start(t, 'interceptors: []', limit, script, { 'wipe.js': wipe })
    for (const name of ['plain', 'packed', 'stream']) {
      const answers = []
      for (const { url } of [bare, shadowed]) {
        const request = call(name)
        const answer = await send(t, url, { ...request, headers: { ...request.headers, 'accept-encoding': 'gzip' } })
        answers.push({ status: answer.status, body: (await answer.body()).toString('latin1') })
      }
      assert.deepEqual(answers[1], answers[0], name)
    }
    const of = ({ upstream }: Shadowed): string[] => upstream.requests.map(({ text }) => text)
    assert.deepEqual(of(shadowed), of(bare))
    // Its own limit: the first call passes and is wiped, the others are refused.
    const { exchanges, changes } = await shadowed.about(3)
    assert.deepEqual(exchanges, { different: 3 })
    assert.deepEqual(changes.map(({ change }) => change).toSorted(), [
      'allowed -> denied',
      'allowed -> denied',
      'answer',
    ])
  })

  test('keeps its limits, caches and counters to itself', async t => {
    const limit = 'interceptors: [{ use: rate-limit, options: { limits: [{ limit: 2/minute }] } }]'
    const proxy = await start(t, limit, limit, answering)
    for (let i = 0; i < 2; i++) await (await send(t, proxy.url, call('get'))).text()
    assert.match(await (await send(t, proxy.url, call('get'))).text(), /rate_limited/)
    assert.deepEqual((await proxy.about(3)).exchanges, { same: 3 })
    const families = proxy.proxy.sluice.metrics().families
    const limited = families.find(({ name }) => name === 'sluice_rate_limited_total')
    assert.equal(limited?.series.length, 1)
    assert.match(JSON.stringify(limited), /1/)
    assert.match(JSON.stringify(families.find(({ name }) => name === 'sluice_shadow_exchanges_total')), /same/)
  })

  test('skips what needs the server', async t => {
    const asks = source('asks', 'async request(m, e) { await e.call({ method: "ping" }) }')
    const proxy = await start(t, 'interceptors: []', 'interceptors: [asks]', answering, { 'asks.js': asks })
    await (await send(t, proxy.url, call('get'))).text()
    assert.deepEqual((await proxy.about(1)).exchanges, { skipped: 1 })
    assert.equal(proxy.upstream.requests.length, 1)
  })

  test('is loaded again, and one that is wrong leaves the one before', async t => {
    const proxy = await start(t, 'interceptors: []', 'interceptors: []', answering)
    await (await send(t, proxy.url, call('get'))).text()
    assert.deepEqual((await proxy.about(1)).exchanges, { same: 1 })
    await proxy.shadow(ACCESS('other'))
    await (await send(t, proxy.url, call('get'))).text()
    assert.deepEqual((await proxy.about(2)).exchanges, { same: 1, different: 1 })
    await proxy.shadow('interceptors: [nonsense]')
    await (await send(t, proxy.url, call('get'))).text()
    assert.deepEqual((await proxy.about(3)).exchanges, { same: 1, different: 2 })
  })

  test('is checked with the configuration that names it', async t => {
    const dir = mkdtempSync(join(tmpdir(), 'shadow-'))
    t.after(() => rmSync(dir, { recursive: true, force: true }))
    writeFileSync(
      join(dir, 'sluice.yaml'),
      'servers: { s: { url: http://127.0.0.1:9/mcp } }\nshadow_policy: next.yaml\n',
    )
    writeFileSync(join(dir, 'next.yaml'), 'version: 1\ninterceptors: [acess]\n')
    const done = spawnSync(process.execPath, [SLUICE, 'check', 'sluice.yaml'], { cwd: dir, encoding: 'utf8' })
    assert.equal(done.status, 2)
    assert.match(done.stdout, /next\.yaml:2:16: .*unknown interceptor "acess", did you mean "access"/)
  })

  test('one that does not compile is an error at start', async t => {
    await assert.rejects(
      start(t, 'interceptors: []', 'interceptors: [acess]'),
      /unknown interceptor "acess", did you mean "access"/,
    )
  })
})
