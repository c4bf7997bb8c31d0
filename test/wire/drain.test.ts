import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import { send } from '../helpers/http-client.ts'
import { legacy, modern, notification, result, rpc } from '../helpers/mcp-messages.ts'
import { startPair, VIEWS } from '../helpers/proxy.ts'
import { within } from '../helpers/scope.ts'
import type { ScriptedStream } from '../helpers/scripted-answer.ts'
import { sseEvent } from '../helpers/sse.ts'

const note = sseEvent(notification('notifications/tools/list_changed'))

for (const { view, interceptors } of VIEWS) {
  describe(`drain: ${view}`, () => {
    test('streams without an end are cut, answers that run may end', async t => {
      const streams = new Map<string, ScriptedStream>()
      const { proxy, url } = await startPair(
        t,
        async (request, answer) => {
          const key = request.method === 'GET' ? (request.header('last-event-id') ?? 'get') : request.json().method
          const stream = answer.sse()
          streams.set(key, stream)
          await stream.write(note)
        },
        { interceptors },
      )
      const get = (extra: object) => ({ method: 'GET', headers: { accept: 'text/event-stream', ...extra } })
      const standing = [await send(t, url, get({})), await send(t, url, modern(7, 'subscriptions/listen', {}))]
      const running = [
        await send(t, url, legacy(rpc(8, 'tools/list'))),
        await send(t, url, get({ 'last-event-id': 'e1' })),
      ]
      for (const answer of [...standing, ...running]) await answer.sees('list_changed')
      const drained = proxy.sluice.drain(60_000)
      for (const answer of standing) {
        await answer.text()
        assert.equal(answer.complete, false)
      }
      for (const key of ['tools/list', 'e1']) streams.get(key)?.end(sseEvent(result(8, {})))
      for (const answer of running) assert.equal(await answer.text(), note + sseEvent(result(8, {})))
      await within(drained, 'the drain to end')
    })
  })
}
