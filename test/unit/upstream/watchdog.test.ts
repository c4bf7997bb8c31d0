import assert from 'node:assert/strict'
import { test } from 'node:test'
import { TICK_MS, Watchdog, type Watched } from '../../../proxy/upstream/watchdog.ts'

function item(log: string[], name: string, onSilence = () => {}): Watched {
  return {
    previous: null,
    next: null,
    list: -1,
    heardAt: 0,
    patienceTicks: 0,
    onSilence() {
      log.push(name)
      onSilence()
    },
  }
}

function sweeps(watchdog: Watchdog, count: number): void {
  for (let i = 0; i < count; i++) watchdog.sweep()
}

test('barks after the limit, never before, and not at one that was heard', () => {
  const log: string[] = []
  const watchdog = new Watchdog()
  const [quiet, chatty] = [item(log, 'quiet'), item(log, 'chatty')]
  watchdog.watch(quiet, 4 * TICK_MS)
  watchdog.watch(chatty, 4 * TICK_MS)
  sweeps(watchdog, 4)
  chatty.heardAt = watchdog.tick
  assert.deepEqual(log, [])
  sweeps(watchdog, 1)
  assert.deepEqual(log, ['quiet'])
  watchdog.leave(quiet)
  sweeps(watchdog, 3)
  assert.deepEqual(log, ['quiet'])
  watchdog.leave(chatty)
  sweeps(watchdog, 20)
  assert.deepEqual(log, ['quiet'])
})

test('0 is no limit, and a new limit counts from now', () => {
  const log: string[] = []
  const watchdog = new Watchdog()
  const patient = item(log, 'patient')
  watchdog.watch(patient, 0)
  sweeps(watchdog, 1000)
  assert.deepEqual(log, [])
  watchdog.setPatience(patient, TICK_MS)
  sweeps(watchdog, 1)
  assert.deepEqual(log, [])
  sweeps(watchdog, 1)
  assert.deepEqual(log, ['patient'])
  watchdog.leave(patient)
})

test('items may leave in any order, also while it barks', () => {
  const log: string[] = []
  const watchdog = new Watchdog()
  const items = ['a', 'b', 'c', 'd'].map(name => {
    const made: Watched = item(log, name, () => watchdog.leave(made))
    return made
  })
  for (const one of items) watchdog.watch(one, TICK_MS)
  watchdog.leave(items[1] as Watched)
  watchdog.leave(items[3] as Watched)
  sweeps(watchdog, 2)
  assert.deepEqual(log, ['c', 'a'])
  sweeps(watchdog, 10)
  assert.deepEqual(log, ['c', 'a'])
})

test('long limits are looked at more rarely, and never before they are over', () => {
  const log: string[] = []
  const watchdog = new Watchdog()
  const items = Array.from({ length: 40 }, (_, index) => {
    const made: Watched = item(log, `${index}`, () => watchdog.leave(made))
    return made
  })
  for (const one of items) watchdog.watch(one, 100 * TICK_MS)
  sweeps(watchdog, 100)
  assert.deepEqual(log, [])
  sweeps(watchdog, 17)
  assert.equal(new Set(log).size, 40)
  assert.equal(log.length, 40)
})

test('a limit may become short or long while it runs', () => {
  const log: string[] = []
  const watchdog = new Watchdog()
  const [shortened, lengthened] = [item(log, 'shortened'), item(log, 'lengthened')]
  watchdog.watch(shortened, 1000 * TICK_MS)
  watchdog.watch(lengthened, TICK_MS)
  watchdog.setPatience(shortened, TICK_MS)
  watchdog.setPatience(lengthened, 1000 * TICK_MS)
  sweeps(watchdog, 2)
  assert.deepEqual(log, ['shortened'])
  watchdog.leave(shortened)
  watchdog.leave(shortened)
  sweeps(watchdog, 998)
  assert.deepEqual(log, ['shortened'])
  sweeps(watchdog, 18)
  assert.equal(log.at(-1), 'lengthened')
  watchdog.leave(lengthened)
})
