import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import { send } from '../../helpers/http-client.ts'
import { error, legacy, modern, notification, result, rpc } from '../../helpers/mcp-messages.ts'
import { startPair } from '../../helpers/proxy.ts'
import { parseSse, sseEvent } from '../../helpers/sse.ts'
import { expand } from '../../interceptors/secret-scan/samples.ts'

const TOKEN = expand('ghp_{an:36}')
const MARK = '***REDACTED:github-pat***'
const POLICY = { policy: 'interceptors: [{ use: secret-scan }]' }
const FOUND = { content: [{ type: 'text', text: `it is "${TOKEN}"\n` }], structuredContent: { value: TOKEN, n: 1 } }
const CLEAN = { content: [{ type: 'text', text: `it is "${MARK}"\n` }], structuredContent: { value: MARK, n: 1 } }

function calls(args: object = {}): readonly (readonly [era: string, post: ReturnType<typeof legacy>])[] {
  return [
    ['legacy', legacy(rpc(1, 'tools/call', { name: 't', arguments: args }))],
    ['modern', modern(1, 'tools/call', { name: 't', arguments: args })],
  ]
}

describe('secret-scan over sockets', () => {
  for (const [era, post] of calls({ key: `use ${TOKEN}` })) {
    test(`${era}: a call with a secret is refused before it reaches the server`, async t => {
      const { proxy, upstream, url } = await startPair(t, {}, POLICY)
      const answer = await (await send(t, url, post)).json()
      assert.equal(answer.result.isError, true)
      assert.match(answer.result.content[0].text, /^Secret found in the message: github-pat at params\.arguments\.key /)
      assert.equal(upstream.requests.length, 0)
      const { outcome } = await proxy.ended(1)
      assert.equal(outcome.code, 'secret_found')
      assert.match(String(outcome.notes.secrets), /^github-pat@params\.arguments\.key#[0-9a-f]{8}$/)
      const told = JSON.stringify([answer, outcome, proxy.notices])
      assert.ok(!told.includes(TOKEN.slice(4, 16)), 'the secret is told to nobody')
    })
  }

  for (const [era, post] of calls()) {
    test(`${era}: an answer in JSON is redacted`, async t => {
      const { url } = await startPair(t, (request, answer) => answer.json(result(request.json().id, FOUND)), POLICY)
      assert.deepEqual((await (await send(t, url, post)).json()).result, CLEAN)
    })

    test(`${era}: so is an error`, async t => {
      const fail = (secret: string): object => error(1, -32000, `bad ${secret}`, { trace: secret })
      const { url } = await startPair(t, (_, answer) => answer.json(fail(TOKEN)), POLICY)
      assert.deepEqual(await (await send(t, url, post)).json(), fail(MARK))
    })
  }

  test('a stream gives the same wherever its bytes are split', async t => {
    const progress = (message: string): object =>
      notification('notifications/progress', { progressToken: 7, progress: 1, message })
    const log = (data: string): object => notification('notifications/message', { level: 'info', data })
    const [head, tail] = [TOKEN.slice(0, 15), TOKEN.slice(15)]
    const sent = [progress(`a ${head}`), log(`b ${TOKEN}`), progress(`${tail} c`), result(1, FOUND)]
    const bytes = Buffer.from(sent.map(message => sseEvent(message)).join(''))
    let at = 0
    const { upstream, url } = await startPair(
      t,
      async (_, answer) => answer.events([bytes.subarray(0, at), bytes.subarray(at)].filter(piece => piece.length > 0)),
      POLICY,
    )
    for (at = 0; at < bytes.length; at += 7) {
      const answer = await send(t, url, legacy(rpc(1, 'tools/call', { name: 't' })))
      const events = parseSse(await answer.text()).map(({ data }) => JSON.parse(data))
      assert.deepEqual(
        events,
        [progress(`a ${head}`), log(`b ${MARK}`), progress(`${MARK} c`), result(1, CLEAN)],
        `at ${at}`,
      )
    }
    assert.deepEqual(upstream.errors, [])
  })

  test('what holds nothing passes byte for byte', async t => {
    const body = '{"jsonrpc":"2.0","id":1, "result":{"n":1.0,"content":[{"type":"text","text":"the token is gone"}]}}'
    const { url } = await startPair(t, (_, answer) => answer.json(body), POLICY)
    for (const [, post] of calls()) assert.equal(await (await send(t, url, post)).text(), body)
  })

  test('a resource with a secret in its address is refused, one in its text is redacted', async t => {
    const contents = (secret: string): object => ({ contents: [{ uri: 'a:b', text: `k=${secret}` }] })
    const { url } = await startPair(
      t,
      (request, answer) => answer.json(result(request.json().id, contents(TOKEN))),
      POLICY,
    )
    const read = (uri: string) => send(t, url, legacy(rpc(1, 'resources/read', { uri })))
    assert.deepEqual((await (await read('a:b')).json()).result, contents(MARK))
    assert.equal((await (await read(`db://h/?t=${TOKEN}`)).json()).error.data.code, 'secret_found')
  })

  test('the request of a server with a secret is refused to the server, and the client sees nothing of it', async t => {
    const ask = rpc('s1', 'elicitation/create', { message: `Is it ${TOKEN}?`, requestedSchema: { type: 'object' } })
    const policy = 'interceptors: [{ use: secret-scan, options: { to_client: block } }]'
    const { upstream, url } = await startPair(
      t,
      (request, answer) => {
        if (request.json().method !== 'tools/call') return answer.status(202)
        return answer.events([sseEvent(ask), sseEvent(result(1, { content: [] }))])
      },
      { policy },
    )
    const answer = await send(t, url, legacy(rpc(1, 'tools/call', { name: 't' })))
    assert.deepEqual(
      parseSse(await answer.text()).map(({ data }) => JSON.parse(data)),
      [result(1, { content: [] })],
    )
    await upstream.received(2)
    const refused = upstream.requests[1]?.json()
    assert.deepEqual([refused.id, refused.error.data.code], ['s1', 'secret_found'])
    assert.ok(!JSON.stringify(refused).includes(TOKEN.slice(4, 16)))
  })
})
