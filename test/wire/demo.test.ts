import assert from 'node:assert/strict'
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { describe, test } from 'node:test'
import { fileURLToPath } from 'node:url'
import { type DemoServer, startDemoServer } from '../../deploy/demo/demo-server.ts'
import readJson from '../conformance/interceptors/read-json.ts'
import { send } from '../helpers/http-client.ts'
import { initialize, modern, rpc } from '../helpers/mcp-messages.ts'
import { startProxy } from '../helpers/proxy.ts'
import { type Scope, until, within } from '../helpers/scope.ts'
import { connectSdk, ELICITED, PEERS, SAMPLED, type SdkClient } from '../helpers/sdk-clients.ts'

const PROGRAM = fileURLToPath(new URL('../../deploy/demo/server.ts', import.meta.url))

/** What stands between the client and the demo server: nothing, a proxy where nobody looks, one where all is read. */
const ROUTES: Record<string, (scope: Scope, url: string) => Promise<string>> = {
  directly: async (_, url) => url,
  'through Sluice': async (scope, servers) => (await startProxy(scope, { servers })).endpoint(),
  'through two readers': async (scope, servers) =>
    (await startProxy(scope, { servers, interceptors: [readJson], policy: TWICE })).endpoint(),
}
const TWICE = 'version: 1\ninterceptors: [{ use: read-json }, { use: read-json }]\n'

async function startDemo(scope: Scope): Promise<DemoServer> {
  const demo = await startDemoServer(0)
  scope.after(() => demo.close())
  return demo
}

for (const [route, start] of Object.entries(ROUTES)) {
  for (const peer of PEERS) {
    const open = async (t: Scope): Promise<Opened> => {
      const demo = await startDemo(t)
      return { demo, client: await connectSdk(t, peer, await start(t, demo.url)) }
    }
    describe(`the demo server ${route} and ${peer}`, () => {
      toolsWork(open)
      surfaceWorks(open)
    })
  }
}

interface Opened {
  demo: DemoServer
  client: SdkClient
}

function toolsWork(open: (t: Scope) => Promise<Opened>): void {
  test('tools answer', async t => {
    const { client } = await open(t)
    assert.ok((await client.toolNames()).includes('echo'))
    assert.equal(await client.callText('echo', { text: 'grüße' }), 'grüße')
    assert.deepEqual((await client.call('add', { a: 1, b: 2 })).structuredContent, { sum: 3 })
    assert.equal((await client.callText('big', { bytes: 1_000_000 })).length, 1_000_000)
    assert.match(await client.callText('get_secret'), /FAKE[\s\S]*AKIAIOSFODNN7EXAMPLE/)
  })

  test('search and read say what is wrong', async t => {
    const { client } = await open(t)
    const { results } = (await client.call('search', { query: 'docker', max_results: 5 })).structuredContent
    assert.equal(results.length, 5)
    assert.deepEqual(Object.keys(results[0]), ['title', 'url', 'snippet'])
    const missing = await client.call('search', {})
    assert.deepEqual([missing.isError, missing.content[0].text], [true, 'Missing required parameter: query'])
    assert.match(await client.callText('read', { path: '/etc/passwd' }), /^root:/)
    const absent = await client.call('read', { path: '/nowhere' })
    assert.deepEqual([absent.isError, absent.content[0].text], [true, 'error: file not found: /nowhere'])
  })

  test('countdown reports its progress', async t => {
    const { client } = await open(t)
    const seen: number[] = []
    const onprogress = ({ progress }: { progress: number }) => seen.push(progress)
    assert.equal(await client.callText('countdown', { from: 3, interval_ms: 1 }, { onprogress }), 'lift-off')
    assert.deepEqual(seen, [1, 2, 3])
  })

  test('slow stops when its call is cancelled', async t => {
    const { demo, client } = await open(t)
    const cancel = new AbortController()
    const call = client.call('slow', { ms: 60_000 }, { signal: cancel.signal })
    await until(() => demo.world.slow.started === 1, 'the call')
    cancel.abort(new Error('enough'))
    await assert.rejects(call)
    await until(() => demo.world.slow.cancelled === 1, 'the cancellation')
    assert.deepEqual(JSON.parse(await client.readText('demo://stats')), { started: 1, finished: 0, cancelled: 1 })
  })

  test('ask and sample ask back', async t => {
    const { client } = await open(t)
    assert.equal(await client.callText('ask'), `Hello, ${ELICITED.name}!`)
    assert.match(await client.callText('sample', { prompt: 'What is it?' }), new RegExp(SAMPLED))
  })
}

function surfaceWorks(open: (t: Scope) => Promise<Opened>): void {
  test('resources can be listed, read and followed', async t => {
    const { demo, client } = await open(t)
    const uris = (await client.raw.listResources()).resources.map((resource: { uri: string }) => resource.uri)
    assert.ok(uris.includes('demo://counter') && uris.includes('note:///welcome.md'), uris.join())
    assert.match(await client.readText('note:///welcome.md'), /^# Welcome/)
    const { resourceTemplates } = await client.raw.listResourceTemplates()
    assert.equal(resourceTemplates[0].uriTemplate, 'note:///{name}')
    await client.subscribe('demo://counter')
    await until(() => client.isModern || demo.standaloneStreams > 0, 'the standalone stream')
    await client.call('bump')
    await until(() => client.updates.length > 0, 'the update')
    assert.deepEqual(client.updates, ['demo://counter'])
    assert.equal(await client.readText('demo://counter'), '1')
  })

  test('a tool comes and goes', async t => {
    const { demo, client } = await open(t)
    await client.subscribe('demo://counter')
    await until(() => client.isModern || demo.standaloneStreams > 0, 'the standalone stream')
    assert.ok(!(await client.toolNames()).includes('surprise'))
    await client.call('toggle_tool')
    await until(() => client.toolListChanges === 1, 'the list change')
    assert.ok((await client.toolNames()).includes('surprise'))
    assert.equal(await client.callText('surprise'), 'surprise!')
  })

  test('prompts and completion', async t => {
    const { client } = await open(t)
    assert.equal((await client.raw.listPrompts()).prompts.length, 2)
    const prompt = await client.raw.getPrompt({ name: 'greet', arguments: { name: 'Ada', style: 'pirate' } })
    assert.equal(prompt.messages[0].content.text, 'Write a pirate greeting for Ada.')
    const argument = { name: 'style', value: 'f' }
    const { completion } = await client.raw.complete({ ref: { type: 'ref/prompt', name: 'greet' }, argument })
    assert.deepEqual(completion.values, ['formal', 'friendly'])
  })
}

test('the legacy era has sessions, the modern era has none', async t => {
  const demo = await startDemo(t)
  const opened = await send(t, demo.url, initialize())
  const session = opened.headers['mcp-session-id']
  assert.equal(typeof session, 'string')
  const headers = { 'content-type': 'application/json', accept: 'application/json, text/event-stream' }
  const without = await send(t, demo.url, { headers, body: rpc(1, 'tools/list') })
  assert.equal(without.status, 400)
  const unknown = await send(t, demo.url, { headers: { ...headers, 'mcp-session-id': 'nope' }, body: rpc(1, 'ping') })
  assert.equal(unknown.status, 404)
  const ended = await send(t, demo.url, { method: 'DELETE', headers: { 'mcp-session-id': String(session) } })
  assert.equal(ended.status, 200)
  const gone = await send(t, demo.url, {
    headers: { ...headers, 'mcp-session-id': String(session) },
    body: rpc(1, 'ping'),
  })
  assert.equal(gone.status, 404)
  const discovered = await send(t, demo.url, modern(1, 'server/discover'))
  assert.deepEqual((await discovered.json()).result.supportedVersions, ['2026-07-28'])
  assert.equal(discovered.headers['mcp-session-id'], undefined)
})

test('answers without notifications are JSON, the others SSE, in both eras', async t => {
  const demo = await startDemo(t)
  const meta = { progressToken: 'p' }
  const echo = await send(t, demo.url, modern(1, 'tools/call', { name: 'echo', arguments: { text: 'x' } }))
  assert.equal(echo.headers['content-type'], 'application/json')
  const params = { name: 'countdown', arguments: { from: 1, interval_ms: 1 } }
  const countdown = await send(t, demo.url, modern(2, 'tools/call', params, { meta }))
  assert.equal(countdown.headers['content-type'], 'text/event-stream')
  assert.match(await countdown.text(), /notifications\/progress[\s\S]*lift-off/)
})

test('foreign Host and Origin are refused', async t => {
  const demo = await startDemo(t)
  const request = modern(1, 'tools/list')
  for (const headers of [{ host: 'evil.example' }, { origin: 'http://evil.example' }]) {
    const answer = await send(t, demo.url, { ...request, headers: { ...request.headers, ...headers } })
    assert.equal(answer.status, 403)
  }
})

describe('the demo program', () => {
  test('prints its URL and ends on SIGTERM', async t => {
    const child = spawn(process.execPath, [PROGRAM, '--port', '0'], { stdio: ['ignore', 'pipe', 'inherit'] })
    t.after(() => void child.kill('SIGKILL'))
    const [line] = await within(once(child.stdout.setEncoding('utf8'), 'data'), 'its first line')
    assert.match(line, /^demo MCP server listening on http:\/\/127\.0\.0\.1:\d+\/mcp\n$/)
    child.kill('SIGTERM')
    assert.deepEqual(await within(once(child, 'exit'), 'its end'), [0, null])
  })

  test('with --child it ends when its standard input closes', async t => {
    const child = spawn(process.execPath, [PROGRAM, '--child', '--port', '0'], { stdio: ['pipe', 'pipe', 'inherit'] })
    t.after(() => void child.kill('SIGKILL'))
    await within(once(child.stdout, 'data'), 'its first line')
    child.stdin.end()
    assert.deepEqual(await within(once(child, 'exit'), 'its end'), [0, null])
  })

  test('with --child and an IPC channel it tells its URL and ends with the channel', async t => {
    const child = spawn(process.execPath, [PROGRAM, '--child', '--port', '0'], {
      stdio: ['ignore', 'ignore', 2, 'ipc'],
    })
    t.after(() => void child.kill('SIGKILL'))
    const [message] = await within(once(child, 'message'), 'its message')
    assert.match((message as { url: string }).url, /^http:/)
    child.disconnect()
    assert.deepEqual(await within(once(child, 'exit'), 'its end'), [0, null])
  })

  test('says which port is taken', async t => {
    const demo = await startDemo(t)
    const { port } = new URL(demo.url)
    const child = spawn(process.execPath, [PROGRAM, '--port', port], { stdio: ['ignore', 'ignore', 'pipe'] })
    t.after(() => void child.kill('SIGKILL'))
    const [text] = await within(once(child.stderr.setEncoding('utf8'), 'data'), 'its error')
    assert.match(text, new RegExp(`port ${port} is taken`))
    const [code] = await within(once(child, 'exit'), 'its end')
    assert.equal(code, 1)
  })
})
