import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { SingleFlight } from '#api'

describe('SingleFlight', () => {
  it('lets one fetch, and gives what it got to all', async () => {
    const flights = new SingleFlight<string>()
    const leader = flights.join('a')
    const others = [flights.join('a'), flights.join('a')]
    assert.deepEqual([leader.leads, leader.value, others[0]?.leads], [true, null, false])
    assert.deepEqual([leader.awaitedBy, others[0]?.awaitedBy], [2, 0])
    leader.done('x')
    assert.deepEqual(await Promise.all(others.map(ticket => ticket.value)), ['x', 'x'])
    assert.equal(flights.size, 0)
  })

  it('keeps different things apart', () => {
    const flights = new SingleFlight<string>()
    assert.deepEqual([flights.join('a').leads, flights.join('b').leads, flights.size], [true, true, 2])
  })

  it('lets the next one lead when the leader goes away, as often as that happens', async () => {
    const flights = new SingleFlight<string>()
    const tickets = ['1', '2', '3', '4'].map(() => flights.join('a'))
    for (const i of [0, 1, 2]) {
      tickets[i]?.leave()
      assert.equal(await tickets[i + 1]?.value, null)
      assert.equal(tickets[i + 1]?.leads, true)
    }
    tickets[3]?.done('x')
    assert.equal(flights.size, 0)
  })

  it('lets one more try when the first one fails, then all', async () => {
    const flights = new SingleFlight<string>()
    const [one, two, three, four] = ['1', '2', '3', '4'].map(() => flights.join('a'))
    one?.failed()
    assert.deepEqual([await two?.value, two?.leads, three?.leads], [null, true, false])
    two?.failed()
    assert.deepEqual([await three?.value, await four?.value, three?.leads, four?.leads], [null, null, false, false])
    assert.equal(flights.size, 0)
    three?.done('too late')
  })

  it('lets all try at once when that is known to be better', async () => {
    const flights = new SingleFlight<string>()
    const [one, two, three] = ['1', '2', '3'].map(() => flights.join('a'))
    one?.failed(true)
    assert.deepEqual([await two?.value, await three?.value, two?.leads], [null, null, false])
    assert.equal(flights.size, 0)
  })

  it('lets who waits go without a word to the others', async () => {
    const flights = new SingleFlight<string>()
    const [leader, goes, stays] = ['1', '2', '3'].map(() => flights.join('a'))
    goes?.leave()
    assert.equal(await goes?.value, null)
    leader?.done('x')
    assert.equal(await stays?.value, 'x')
    goes?.leave()
    leader?.leave()
  })

  it('finds a caller by its tag', async () => {
    const flights = new SingleFlight<string>()
    flights.join('a', 'first')
    const second = flights.join('a', 'second')
    assert.equal(flights.join('b').awaitedBy, 0)
    flights.leaveAs('nobody')
    flights.leaveAs('second')
    flights.leaveAs('first')
    assert.deepEqual([await second.value, second.leads], [null, true])
    flights.leaveAs('first')
    flights.leaveAs('second')
    assert.equal(flights.has('a'), false)
  })

  it('forgets what is out of date: who came before gets it, who comes later does not', async () => {
    const flights = new SingleFlight<string>()
    const old = flights.join('a')
    const waits = flights.join('a')
    flights.forget(key => key === 'a')
    const fresh = flights.join('a')
    old.done('old')
    assert.deepEqual([await waits.value, fresh.leads], ['old', true])
    assert.equal(flights.has('a'), true)
    fresh.done('new')
    assert.equal(flights.has('a'), false)
  })

  it('has bounds: of flights, of those who wait, of the time they wait', async t => {
    t.mock.timers.enable({ apis: ['setTimeout'] })
    const flights = new SingleFlight<string>({ maxFlights: 1, maxWaiting: 1, waitMs: 50 })
    const leader = flights.join('a')
    const waits = flights.join('a')
    const third = flights.join('a')
    const other = flights.join('b')
    assert.deepEqual([third.leads, third.value, other.leads, other.value], [false, null, false, null])
    t.mock.timers.tick(50)
    assert.deepEqual([await waits.value, waits.leads], [null, false])
    leader.done('x')
    assert.equal(flights.size, 0)
  })
})
