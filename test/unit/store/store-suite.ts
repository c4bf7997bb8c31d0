import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import type { Quota, Store } from '../../../proxy/api/index.ts'
import { FrozenClock } from '../../../proxy/testing/frozen-clock.ts'

const MINUTE = 60_000
const DAY = 86_400_000

const bytes = (text: string): Buffer => Buffer.from(text)

export function quota(limit: number, windowMs = MINUTE, rest: Partial<Quota> = {}): Quota {
  return { limit, windowMs, window: 'sliding', burst: 1, whenDown: 'refuse', ...rest }
}

/** How many of `times` takes of `amount` are granted. */
export async function takes(store: Store, key: string, times: number, rule: Quota, amount = 1): Promise<number> {
  let granted = 0
  for (let i = 0; i < times; i++) if ((await store.take(key, amount, rule)).granted) granted++
  return granted
}

/** What every store must do, whatever is behind it. @param open a fresh store that lives by the clock */
export function storeSuite(name: string, open: (clock: FrozenClock) => Promise<Store>): void {
  const fresh = async (): Promise<{ store: Store; clock: FrozenClock }> => {
    const clock = new FrozenClock('2026-01-05T12:00:00Z')
    return { store: await open(clock), clock }
  }

  describe(`${name}: values`, () => {
    it('keeps bytes as they are, replaces and deletes them', async () => {
      const { store } = await fresh()
      assert.equal(await store.get('a'), null)
      await store.set('a', Buffer.from([0, 255, 10]), MINUTE)
      assert.deepEqual(Buffer.from((await store.get('a')) ?? []), Buffer.from([0, 255, 10]))
      await store.set('a', bytes('2'), MINUTE)
      assert.deepEqual(Buffer.from((await store.get('a')) ?? []), bytes('2'))
      await store.delete('a')
      await store.delete('a')
      assert.equal(await store.get('a'), null)
    })

    it('counts, from a number that was set, and from 0 after anything else', async () => {
      const { store } = await fresh()
      assert.equal(await store.increment('n', 1, MINUTE), 1)
      assert.equal(await store.increment('n', 2, MINUTE), 3)
      assert.deepEqual(Buffer.from((await store.get('n')) ?? []), bytes('3'))
      await store.set('m', bytes('41'), MINUTE)
      assert.equal(await store.increment('m', 1, MINUTE), 42)
      await store.set('x', bytes('x'), MINUTE)
      assert.equal(await store.increment('x', 5, MINUTE), 5)
    })
  })

  describe(`${name}: sliding quotas`, () => {
    it('grants the limit and not one more, and says when to come back', async () => {
      const { store, clock } = await fresh()
      assert.equal(await takes(store, 'k', 150, quota(100)), 100)
      assert.deepEqual(await store.take('k', 1, quota(100)), {
        granted: false,
        remaining: 0,
        retryMs: MINUTE,
        local: false,
      })
      clock.advance(MINUTE - 1)
      assert.equal(await takes(store, 'k', 1, quota(100)), 0)
      assert.equal((await store.take('k', 1, quota(100))).retryMs, 1)
      clock.advance(1)
      assert.equal(await takes(store, 'k', 150, quota(100)), 100)
    })

    it('never grants more than the limit in any window', async () => {
      const { store, clock } = await fresh()
      const granted: number[] = []
      let seed = 7
      for (let step = 0; step < 300; step++) {
        seed = (seed * 48_271) % 2_147_483_647
        clock.advance(seed % 900)
        for (let i = 0; i < seed % 4; i++) {
          if ((await store.take('k', 1, quota(50))).granted) granted.push(clock.now())
        }
      }
      for (const [i, at] of granted.entries()) {
        const later = granted[i + 50]
        assert.ok(later === undefined || later - at >= MINUTE, `51 between ${at} and ${later}`)
      }
      // …and no less than what 99 % of the time would allow, under steady pressure.
      const spanMs = clock.now() - (granted[0] ?? 0)
      assert.ok(granted.length >= Math.floor(((spanMs / MINUTE) * 50) / 1.01), `${granted.length} in ${spanMs} ms`)
    })

    it('takes all of an amount or nothing of it', async () => {
      const { store } = await fresh()
      assert.equal((await store.take('k', 70, quota(100))).granted, true)
      assert.equal((await store.take('k', 40, quota(100))).granted, false)
      assert.equal((await store.take('k', 30, quota(100))).granted, true)
      assert.equal((await store.take('big', 101, quota(100))).granted, false)
    })

    it('keeps keys apart', async () => {
      const { store } = await fresh()
      assert.equal(await takes(store, 'a', 9, quota(5)), 5)
      assert.equal(await takes(store, 'b', 9, quota(5)), 5)
    })
  })

  describe(`${name}: other windows`, () => {
    it('fixed: begins anew with each day in UTC', async () => {
      const { store, clock } = await fresh()
      const rule = quota(10, DAY, { window: 'fixed' })
      assert.equal(await takes(store, 'k', 12, rule), 10)
      assert.equal((await store.take('k', 1, rule)).retryMs, DAY / 2)
      clock.set('2026-01-05T23:59:59.999Z')
      assert.equal(await takes(store, 'k', 1, rule), 0)
      clock.set('2026-01-06T00:00:00Z')
      clock.advance(1000)
      assert.equal(await takes(store, 'k', 12, rule), 10)
    })

    it('smooth: a burst, then one after the other', async () => {
      const { store, clock } = await fresh()
      const rule = quota(60, MINUTE, { window: 'smooth', burst: 5 })
      assert.equal(await takes(store, 'k', 9, rule), 5)
      assert.equal((await store.take('k', 1, rule)).retryMs, 1000)
      clock.advance(1000)
      assert.equal(await takes(store, 'k', 9, rule), 1)
      clock.advance(2500)
      assert.equal(await takes(store, 'k', 9, rule), 2)
      clock.advance(10 * MINUTE)
      assert.equal(await takes(store, 'k', 9, rule), 5)
    })
  })

  describe(`${name}: spending`, () => {
    it('counts beyond the limit, and asks for nothing see it', async () => {
      const { store, clock } = await fresh()
      const rule = quota(1000, DAY, { window: 'fixed' })
      assert.equal((await store.take('k', 0, rule)).granted, true)
      store.spend('k', 5000, rule)
      clock.advance(5000)
      await settled(async () => !(await store.take('k', 0, rule)).granted)
      const after = await store.take('k', 0, rule)
      assert.deepEqual([after.granted, after.remaining], [false, 0])
    })

    it('gives back what was not used', async () => {
      const { store } = await fresh()
      assert.equal(await takes(store, 'k', 10, quota(10)), 10)
      store.spend('k', -3, quota(10))
      assert.equal(await takes(store, 'k', 10, quota(10)), 3)
    })
  })

  describe(`${name}: places`, () => {
    it('has so many and no more, and frees each of them once', async () => {
      const { store } = await fresh()
      const [a, b] = [await store.hold('p', 2, 'refuse'), await store.hold('p', 2, 'refuse')]
      assert.ok(a !== null && b !== null)
      assert.equal(await store.hold('p', 2, 'refuse'), null)
      a.release()
      a.release()
      const c = await store.hold('p', 2, 'refuse')
      assert.ok(c !== null)
      assert.equal(await store.hold('p', 2, 'refuse'), null)
      b.release()
      c.release()
    })

    it('does not give the same place to two who ask at once', async () => {
      const { store } = await fresh()
      const asked = await Promise.all(Array.from({ length: 20 }, () => store.hold('q', 7, 'refuse')))
      const held = asked.filter(place => place !== null)
      assert.equal(held.length, 7)
      for (const place of held) place.release()
      assert.ok((await store.hold('q', 1, 'refuse')) !== null)
    })
  })
}

/** Waits for what is said behind the scenes: a store that answers at once needs one look. */
async function settled(check: () => Promise<boolean>): Promise<void> {
  const limit = performance.now() + 5000
  while (!(await check())) {
    if (performance.now() > limit) throw new Error('waited 5 s for a store to hear of it')
    await new Promise(resolve => setTimeout(resolve, 2))
  }
}
