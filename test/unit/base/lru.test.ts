import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import fc from 'fast-check'
import { Lru } from '../../../proxy/base/lru.ts'

describe('Lru', () => {
  it('never holds more than its limit, and always the half used last', () => {
    const step = fc.tuple(fc.boolean(), fc.integer({ min: 0, max: 12 }))
    fc.assert(
      fc.property(fc.integer({ min: 2, max: 10 }), fc.array(step, { maxLength: 200 }), (limit, steps) => {
        const lru = new Lru<number, number>(limit)
        let used: number[] = []
        for (const [writes, key] of steps) {
          if (writes) lru.set(key, key)
          else assert.ok([key, undefined].includes(lru.get(key)))
          if (!writes && lru.get(key) === undefined) continue
          used = [key, ...used.filter(other => other !== key)].slice(0, Math.floor(limit / 2))
          assert.ok(lru.size <= Math.max(limit, 2))
        }
        for (const key of used) assert.equal(lru.get(key), key)
      }),
    )
  })

  it('forgets what is deleted, also what is about to age', () => {
    const lru = new Lru<string, number>(2)
    lru.set('a', 1)
    lru.set('b', 2)
    lru.delete('a')
    assert.equal(lru.get('a'), undefined)
    assert.equal(lru.get('b'), 2)
  })

  it('gives the newest value of a key', () => {
    const lru = new Lru<string, number>(2)
    lru.set('a', 1)
    lru.set('b', 2)
    lru.set('a', 3)
    lru.set('b', 4)
    assert.equal(lru.get('a'), 3)
    assert.equal(lru.get('b'), 4)
  })
})
