import assert from 'node:assert/strict'
import { mkdirSync, mkdtempSync, realpathSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { describe, it, type TestContext } from 'node:test'
import { LoadError } from '../../../proxy/base/diagnostic.ts'
import type { Config } from '../../../proxy/config/config.ts'
import { loadConfig } from '../../../proxy/config/load.ts'
import type { ContainerSpec } from '../../../proxy/fleet/spec/container.ts'

describe('a server in containers', () => {
  it('gets no more than it needs where nobody says so', t => {
    assert.deepEqual(containerOf(load(t, 'servers: { kb: { image: mcp/kb:1 } }')), {
      image: 'mcp/kb:1',
      pull: 'missing',
      pin: false,
      verify: null,
      entrypoint: null,
      args: [],
      env: {},
      workdir: '',
      port: 0,
      path: '/mcp',
      user: '',
      cpus: 1,
      memoryBytes: 2 * 1024 ** 3,
      memoryReservationBytes: 0,
      pids: 256,
      network: '',
      volumes: [],
      labels: {},
      tmpfs: { '/tmp': 64 * 1024 ** 2 },
      readOnly: true,
      capAdd: [],
      oomScoreAdj: 0,
      init: false,
    })
  })

  it('gets what it is given', t => {
    const config = load(
      t,
      `
fleet: { instance: edge-1, allowed_host_paths: [./data], docker: { socket: unix:///run/x.sock } }
servers:
  kb:
    image: ghcr.io/mcp/kb@sha256:${'a'.repeat(64)}
    port: 8000
    path: /rpc
    entrypoint: [/kb]
    args: [--http]
    env: { LEVEL: 3 }
    user: 1000
    cpus: 0.25
    memory: 512MB
    memory_reservation: 256MB
    network: internal
    volumes: [./data/a:/a, "./data:/b:rw", cache:/c]
    labels: { team: 7 }
    tmpfs: { /var/cache: 1MiB }
    cap_add: [CAP_CHOWN, NET_BIND_SERVICE]
    pin: true
    verify: { cosign: { key: cosign.pub } }
`,
    )
    const { baseDir, fleet } = config
    assert.deepEqual(fleet, {
      instance: 'edge-1',
      allowedHostPaths: [join(baseDir, 'data')],
      dockerSocket: '/run/x.sock',
    })
    const spec = containerOf(config)
    assert.deepEqual(spec.volumes, [
      { kind: 'host', source: join(baseDir, 'data/a'), target: '/a', readOnly: true },
      { kind: 'host', source: join(baseDir, 'data'), target: '/b', readOnly: false },
      { kind: 'named', source: 'cache', target: '/c', readOnly: true },
    ])
    assert.deepEqual(
      [spec.user, spec.cpus, spec.memoryBytes, spec.port, spec.path],
      ['1000', 0.25, 512e6, 8000, '/rpc'],
    )
    assert.deepEqual(spec.tmpfs, { '/tmp': 64 * 1024 ** 2, '/var/cache': 1024 ** 2 })
    assert.deepEqual(spec.capAdd, ['CHOWN', 'NET_BIND_SERVICE'])
    assert.deepEqual(spec.verify, { key: 'cosign.pub', identity: '', issuer: '' })
    assert.deepEqual([spec.env, spec.labels], [{ LEVEL: '3' }, { team: '7' }])
  })

  const wrong: readonly (readonly [yaml: string, text: RegExp])[] = [
    ['url: http://a/mcp, memory: 1GiB', /:1:\d+: servers\.kb\.memory: this is about containers: it needs "image"/],
    ['image: a, url: http://a/mcp', /give either "url" or "image"/],
    ['image: a, transport: http', /http needs "port"/],
    ['image: a, port: 1, network: none', /a server that speaks HTTP needs one/],
    ['image: a, network: host', /the network of the host would let the server reach everything on it/],
    ['image: a, network: "container:x"', /expected none, internal, bridge, or the name of a network/],
    ['image: a, cap_add: [ALL]', /all capabilities at once are not given/],
    ['image: a, memory: 1MiB', /expected at least 6MiB/],
    ['image: a, memory: 64MiB, memory_reservation: 65MiB', /more than "memory"/],
    ['image: a, cpus: 0', /expected more than 0/],
    ['image: "a b"', /expected an image such as mcp\/kb:1\.2/],
    ['image: "a@sha256:12"', /expected an image such as/],
    ['image: a, volumes: [/etc:/x]', /\/etc is outside of fleet\.allowed_host_paths: name it there, or a folder above/],
    ['image: a, volumes: ["data/x:/x"]', /expected a host path that begins with \/ or \.\//],
    ['image: a, volumes: ["/x"]', /expected SOURCE:\/TARGET/],
    ['image: a, labels: { sluice.instance: x }', /labels that begin with "sluice\." are ours/],
    ['image: a, privileged: true', /unknown key "privileged"/],
    ['image: a, read_onyl: false', /unknown key "read_onyl", did you mean "read_only"\?/],
    ['image: a, verify: gpg', /expected cosign/],
  ]
  for (const [yaml, text] of wrong) {
    it(`is an error with its line: ${yaml}`, t => {
      assert.throws(
        () => load(t, `servers: { kb: { ${yaml} } }`),
        error => error instanceof LoadError && text.test(error.message),
      )
    })
  }
})

function load(t: TestContext, yaml: string): Config {
  const dir = realpathSync(mkdtempSync(join(tmpdir(), 'sluice-config-')))
  t.after(() => rmSync(dir, { recursive: true, force: true }))
  mkdirSync(join(dir, 'data', 'a'), { recursive: true })
  writeFileSync(join(dir, 'sluice.yaml'), yaml)
  return loadConfig(join(dir, 'sluice.yaml'), { env: {} })
}

function containerOf(config: Config): ContainerSpec {
  const spec = config.servers[0]?.container
  assert.ok(spec)
  return spec
}
