import assert from 'node:assert/strict'
import { test } from 'node:test'
import { send } from '../helpers/http-client.ts'
import { legacy, result, rpc } from '../helpers/mcp-messages.ts'
import { startPair } from '../helpers/proxy.ts'
import { expand } from '../interceptors/secret-scan/samples.ts'

/** The first look, at raw bytes, must not take the digits of an escape for the beginning of a word. */
for (const space of ['%20', '\\u002520', '%\\u00320', '%2\\u0030', '\\u00252\\u0030', '\\u0025\\u0032\\u0030']) {
  test(`a secret behind ${space} is found`, async t => {
    const token = expand('ghp_{an:36}')
    const body = (id: number, text: string): string =>
      `{"jsonrpc":"2.0","id":${id},"result":{"content":[{"type":"text","text":"?q=a${space}${text}%20b"}]}}`
    const policy = 'interceptors: [{ use: secret-scan }]'
    const { url } = await startPair(t, (request, answer) => answer.json(body(request.json().id, token)), { policy })
    const answer = await (await send(t, url, legacy(rpc(1, 'tools/call', { name: 't' })))).text()
    assert.ok(!answer.includes(token), answer)
    assert.match(JSON.parse(answer).result.content[0].text, /^\?q=a%20\*\*\*REDACTED:github-pat\*\*\*%20b$/)
  })
}

/** An entry that parses JSON in a text would give the client what was hidden from the scan below it. */
test('a secret in a URL in JSON in a text is found, with characters escaped in both ways', async t => {
  const token = expand('ghp_{an:36}')
  const hidden = `{"link":"https:\\/\\/x.example\\/?q=a%20\\u0067${token.slice(1)}%20b","n":1}`
  const text = { content: [{ type: 'text', text: hidden }] }
  const policy = 'interceptors: [{ use: secret-scan }]'
  const { url } = await startPair(t, (request, answer) => answer.json(result(request.json().id, text)), { policy })
  const answer = await (await send(t, url, legacy(rpc(1, 'tools/call', { name: 't' })))).json()
  assert.equal(
    answer.result.content[0].text,
    '{"link":"https:\\/\\/x.example\\/?q=a%20***REDACTED:github-pat***%20b","n":1}',
  )
})
