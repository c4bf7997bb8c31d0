import assert from 'node:assert/strict'
import { test } from 'node:test'
import { send } from '../helpers/http-client.ts'
import { legacy, modern, rpc } from '../helpers/mcp-messages.ts'
import { startPair } from '../helpers/proxy.ts'

test('a value that reads like the name of a field does not make that field a repeated one', async t => {
  const { url, upstream } = await startPair(t)
  const call = modern(1, 'tools/call', { name: 'a' }, { headers: { 'x-note': 'mcp-param-a', 'mcp-param-a': '1' } })
  assert.equal((await send(t, url, call)).status, 200)
  assert.equal((await upstream.next()).header('mcp-param-a'), '1')
})

test('a field named like a member of every object is an ordinary field', async t => {
  const { url, upstream } = await startPair(t)
  const { headers, body } = legacy(rpc(1, 'ping'))
  const twice = ['constructor', 'a', 'constructor', 'b', '__proto__', 'c', '__proto__', 'd']
  const raw = [...Object.entries(headers).flat(), 'host', '127.0.0.1', ...twice]
  assert.equal((await send(t, url, { method: 'POST', headers: raw, body })).status, 200)
  const request = await upstream.next()
  assert.deepEqual(request.headerValues('constructor'), ['a', 'b'])
  assert.deepEqual(request.headerValues('__proto__'), ['c', 'd'])
})

test('an empty field does not hide a second one of its name', async t => {
  const { url, upstream } = await startPair(t)
  const { headers, body } = legacy(rpc(1, 'ping'))
  for (const name of ['content-type', 'mcp-protocol-version']) {
    const raw = [name, '', ...Object.entries(headers).flat(), 'host', '127.0.0.1']
    assert.equal((await send(t, url, { method: 'POST', headers: raw, body })).status, 400, name)
  }
  assert.equal(upstream.requests.length, 0)
})

test('white space that HTTP does not know is part of a value', async t => {
  const { url, upstream } = await startPair(t)
  const call = modern(1, 'tools/call', { name: 'a' })
  for (const name of ['mcp-name', 'mcp-method', 'mcp-protocol-version'] as const) {
    const headers = { ...call.headers, [name]: `${call.headers[name]}\xa0` }
    const answer = await send(t, url, { ...call, headers })
    assert.equal(answer.status, 400, name)
    assert.equal((await answer.json()).error.code, -32020, name)
  }
  assert.equal(upstream.requests.length, 0)
  const padded = { ...call.headers, 'mcp-name': ' \t a \t', 'mcp-method': '  tools/call ' }
  assert.equal((await send(t, url, { ...call, headers: padded })).status, 200)
})
