import assert from 'node:assert/strict'
import { test } from 'node:test'
import { begin, send } from './http-client.ts'
import { initialize, modern, rpc } from './mcp-messages.ts'
import { connectRaw, rawPost } from './raw-client.ts'
import { startRawUpstream } from './raw-upstream.ts'
import { refusedPort, startScriptedUpstream } from './scripted-upstream.ts'
import { parseSse, SseReader, sseEvent } from './sse.ts'

test('the scripted upstream records heads and bodies byte for byte', async t => {
  const upstream = await startScriptedUpstream(t)
  const body = '{"jsonrpc":"2.0", "id":9007199254740993,"method":"x","params":{"a":1.0}}'
  const client = await connectRaw(t, upstream.url)
  await client.send(rawPost('/mcp?q=1', 'here', ['X-Twice: a', 'x-twice: b'], body))
  const { head, body: answer } = await client.readResponse()
  assert.equal(head.status, 200)
  assert.equal(head.header('Content-Type'), 'application/json')
  assert.match(answer.toString(), /"result":\{\}/)
  const request = await upstream.next()
  assert.deepEqual(request.rawHeaders.slice(2, 6), ['X-Twice', 'a', 'x-twice', 'b'])
  assert.deepEqual(request.headerValues('x-twice'), ['a', 'b'])
  assert.equal(request.target, '/mcp?q=1')
  assert.equal(request.text, body)
  assert.equal(request.complete, true)
})

test('SSE pieces are flushed one by one', async t => {
  const upstream = await startScriptedUpstream(t, async (request, answer) => {
    const stream = answer.sse()
    await stream.write(sseEvent({ n: 1 }, { id: 'a', retry: 5 }))
    await gate.promise
    await stream.write(': a comment\n\n')
    stream.end(sseEvent({ n: request.json().id }))
  })
  const gate = Promise.withResolvers<void>()
  const answer = await send(t, upstream.url, initialize(7))
  const reader = new SseReader(answer)
  const first = await reader.next()
  assert.deepEqual([first?.id, first?.retry, first?.data], ['a', '5', '{"n":1}'])
  assert.equal(answer.isClosed, false)
  gate.resolve()
  assert.deepEqual((await reader.next())?.comments, ['a comment'])
  assert.deepEqual(await reader.nextMessage(), { n: 7 })
  assert.equal(await reader.nextMessage(), null)
  assert.equal(answer.complete, true)
})

test('a script sees the other side leave', async t => {
  const closed = Promise.withResolvers<string>()
  const upstream = await startScriptedUpstream(t, async (_, answer) => {
    const stream = answer.sse()
    await stream.write(sseEvent({}))
    closed.resolve(await stream.closed)
  })
  const answer = await send(t, upstream.url, { body: rpc(1, 'x') })
  await answer.next()
  answer.destroy()
  assert.equal(await closed.promise, 'cut')
})

test('a client sees an upstream that dies in the middle', async t => {
  const upstream = await startScriptedUpstream(t, async (_, answer) => {
    const stream = answer.sse()
    await stream.write(sseEvent({}))
    stream.destroy()
  })
  const answer = await send(t, upstream.url, { body: rpc(1, 'x') })
  await answer.body()
  assert.equal(answer.complete, false)
})

test('pump measures how much a client that does not read lets through', async t => {
  const taken = Promise.withResolvers<number>()
  const upstream = await startScriptedUpstream(t, async (_, answer) => {
    const stream = answer.stream(200, { 'content-type': 'application/octet-stream' })
    taken.resolve(await stream.pump(Buffer.alloc(65_536), 1 << 30, 100))
    stream.destroy()
  })
  const answer = await send(t, upstream.url, { paused: true })
  const bytes = await taken.promise
  assert.ok(bytes > 0 && bytes < 1 << 28, `${bytes} bytes`)
  answer.resume()
  await answer.body()
})

test('onHead takes a request over before its body is read', async t => {
  const upstream = await startScriptedUpstream(t, {
    onHead: (_, answer) => {
      answer.status(413, 'no', { connection: 'close' })
      return true
    },
  })
  const call = begin(t, upstream.url, { body: 'x'.repeat(100) })
  assert.equal((await call.answer).status, 413)
  assert.equal((await upstream.next()).body.length, 0)
})

test('a raw upstream shows and says any bytes', async t => {
  const upstream = await startRawUpstream(t, async peer => {
    await peer.sees('\r\n\r\n')
    peer.socket.end('HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nshort'.slice(0, -2))
  })
  const answer = await send(t, upstream.url, modern(1, 'tools/call', { name: 'grüße' }))
  assert.equal(await answer.text(), 'sho')
  assert.equal(answer.complete, false)
  assert.match(upstream.peers[0]?.received.toString() ?? '', /mcp-name: =\?base64\?Z3LDvMOfZQ==\?=/)
})

test('a refused port refuses', async t => {
  const url = `http://127.0.0.1:${await refusedPort()}/mcp`
  await assert.rejects(send(t, url), { code: 'ECONNREFUSED' })
})

test('parseSse keeps CR, CRLF, comments, several data lines and empty data', () => {
  const events = parseSse('id: 1\r\ndata:\r\n\r\ndata: a\rdata: b\r\r: c\n\ndata: unfinished\n')
  assert.deepEqual(
    events.map(event => [event.id, event.data, event.comments]),
    [
      ['1', '', []],
      [undefined, 'a\nb', []],
      [undefined, '', ['c']],
    ],
  )
})
