import assert from 'node:assert/strict'
import { createHash } from 'node:crypto'
import { mkdtempSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { describe, it, type TestContext } from 'node:test'
import { systemClock } from '../../proxy/base/clock.ts'
import { loadConfig } from '../../proxy/config/load.ts'
import { SecretStore } from '../../proxy/credentials/store/secret-store.ts'
import { type Sluice, startSluice } from '../../proxy/main.ts'
import { channels, type Notice } from '../../proxy/observe/channels.ts'
import { send } from '../helpers/http-client.ts'
import { legacy, rpc } from '../helpers/mcp-messages.ts'
import { deferred, until } from '../helpers/scope.ts'
import type { ScriptedAnswer } from '../helpers/scripted-answer.ts'
import { type RecordedRequest, type ScriptedUpstream, startScriptedUpstream } from '../helpers/scripted-upstream.ts'
import { startTokenEndpoint, type TokenEndpoint, type TokenScript } from '../helpers/token-endpoint.ts'

const KEYS = { agent: 'key-of-the-agent', other: 'key-of-the-other' }
const hash = (key: string): string => createHash('sha256').update(key).digest('hex')

interface Setup {
  readonly dir: string
  readonly sluice: Sluice
  readonly upstream: ScriptedUpstream
  readonly notices: readonly Notice[]
  /** What the server got as `name` in its last request. */
  got(name?: string): string | null
  /** Calls; gives status, code and message of an error, or `ok`. */
  call(options?: CallOptions): Promise<string>
  write(credentials: string): void
}

interface CallOptions {
  readonly client?: keyof typeof KEYS
  readonly headers?: Record<string, string>
  readonly method?: string
}

interface SetupOptions {
  readonly env?: NodeJS.ProcessEnv
  readonly server?: string
  readonly policy?: string
  /** What the server answers; default: a good result. */
  readonly script?: (request: RecordedRequest, answer: ScriptedAnswer) => void
  prepare?(dir: string): Promise<void> | void
}

async function setUp(t: TestContext, credentials: string, options: SetupOptions = {}): Promise<Setup> {
  const dir = mkdtempSync(join(tmpdir(), 'sluice-shown-'))
  t.after(() => rmSync(dir, { recursive: true, force: true }))
  await options.prepare?.(dir)
  const upstream = await startScriptedUpstream(t, options.script ?? answerAll)
  const file = join(dir, 'sluice.yaml')
  const write = (text: string): void => {
    const draft = `${file}.draft`
    writeFileSync(
      draft,
      `listen: 127.0.0.1:0
admin: off
state_dir: ${dir}
clients: { agent: { api_key_sha256: ${hash(KEYS.agent)} }, other: { api_key_sha256: ${hash(KEYS.other)} } }
servers: { s: { url: "${upstream.url}", ${options.server ?? ''} } }
policy: { interceptors: [${options.policy ?? ''}] }
credentials:
${text}
`,
    )
    renameSync(draft, file)
  }
  write(credentials)
  const notices: Notice[] = []
  const keep = (notice: unknown): void => void notices.push(notice as Notice)
  channels.notice.subscribe(keep)
  t.after(() => void channels.notice.unsubscribe(keep))
  const reread = () => loadConfig(file, { env: options.env ?? {} })
  const sluice = await startSluice({ config: reread(), reread, watch: false, sessionKey: Buffer.alloc(32, 9) })
  t.after(() => sluice.close())
  return {
    ...{ dir, sluice, upstream, notices, write },
    got: (name = 'authorization') => upstream.requests.at(-1)?.header(name) ?? null,
    async call({ client = 'agent', headers = {}, method = 'ping' } = {}) {
      const own = { authorization: `Bearer ${KEYS[client]}`, ...headers }
      const answer = await send(t, `${sluice.url}/mcp`, legacy(rpc(1, method), { headers: own }))
      const body = await answer.json()
      return body.error === undefined ? 'ok' : `${answer.status} ${body.error.data?.code} ${body.error.message}`
    },
  }
}

function answerAll(request: RecordedRequest, answer: ScriptedAnswer): void {
  if (request.method === 'POST') answer.json({ jsonrpc: '2.0', id: request.json().id, result: {} })
  else answer.status(405)
}

/** Lets only the token through that the endpoint gave last. */
function guarded(current: () => string): (request: RecordedRequest, answer: ScriptedAnswer) => void {
  return (request, answer) => {
    if (request.header('authorization') === `Bearer ${current()}`) answerAll(request, answer)
    else answer.status(401, 'who are you?', { 'www-authenticate': 'Bearer error="invalid_token"' })
  }
}

describe('credentials on the wire', () => {
  it("go before what the client and the server's own headers say, and the client's key never goes on", async t => {
    const { call, got } = await setUp(t, '  s: { headers: { Authorization: "Bearer ${T}", x-org: ours } }', {
      env: { T: 'ghp_one' },
      server: 'headers: { x-org: static, x-kept: "1" }, forward_authorization: true',
    })
    assert.equal(await call({ headers: { 'x-org': 'mine' } }), 'ok')
    assert.deepEqual([got(), got('x-org'), got('x-kept')], ['Bearer ghp_one', 'ours', '1'])
  })

  it("are the client's own where it has some", async t => {
    const { call, got } = await setUp(t, '  s: { api_token: all, clients: { agent: { api_token: agents } } }')
    await call({ client: 'agent' })
    assert.equal(got(), 'Bearer agents')
    await call({ client: 'other' })
    assert.equal(got(), 'Bearer all')
  })

  it('come from files, folders of secrets, files of lines and the store', async t => {
    const { call, got } = await setUp(
      t,
      `  search_list: [store, run, lines.env]
  s: { headers: { a: file:one, b: secret:two, c: secret:three, d: "Word secret:four" } }`,
      {
        prepare: async dir => {
          writeFileSync(join(dir, 'one'), 'from a file\n')
          const { mkdirSync } = await import('node:fs')
          mkdirSync(join(dir, 'run'))
          writeFileSync(join(dir, 'run', 'two'), 'from a folder\r\n')
          writeFileSync(join(dir, 'lines.env'), '# comment\nexport three="from lines"\n')
          const store = new SecretStore({
            file: join(dir, 'secrets.json'),
            keyFile: join(dir, 'secrets.key'),
            clock: systemClock,
          })
          await store.set('four', Buffer.from('stored'))
        },
      },
    )
    assert.equal(await call(), 'ok')
    assert.deepEqual(
      ['a', 'b', 'c', 'd'].map(name => got(name)),
      ['from a file', 'from a folder', 'from lines', 'Word stored'],
    )
  })

  it('that are missing stop requests to that server, and say so once in the log', async t => {
    const { call, notices, upstream, dir } = await setUp(t, '  s: { api_token: file:later }')
    assert.equal(await call(), '503 credential_unavailable No credential found for s')
    assert.equal(await call(), '503 credential_unavailable No credential found for s')
    assert.equal(upstream.requests.length, 0)
    const told = notices.filter(({ text }) => text === 'No credential found for s')
    assert.deepEqual(
      told.map(({ level, fields }) => [level, fields]),
      [['error', { error: `${join(dir, 'later')}: no such file` }]],
    )
  })

  it('follow their files and the configuration without a restart', async t => {
    const { call, got, dir, sluice, write } = await setUp(t, '  s: { api_token: file:token }')
    assert.match(await call(), /No credential found/)
    for (const value of ['first', 'second, longer']) {
      writeFileSync(join(dir, 'draft'), value)
      renameSync(join(dir, 'draft'), join(dir, 'token'))
      await sluice.reload()
      assert.equal(await call(), 'ok')
      assert.equal(got(), `Bearer ${value}`)
    }
    write('  s: { headers: { x-now: other } }')
    await sluice.reload()
    assert.equal(await call(), 'ok')
    assert.deepEqual([got('x-now'), got()], ['other', null])
    write('  s: {}')
    await sluice.reload()
    await call()
    assert.equal(got('x-now'), null)
  })

  it('with an end are not shown beyond it', async t => {
    const { call, upstream } = await setUp(t, '  s: { api_token: x, expires_at: 2020-01-01T00:00:00Z }')
    assert.equal(await call(), '503 credential_unavailable Credential expired for s')
    assert.equal(upstream.requests.length, 0)
  })

  it('are in the audit line: which, for what, for whom; never their values', async t => {
    const { call, dir, sluice } = await setUp(
      t,
      `  shared: { gh: { api_token: planted-token, headers: { x-org: planted-org } } }
  s: { use: gh, headers: { x-own: planted-own } }`,
      { policy: '{ use: audit, options: { path: audit.log } }' },
    )
    await call({ client: 'other' })
    await sluice.close()
    const text = readFileSync(join(dir, 'audit.log'), 'utf8')
    const line = JSON.parse(text.split('\n').find(one => one.includes('"ping"')) ?? '{}')
    assert.equal(line.client_id, 'other')
    assert.deepEqual(line.secrets, [
      { name: 's', used_for: 'upstream header x-own' },
      { name: 'shared/gh', used_for: 'upstream header x-org, authorization' },
    ])
    assert.doesNotMatch(text, /planted/)
  })

  for (const [status, headers] of [
    [401, {}],
    [401, { 'www-authenticate': 'Bearer' }],
    [403, { 'www-authenticate': 'Bearer' }],
  ] as const) {
    it(`a server's ${status}${'www-authenticate' in headers ? ' with a challenge' : ''} never reaches the client as such`, async t => {
      const { call, upstream } = await setUp(t, '  s: { api_token: x }', {
        server: 'forward_authorization: true',
        script: (_, answer) => answer.status(status, 'no', headers),
      })
      assert.equal(await call(), `502 upstream_unauthorized s refused the credentials of the proxy (HTTP ${status})`)
      assert.equal(upstream.requests.length, 1)
    })
  }
})

describe('tokens that are fetched', () => {
  const oauth = (endpoint: TokenEndpoint, more = ''): string =>
    `  s: { oauth: { token_url: "${endpoint.url}", client_id: me, client_secret: "p/w:d", allow_http: true${more} } }`
  const refresh = (endpoint: TokenEndpoint, more = ''): string =>
    `  s: { refresh: { url: "${endpoint.url}", refresh_token: r0, allow_http: true${more} } }`

  it('by client credentials: as RFC 6749 writes them', async t => {
    const endpoint = await startTokenEndpoint(t, () => ({ body: { access_token: 'at-1', expires_in: 3600 } }))
    const { call, got } = await setUp(t, oauth(endpoint, ', scope: "a b", audience: x, resource: "https://r/mcp"'))
    assert.equal(await call(), 'ok')
    assert.equal(got(), 'Bearer at-1')
    const [question] = endpoint.questions
    assert.equal(question?.headers.authorization, `Basic ${Buffer.from('me:p%2Fw%3Ad').toString('base64')}`)
    assert.deepEqual(question?.fields, {
      grant_type: 'client_credentials',
      scope: 'a b',
      audience: 'x',
      resource: 'https://r/mcp',
    })
  })

  it('by client credentials in the body', async t => {
    const endpoint = await startTokenEndpoint(t, () => ({ body: { access_token: 'at-1' } }))
    const { call } = await setUp(t, oauth(endpoint, ', client_auth: post'))
    assert.equal(await call(), 'ok')
    assert.equal(endpoint.questions[0]?.headers.authorization, undefined)
    assert.deepEqual(endpoint.questions[0]?.fields, {
      grant_type: 'client_credentials',
      client_id: 'me',
      client_secret: 'p/w:d',
    })
  })

  it('by a refresh token, as JSON or as a form', async t => {
    for (const format of ['json', 'form']) {
      const endpoint = await startTokenEndpoint(t, () => ({ body: { access_token: `at-${format}`, expires_in: 3600 } }))
      const { call, got } = await setUp(t, refresh(endpoint, `, format: ${format}, header: x-token`))
      assert.equal(await call(), 'ok')
      assert.equal(got('x-token'), `at-${format}`)
      assert.deepEqual(endpoint.questions[0]?.fields, { grant_type: 'refresh_token', refresh_token: 'r0' })
    }
  })

  it('make requests wait, and one question serves all of them and all servers that share it', async t => {
    const gate = deferred<void>()
    const endpoint = await startTokenEndpoint(t, async () => {
      await gate.promise
      return { body: { access_token: 'at-1', expires_in: 3600 } }
    })
    const { call, upstream } = await setUp(t, oauth(endpoint))
    const calls = Array.from({ length: 20 }, () => call())
    await until(() => endpoint.questions.length === 1, 'the question')
    gate.resolve()
    assert.deepEqual(new Set(await Promise.all(calls)), new Set(['ok']))
    assert.equal(endpoint.questions.length, 1)
    assert.equal(upstream.requests.length, 20)
  })

  it('that a server refuses are renewed once, and the request is sent again', async t => {
    let current = 'revoked'
    const endpoint = await startTokenEndpoint(t, (_, index) => {
      current = `at-${index}`
      return { body: { access_token: current, refresh_token: `r${index + 1}`, expires_in: 3600 } }
    })
    const { call, got, upstream, notices } = await setUp(
      t,
      `  s: { api_token: at-old, refresh: { url: "${endpoint.url}", refresh_token: r0, allow_http: true } }`,
      { script: guarded(() => current) },
    )
    assert.deepEqual(new Set(await Promise.all([call(), call(), call({ method: 'tools/call' })])), new Set(['ok']))
    assert.equal(got(), 'Bearer at-0')
    assert.equal(endpoint.questions.length, 1)
    assert.equal(upstream.requests.length, 6)
    assert.ok(notices.some(({ text }) => text === 'Credential expired for s, refreshing...'))
  })

  it("that a server refuses again and again are the server's trouble: no storm of questions", async t => {
    const endpoint = await startTokenEndpoint(t, () => ({ body: { access_token: 'at', expires_in: 3600 } }))
    const { call, upstream } = await setUp(t, oauth(endpoint), { script: (_, answer) => answer.status(401, 'no') })
    for (let i = 0; i < 5; i++) {
      assert.equal(await call(), '502 upstream_unauthorized s refused the credentials of the proxy (HTTP 401)')
    }
    assert.equal(endpoint.questions.length, 1)
    assert.equal(upstream.requests.length, 5)
  })

  it('outlive the process: a refresh token that was rotated is the one to use', async t => {
    const endpoint = await startTokenEndpoint(t, (question, index) => {
      const fits = question.fields['refresh_token'] === `r${index}`
      return fits
        ? { body: { access_token: `at-${index}`, refresh_token: `r${index + 1}`, expires_in: 1 } }
        : { status: 400, body: { error: 'invalid_grant', error_description: 'planted-description' } }
    })
    const first = await setUp(t, refresh(endpoint))
    assert.equal(await first.call(), 'ok')
    await first.sluice.close()
    const { copyFileSync } = await import('node:fs')
    const second = await setUp(t, refresh(endpoint), {
      prepare: dir => {
        for (const name of ['secrets.json', 'secrets.key']) copyFileSync(join(first.dir, name), join(dir, name))
      },
    })
    assert.equal(await second.call(), 'ok')
    const used = endpoint.questions.map(({ fields }) => fields['refresh_token'])
    assert.deepEqual(
      used,
      Array.from({ length: used.length }, (_, i) => `r${i}`),
    )
    assert.doesNotMatch(readFileSync(join(second.dir, 'secrets.json'), 'utf8'), /at-\d|"r\d"/)
  })

  const failures: [what: string, script: TokenScript, log: RegExp][] = [
    [
      'a refusal',
      () => ({ status: 400, body: { error: 'invalid_grant', error_description: 'p-secret' } }),
      /refused: invalid_grant \(HTTP 400\)$/,
    ],
    ['an unknown refusal', () => ({ status: 500, body: 'p-secret' }), /HTTP 500$/],
    [
      'a redirect',
      () => ({ status: 302, body: '', headers: { location: 'http://127.0.0.1:1/p-secret' } }),
      /a redirect \(HTTP 302\), which is not followed$/,
    ],
    ['an answer without token', () => ({ body: { token: 'p-secret' } }), /its answer is no token: access_token$/],
    [
      'a token with a line break',
      () => ({ body: { access_token: 'p-secret\r\nx: y' } }),
      /its answer is no token: access_token$/,
    ],
    ['an answer that is no JSON', () => ({ body: '<p-secret>' }), /its answer is no token/],
    ['an answer without end', () => ({ body: 'p-secret'.repeat(100_000) }), /the answer is too large$/],
    ['no answer', () => new Promise(() => {}), /no answer within 300 ms$/],
  ]
  for (const [what, script, log] of failures) {
    it(`${what} stops requests, and shows nothing of it`, async t => {
      const endpoint = await startTokenEndpoint(t, script)
      const { call, notices, upstream } = await setUp(t, oauth(endpoint, ', timeout: 300ms'))
      const told = await call()
      assert.equal(told, '503 credential_unavailable No credential found for s')
      assert.equal(upstream.requests.length, 0)
      const said = notices.find(({ text }) => text === 'a credential could not be renewed')
      assert.match(String(said?.fields['error']), log)
      assert.doesNotMatch(JSON.stringify(notices) + told, /p-secret|p\/w:d/)
    })
  }
})
