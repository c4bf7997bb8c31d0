import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { MANY_STREAMS, type Standing, StandingStreams } from '../../../proxy/downstream/standing-streams.ts'

class Stream implements Standing {
  cuts = 0
  cut(): void {
    this.cuts++
  }
}

const streams = (count: number): Stream[] => Array.from({ length: count }, () => new Stream())

describe('streams that never end by themselves', () => {
  it('are said to be many once, and few again below half of that', () => {
    const told: boolean[] = []
    const standing = new StandingStreams(areMany => told.push(areMany))
    const all = streams(MANY_STREAMS)
    for (const stream of all.slice(1)) standing.add(stream)
    assert.deepEqual(told, [])
    standing.add(all[0] as Stream)
    standing.add(new Stream())
    assert.deepEqual(told, [true])
    for (const stream of all.slice(0, MANY_STREAMS / 2)) standing.delete(stream)
    standing.delete(new Stream())
    assert.deepEqual(told, [true])
    for (const stream of all) standing.delete(stream)
    assert.deepEqual(told, [true, false])
    for (const stream of all) standing.add(stream)
    assert.deepEqual(told, [true, false, true])
  })

  it('are all cut, also while they leave', () => {
    const standing = new StandingStreams(() => {})
    const all = streams(5)
    for (const stream of all) {
      stream.cut = () => {
        stream.cuts++
        standing.delete(stream)
      }
      standing.add(stream)
    }
    standing.cut()
    standing.cut()
    assert.deepEqual(
      all.map(({ cuts }) => cuts),
      [1, 1, 1, 1, 1],
    )
  })
})
