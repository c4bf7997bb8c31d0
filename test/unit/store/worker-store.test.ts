import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import type { Clock } from '../../../proxy/api/index.ts'
import { LimitDesk, LimitLink } from '../../../proxy/cli/workers/limits.ts'
import { WorkerStore } from '../../../proxy/store/worker-store.ts'
import { FrozenClock } from '../../../proxy/testing/frozen-clock.ts'
import { quota, storeSuite, takes } from './store-suite.ts'

/** Workers that talk to one supervisor as over IPC: later, and in JSON. */
function workers(count: number, clock: Clock): { stores: WorkerStore[]; desk: LimitDesk; asked: () => number } {
  const desk = new LimitDesk(clock)
  let asked = 0
  const stores = Array.from({ length: count }, (_, i) => {
    const link: LimitLink = new LimitLink((id, question) => {
      asked++
      const answer = desk.answer(String(i), json(question))
      setImmediate(() => link.heard(id, json(answer)))
    })
    return new WorkerStore({ clock, backend: link, processes: count })
  })
  return { stores, desk, asked: () => asked }
}

function json<T>(value: T): T {
  return JSON.parse(JSON.stringify(value)) as T
}

const one = (clock: FrozenClock): WorkerStore => workers(1, clock).stores[0] as WorkerStore

storeSuite('WorkerStore', async clock => one(clock))

describe('several workers', () => {
  for (const limit of [10, 100, 1000, 20_000]) {
    it(`grant ${limit} together, to 1 %, whoever is asked how often`, async () => {
      const { stores } = workers(4, new FrozenClock(0))
      const shares = [limit * 0.3, 1, limit * 0.1, limit * 1.2]
      const granted = await Promise.all(stores.map((store, i) => takes(store, 'k', shares[i] ?? 0, quota(limit))))
      const sum = granted.reduce((all, part) => all + part)
      assert.ok(sum <= limit && sum >= limit * 0.99, `${sum} of ${limit}`)
    })
  }

  it('seldom ask where a key is in demand', async () => {
    const { stores, asked } = workers(2, new FrozenClock(0))
    assert.equal(await takes(stores[0] as WorkerStore, 'k', 10_000, quota(1_000_000)), 10_000)
    assert.ok(asked() < 30, `asked ${asked()} times`)
  })

  it('lose the places of one that died', async () => {
    const { stores, desk } = workers(2, new FrozenClock(0))
    const [a, b] = stores as [WorkerStore, WorkerStore]
    assert.ok((await a.hold('p', 1, 'refuse')) !== null)
    assert.equal(await b.hold('p', 1, 'refuse'), null)
    desk.gone('0')
    assert.ok((await b.hold('p', 1, 'refuse')) !== null)
  })
})
