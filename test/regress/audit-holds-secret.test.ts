import assert from 'node:assert/strict'
import { mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { describe, test } from 'node:test'
import type { JsonObject } from '#api'
import { send } from '../helpers/http-client.ts'
import { legacy, result, rpc } from '../helpers/mcp-messages.ts'
import { interceptor, startPair } from '../helpers/proxy.ts'
import type { Scope } from '../helpers/scope.ts'
import type { Script } from '../helpers/scripted-upstream.ts'
import { expand } from '../interceptors/secret-scan/samples.ts'

const TOKEN = expand('ghp_{an:36}')
const SAID = '***WITHHELD: secret-scan found a secret***'
const AUDIT = 'use: audit, options: { path: audit.log, chain: false, include: [arguments, results] }'

/** What audit wrote of one request, and what the access line says. */
async function lineOf(t: Scope, chain: string, params: object, method = 'tools/call', script: Script = echo) {
  const dir = mkdtempSync(join(tmpdir(), 'sluice-audit-'))
  t.after(() => rmSync(dir, { recursive: true, force: true }))
  const policy = `interceptors: [${chain.replace('path: ', `path: ${dir}/`)}]`
  const { proxy, url } = await startPair(t, script, { policy })
  await (await send(t, url, legacy(rpc(1, method, params)))).text()
  const end = await proxy.ended(1)
  await proxy.close()
  const text = readFileSync(join(dir, 'audit.log'), 'utf8')
  return { text, line: JSON.parse(text) as JsonObject, end }
}

const echo: Script = (request, answer) => {
  const { id, params } = request.json()
  return answer.json(result(id, { content: [{ type: 'text', text: `you said ${params.arguments?.q}` }] }))
}

describe('audit does not hold what secret-scan found', () => {
  const found = { name: 't', arguments: { q: `use ${TOKEN}`, n: 1 } }
  for (const action of ['block', 'redact', 'report']) {
    const scan = `{ use: secret-scan, options: { to_server: ${action}, to_client: ${action} } }`
    for (const chain of [`{ ${AUDIT} }, ${scan}`, `${scan}, { ${AUDIT} }`]) {
      test(`${action}, ${chain.startsWith(`{ ${AUDIT}`) ? 'before' : 'behind'} secret-scan`, async t => {
        const { line, text } = await lineOf(t, chain, found)
        assert.ok(!text.includes(TOKEN.slice(4, 16)))
        assert.equal(line['params'], SAID)
        assert.equal(line['result'], SAID)
        assert.equal(line['tool'], 't')
      })
    }
  }

  test('in the answer alone', async t => {
    const give: Script = (request, answer) =>
      answer.json(result(request.json().id, { content: [], _meta: { it: TOKEN } }))
    const chain = `{ use: secret-scan, options: { to_client: report } }, { ${AUDIT} }`
    const { line, text } = await lineOf(t, chain, { name: 't', arguments: { n: 1 } }, 'tools/call', give)
    assert.ok(!text.includes(TOKEN.slice(4, 16)))
    assert.deepEqual([line['params'], line['result']], [SAID, SAID])
  })

  test('in shadow mode', async t => {
    const { line, text } = await lineOf(t, `{ ${AUDIT} }, { use: secret-scan, mode: shadow }`, found)
    assert.ok(!text.includes(TOKEN.slice(4, 16)))
    assert.equal(line['params'], SAID)
  })

  test('in what the message names: neither audit nor the access line tells', async t => {
    const chain = `{ ${AUDIT} }, secret-scan`
    const { line, text, end } = await lineOf(t, chain, { uri: `db://h/?t=${TOKEN}` }, 'resources/read')
    assert.ok(!text.includes(TOKEN.slice(4, 16)))
    assert.ok(!JSON.stringify(end).includes(TOKEN.slice(4, 16)))
    assert.deepEqual([line['name'], end.name, line['method']], ['***WITHHELD***', '***WITHHELD***', 'resources/read'])
  })

  test('in a method', async t => {
    const { text, end } = await lineOf(t, `{ ${AUDIT} }, secret-scan`, {}, `x/${TOKEN}`)
    assert.ok(!text.includes(TOKEN.slice(4, 16)))
    assert.ok(!JSON.stringify(end).includes(TOKEN.slice(4, 16)))
  })

  test('where the scan was cut short', async t => {
    const scan = '{ use: secret-scan, on_failure: open, options: { max_verifications: 100 } }'
    const many = { name: 't', arguments: { q: `datadog=${'0123456789abcdef'.repeat(2)}0 `.repeat(300) } }
    const { line } = await lineOf(t, `{ ${AUDIT} }, ${scan}`, many)
    assert.match(String(line['params']), /^\*\*\*WITHHELD: secret-scan could not search all of it/)
  })

  test('where nothing was found, all is there', async t => {
    const { line } = await lineOf(t, `{ ${AUDIT} }, secret-scan`, { name: 't', arguments: { q: 'hello' } })
    assert.deepEqual(line['params'], { q: 'hello' })
    assert.ok(String(JSON.stringify(line['result'])).includes('you said hello'))
  })
})

test('what an entry below found in a call of an interceptor holds for the exchange', async t => {
  const asks = interceptor('asks', {
    request: async (_, exchange) => {
      const message = { jsonrpc: '2.0', id: 1, method: 'tools/call', params: { name: 'u', arguments: {} } }
      await exchange.call(message, { below: 'asks' })
    },
  })
  const marks = interceptor('marks', {
    request: (message, exchange) => {
      if (message.name === 'u') exchange.withhold('marks says so', 'all')
    },
  })
  const { proxy, url } = await startPair(t, echo, { interceptors: [asks, marks] })
  await (await send(t, url, legacy(rpc(1, 'tools/call', { name: 't', arguments: {} })))).text()
  const { outcome } = await proxy.ended(1)
  assert.deepEqual([outcome.withheld, outcome.withheldName], ['marks says so', true])
})
