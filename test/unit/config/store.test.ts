import assert from 'node:assert/strict'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, describe, it } from 'node:test'
import { loadConfig } from '../../../proxy/config/load.ts'
import type { RedisConfig, StoreConfig } from '../../../proxy/config/store-config.ts'

const dir = mkdtempSync(join(tmpdir(), 'sluice-store-'))
after(() => rmSync(dir, { recursive: true, force: true }))

function load(store: string): StoreConfig {
  const file = join(dir, 'sluice.yaml')
  writeFileSync(file, `servers: { a: { url: http://127.0.0.1:1/mcp } }\n${store}\n`)
  return loadConfig(file, { env: { REDIS_PASSWORD: 'p@ss/word', REDIS_URL: 'redis://u:topsecret@h:1/x/y' } }).store
}

const redis = (text: string): RedisConfig => load(`store: { redis: ${text} }`) as RedisConfig

describe('store:', () => {
  it('is memory unless it says otherwise', () => {
    assert.equal(load(''), 'memory')
    assert.equal(load('store: memory'), 'memory')
  })

  it('reads a URL with user, password and database', () => {
    const { mode, nodes, username, password, db, tls } = redis(
      '{ url: "rediss://sluice:p%40ss@redis.internal:6380/2" }',
    )
    assert.deepEqual([mode, nodes], ['standalone', [{ host: 'redis.internal', port: 6380 }]])
    assert.deepEqual([username, password, db], ['sluice', 'p@ss', 2])
    assert.deepEqual(tls, { ca: '', cert: '', key: '', serverName: '' })
  })

  it('has defaults', () => {
    const { nodes, prefix, timeoutMs, connectTimeoutMs, instances, tls } = redis('{ url: redis://localhost }')
    assert.deepEqual(nodes, [{ host: 'localhost', port: 6379 }])
    assert.deepEqual([prefix, timeoutMs, connectTimeoutMs, instances, tls], ['sluice:', 500, 2000, 3, null])
  })

  it('reads a Cluster, Sentinels and secrets of the environment', () => {
    const cluster = redis('{ nodes: ["10.0.0.1:7000", redis-2], tls: { ca: ca.pem }, password: "${REDIS_PASSWORD}" }')
    assert.deepEqual([cluster.mode, cluster.password], ['cluster', 'p@ss/word'])
    assert.deepEqual(cluster.nodes[1], { host: 'redis-2', port: 6379 })
    assert.equal(cluster.tls?.ca, join(dir, 'ca.pem'))
    const sentinel = redis(
      '{ sentinels: ["a:26379"], master_name: main, sentinel_password: x, prefix: "s1:", timeout: 1s }',
    )
    assert.deepEqual([sentinel.mode, sentinel.masterName, sentinel.sentinelPassword], ['sentinel', 'main', 'x'])
    assert.deepEqual([sentinel.prefix, sentinel.timeoutMs], ['s1:', 1000])
  })

  const bad: [string, RegExp][] = [
    ['{}', /store\.redis: give one of "url", "nodes" and "sentinels"/],
    ['{ url: redis://a, nodes: ["b:1"] }', /give one of "url", "nodes" and "sentinels"/],
    ['{ sentinels: ["a:1"] }', /"sentinels" and "master_name" go together/],
    ['{ nodes: ["a:1"], db: 1 }', /a Cluster has only database 0/],
    ['{ url: "http://a" }', /no URL of Redis/],
    ['{ url: "redis://:pw@a", password: b }', /password: the URL has one too/],
    ['{ url: redis://a, tls: { cert: a.pem } }', /"cert" and "key" go together/],
    ['{ url: redis://a, timeuot: 1s }', /timeuot/],
    ['{ url: redis://a, timeout: 0 }', /expected at least 1ms/],
  ]
  for (const [text, message] of bad) it(`${text}: ${message.source}`, () => assert.throws(() => redis(text), message))

  it('says what is wrong with a URL without repeating it', () => {
    const wrong = (run: () => unknown): string => {
      try {
        run()
      } catch (error) {
        return (error as Error).message
      }
      return assert.fail('it was accepted')
    }
    assert.doesNotMatch(
      wrong(() => redis('{ url: "${REDIS_URL}" }')),
      /topsecret/,
    )
    assert.doesNotMatch(
      wrong(() => redis('{ url: "redis://u:topsecret@h/x" }')),
      /topsecret/,
    )
  })
})
