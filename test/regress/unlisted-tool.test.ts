import assert from 'node:assert/strict'
import { test } from 'node:test'
import { send } from '../helpers/http-client.ts'
import { modern, result } from '../helpers/mcp-messages.ts'
import { interceptor, startPair } from '../helpers/proxy.ts'

test('an edited call of a tool that nobody lists asks for the list once, and not with every call', async t => {
  const editor = interceptor('editor', {
    request: message =>
      message.edit(json => {
        Object.assign((json['params'] as { arguments: object }).arguments, { edited: true })
      }),
  })
  const { url, upstream } = await startPair(
    t,
    (request, answer) => {
      const { id, method } = request.json()
      answer.json(
        result(id, method === 'tools/list' ? { tools: [{ name: 'other', inputSchema: {} }] } : { content: [] }),
      )
    },
    { interceptors: [editor] },
  )
  const call = (name: string) => modern(1, 'tools/call', { name, arguments: {} }, { headers: { 'mcp-param-a': '1' } })
  for (let time = 0; time < 3; time++) await (await send(t, url, call('unlisted'))).json()
  const methods = (): string[] => upstream.requests.map(request => request.json().method)
  assert.deepEqual(methods(), ['tools/list', 'tools/call', 'tools/call', 'tools/call'])
  assert.ok(upstream.requests.slice(1).every(request => request.header('mcp-param-a') === '1'))
  await (await send(t, url, call('another'))).json()
  assert.deepEqual(methods().slice(4), ['tools/list', 'tools/call'])
})
