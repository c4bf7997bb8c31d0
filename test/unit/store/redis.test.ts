import assert from 'node:assert/strict'
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { before, describe, it } from 'node:test'
import type { Hold } from '../../../proxy/api/index.ts'
import { systemClock } from '../../../proxy/base/clock.ts'
import { channels, type Notice } from '../../../proxy/observe/channels.ts'
import { RedisStore, type RedisStoreOptions } from '../../../proxy/store/redis.ts'
import type { RedisPlace } from '../../../proxy/store/redis-client.ts'
import { FrozenClock } from '../../../proxy/testing/frozen-clock.ts'
import { NEEDS_REDIS, placeOf, startRedis, startRedisCluster, startSentinel } from '../../helpers/redis.ts'
import { type Scope, suiteScope, until } from '../../helpers/scope.ts'
import { quota, storeSuite, takes } from './store-suite.ts'

let prefixes = 0

async function openStore(
  scope: Scope,
  place: RedisPlace,
  options: Partial<RedisStoreOptions> = {},
): Promise<RedisStore> {
  const prefix = `t${++prefixes}:`
  const store = new RedisStore({ place, prefix, processes: 3, clock: systemClock, ...options })
  scope.after(() => store.close())
  await store.open()
  return store
}

for (const [name, start] of [
  ['Redis', async (scope: Scope) => (await startRedis(scope)).place],
  ['Redis Cluster', startRedisCluster],
] as const) {
  describe(name, NEEDS_REDIS, () => {
    const scope = suiteScope()
    let place: RedisPlace
    before(async () => {
      place = await start(scope)
    })
    storeSuite(name, clock => openStore(scope, place, { clock, windowClock: clock }))
    threeInstances(scope, () => place)
  })
}

/** Three instances of the proxy that share one Redis. */
function threeInstances(scope: Scope, place: () => RedisPlace): void {
  describe('three instances', () => {
    const open = async (): Promise<{ stores: RedisStore[]; clock: FrozenClock }> => {
      const clock = new FrozenClock('2026-01-05T12:00:00Z')
      const prefix = `three${++prefixes}:`
      const options = { clock, windowClock: clock, prefix }
      return { stores: await Promise.all([1, 2, 3].map(() => openStore(scope, place(), options))), clock }
    }

    for (const limit of [10, 100, 1000, 20_000]) {
      it(`grant ${limit} together, to 1 %, whoever asks how much`, async () => {
        const { stores } = await open()
        const shares = [limit * 0.2, limit * 0.05, limit * 1.5]
        const granted = await Promise.all(stores.map((store, i) => takeMany(store, shares[i] ?? 0, quota(limit))))
        const sum = granted.reduce((all, one) => all + one)
        assert.ok(sum <= limit && sum >= limit * 0.99, `${sum} of ${limit}`)
      })
    }

    it('give back what nobody used', async () => {
      const { stores, clock } = await open()
      const [a, b] = stores as [RedisStore, RedisStore]
      for (let i = 0; i < 50; i++) await takes(a, 'k', 1, quota(1000))
      clock.advance(1000)
      a.sweep()
      let taken = 0
      await until(() => {
        for (let i = 0; i < 20; i++) {
          void Promise.resolve(b.take('k', 1, quota(1000))).then(grant => void (taken += grant.granted ? 1 : 0))
        }
        return taken === 950
      }, `everything that is left to be granted (${taken})`)
    })

    it('nearly never ask where a key is in demand', async () => {
      const { stores } = await open()
      const [store] = stores as [RedisStore]
      let waited = 0
      for (let i = 0; i < 20_000; i++) {
        const grant = store.take('k', 1, quota(10_000_000))
        if (grant instanceof Promise) {
          waited++
          assert.equal((await grant).granted, true)
        }
      }
      assert.ok(waited < 40, `${waited} of 20000 waited`)
    })

    it('refuse without asking', async () => {
      const { stores } = await open()
      const [store] = stores as [RedisStore]
      assert.equal(await takes(store, 'k', 11, quota(10)), 10)
      const grant = store.take('k', 1, quota(10))
      assert.ok(!(grant instanceof Promise))
      assert.deepEqual([grant.granted, grant.retryMs], [false, 60_000])
    })

    it('share places; those of one that leaves are free', async () => {
      const { stores, clock } = await open()
      const [a, b] = stores as [RedisStore, RedisStore]
      const held = [await a.hold('p', 3, 'refuse'), await b.hold('p', 3, 'refuse'), await a.hold('p', 3, 'refuse')]
      assert.equal(await b.hold('p', 3, 'refuse'), null)
      held[0]?.release()
      assert.ok((await patiently(b)) !== null)
      assert.equal(await a.hold('p', 3, 'refuse'), null)
      // As if they had died: nobody says any more that they hold something.
      clock.advance(31_000)
      const c = stores[2] as RedisStore
      assert.ok((await c.hold('p', 3, 'refuse')) !== null)
    })
  })
}

/** That a place is free again is told behind the scenes. */
async function patiently(store: RedisStore): Promise<Hold | null> {
  for (let i = 0; i < 1000; i++) {
    const place = await store.hold('p', 3, 'refuse')
    if (place !== null) return place
  }
  return null
}

async function takeMany(store: RedisStore, times: number, rule: ReturnType<typeof quota>): Promise<number> {
  let granted = 0
  for (let i = 0; i < times; i++) if ((await store.take('k', 1, rule)).granted) granted++
  return granted
}

describe('Redis that goes down', NEEDS_REDIS, () => {
  const scope = suiteScope()

  it('is replaced by limits of the process, or by refusals, and is used again when it is back', async () => {
    const redis = await startRedis(scope)
    const notices: Notice[] = []
    const listen = (notice: unknown): void => void notices.push(notice as Notice)
    channels.notice.subscribe(listen)
    scope.after(() => void channels.notice.unsubscribe(listen))
    const store = await openStore(scope, { ...redis.place, password: '', timeoutMs: 300 }, { prefix: 'd:' })
    const insured = quota(10, 60_000, { whenDown: 'local' })
    const strict = quota(10)
    assert.equal(await takes(store, 'insured', 4, insured), 4)
    assert.equal(await takes(store, 'strict', 4, strict), 4)

    await redis.kill()
    await until(() => notices.length === 1, 'a notice')
    assert.equal(notices[0]?.level, 'warn')
    // What this process has used counts on.
    assert.equal(await takes(store, 'insured', 20, insured), 6)
    assert.equal((await store.take('insured', 1, insured)).local, true)
    await assert.rejects(async () => store.take('strict', 1, strict), { code: 'store_unreachable' })
    await assert.rejects(store.get('x'), { code: 'store_unreachable' })
    await assert.rejects(async () => store.hold('p', 1, 'refuse'), { code: 'store_unreachable' })
    const place = await store.hold('p', 1, 'local')
    assert.ok(place !== null)
    assert.equal(await store.hold('p', 1, 'local'), null)

    await redis.start()
    await until(() => notices.length === 2, 'it to be used again')
    assert.deepEqual([notices[1]?.level, notices[1]?.text], ['info', 'redis can be reached again'])
    assert.equal(await takes(store, 'strict', 20, strict), 10)
    await store.set('x', Buffer.from('1'), 1000)
    // What it holds is known there again.
    const other = await openStore(scope, redis.place, { prefix: 'd:' })
    assert.equal(await other.hold('p', 1, 'refuse'), null)
    place.release()
  })

  it('may be down when the proxy starts', async () => {
    const redis = await startRedis(scope)
    await redis.kill()
    const store = await openStore(scope, { ...redis.place, timeoutMs: 300 })
    assert.equal(await takes(store, 'k', 5, quota(3, 60_000, { whenDown: 'local' })), 3)
    await redis.start()
    const rule = quota(3)
    await until(() => {
      const grant = store.take('k2', 1, rule)
      if (grant instanceof Promise) grant.catch(() => {})
      return !(grant instanceof Promise) && !grant.granted
    }, 'Redis to be used')
  })
})

describe('Redis with a password', NEEDS_REDIS, () => {
  const scope = suiteScope()

  it('takes an ACL user, and no log ever shows the password', async () => {
    // Every word is an argument of its own. The rights are those of docs/redis.md.
    const rights =
      /`(\+get [^`]*)`/
        .exec(readFileSync(join(import.meta.dirname, '../../../docs/redis.md'), 'utf8'))?.[1]
        ?.split(' ') ?? []
    assert.ok(rights.length > 10)
    const user = ['--user', 'sluice', 'on', '>s3cret-word', '~t*', '-@all', ...rights, '--user', 'default', 'off']
    const redis = await startRedis(scope, user)
    const notices: Notice[] = []
    const listen = (notice: unknown): void => void notices.push(notice as Notice)
    channels.notice.subscribe(listen)
    scope.after(() => void channels.notice.unsubscribe(listen))
    const store = await openStore(scope, placeOf([redis.port], { username: 'sluice', password: 's3cret-word' }))
    assert.equal(await takes(store, 'k', 3, quota(2)), 2)
    assert.equal(await takes(store, 'f', 3, quota(2, 60_000, { window: 'fixed' })), 2)
    assert.ok((await store.hold('p', 1, 'refuse')) !== null)
    assert.equal(await store.increment('n', 1, 1000), 1)
    await store.set('v', Buffer.from('1'), 1000)
    await store.get('v')
    await store.delete('v')
    assert.equal(notices.length, 0)
    const wrong = await openStore(scope, placeOf([redis.port], { username: 'sluice', password: 'wr0ng-word' }))
    await assert.rejects(
      async () => wrong.take('k', 1, quota(2)),
      error => {
        assert.doesNotMatch(`${(error as Error).message} ${(error as Error).stack}`, /wr0ng-word/)
        return true
      },
    )
    assert.ok(notices.length > 0)
    assert.doesNotMatch(JSON.stringify(notices), /wr0ng-word|s3cret-word/)
  })
})

describe('Redis that does nothing for us', NEEDS_REDIS, () => {
  const scope = suiteScope()

  it('counts as down until it does', async () => {
    const redis = await startRedis(scope)
    const notices: Notice[] = []
    const listen = (notice: unknown): void => void notices.push(notice as Notice)
    channels.notice.subscribe(listen)
    scope.after(() => void channels.notice.unsubscribe(listen))
    const store = await openStore(scope, redis.place)
    const admin = redis.connect()
    await admin.call('CONFIG', 'SET', 'maxmemory', '1')
    const rule = quota(5, 60_000, { whenDown: 'local' })
    assert.equal(await takes(store, 'k', 9, rule), 5)
    assert.equal(notices.length, 1)
    assert.match(JSON.stringify(notices[0]), /OOM/)
    await admin.call('CONFIG', 'SET', 'maxmemory', '0')
    await until(() => {
      void store.take('other', 1, rule)
      return notices.length === 2
    }, 'it to be used again')
    assert.equal(notices[1]?.level, 'info')
  })
})

describe('Redis behind Sentinels', NEEDS_REDIS, () => {
  const scope = suiteScope()

  it('is found by the name of the master', async () => {
    const redis = await startRedis(scope)
    const sentinel = await startSentinel(scope, redis.port)
    const store = await openStore(scope, sentinel)
    assert.equal(await takes(store, 'k', 3, quota(2)), 2)
    assert.equal((await redis.connect().keys('t*:q:sliding:k')).length, 1)
  })
})
