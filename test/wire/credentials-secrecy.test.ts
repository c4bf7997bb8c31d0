import assert from 'node:assert/strict'
import { createHash } from 'node:crypto'
import { mkdtempSync, readdirSync, readFileSync, renameSync, rmSync, statSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { describe, it, type TestContext } from 'node:test'
import { inspect } from 'node:util'
import fc from 'fast-check'
import { systemClock } from '../../proxy/base/clock.ts'
import { LoadError } from '../../proxy/base/diagnostic.ts'
import { loadConfig } from '../../proxy/config/load.ts'
import { CredentialKeeper } from '../../proxy/credentials/keeper.ts'
import { SecretStore } from '../../proxy/credentials/store/secret-store.ts'
import { startSluice } from '../../proxy/main.ts'
import { channels } from '../../proxy/observe/channels.ts'
import { createLog } from '../../proxy/observe/log.ts'
import { send } from '../helpers/http-client.ts'
import { legacy, rpc } from '../helpers/mcp-messages.ts'
import { startScriptedUpstream } from '../helpers/scripted-upstream.ts'
import { startTokenEndpoint } from '../helpers/token-endpoint.ts'

/** Every secret of the configuration below, by where it is planted. */
const PLACES = [
  ...['environment', 'file', 'store', 'shared', 'client', 'user', 'password', 'variable', 'replicaFile'],
  ...['refreshToken', 'rotated', 'accessToken', 'clientId', 'clientSecret', 'oauthToken', 'unusable', 'valueFile'],
] as const
type Planted = Record<(typeof PLACES)[number], string>

/** Texts that are in nothing else, of all letters that a header field and a token may have. */
const letters = fc.constantFrom(...'abcXYZ0189!#$%&*+-.^_|~/=:;,?<>[]{}()@'.split(''))
const secrets: fc.Arbitrary<Planted> = fc
  .array(fc.string({ unit: letters, minLength: 16, maxLength: 48 }), {
    minLength: PLACES.length,
    maxLength: PLACES.length,
  })
  .filter(values => new Set(values).size === values.length)
  .map(values => Object.fromEntries(PLACES.map((place, i) => [place, `zq${values[i]}`])) as Planted)

/** How a value may look where somebody wrote it down. */
function forms(value: string): string[] {
  const bytes = Buffer.from(value)
  const json = JSON.stringify(value).slice(1, -1)
  return [value, json, encodeURIComponent(value), bytes.toString('base64').slice(0, 20), bytes.toString('hex')]
}

async function plant(dir: string, planted: Planted, urls: { server: string; token: string }): Promise<string> {
  writeFileSync(join(dir, 'file'), `${planted.file}\n`)
  writeFileSync(join(dir, 'value-file'), planted.valueFile)
  writeFileSync(join(dir, 'unusable'), `${planted.unusable}\nsecond line`)
  const place = { file: join(dir, 'secrets.json'), keyFile: join(dir, 'secrets.key') }
  const store = new SecretStore({ ...place, clock: systemClock })
  for (const [name, value] of Object.entries(planted)) await store.set(`s-${name}`, Buffer.from(value))
  const file = join(dir, 'sluice.yaml')
  const yaml = `listen: 127.0.0.1:0
admin: 127.0.0.1:0
state_dir: ${dir}
clients: { agent: { api_key_sha256: ${createHash('sha256').update('agents-key').digest('hex')} } }
servers:
  plain: { url: "${urls.server}/mcp" }
  dead: { url: "http://127.0.0.1:1/mcp" }
  oauth: { url: "${urls.server}/mcp" }
  refresh: { url: "${urls.server}/refuses" }
  bad: { url: "${urls.server}/mcp" }
  failing: { url: "${urls.server}/mcp" }
policy: { interceptors: [{ use: audit, options: { path: audit.log, include: [arguments, results] } }] }
credentials:
  shared: { common: { headers: { x-shared: secret:s-shared } } }
  plain:
    use: common
    username: secret:s-user
    password: secret:s-password
    headers: { x-env: "\${ENV_SECRET}", x-file: file:file, x-value: "\${VALUE}", x-store: "Word secret:s-store" }
    clients: { agent: { api_token: secret:s-client } }
  dead: { api_token: file:file, env: { A: secret:s-variable }, files: { b: secret:s-replicaFile } }
  oauth:
    oauth: { token_url: "${urls.token}", client_id: secret:s-clientId, client_secret: secret:s-clientSecret, allow_http: true }
  refresh:
    api_token: secret:s-accessToken
    refresh: { url: "${urls.token}", refresh_token: secret:s-refreshToken, allow_http: true, timeout: 500ms }
  failing: { refresh: { url: "${urls.token}", refresh_token: secret:s-refreshToken, scope: fails, allow_http: true } }
  bad: { headers: { x-bad: file:unusable } }
`
  writeFileSync(file, yaml)
  return file
}

async function exercise(t: TestContext, planted: Planted, format: 'json' | 'pretty'): Promise<Map<string, string>> {
  const dir = mkdtempSync(join(tmpdir(), 'sluice-planted-'))
  t.after(() => rmSync(dir, { recursive: true, force: true }))
  const seen = new Map<string, string>()
  const upstream = await startScriptedUpstream(t, (request, answer) => {
    if (request.target === '/refuses') answer.status(401, 'no', { 'www-authenticate': 'Bearer' })
    else if (request.json().id === 'dies') answer.destroy()
    else answer.json({ jsonrpc: '2.0', id: request.json().id, result: {} })
  })
  const endpoint = await startTokenEndpoint(t, question => {
    if (question.fields['grant_type'] === 'client_credentials')
      return { body: { access_token: planted.oauthToken, expires_in: 3600 } }
    const bad = { status: 400, body: { error: planted.refreshToken, error_description: planted.refreshToken } }
    return question.fields['scope'] === 'fails'
      ? bad
      : { body: { access_token: planted.oauthToken, refresh_token: planted.rotated, expires_in: 1 } }
  })
  const origin = new URL(upstream.url).origin
  const file = await plant(dir, planted, { server: origin, token: endpoint.url })
  writeFileSync(join(dir, 'value-file'), planted.valueFile)
  const env = { ENV_SECRET: planted.environment, VALUE_FILE: join(dir, 'value-file') }

  const heard: string[] = []
  const keep = (message: unknown, name: string | symbol): void =>
    void heard.push(String(name) + JSON.stringify(message) + inspect(message, { depth: 20, showHidden: true }))
  for (const one of Object.values(channels)) one.subscribe(keep)
  t.after(() => {
    for (const one of Object.values(channels)) one.unsubscribe(keep)
  })
  const lines: string[] = []
  const destination = { write: (text: string): boolean => lines.push(text) > 0 }
  const log = createLog({ level: 'debug', format, destination, colors: false })
  const reread = () => loadConfig(file, { env })
  const config = reread()
  seen.set('the configuration, printed', inspect(config, { depth: 20, showHidden: true }) + JSON.stringify(config))
  const sluice = await startSluice({ config, reread, log, watch: false, sessionKey: Buffer.alloc(32, 9) })
  t.after(() => sluice.close())
  const answers: string[] = []
  for (const server of ['plain', 'dead', 'oauth', 'refresh', 'refresh', 'bad', 'failing']) {
    for (const [id, key] of [
      ['fine', ''],
      ['dies', 'agents-key'],
    ]) {
      const headers = key === '' ? {} : { authorization: `Bearer ${key}` }
      const message = legacy(rpc(id as string, 'tools/call', { name: 'x', arguments: { a: 1 } }), { headers })
      const answer = await send(t, `${sluice.url}/servers/${server}/mcp`, message)
      answers.push(JSON.stringify(answer.rawHeaders), await answer.text())
    }
  }
  renameSync(join(dir, 'file'), join(dir, 'gone'))
  await sluice.reload()
  for (const page of ['metrics', 'servers', 'ready', 'health'])
    answers.push(await (await send(t, `${sluice.adminUrl}/${page}`)).text())
  const signal = new AbortController().signal
  answers.push(JSON.stringify(await sluice.control({ method: 'GET', path: '/', query: {}, body: null, signal })))
  await sluice.close()
  log.flush()
  seen.set('answers and pages', answers.join('\n'))
  seen.set('the log', lines.join(''))
  seen.set('channels', heard.join('\n'))
  for (const name of readdirSync(dir)) {
    const path = join(dir, name)
    const inputs = ['file', 'gone', 'value-file', 'unusable', 'policy.yaml']
    if (statSync(path).isFile() && !inputs.includes(name)) seen.set(name, readFileSync(path, 'latin1'))
  }
  assert.ok(
    upstream.requests.some(one => one.header('x-env') === planted.environment),
    'they were used',
  )
  return seen
}

describe('secrets of credentials', () => {
  for (const format of ['json', 'pretty'] as const) {
    it(`are in no log, error, metric, page, file or printed configuration (${format})`, async t => {
      for (const planted of fc.sample(secrets, { numRuns: 3, seed: format === 'json' ? 1 : 2 })) {
        const seen = await exercise(t, planted, format)
        assert.ok((seen.get('the log') ?? '').includes('No credential found for bad'))
        assert.ok((seen.get('the log') ?? '').includes('could not be renewed'))
        for (const [where, text] of seen) {
          for (const [place, value] of Object.entries(planted)) {
            for (const form of forms(value)) assert.ok(!text.includes(form), `${place} in ${where}: ${form}`)
          }
        }
      }
    })
  }

  it('are in no error of a configuration, whatever is wrong with it', () => {
    const dir = mkdtempSync(join(tmpdir(), 'sluice-wrong-'))
    try {
      const file = join(dir, 'sluice.yaml')
      const bad = [
        'headers: { a: X }',
        'token: [X]',
        'api_key: { X: 1 }',
        'expires_at: X',
        'use: X',
        'clients: { c: X }',
      ]
      const more = [
        'refresh: { url: X, refresh_token: X }',
        'oauth: { token_url: X, client_id: X, client_secret: X }',
        'X',
      ]
      fc.assert(
        fc.property(fc.constantFrom(...bad, ...more), fc.string({ unit: letters, minLength: 12 }), (entry, value) => {
          const text = entry.replaceAll('X', '"${S}"').replace('{ "${S}": 1 }', '{ k: "${S}" }')
          writeFileSync(file, `servers: { s: { url: "http://127.0.0.1:1" } }\ncredentials: { s: { ${text} } }\n`)
          const secret = `zq${value}\n`
          try {
            loadConfig(file, { env: { S: secret } })
          } catch (error) {
            if (!(error instanceof LoadError)) throw error
            assert.ok(!inspect(error, { depth: 9 }).includes(secret.trim()), error.message)
          }
        }),
        { numRuns: 60 },
      )
    } finally {
      rmSync(dir, { recursive: true, force: true })
    }
  })

  it('are in no error about replicas, and reach them whole', async t => {
    const dir = mkdtempSync(join(tmpdir(), 'sluice-replica-'))
    t.after(() => rmSync(dir, { recursive: true, force: true }))
    const file = join(dir, 'sluice.yaml')
    writeFileSync(join(dir, 'pem'), 'line one\nline two\n')
    writeFileSync(
      file,
      `state_dir: ${dir}
servers: { a: { command: [node] }, b: { command: [node] } }
credentials:
  a: { connection_string: "\${DB}", env: { T: file:pem }, files: { pem: file:pem } }
  b: { env: { GOOD: planted-good, BAD: file:none } }
`,
    )
    const { credentials: spec } = loadConfig(file, { env: { DB: 'postgres://u:planted@h/d' } })
    const keeper = await CredentialKeeper.open({ spec, clock: systemClock, publish: () => {}, pollMs: 0 })
    t.after(() => keeper.close())
    const { env, files } = keeper.replicaSecrets('a')
    assert.deepEqual(env, {
      CONNECTION_STRING: 'postgres://u:planted@h/d',
      DB: 'postgres://u:planted@h/d',
      T: 'line one\nline two',
    })
    assert.deepEqual(
      [...files].map(([name, bytes]) => [name, Buffer.from(bytes).toString()]),
      [['pem', 'line one\nline two\n']],
    )
    assert.throws(
      () => keeper.replicaSecrets('b'),
      (error: Error) => {
        assert.match(error.message, /^No credential found for b$/)
        assert.doesNotMatch(inspect(error, { depth: 9 }), /planted/)
        return true
      },
    )
    assert.deepEqual(keeper.replicaSecrets('unknown'), { env: {}, files: new Map() })
    const changed: string[] = []
    keeper.onReplicaChange(server => changed.push(server))
    writeFileSync(join(dir, 'none'), 'there now')
    await keeper.look()
    assert.deepEqual(changed, ['b'])
    assert.equal(keeper.replicaSecrets('b').env['BAD'], 'there now')
  })
})
