import assert from 'node:assert/strict'
import { test } from 'node:test'
import { send } from '../helpers/http-client.ts'
import { modern } from '../helpers/mcp-messages.ts'
import { startPair, VIEWS } from '../helpers/proxy.ts'

for (const { view, interceptors } of VIEWS) {
  test(`a redirect would lead clients around the proxy: it is an error that says where the server is (${view})`, async t => {
    const { url, upstream } = await startPair(
      t,
      (_request, answer) => answer.status(307, '', { location: '/mcp/?token=abc' }),
      { interceptors },
    )
    const answer = await send(t, url, modern(1, 'tools/list'))
    assert.equal(answer.status, 502)
    const { id, error } = JSON.parse(await answer.text())
    assert.equal(id, 1)
    assert.match(error.message, /redirect \(HTTP 307\), which is not followed: set the path of its url to \/mcp\/$/)
    assert.equal(upstream.requests.length, 1)
  })
}

test('a compressed request body is refused, for nobody could look into it', async t => {
  const { url, upstream } = await startPair(t)
  const { headers, ...post } = modern(1, 'tools/list')
  const answer = await send(t, url, { ...post, headers: { ...headers, 'content-encoding': 'gzip' } })
  assert.equal(answer.status, 415)
  assert.equal(upstream.requests.length, 0)
})
