import assert from 'node:assert/strict'
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { availableParallelism, tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, describe, it } from 'node:test'
import { LoadError } from '../../../proxy/base/diagnostic.ts'
import { type Config, defaultConfig } from '../../../proxy/config/config.ts'
import { loadConfig } from '../../../proxy/config/load.ts'
import { configJsonSchema } from '../../../proxy/config/schema.ts'
import { NO_BRIDGE } from '../../../proxy/config/servers/bridge-keys.ts'
import { LIFE_DEFAULTS, staticSource } from '../../../proxy/config/servers/source-keys.ts'
import { UPSTREAM_DEFAULTS } from '../../../proxy/config/servers/upstream-keys.ts'

const dir = mkdtempSync(join(tmpdir(), 'config-'))
const file = join(dir, 'sluice.yaml')
after(() => rmSync(dir, { recursive: true }))

const SERVER = 'servers: { demo: { url: "http://127.0.0.1:3001/mcp" } }\n'

function load(text: string, env: NodeJS.ProcessEnv = {}): Config {
  writeFileSync(file, text)
  return loadConfig(file, { env: { HOME: '/home/me', ...env } })
}

function errors(text: string, env: NodeJS.ProcessEnv = {}): string[] {
  try {
    load(text, env)
  } catch (error) {
    assert.ok(error instanceof LoadError)
    return error.message.replaceAll(`${file}:`, '').split('\n')
  }
  throw new Error('it was accepted')
}

const warnings = (text: string, env: NodeJS.ProcessEnv = {}): string[] => load(text, env).warnings.map(one => one.text)

describe('sluice.yaml', () => {
  it('needs no more than a server; the rest are the defaults that hold without any file', () => {
    const { servers, ...config } = load(SERVER)
    const { servers: none, ...defaults } = defaultConfig({ HOME: '/home/me' })
    assert.deepEqual(config, { ...defaults, file, baseDir: dir })
    assert.deepEqual(none, [])
    assert.deepEqual(servers, [
      {
        name: 'demo',
        urls: ['http://127.0.0.1:3001/mcp'],
        source: staticSource(['http://127.0.0.1:3001/mcp']),
        life: LIFE_DEFAULTS,
        bridge: NO_BRIDGE,
        container: null,
        forwardAuthorization: false,
        headers: [],
        connections: 128,
        upstream: UPSTREAM_DEFAULTS,
      },
    ])
  })

  it('has the documented defaults', () => {
    const config = load(SERVER)
    assert.deepEqual(config.listen, { host: '127.0.0.1', port: 8080 })
    assert.deepEqual(config.admin, { host: '127.0.0.1', port: 8081 })
    assert.equal(config.limits.maxBodyBytes, 16 * 1024 * 1024)
    assert.equal(config.limits.maxBufferedBytes, 512 * 1024 * 1024)
    assert.equal(config.timeouts.firstByteMs, 5 * 60 * 1000)
    assert.equal(config.timeouts.idleMs, 30 * 60 * 1000)
    assert.deepEqual([config.anonymous, config.trustClientId, config.workers], ['allow', false, 1])
  })

  it('is resolved: units, places, paths, secrets', () => {
    const config = load(
      `version: 1
listen: "[::1]:9000"
admin: off
workers: auto
log_level: WARNING
log_format: pretty
access_log: off
tls: { cert: tls/cert.pem, key: /etc/key.pem }
session_key: \${KEY}
state_dir: state
clients:
  ci: { api_key_sha256: ${'a'.repeat(64)} }
  admin: { api_key_sha256: [${'B'.repeat(64)}, ${'c'.repeat(64)}] }
anonymous: deny
trust_client_id: true
allowed_hosts: [proxy.example.com, "proxy.example.com:8443"]
allowed_origins: [https://app.example.com]
limits: { max_body_bytes: 1MiB, max_batch: 5 }
timeouts: { idle: 0, connect: 250ms }
servers:
  github:
    urls: [https://a.example.com/mcp, https://b.example.com/mcp]
    forward_authorization: true
    headers: { Authorization: "Bearer \${TOKEN}", X-Org: "\${ORG}" }
    connections: 4
policies: [policy.yaml, ../other.yaml]
interceptor_dirs: [mine]
interceptor_modules: [sluice-jq]
`,
      { KEY: 'k'.repeat(32), TOKEN: 't0ken', ORG: '42' },
    )
    assert.deepEqual(config.listen, { host: '::1', port: 9000 })
    assert.equal(config.admin, null)
    assert.equal(config.workers, availableParallelism())
    assert.deepEqual([config.logLevel, config.logFormat, config.accessLog], ['warn', 'pretty', false])
    assert.deepEqual(config.tls, { cert: join(dir, 'tls/cert.pem'), key: '/etc/key.pem' })
    assert.equal(config.sessionKey, 'k'.repeat(32))
    assert.equal(config.stateDir, join(dir, 'state'))
    const hashes = config.clients.map(({ name, keyHashes }) => [name, ...keyHashes.map(hash => hash.toString('hex'))])
    assert.deepEqual(hashes, [
      ['ci', 'a'.repeat(64)],
      ['admin', 'b'.repeat(64), 'c'.repeat(64)],
    ])
    assert.deepEqual([config.limits.maxBodyBytes, config.limits.maxBatch, config.limits.maxDepth], [1048576, 5, 128])
    assert.deepEqual([config.timeouts.idleMs, config.timeouts.connectMs], [0, 250])
    assert.deepEqual(config.servers, [
      {
        name: 'github',
        urls: ['https://a.example.com/mcp', 'https://b.example.com/mcp'],
        source: staticSource(['https://a.example.com/mcp', 'https://b.example.com/mcp']),
        life: LIFE_DEFAULTS,
        bridge: NO_BRIDGE,
        container: null,
        forwardAuthorization: true,
        headers: [
          ['authorization', 'Bearer t0ken'],
          ['x-org', '42'],
        ],
        connections: 4,
        upstream: UPSTREAM_DEFAULTS,
      },
    ])
    assert.deepEqual(config.policies, [join(dir, 'policy.yaml'), join(dir, '..', 'other.yaml')])
    assert.deepEqual([config.interceptorDirs, config.interceptorModules], [[join(dir, 'mine')], ['sluice-jq']])
    assert.deepEqual(config.warnings, [])
  })

  it('keeps state where the environment says', () => {
    const dirOf = (env: NodeJS.ProcessEnv): string => load(SERVER, env).stateDir
    assert.equal(dirOf({}), '/home/me/.local/state/sluice')
    assert.equal(dirOf({ XDG_STATE_HOME: '/state' }), '/state/sluice')
    assert.equal(dirOf({ XDG_STATE_HOME: 'relative' }), '/home/me/.local/state/sluice')
    assert.equal(dirOf({ XDG_STATE_HOME: '/state', SLUICE_STATE_DIR: '/mine' }), '/mine')
  })

  it('takes LOG_LEVEL of the environment first, and ignores one that is none', () => {
    assert.equal(load(`${SERVER}log_level: warn\n`, { LOG_LEVEL: 'DEBUG' }).logLevel, 'debug')
    assert.equal(load(`${SERVER}log_level: warn\n`, { LOG_LEVEL: 'verbose' }).logLevel, 'warn')
    assert.match(warnings(SERVER, { LOG_LEVEL: 'verbose' })[0] ?? '', /^LOG_LEVEL: expected one of/)
  })

  it('knows the nesting of the guides', () => {
    const config = load(`${SERVER}gateway: { port: 9090, log_level: error }\naccess_control: { enabled: true }\n`)
    assert.deepEqual([config.listen, config.logLevel], [{ host: '127.0.0.1', port: 9090 }, 'error'])
    assert.deepEqual(
      config.inlinePolicies.map(source => source.value),
      [{ access_control: { enabled: true } }],
    )
    const both = `${SERVER}listen: 1\nlog_level: info\ngateway: { port: 2, log_level: info }\n`
    assert.deepEqual(errors(`${both}access_control: {}\npolicy: { access_control: {} }\n`), [
      '4:12: gateway.port: "listen" says the same: give one of the two',
      '4:21: gateway.log_level: "log_level" says the same: give one of the two',
      '5:1: access_control: "policy.access_control" says the same: give one of the two',
    ])
  })

  it('hands over its policy with the places of everything', () => {
    const [policy] = load(`${SERVER}policy:\n  interceptors:\n    - audit\n`).inlinePolicies
    assert.deepEqual(policy?.value, { interceptors: ['audit'] })
    const { line, column, text } = policy?.diagnostic(['interceptors', 0], 'x') ?? { line: 0, column: 0, text: '' }
    assert.deepEqual([line, column, text], [4, 7, 'policy.interceptors[0]: x'])
  })
})

describe('a bad sluice.yaml', () => {
  const cases: [yaml: string, ...expected: string[]][] = [
    ['lsiten: 1', '1:1: unknown key "lsiten", did you mean "listen"?'],
    ['listen: foo', '1:9: listen: expected HOST:PORT, [IPV6]:PORT or PORT, got "foo"'],
    ['listen: [1]', '1:9: listen: expected HOST:PORT, got a list'],
    ['admin: maybe', '1:8: admin: expected HOST:PORT, [IPV6]:PORT or PORT, got "maybe"'],
    ['admin: 8080', '1:8: admin: the same place as "listen" (8080): give it a port of its own'],
    ['workers: 0', '1:10: workers: expected at least 1, got 0'],
    ['log_level: loud', '1:12: log_level: expected one of trace, debug, info, warn, error, fatal, silent, got "loud"'],
    ['access_log: maybe', '1:13: access_log: expected on or off, got "maybe"'],
    ['tls: { cert: a }', '1:1: tls: missing key "key"'],
    [
      'session_key: too-short',
      '1:14: session_key: expected at least 32 characters, such as `openssl rand -base64 32` prints, got a string',
    ],
    [
      'clients: { ci: { api_key_sha256: abc } }',
      '1:34: clients.ci.api_key_sha256: expected 64 hexadecimal digits, the SHA-256 of a key (`sluice key create NAME` prints one), got a string',
    ],
    [
      'clients: { anonymous: { api_key_sha256: x } }',
      '1:12: clients: the name "anonymous" belongs to clients without a key, got "anonymous"',
    ],
    [
      `clients:\n  a: { api_key_sha256: ${'a'.repeat(64)} }\n  b: { api_key_sha256: ${'A'.repeat(64)} }`,
      '3:24: clients.b.api_key_sha256: the same key as that of client "a"',
    ],
    [
      'listen: 0.0.0.0:8080\ntrust_client_id: true',
      '2:18: trust_client_id: anybody could claim any name: only legal when "listen" is a loopback address, and it is 0.0.0.0',
    ],
    ['allowed_hosts: ["*"]', '1:17: allowed_hosts[0]: expected a host name, with or without a port, got "*"'],
    [
      'allowed_origins: [app.example.com]',
      '1:19: allowed_origins[0]: expected an origin such as https://app.example.com, or *, got "app.example.com"',
    ],
    [
      'limits: { max_dept: 1, max_body_bytes: 5 }',
      '1:11: limits: unknown key "max_dept", did you mean "max_depth"?',
      '1:40: limits.max_body_bytes: expected at least 1KiB, got 5',
    ],
    [
      'timeouts: { connect: 0, idle: soon }',
      '1:22: timeouts.connect: expected at least 1ms, got 0',
      '1:31: timeouts.idle: expected a duration such as 500ms, 30s, 5m or 1h, got "soon"',
    ],
    ['policies: policy.yaml', '1:11: policies: expected a list, got "policy.yaml"'],
  ]
  for (const [yaml, ...expected] of cases) {
    it(yaml.slice(0, 60), () => assert.deepEqual(errors(`${yaml}\n${SERVER}`), expected))
  }

  const servers: [yaml: string, ...expected: string[]][] = [
    [
      '{}',
      '1:1: servers: no server: expected at least one, such as "servers: { demo: { url: http://127.0.0.1:3001/mcp } }"',
    ],
    [
      '{ A: { url: "http://x" } }',
      '1:12: servers: expected a server name of a-z, 0-9 and . _ -, beginning with a-z or 0-9, got "A"',
    ],
    ['{ a: {} }', '1:15: servers.a: give one of "url", "urls", "discover", "command" and "image"'],
    ['{ a: { url: "http://x", command: [node] } }', '1:15: servers.a: give either "url" or "command"'],
    [
      '{ a: { command: [node], transport: http } }',
      '1:45: servers.a.transport: http needs "port_env", the variable that tells the command its port',
    ],
    [
      '{ a: { command: [node], replicas: { min: 3, max: 2 } } }',
      '1:44: servers.a.replicas: expected "min" not above "max", got a mapping',
    ],
    [
      '{ a: { url: "http://x", replicas: 3 } }',
      '1:34: servers.a.replicas: this is about replicas that Sluice runs: it needs "command" or "image"',
    ],
    ['{ a: { command: [node], port_env: PORT } }', '1:34: servers.a.port_env: only with "transport: http"'],
    [
      '{ a: { url: "unix:relative.sock" } }',
      '1:22: servers.a.url: expected a socket such as unix:/run/kb.sock?path=/mcp, got "unix:relative.sock"',
    ],
    ['{ a: { url: "http://x", urls: ["http://y"] } }', '1:15: servers.a: give either "url" or "urls"'],
    [
      '{ a: { url: ftp://x } }',
      '1:22: servers.a.url: expected a URL that begins with http:// or https://, got "ftp://x"',
    ],
    [
      '{ a: { url: nonsense } }',
      '1:22: servers.a.url: expected a URL such as http://127.0.0.1:3001/mcp, got "nonsense"',
    ],
    [
      '{ a: { url: "http://me:secret@x" } }',
      '1:22: servers.a.url: a URL with user or password: put credentials into "headers"',
    ],
    [
      '{ a: { url: "http://x", headers: { Host: y } } }',
      '1:45: servers.a.headers: this header field is written by the proxy itself, got "Host"',
    ],
    [
      '{ a: { url: "http://x", headers: { X-A: "a\\nb" } } }',
      '1:50: servers.a.headers.X-A: a character that a header field cannot hold',
    ],
    [
      '{ a: { url: "http://x", headers: { X-A: b, x-a: c } } }',
      '1:43: servers.a.headers: the same header field twice, in different spelling',
    ],
  ]
  for (const [yaml, ...expected] of servers) {
    it(`servers: ${yaml}`, () => assert.deepEqual(errors(`servers: ${yaml}\n`), expected))
  }

  it('tells all that is wrong, in order', () => {
    const lines = errors('workers: x\nlisten: x\nfoo: 1\n').map(line => line.split(':', 2).join(':'))
    assert.deepEqual(lines, ['1:10', '2:9', '3:1'])
  })

  it('never shows what came from the environment', () => {
    const text = `session_key: \${K}\nlisten: \${K}\nservers: { a: { url: "\${K}" }, b: { url: "http://u:\${K}@x" } }\n`
    const message = errors(text, { K: 'top-secret' }).join('\n')
    assert.doesNotMatch(message, /top-secret/)
    assert.match(message, /2:9: listen: expected HOST:PORT, \[IPV6\]:PORT or PORT, got the value of \$\{K\}/)
  })

  it('without servers is good where the command line names one', () => {
    writeFileSync(file, 'workers: 2\n')
    assert.equal(loadConfig(file, { env: {}, allowNoServers: true }).workers, 2)
  })
})

describe('an odd sluice.yaml', () => {
  it('is warned about', () => {
    assert.deepEqual(warnings(`${SERVER}anonymous: deny\n`), ['anonymous: no client can get in: "clients" is empty'])
    const origins = warnings(`${SERVER}allowed_origins: ["*"]\n`)
    assert.deepEqual(origins, ['allowed_origins: any web page may use this proxy from a browser'])
  })
})

describe('the JSON Schema of sluice.yaml', () => {
  it('knows every key that the defaults test writes, and refuses others', () => {
    const schema = configJsonSchema() as { properties: Record<string, unknown>; additionalProperties: boolean }
    assert.equal(schema.additionalProperties, false)
    const source = readFileSync(new URL('../../../proxy/config/schema.ts', import.meta.url), 'utf8')
    const written = source.slice(source.indexOf('configSchema')).matchAll(/^ {2}(\w+): /gm)
    const keys: string[] = [...written].map(match => match[1] ?? '')
    assert.ok(keys.length > 20)
    assert.deepEqual(
      keys.filter(key => !(key in schema.properties)),
      [],
    )
  })
})
