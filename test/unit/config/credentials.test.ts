import assert from 'node:assert/strict'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, describe, it } from 'node:test'
import { inspect } from 'node:util'
import { formatDiagnostic, LoadError } from '../../../proxy/base/diagnostic.ts'
import type { Config } from '../../../proxy/config/config.ts'
import { loadConfig } from '../../../proxy/config/load.ts'
import type { HeaderSpec, SecretRef } from '../../../proxy/credentials/spec.ts'

const dir = mkdtempSync(join(tmpdir(), 'sluice-credentials-'))
after(() => rmSync(dir, { recursive: true, force: true }))
const env = { TOKEN: 'ghp_planted', TRICKY: 'secret:not-a-name', NUMBER: '12345', STATE: dir, DATABASE_URL: 'pg://x' }

function load(credentials: string, more: NodeJS.ProcessEnv = {}): Config {
  const file = join(dir, 'sluice.yaml')
  writeFileSync(
    file,
    `state_dir: ${dir}
servers: { github: { url: "http://127.0.0.1:1/mcp" }, search: { url: "http://127.0.0.1:2/mcp" }, stdio: { command: [node] } }
clients: { agent: { api_key_sha256: "${'a'.repeat(64)}" } }
credentials:
${credentials}`,
  )
  return loadConfig(file, { env: { ...env, ...more } })
}

function problems(credentials: string): string[] {
  try {
    return load(credentials).warnings.map(formatDiagnostic)
  } catch (error) {
    if (!(error instanceof LoadError)) throw error
    return error.diagnostics.map(formatDiagnostic)
  }
}

/** `authorization: Bearer secret:x`, as a person would write it. */
function shown(ref: SecretRef): string {
  const place = { text: () => `text:${(ref as { text: { reveal(): string } }).text.reveal()}` }
  if (ref.from === 'text') return ref.prefix + place.text()
  return `${ref.prefix}${ref.from}:${ref.from === 'file' ? ref.path : ref.name}`
}

function headers(config: Config, server = 'github', client = ''): string[] {
  const spec = config.credentials.servers.get(server)
  const part = client === '' ? spec?.everybody : spec?.clients.get(client)
  return (part?.headers ?? []).map(
    (header: HeaderSpec) =>
      `${header.name}: ${header.user === null ? '' : `${shown(header.user)}:`}${shown(header.value)} (${header.secret})`,
  )
}

describe('credentials in sluice.yaml', () => {
  const forms: [yaml: string, ...headers: string[]][] = [
    ['  github: {}'],
    ['  github:'],
    ['  github: { headers: { Authorization: "Bearer ${TOKEN}" } }', 'authorization: text:Bearer ghp_planted (github)'],
    ['  github: { headers: { X-Key: secret:k } }', 'x-key: secret:k (github)'],
    ['  github: { headers: { authorization: "Bearer file:/run/x" } }', 'authorization: Bearer file:/run/x (github)'],
    ['  github: { headers: { a: "file:${STATE}/x" } }', `a: file:${dir}/x (github)`],
    ['  github: { headers: { a: file:x } }', `a: file:${dir}/x (github)`],
    ['  github: { api_token: "${TOKEN}" }', 'authorization: Bearer text:ghp_planted (github)'],
    ['  github: { token: secret:gh }', 'authorization: Bearer secret:gh (github)'],
    ['  github:\n    api_token: ${NUMBER}', 'authorization: Bearer text:12345 (github)'],
    ['  github: { api_key: "${TOKEN}" }', 'x-api-key: text:ghp_planted (github)'],
    ['  github: { username: me, password: secret:p }', 'authorization: text:me:secret:p (github)'],
    ['  github: { headers: { a: "${TRICKY}" } }', 'a: text:secret:not-a-name (github)'],
    ['  shared: { key: { api_key: "${TOKEN}" } }\n  github: key', 'x-api-key: text:ghp_planted (shared/key)'],
    [
      '  shared: { key: { headers: { a: "1", b: "2" } } }\n  github: { use: key, headers: { A: own } }',
      'a: text:own (github)',
      'b: text:2 (shared/key)',
    ],
  ]
  for (const [yaml, ...expected] of forms) {
    it(yaml.trim(), () => assert.deepEqual(headers(load(yaml)), expected))
  }

  it("a client has its own in place of everybody's, and what it does not say itself from there", () => {
    const yaml = '  github: { api_token: a, headers: { x-org: one }, clients: { agent: { api_token: b } } }'
    const config = load(yaml)
    assert.deepEqual(headers(config, 'github', 'agent'), [
      'authorization: Bearer text:b (github/agent)',
      'x-org: text:one (github)',
    ])
  })

  it('short forms are variables of replicas, too', () => {
    const config = load('  github: { connection_string: "${DATABASE_URL}", env: { A: file:a } }')
    const spec = config.credentials.servers.get('github')
    assert.deepEqual(
      spec?.env.map(({ name, value }) => `${name}=${shown(value)}`),
      [`A=file:${dir}/a`, 'CONNECTION_STRING=text:pg://x', 'DATABASE_URL=text:pg://x'],
    )
    assert.match(config.warnings[0]?.text ?? '', /Sluice does not start this server; use "headers"/)
  })

  it('a shared token is another one than that of a server of the same name', () => {
    const oauth = (id: string): string => `oauth: { token_url: https://a/t, client_id: ${id}, client_secret: x }`
    const { servers } = load(
      `  shared: { github: { ${oauth('one')} } }\n  github: { ${oauth('two')} }\n  search: github`,
    ).credentials
    assert.deepEqual(
      ['github', 'search'].map(name => servers.get(name)?.everybody.token?.name),
      ['github', 'shared/github'],
    )
  })

  it('a token that is renewed takes the place of the one to begin with', () => {
    const config = load(
      '  github: { api_token: "${TOKEN}", expires_at: 2026-11-21T12:00:00Z, refresh: { url: https://a.example/refresh, refresh_token: secret:r } }',
    )
    assert.deepEqual(headers(config), [])
    const token = config.credentials.servers.get('github')?.everybody.token
    assert.equal(token?.expiresAt, Date.parse('2026-11-21T12:00:00Z'))
    assert.deepEqual([token?.grant, token?.header, token?.scheme], ['refresh_token', 'authorization', 'Bearer'])
    assert.equal(token?.accessToken && shown(token.accessToken), 'text:ghp_planted')
  })

  it('NAME_FILE stands for NAME, and the file is watched', () => {
    const file = join(dir, 'token-file')
    writeFileSync(file, 'from-a-file\n')
    const config = load('  github: { api_token: "${OTHER}" }', { OTHER_FILE: file })
    assert.deepEqual(headers(config), ['authorization: Bearer text:from-a-file (github)'])
    assert.deepEqual(config.valueFiles, [file])
  })

  it('shows no secret when it is printed', () => {
    const config = load(
      '  github: { api_token: "${TOKEN}", env: { A: "${TOKEN}" }, username: u, password: "${TOKEN}" }'.replace(
        ', username: u, password: "${TOKEN}"',
        '',
      ),
    )
    const printed = [inspect(config, { depth: 20, showHidden: true }), JSON.stringify([...config.credentials.servers])]
    for (const text of printed) assert.ok(!text.includes('ghp_planted'))
  })

  const bad: [yaml: string, text: RegExp][] = [
    ['  githab: {}', /no server "githab", did you mean "github"\?/],
    ['  github: { api_tokn: x }', /unknown key "api_tokn", did you mean "api_token"\?/],
    [
      '  github: { refresh: { url: https://a/b, refresh_token: x, skw: 1s } }',
      /unknown key "skw", did you mean "skew"/,
    ],
    ['  github: { api_token: x, token: y }', /"api_token" and "token" say the same/],
    ['  github: { username: x }', /"username" and "password" belong together/],
    ['  github: { use: nope }', /credentials.shared is empty/],
    ['  github: nope', /no entry "nope" of credentials.shared/],
    ['  shared: { search-key: {} }\n  github: serch-key', /did you mean "search-key"\?/],
    ['  github: { clients: { agnet: { api_token: x } } }', /no client "agnet", did you mean "agent"\?/],
    ['  github: { headers: { Host: x } }', /written by the proxy itself/],
    ['  github: { headers: { a: secret:../x } }', /no name of a secret/],
    ['  github: { api_token: "" }', /an empty secret/],
    ['  github: { expires_at: soon }', /expected a time such as/],
    ['  github: { oauth: { client_id: a, client_secret: b } }', /missing key "token_url"/],
    ['  github: { oauth: { token_url: http://auth.example.com/t, client_id: a, client_secret: b } }', /in the clear/],
    ['  github: { oauth: { token_url: http://127.0.0.1/t, client_id: a, client_secret: b } }', /allow_http: true/],
    ['  github: { oauth: { token_url: "https://u:p@a/t", client_id: a, client_secret: b } }', /user or password/],
    ['  github: { refresh: { url: "https://a/b" } }', /missing key "refresh_token"/],
    [
      '  stdio: { headers: { a: b } }',
      /credentials\.stdio\.headers: has no effect: this server is spoken to over stdio/,
    ],
    ['  encryption: { enabled: false }\n  github: { refresh: { url: https://a/b, refresh_token: x } }', /forgotten/],
  ]
  for (const [yaml, text] of bad) {
    it(`says what is wrong: ${yaml.trim()}`, () => {
      const found = problems(yaml)
      assert.equal(found.length, 1, found.join('\n'))
      assert.match(found[0] ?? '', text)
      assert.match(found[0] ?? '', /sluice\.yaml:\d+:\d+: /)
    })
  }

  it('never repeats a secret in a problem', () => {
    const found = problems('  github: { headers: { a: "planted\\nvalue" }, token: [planted], api_key: { planted: 1 } }')
    assert.ok(found.length >= 3)
    for (const one of found) assert.doesNotMatch(one, /planted(?!":)/)
  })
})
