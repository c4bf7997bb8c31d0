import assert from 'node:assert/strict'
import { once } from 'node:events'
import http from 'node:http'
import type { AddressInfo } from 'node:net'
import { test } from 'node:test'
import { send } from '../../helpers/http-client.ts'
import { legacy, modern, result, rpc } from '../../helpers/mcp-messages.ts'
import { startPair } from '../../helpers/proxy.ts'
import type { Scope } from '../../helpers/scope.ts'
import type { Script } from '../../helpers/scripted-upstream.ts'
import { parseSse, sseEvent } from '../../helpers/sse.ts'
import { Scripts } from '../../interceptors/external/scripts.ts'

const RESULT = { content: [{ type: 'text', text: 'secret plan' }] }
const callOf = (name: string, args: object = {}) => ({ name, arguments: args })
const policyOf = (options: object, entry: object = {}): string =>
  JSON.stringify({ interceptors: [{ use: 'external', options, ...entry }] })

/** Answers calls by JSON or as a stream. */
function server(stream: boolean): Script {
  return (request, answer) => {
    const body = result(request.json().id, RESULT)
    return stream ? answer.events([': hello\n\n', sseEvent(body)]) : answer.json(body)
  }
}

/** Refuses what deletes, corrects what it searches for, and blackens answers. */
const GUARD = `
  const answer = ({ tool, params, result }) => {
    if (result) return { result: { ...result, content: [{ type: 'text', text: result.content[0].text.replace('secret', '██') }] } }
    if (tool.startsWith('delete')) return { error: { message: tool + ' is refused', code: 'content_denied' } }
    if (params.arguments.query) return { params: { ...params, arguments: { query: params.arguments.query.trim() } } }
    return {}
  }`

for (const stream of [false, true]) {
  test(`a script that stays guards both ways, both eras (${stream ? 'SSE' : 'JSON'})`, async t => {
    const exec = new Scripts(t).lines(GUARD)
    const { url, upstream } = await startPair(t, server(stream), {
      policy: policyOf({ before: { exec }, after: { exec } }),
    })
    for (const post of [
      (id: number, params: Record<string, unknown>) => legacy(rpc(id, 'tools/call', params)),
      (id: number, params: Record<string, unknown>) => modern(id, 'tools/call', params),
    ]) {
      const seen = upstream.requests.length
      const found = await (await send(t, url, post(1, callOf('search', { query: ' x ' })))).text()
      const body = stream ? JSON.parse(parseSse(found).at(-1)?.data ?? '') : JSON.parse(found)
      assert.equal(body.result.content[0].text, '██ plan')
      const sent = upstream.requests.at(-1)?.json()
      assert.deepEqual(sent.params.arguments, { query: 'x' })
      const { _meta } = JSON.parse(post(1, {}).body).params ?? {}
      assert.deepEqual(sent.params._meta, _meta)
      const refused = await (await send(t, url, post(2, callOf('delete_all')))).json()
      assert.deepEqual([refused.result.isError, refused.result.content[0].text], [true, 'delete_all is refused'])
      assert.equal(upstream.requests.length, seen + 1)
    }
  })
}

test('what the script does not change leaves as it came', async t => {
  const exec = new Scripts(t).lines('const answer = () => ({})')
  const answer = '{"jsonrpc":"2.0", "id":1,"result":{"content":[],"n":9007199254740993}}'
  const policy = policyOf({ before: { exec }, after: { exec } })
  const { url, upstream } = await startPair(t, (_, reply) => reply.json(answer), { policy })
  const body = '{"jsonrpc":"2.0","id":1, "method":"tools/call","params":{"name":"x","arguments":{"n":1.0}}}'
  const given = await send(t, url, { ...legacy({}), body })
  assert.equal(await given.text(), answer)
  assert.equal(upstream.requests[0]?.text, body)
})

test('other methods are not asked about, and cost nothing', async t => {
  const policy = policyOf({ run: 'before:exec:exit 1' })
  const { url, proxy } = await startPair(t, {}, { policy })
  assert.equal((await (await send(t, url, legacy(rpc(1, 'tools/list')))).json()).error, undefined)
  const refused = await (await send(t, url, legacy(rpc(2, 'tools/call', callOf('x'))))).json()
  assert.equal(refused.error.data.code, 'interceptor_failed')
  const { interceptorMicros } = (await proxy.ended(1)).outcome
  assert.deepEqual(interceptorMicros, {})
})

async function service(scope: Scope, answer: object, status = 200): Promise<string> {
  const server = http.createServer((request, response) => {
    request.resume().once('end', () => response.writeHead(status).end(JSON.stringify(answer)))
  })
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  scope.after(() => {
    server.closeAllConnections()
    server.close()
  })
  return `http://127.0.0.1:${(server.address() as AddressInfo).port}/hook`
}

test('a service that is down stops calls where the entry fails closed, and not where it fails open', async t => {
  const url = await service(t, {}, 503)
  for (const [entry, code] of [
    [{}, 'interceptor_failed'],
    [{ on_failure: 'open' }, undefined],
  ] as const) {
    const pair = await startPair(t, server(false), { policy: policyOf({ before: { http: url } }, entry) })
    const answer = await (await send(t, pair.url, legacy(rpc(1, 'tools/call', callOf('x'))))).json()
    assert.equal(answer.error?.data.code, code)
    assert.equal(
      pair.proxy.notices.some(({ fields }) => String(fields['error']).includes('HTTP 503')),
      true,
    )
  }
})

test('headers take their secrets from the environment, and nobody sees them', async t => {
  let seen = ''
  const hook = http.createServer((request, response) => {
    seen = request.headers.authorization ?? ''
    request.resume().once('end', () => response.writeHead(500).end(seen))
  })
  hook.listen(0, '127.0.0.1')
  await once(hook, 'listening')
  t.after(() => void hook.close())
  process.env['SLUICE_TEST_HOOK'] = 'very-secret-value'
  t.after(() => delete process.env['SLUICE_TEST_HOOK'])
  const url = `http://127.0.0.1:${(hook.address() as AddressInfo).port}`
  const policy = policyOf({ before: { http: url, headers: { authorization: 'Bearer ${SLUICE_TEST_HOOK}' } } })
  const { url: endpoint, proxy } = await startPair(t, server(false), { policy })
  const answer = await (await send(t, endpoint, legacy(rpc(1, 'tools/call', callOf('x'))))).text()
  const end = await proxy.ended(1)
  assert.equal(seen, 'Bearer very-secret-value')
  for (const text of [answer, JSON.stringify(end), JSON.stringify(proxy.notices)])
    assert.doesNotMatch(text, /very-secret/)
})
