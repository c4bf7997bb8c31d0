import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { Redis } from 'ioredis'
import { systemClock } from '../../../proxy/base/clock.ts'
import { RedisStore } from '../../../proxy/store/redis.ts'
import { NEEDS_REDIS, startRedis, startSentinel } from '../../helpers/redis.ts'
import { suiteScope, until } from '../../helpers/scope.ts'
import { quota, takes } from './store-suite.ts'

/** A failover takes the Sentinel two seconds to see, and some more to do. */
const FAILOVER_MS = 30_000

describe('Redis behind Sentinels, when the master dies', NEEDS_REDIS, () => {
  const scope = suiteScope()

  it('is the replica that takes its place, with what was counted', { timeout: 60_000 }, async () => {
    const master = await startRedis(scope, ['--repl-diskless-sync-delay', '0'])
    const replica = await startRedis(scope, ['--replicaof', '127.0.0.1', String(master.port)])
    const ofMaster = master.connect()
    const linked = watch(async () => String(await ofMaster.call('INFO', 'replication')))
    await until(() => linked().includes('state=online'), 'the replica to follow')
    const place = await startSentinel(scope, master.port)
    const [node] = place.nodes
    const sentinel = new Redis({ ...node, maxRetriesPerRequest: 1 })
    sentinel.on('error', () => {})
    scope.after(() => sentinel.disconnect())
    const replicas = watch(async () => String(await sentinel.call('SENTINEL', 'replicas', 'main')))
    // Only what a replica has told about itself makes it one to choose.
    const isKnown = (): boolean =>
      replicas().includes(`,${replica.port},`) && replicas().includes('master-link-status,ok')
    await until(isKnown, 'the Sentinel to know the replica', FAILOVER_MS)

    const options = { prefix: 'f:', processes: 1, clock: systemClock }
    const store = new RedisStore({ ...options, place: { ...place, timeoutMs: 500, connectTimeoutMs: 500 } })
    scope.after(() => store.close())
    await store.open()
    const hour = quota(10, 3_600_000)
    assert.equal(await takes(store, 'k', 4, hour), 4)
    await store.set('v', Buffer.from('kept'), 3_600_000)
    // WAIT counts who has the last write of this connection, and so all before it.
    await ofMaster.set('last', 'write')
    assert.equal(await ofMaster.call('WAIT', 1, 5000), 1)

    await master.kill()
    const value = watch(async () => String(await store.get('v')))
    await until(() => value() === 'kept', 'the new master to be used', FAILOVER_MS)
    assert.match(String(await replica.connect().call('ROLE')), /^master/)
    // Nothing was lost, and nothing is counted twice.
    assert.equal(await takes(store, 'k', 10, hour), 6)

    // The old one comes back, empty, and becomes a replica: what is written goes on to where it counts.
    await master.start()
    const role = watch(async () => String(await ofMaster.call('ROLE')))
    await until(() => role().startsWith('slave'), 'the old master to be a replica', FAILOVER_MS)
    await store.set('v', Buffer.from('after'), 3_600_000)
    assert.equal(String(await store.get('v')), 'after')
    assert.equal(await takes(store, 'k', 1, hour), 0)
  })
})

/** Asks again and again, one question at a time; gives the last answer, `''` before the first. */
function watch(ask: () => Promise<string>): () => string {
  let last = ''
  let busy = false
  return () => {
    if (!busy) {
      busy = true
      ask()
        .then(
          answer => void (last = answer),
          () => {},
        )
        .finally(() => void (busy = false))
    }
    return last
  }
}
