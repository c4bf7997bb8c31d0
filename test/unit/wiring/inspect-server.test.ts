import assert from 'node:assert/strict'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { describe, it, type TestContext } from 'node:test'
import { loadConfig } from '../../../proxy/config/load.ts'
import { inspectServer } from '../../../proxy/wiring/inspect-server.ts'

const FILE = `
fleet: { allowed_host_paths: [/srv] }
servers:
  box:
    image: mcp/kb:1.2
    entrypoint: [/kb, --key=secret-1]
    args: [serve, -ksecret-2, --quiet, -v, secret-3]
    env: { TOKEN: secret-4 }
    labels: { note: secret-5 }
    volumes: ["/srv/data:/data:ro"]
    memory: 512MiB
  child:
    command: [npx, -y, some-server, --token, secret-6]
    env: { B_KEY: secret-7, A: x }
    retry: { tools: [get_*] }
  named: { discover: { dns: kb.internal, port: 8000, path: "/mcp?key=secret-8" } }
  far: { urls: ["http://far/mcp?key=secret-9"], headers: { x-key: secret-10 } }
credentials:
  child:
    headers: { authorization: "Bearer secret-11" }
    env: { C_KEY: "secret-12" }
`

function inspect(t: TestContext, name: string) {
  const dir = mkdtempSync(join(tmpdir(), 'inspect-'))
  t.after(() => rmSync(dir, { recursive: true, force: true }))
  const file = join(dir, 'sluice.yaml')
  writeFileSync(file, FILE)
  const config = loadConfig(file, { env: {} })
  const server = config.servers.find(one => one.name === name)
  assert.ok(server)
  // biome-ignore lint/suspicious/noExplicitAny: a test knows what it asks for
  const shown = inspectServer(server, config) as any
  assert.doesNotMatch(JSON.stringify(shown), /secret/)
  return shown
}

describe('what inspect shows', () => {
  it('of a container: limits and mounts, and names only of what may be a secret', t => {
    const { source, life, bridge } = inspect(t, 'box')
    assert.deepEqual([source.kind, source.image, source.memory_bytes], ['image', 'mcp/kb:1.2', 512 * 1024 * 1024])
    assert.deepEqual(source.entrypoint, ['/kb', '--key=…'])
    assert.deepEqual(source.args, ['…', '-k…', '--quiet', '-v', '…'])
    assert.deepEqual([source.env, source.labels], [['TOKEN'], ['note']])
    assert.deepEqual(source.volumes, [{ kind: 'host', source: '/srv/data', target: '/data', read_only: true }])
    assert.equal(life.stop_grace_ms, 10_000)
    assert.equal(bridge.max_processes, 32)
  })

  it('of a child process', t => {
    const { source, spreading, credentials } = inspect(t, 'child')
    assert.deepEqual(source.command, ['npx', '-y', '…', '--token', '…'])
    assert.deepEqual(source.env, ['A', 'B_KEY'])
    assert.deepEqual(spreading.retry.tools, ['get_*'])
    assert.deepEqual([credentials.headers, credentials.env], [['authorization'], ['C_KEY']])
  })

  it('of what others run', t => {
    const named = inspect(t, 'named')
    assert.deepEqual([named.source.kind, named.source.name, named.source.path], ['dns', 'kb.internal', '/mcp'])
    assert.equal(named.life, undefined)
    const far = inspect(t, 'far')
    assert.deepEqual([far.source.endpoints, far.headers], [['http://far/mcp'], ['x-key']])
  })
})
