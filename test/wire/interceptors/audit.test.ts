import assert from 'node:assert/strict'
import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test } from 'node:test'
import { verifyFiles } from '../../../interceptors/audit/verify-files.ts'
import { send } from '../../helpers/http-client.ts'
import { error, legacy, modern, rpc } from '../../helpers/mcp-messages.ts'
import { startSluice } from '../../helpers/program.ts'
import { startPair } from '../../helpers/proxy.ts'
import type { Scope } from '../../helpers/scope.ts'
import type { ScriptedAnswer } from '../../helpers/scripted-answer.ts'
import { type RecordedRequest, type Script, startScriptedUpstream } from '../../helpers/scripted-upstream.ts'

type Line = Record<string, unknown>

function folder(scope: Scope): string {
  const dir = mkdtempSync(join(tmpdir(), 'sluice-audit-wire-'))
  scope.after(() => rmSync(dir, { recursive: true, force: true }))
  return dir
}

function linesOf(path: string): Line[] {
  const lines = readFileSync(path, 'utf8').split('\n').slice(0, -1)
  return lines.map(line => JSON.parse(line)).filter(line => line.event !== 'audit_chain')
}

/** The text of the answer holds a number that no double holds, and secrets in three places. */
const ANSWER = (id: string): string =>
  `{"jsonrpc":"2.0","id":${id},"result":{"resultType":"complete","content":[{"type":"text","text":"{\\"api_key\\":\\"S3NT1\\",\\"n\\":1}"},` +
  `{"type":"text","text":"Authorization: Bearer S3NT2"}],"structuredContent":{"big":12345678901234567890,"deep":[{"password":"S3NT3"}]}}}`

function server(stream: boolean): Script {
  return (request: RecordedRequest, answer: ScriptedAnswer) => {
    if (request.method !== 'POST') return answer.status(405)
    const { id, method } = request.json()
    if (id === undefined) return answer.status(202)
    if (method === 'resources/read') return answer.json(error(id, -32602, 'no', { token: 'S3NT4' }))
    const body = ANSWER(JSON.stringify(id))
    return stream ? answer.events([': hello\n\n', `data: ${body}\n\n`]) : answer.json(body)
  }
}

for (const era of ['legacy', 'modern'] as const) {
  for (const stream of [false, true]) {
    test(`${era}, ${stream ? 'SSE' : 'JSON'}: arguments and results are written, without secrets`, async t => {
      const path = join(folder(t), 'audit.log')
      const policy = `interceptors: [{ use: audit, options: { path: ${path}, include: [arguments, results] } }]`
      const { url, proxy } = await startPair(t, server(stream), { policy })
      const post = (id: number, method: string, params: Record<string, unknown>) =>
        send(t, url, era === 'modern' ? modern(id, method, params) : legacy(rpc(id, method, params)))
      const called = await post(1, 'tools/call', { name: 'x', arguments: { a: 1, clientSecret: 'S3NT5' } })
      assert.ok((await called.text()).includes(ANSWER('1')), 'the answer itself is as it came')
      await (await post(2, 'resources/read', { uri: 'file:///x' })).text()
      await proxy.close()
      assert.doesNotMatch(readFileSync(path, 'utf8'), /S3NT\d/)
      assert.match(readFileSync(path, 'utf8'), /"big":12345678901234567890/)
      const [tool, resource] = linesOf(path)
      assert.deepEqual(tool?.params, { a: 1, clientSecret: '***REDACTED***' })
      assert.equal((tool?.result as { content: Line[] }).content[0]?.text, '{"api_key":"***REDACTED***","n":1}')
      assert.deepEqual(resource?.result, { error: { code: -32602, message: 'no', data: { token: '***REDACTED***' } } })
      assert.deepEqual((await verifyFiles([path], { keys: [], rotated: true })).problems, [])
    })
  }
}

test('with two workers, each writes a chain of its own', async t => {
  const dir = folder(t)
  const upstream = await startScriptedUpstream(t, { script: server(false) })
  writeFileSync(join(dir, 'p.yaml'), 'interceptors: [{ use: audit, options: { path: audit.log } }]\n')
  for (let run = 0; run < 2; run++) {
    const sluice = await startSluice(t, [upstream.url, '--workers', '2', '--policy', 'p.yaml'], { cwd: dir })
    for (let id = 1; id <= 8; id++) {
      await (await send(t, sluice.url, modern(id, 'tools/call', { name: 'x', arguments: {} }))).text()
    }
    assert.equal(await sluice.stop(), 0)
  }
  assert.deepEqual(
    readdirSync(dir)
      .filter(name => name.startsWith('audit'))
      .toSorted(),
    ['audit.1.log', 'audit.1.log.head', 'audit.2.log', 'audit.2.log.head'],
  )
  const paths = [join(dir, 'audit.1.log'), join(dir, 'audit.2.log')]
  assert.equal(paths.flatMap(linesOf).length, 16)
  const verifier = await verifyFiles(paths, { keys: [], rotated: true })
  assert.deepEqual([verifier.problems, verifier.notes, verifier.summary().length], [[], [], 2])
})
