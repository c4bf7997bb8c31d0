import assert from 'node:assert/strict'
import { it } from 'node:test'
import { clusterOptions, type RedisPlace, redisOptions, retryDelay } from '../../../proxy/store/redis-client.ts'
import { placeOf } from '../../helpers/redis.ts'

const secret: Partial<RedisPlace> = { username: 'sluice', password: 'word', timeoutMs: 300, connectTimeoutMs: 900 }
const tls = { ca: '', cert: '', key: '', serverName: 'redis.internal' }

it('one server: a user, a time limit, and no waiting for a connection', () => {
  const options = redisOptions(placeOf([6379], { ...secret, db: 3, tls }))
  const { host, port, db, username, password, commandTimeout, connectTimeout, enableOfflineQueue } = options
  assert.deepEqual([host, port, db, username, password], ['127.0.0.1', 6379, 3, 'sluice', 'word'])
  assert.deepEqual([commandTimeout, connectTimeout, enableOfflineQueue], [300, 900, false])
  assert.deepEqual([options.maxRetriesPerRequest, options.enableAutoPipelining], [1, true])
  assert.deepEqual(options.tls, { servername: 'redis.internal' })
})

it('Sentinels: their own credentials, the name of the master, TLS to both', () => {
  const options = redisOptions(
    placeOf([26_379, 26_380], { ...secret, mode: 'sentinel', masterName: 'main', sentinelPassword: 'other', tls }),
  )
  assert.deepEqual(options.sentinels, [
    { host: '127.0.0.1', port: 26_379 },
    { host: '127.0.0.1', port: 26_380 },
  ])
  assert.deepEqual([options.name, options.password, options.sentinelPassword], ['main', 'word', 'other'])
  assert.deepEqual([options.sentinelTLS, options.enableTLSForSentinelMode], [options.tls, true])
  assert.equal(options.host, undefined)
})

it('a Cluster: the same for each node', () => {
  const options = clusterOptions(placeOf([7000, 7001], { ...secret, mode: 'cluster' }))
  const { username, password, commandTimeout, maxRetriesPerRequest } = options.redisOptions
  assert.deepEqual([username, password, commandTimeout, maxRetriesPerRequest], ['sluice', 'word', 300, 1])
  assert.deepEqual([options.enableOfflineQueue, options.enableAutoPipelining], [false, true])
})

it('waits longer from try to try, but never long, and never all at once', () => {
  assert.deepEqual(
    [1, 2, 3, 6, 7, 100].map(tries => retryDelay(tries, () => 1)),
    [50, 100, 200, 1600, 2000, 2000],
  )
  assert.equal(
    retryDelay(100, () => 0),
    1000,
  )
})
