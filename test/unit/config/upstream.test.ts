import assert from 'node:assert/strict'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, describe, it } from 'node:test'
import type { Config } from '../../../proxy/config/config.ts'
import { loadConfig } from '../../../proxy/config/load.ts'
import { UPSTREAM_DEFAULTS } from '../../../proxy/config/servers/upstream-keys.ts'
import type { UpstreamSettings } from '../../../proxy/upstream/settings.ts'

const dir = mkdtempSync(join(tmpdir(), 'config-upstream-'))
const file = join(dir, 'sluice.yaml')
after(() => rmSync(dir, { recursive: true }))

function load(keys: string, url = 'https://kb.example.com/mcp'): Config {
  writeFileSync(file, `servers:\n  kb:\n    url: ${url}\n    ${keys.replaceAll('\n', '\n    ')}\n`)
  return loadConfig(file, { env: {} })
}

const settings = (keys: string): UpstreamSettings | undefined => load(keys).servers[0]?.upstream

const WINDOW = { failures: 0, errorThresholdPercentage: 50, volumeThreshold: 10, rollingWindowMs: 10_000 }

describe('how requests are spread', () => {
  it('has defaults', () => {
    assert.deepEqual(settings('headers: {}'), UPSTREAM_DEFAULTS)
  })

  for (const [keys, expected] of [
    ['balance: round_robin', { balance: 'round_robin' }],
    ['balance: { hash: { header: X-User } }', { balance: { from: 'header', name: 'x-user' } }],
    ['balance: { hash: { argument: repo.id } }', { balance: { from: 'argument', name: 'repo.id' } }],
    ['breaker: off', { breaker: null }],
    ['breaker: { failures: 5 }', { breaker: { ...WINDOW, failures: 5, resetTimeoutMs: 60_000 } }],
    [
      'breaker: { error_threshold_percentage: 20, volume_threshold: 5, rolling_window: 30s, reset_timeout: 5s }',
      {
        breaker: {
          failures: 0,
          errorThresholdPercentage: 20,
          volumeThreshold: 5,
          rollingWindowMs: 30_000,
          resetTimeoutMs: 5_000,
        },
      },
    ],
    ['retry: off', { retry: null }],
    ['retry: { budget: 10%, tools: ["get_*"] }', { retry: { budget: 0.1, tools: ['get_*'] } }],
    ['retry: { budget: 0.5 }', { retry: { budget: 0.5, tools: [] } }],
    [
      'max_in_flight: 5\nmax_waiting: 0\nacquire_timeout: 100ms',
      { maxInFlight: 5, maxWaiting: 0, acquireTimeoutMs: 100 },
    ],
    ['slow_start: 0\nhttp2: true\nsessions: recover', { slowStartMs: 0, http2: true, sessions: 'recover' }],
    ['tls: { ca: ca.pem, server_name: kb }', { tls: { ca: join(dir, 'ca.pem'), cert: '', key: '', serverName: 'kb' } }],
    [
      'timeouts: { connect: 1s, first_byte: 0 }',
      { timeouts: { connectMs: 1000, firstByteMs: 0, idleMs: -1, keepAliveMs: 4000 } },
    ],
  ] as const) {
    it(`${keys.replaceAll('\n', ', ')}`, () => {
      assert.deepEqual(settings(keys), { ...UPSTREAM_DEFAULTS, ...expected })
    })
  }

  for (const [keys, problem] of [
    ['balance: random', /servers\.kb\.balance: expected least_in_flight, round_robin, or/],
    ['balance: { hash: {} }', /expected either "header" or "argument"/],
    ['breaker: { fails: 5 }', /unknown key "fails"; allowed: error_threshold_percentage, failures/],
    ['retry: { budget: 120% }', /retry\.budget: expected at most 100%/],
    ['retry: { tools: ["{a"] }', /retry\.tools\[0\]: bad glob/],
    ['hedge: {}', /missing key "after"/],
    ['tls: { cert: a.pem }', /expected "cert" and "key" together/],
    ['max_in_flight: 0', /expected at least 1/],
    ['sessions: lax', /expected one of strict, recover/],
  ] as const) {
    it(`${keys} is refused`, () => {
      assert.throws(() => load(keys), problem)
    })
  }

  it('warns of what can never act', () => {
    const texts = (keys: string, url: string): string[] => load(keys, url).warnings.map(({ text }) => text)
    const plain = 'http://kb.example.com/mcp'
    assert.match(texts('http2: true', plain).join(), /HTTP\/2 is spoken only to https replicas/)
    assert.match(texts('tls: { ca: ca.pem }', plain).join(), /no replica has an https URL/)
    assert.match(texts('hedge: { after: 1s }', plain).join(), /there is only one replica/)
    assert.deepEqual(texts('http2: true\ntls: { ca: ca.pem }', 'https://kb.example.com/mcp'), [])
  })
})
