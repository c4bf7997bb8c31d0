import assert from 'node:assert/strict'
import { createHash } from 'node:crypto'
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { describe, test } from 'node:test'
import { loadConfig } from '../../proxy/config/load.ts'
import { startSluice } from '../../proxy/main.ts'
import { channels } from '../../proxy/observe/channels.ts'
import { createLog } from '../../proxy/observe/log.ts'
import { send } from '../helpers/http-client.ts'
import { initialize, initializeResult, legacy, rpc } from '../helpers/mcp-messages.ts'
import type { Scope } from '../helpers/scope.ts'
import type { ScriptedAnswer } from '../helpers/scripted-answer.ts'
import { type RecordedRequest, startScriptedUpstream } from '../helpers/scripted-upstream.ts'

const KEY = 'sk-sluice-0123456789-the-secret-key'

describe('secrets', () => {
  const SECRETS = {
    apiKey: KEY,
    staticHeader: 'sk-static-upstream-0987654321',
    upstreamSession: 'upstream-session-5551212',
    cookie: 'cookie-value-424242',
    theirs: 'their-own-token-31337',
  }

  for (const format of ['json', 'pretty'] as const) {
    test(`are in nothing that an exchange leaves behind (${format})`, async t => {
      const dir = mkdtempSync(join(tmpdir(), 'sluice-secrets-'))
      t.after(() => rmSync(dir, { recursive: true, force: true }))
      const upstream = await startScriptedUpstream(t, answerAll)
      const file = join(dir, 'sluice.yaml')
      const audit = join(dir, 'audit.jsonl')
      writeFileSync(
        file,
        `listen: 127.0.0.1:0
admin: 127.0.0.1:0
state_dir: ${dir}
clients: { ci: { api_key_sha256: "${createHash('sha256').update(KEY).digest('hex')}" } }
servers:
  s: { url: "${upstream.url}", headers: { x-upstream-key: "\${UPSTREAM_KEY}" } }
policy:
  interceptors:
    - { use: audit, options: { path: ${audit}, include: [arguments] } }
`,
      )
      const lines: string[] = []
      const channel: string[] = []
      const keep = (message: unknown, name: string | symbol): void =>
        void channel.push(String(name) + JSON.stringify(message))
      for (const one of Object.values(channels)) one.subscribe(keep)
      t.after(() => {
        for (const one of Object.values(channels)) one.unsubscribe(keep)
      })
      const config = loadConfig(file, { env: { UPSTREAM_KEY: SECRETS.staticHeader } })
      const log = createLog({
        level: 'debug',
        format,
        destination: { write: text => lines.push(text) > 0 },
        colors: false,
      })
      const sluice = await startSluice({ config, log, watch: false, sessionKey: Buffer.alloc(32, 9) })
      t.after(() => sluice.close())
      const { texts: answers, session } = await exercise(t, `${sluice.url}/mcp`)
      assert.equal(upstream.requests[0]?.header('x-upstream-key'), SECRETS.staticHeader)
      const pages = []
      for (const page of ['metrics', 'servers', 'ready', 'nothing'])
        pages.push(await (await send(t, `${sluice.adminUrl}/${page}`)).text())
      await sluice.close()
      log.flush()
      const left = {
        log: lines.join(''),
        channels: channel.join('\n'),
        audit: readFileSync(audit, 'utf8'),
        admin: pages.join(''),
        answers: answers.join(''),
      }
      assert.ok(left.log.includes('ping') && left.audit.includes('ping') && left.admin.includes('sluice_'))
      for (const [where, text] of Object.entries(left)) {
        for (const [what, secret] of Object.entries({ ...SECRETS, session }))
          assert.ok(!text.includes(secret), `${what} in ${where}`)
      }
    })
  }

  function answerAll(request: RecordedRequest, answer: ScriptedAnswer): void {
    const id = request.method === 'POST' ? request.json().id : undefined
    const headers = { 'mcp-session-id': SECRETS.upstreamSession }
    if (request.method !== 'POST') answer.status(405)
    else if (id === 'dies') answer.destroy()
    else if (id === 'challenge') answer.status(401, '', { 'www-authenticate': 'Bearer' })
    else if (request.json().method === 'initialize') answer.json(initializeResult(id), { headers })
    else answer.json({ jsonrpc: '2.0', id, result: {} })
  }

  /** All kinds of ends, with a secret wherever a client could put one. Gives all heads and bodies but the session token. */
  async function exercise(scope: Scope, url: string): Promise<{ texts: string[]; session: string }> {
    const own = {
      authorization: `Bearer ${KEY}`,
      cookie: `a=${SECRETS.cookie}`,
      'proxy-authorization': `Basic ${SECRETS.theirs}`,
    }
    const first = initialize()
    const opened = await send(scope, url, { ...first, headers: { ...first.headers, ...own } })
    const session = String(opened.headers['mcp-session-id'])
    const texts: string[] = []
    for (const id of ['fine', 'dies', 'challenge']) {
      const answer = await send(scope, url, legacy(rpc(id, 'ping'), { session, headers: own }))
      texts.push(JSON.stringify(answer.rawHeaders), await answer.text())
    }
    const ping = legacy(rpc(1, 'ping'))
    const broken: Record<string, string>[] = [
      { ...own, authorization: `Bearer ${SECRETS.theirs}` },
      { ...own, host: 'evil.example' },
      { ...own, 'mcp-session-id': SECRETS.theirs },
      { ...own, 'mcp-method': 'other' },
      { ...own, 'content-type': 'text/plain' },
    ]
    for (const headers of broken) {
      const answer = await send(scope, url, { ...ping, headers: { ...ping.headers, ...headers } })
      assert.ok(answer.status >= 400)
      texts.push(JSON.stringify(answer.rawHeaders), await answer.text())
    }
    return { texts, session }
  }
})
