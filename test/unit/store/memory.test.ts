import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { MemoryStore } from '../../../proxy/store/memory.ts'
import { quota, storeSuite, takes } from './store-suite.ts'

const time = { ms: 0 }
const clock = { now: () => time.ms, monotonic: () => time.ms }
const bytes = (text: string): Buffer => Buffer.from(text)

storeSuite('MemoryStore', async clock => new MemoryStore({ clock }))

describe('MemoryStore', () => {
  it('keeps a value for its lifetime', async () => {
    const store = new MemoryStore({ clock })
    await store.set('a', bytes('1'), 100)
    time.ms += 99
    assert.deepEqual(await store.get('a'), bytes('1'))
    time.ms += 1
    assert.equal(await store.get('a'), null)
    assert.equal(store.size, 0)
  })

  it('replaces and deletes', async () => {
    const store = new MemoryStore({ clock })
    await store.set('a', bytes('1'), 100)
    await store.set('a', bytes('2'), 100)
    assert.deepEqual(await store.get('a'), bytes('2'))
    await store.delete('a')
    await store.delete('a')
    assert.equal(await store.get('a'), null)
  })

  it('counts from the first use of a key, which also sets its end', async () => {
    const store = new MemoryStore({ clock })
    assert.equal(await store.increment('n', 1, 100), 1)
    time.ms += 60
    assert.equal(await store.increment('n', 2, 100), 3)
    assert.deepEqual(await store.get('n'), bytes('3'))
    time.ms += 40
    assert.equal(await store.increment('n', 5, 100), 5)
  })

  it('counts on from a number that was set, and from 0 after anything else', async () => {
    const store = new MemoryStore({ clock })
    await store.set('n', bytes('41'), 100)
    assert.equal(await store.increment('n', 1, 100), 42)
    await store.set('n', bytes('x'), 100)
    assert.equal(await store.increment('n', 1, 100), 1)
  })

  it('beyond its entries lets expired ones go first, then the oldest', async () => {
    const store = new MemoryStore({ clock, maxEntries: 3 })
    await store.set('old', bytes(''), 1e6)
    await store.set('brief', bytes(''), 10)
    await store.set('mid', bytes(''), 1e6)
    time.ms += 5000
    await store.set('new', bytes(''), 1e6)
    assert.notEqual(await store.get('old'), null)
    await store.set('newer', bytes(''), 1e6)
    assert.equal(await store.get('old'), null)
    assert.equal(store.size, 3)
  })

  it('beyond its bytes lets the oldest go, and takes no value that would fill it', async () => {
    const store = new MemoryStore({ clock, maxBytes: 4000 })
    for (let index = 0; index < 10; index++) await store.set(`key-${index}`, Buffer.alloc(700), 1e6)
    assert.equal(store.size, 4)
    assert.notEqual(await store.get('key-9'), null)
    await store.set('huge', Buffer.alloc(2000), 1e6)
    assert.equal(await store.get('huge'), null)
    assert.equal(store.size, 4)
  })
})

describe('the table of quotas', () => {
  const used = { limit: 10, of: 6 }

  it('gives up what has run out first, then what is least used, and never what is half used', async () => {
    const store = new MemoryStore({ clock, maxQuotas: 20 })
    await takes(store, 'victim', used.of, quota(used.limit))
    for (let i = 0; i < 500; i++) await takes(store, `flood-${i}`, 1, quota(used.limit))
    assert.equal(await takes(store, 'victim', 99, quota(used.limit)), used.limit - used.of)
  })

  it('lets new keys share one counter where nothing can go, so that a flood frees nobody', async () => {
    const store = new MemoryStore({ clock, maxQuotas: 20 })
    for (let i = 0; i < 20; i++) await takes(store, `full-${i}`, 10, quota(10))
    const granted = await Promise.all(Array.from({ length: 50 }, (_, i) => takes(store, `new-${i}`, 1, quota(10))))
    assert.equal(
      granted.reduce((sum, one) => sum + one),
      10,
    )
    for (let i = 0; i < 20; i++) assert.equal(await takes(store, `full-${i}`, 1, quota(10)), 0)
    time.ms += 60_000
    assert.equal(await takes(store, 'new-0', 99, quota(10)), 10)
  })

  it('does not mistake a lavish quota for another one', async () => {
    const store = new MemoryStore({ clock, maxQuotas: 20 })
    await takes(store, 'victim', 10, quota(10))
    for (let i = 0; i < 100; i++) await takes(store, `flood-${i}`, 1, quota(1_000_000))
    assert.equal(await takes(store, 'victim', 1, quota(10)), 0)
  })
})
