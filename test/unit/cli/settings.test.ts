import assert from 'node:assert/strict'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { describe, it } from 'node:test'
import { configOf, type RunFlags, settingsOf } from '../../../proxy/cli/settings.ts'
import type { Config } from '../../../proxy/config/config.ts'
import type { Scope } from '../../helpers/scope.ts'

const NONE: RunFlags = { policy: [], interceptors: [] }

function configFor(urls: string[], flags: Partial<RunFlags> = {}): Config {
  return configOf(settingsOf(urls, { ...NONE, ...flags }), {})
}

function file(scope: Scope, text: string): string {
  const dir = mkdtempSync(join(tmpdir(), 'sluice-settings-'))
  scope.after(() => rmSync(dir, { recursive: true, force: true }))
  const path = join(dir, 'sluice.yaml')
  writeFileSync(path, text)
  return path
}

describe('settingsOf and configOf', () => {
  it('a URL alone is one server with nothing in between', () => {
    const config = configFor(['http://127.0.0.1:3001/mcp'])
    assert.deepEqual(
      config.servers.map(({ name, urls, forwardAuthorization }) => ({ name, urls, forwardAuthorization })),
      [{ name: 'default', urls: ['http://127.0.0.1:3001/mcp'], forwardAuthorization: false }],
    )
    assert.deepEqual(config.policies, [])
    assert.deepEqual(config.listen, { host: '127.0.0.1', port: 8080 })
    assert.deepEqual(config.admin, { host: '127.0.0.1', port: 8081 })
  })

  it('several URLs are replicas of one server, which --name names', () => {
    const config = configFor(['http://a:1/mcp', 'https://b/mcp'], { name: 'github' })
    assert.deepEqual(
      config.servers.map(server => [server.name, server.urls]),
      [['github', ['http://a:1/mcp', 'https://b/mcp']]],
    )
  })

  it('flags go before the file, and policies come after those of the file', t => {
    const path = file(
      t,
      'listen: 127.0.0.1:1\nworkers: 2\nservers: { a: { url: http://a/mcp } }\npolicies: [one.yaml]\n',
    )
    const config = configFor([], {
      config: path,
      listen: { host: '::1', port: 0 },
      admin: 'off',
      workers: 3,
      logLevel: 'warn',
      logFormat: 'json',
      policy: ['two.yaml'],
    })
    assert.deepEqual(config.listen, { host: '::1', port: 0 })
    assert.equal(config.admin, null)
    assert.equal(config.workers, 3)
    assert.equal(config.logLevel, 'warn')
    assert.deepEqual(config.policies, [join(path, '../one.yaml'), join(process.cwd(), 'two.yaml')])
  })

  it('a URL beside a file adds a server, or takes the place of the URLs of one that has its name', t => {
    const path = file(t, 'servers: { a: { url: http://a/mcp, headers: { x-key: "1" } } }\n')
    const added = configFor(['http://b/mcp'], { config: path })
    assert.deepEqual(
      added.servers.map(server => server.name),
      ['a', 'default'],
    )
    const replaced = configFor(['http://b/mcp'], { config: path, name: 'a' })
    assert.deepEqual(
      replaced.servers.map(server => server.urls),
      [['http://b/mcp']],
    )
    assert.deepEqual(replaced.servers[0]?.headers, [['x-key', '1']])
    assert.equal(replaced.servers[0]?.forwardAuthorization, false)
  })

  it('a command is one server over stdio, which starts at once', () => {
    const settings = settingsOf([], { ...NONE, name: 'kb' }, ['npx', '-y', 'some-server'])
    const [server, ...others] = configOf(settings, {}).servers
    assert.deepEqual(others, [])
    assert.deepEqual([server?.name, server?.life.min, server?.life.max], ['kb', 1, 1])
    assert.deepEqual(server?.source, {
      kind: 'process',
      command: ['npx', '-y', 'some-server'],
      transport: 'stdio',
      portEnv: '',
      path: '/mcp',
      cwd: process.cwd(),
      env: {},
    })
  })

  it("a client's list of servers stands beside those of a file, and goes before them", t => {
    const path = file(t, 'servers: { a: { url: http://a/mcp }, web: { url: http://web/mcp } }\n')
    const from = join(path, '../mcp.json')
    writeFileSync(from, '{"mcpServers":{"web":{"command":"npx","args":["x"]},"old":{"command":"y","disabled":true}}}')
    const config = configFor([], { config: path, from })
    assert.deepEqual(
      config.servers.map(({ name, source }) => [name, source.kind]),
      [
        ['a', 'static'],
        ['web', 'process'],
      ],
    )
    assert.deepEqual(
      config.warnings.map(({ text }) => text),
      ['mcpServers.old: disabled: left out'],
    )
    assert.deepEqual(
      configFor([], { from }).servers.map(({ name }) => name),
      ['web'],
    )
    writeFileSync(from, '{"mcpServers":{"web":{"url":"http://user:pw@x/mcp"}}}')
    assert.throws(() => configFor([], { from }), /mcp\.json.*servers\.web\.url: a URL with user or password/)
  })

  it('says what is missing or wrong on the command line', t => {
    const path = file(t, 'servers: { a: { url: http://a/mcp } }\nallowed_origins: ["*"]\n')
    const cases: [() => unknown, RegExp][] = [
      [() => settingsOf([], NONE), /nothing to run.*sluice run http:.*sluice run -c sluice\.yaml/],
      [() => settingsOf([], { ...NONE, config: path, name: 'a' }), /--name names the server behind a URL/],
      [() => settingsOf(['sluice.yaml'], NONE), /expected the URL .*sluice run -c sluice\.yaml/],
      [() => settingsOf(['ftp://a/mcp'], NONE), /expected the URL/],
      [() => settingsOf(['http://a/mcp#x'], NONE), /fragment/],
      [() => settingsOf(['http://a/mcp'], NONE, ['npx']), /a URL and a command: give either/],
      [
        () => configFor(['http://a/mcp'], { listen: { host: '127.0.0.1', port: 8081 } }),
        /--listen and --admin are the same/,
      ],
      [() => configFor([], { config: path, strict: true }), /any web page may use this proxy/],
    ]
    for (const [act, expected] of cases) assert.throws(act, expected)
  })

  it('does not believe bare names on an address that others can reach, --listen or not', t => {
    const path = file(t, 'servers: { a: { url: http://a/mcp } }\ntrust_client_id: true\n')
    assert.equal(configFor([], { config: path }).trustClientId, true)
    const open = (): Config => configFor([], { config: path, listen: { host: '0.0.0.0', port: 8080 } })
    assert.throws(open, /--listen 0\.0\.0\.0:8080: trust_client_id/)
  })

  it('never repeats credentials of a URL', () => {
    assert.throws(
      () => settingsOf(['http://user:hunter2@host/mcp'], NONE),
      (error: Error) => {
        assert.ok(!error.message.includes('hunter2'))
        return /leave user and password out/.test(error.message)
      },
    )
  })
})
