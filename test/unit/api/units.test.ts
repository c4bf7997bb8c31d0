import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import fc from 'fast-check'
import {
  formatByteSize,
  formatDuration,
  MAX_DURATION_MS,
  parseByteSize,
  parseDuration,
} from '../../../proxy/api/units.ts'

describe('durations', () => {
  const cases: [string | number, number | null][] = [
    ['100ms', 100],
    ['30s', 30_000],
    ['5m', 300_000],
    ['1h', 3_600_000],
    ['1d', 86_400_000],
    ['1h30m', 5_400_000],
    ['1.5s', 1500],
    ['250', 250],
    [250, 250],
    [0, 0],
    [-1, null],
    [Number.NaN, null],
    ['', null],
    ['s', null],
    ['5 m', null],
    ['5x', null],
    ['-5s', null],
    ['25d', null],
  ]
  for (const [text, ms] of cases) it(`${text} is ${ms}`, () => assert.equal(parseDuration(text), ms))

  it('are written as they are read', () => {
    const ms = fc.integer({ min: 0, max: MAX_DURATION_MS })
    fc.assert(fc.property(ms, value => assert.equal(parseDuration(formatDuration(value)), value)))
    assert.equal(formatDuration(5_400_250), '1h30m250ms')
  })
})

describe('sizes', () => {
  const cases: [string | number, number | null][] = [
    ['512MiB', 512 * 1024 * 1024],
    ['4KiB', 4096],
    ['10MB', 10_000_000],
    ['1.5 GiB', 1.5 * 1024 ** 3],
    ['4kib', 4096],
    ['100', 100],
    ['100B', 100],
    [4096, 4096],
    [1.5, null],
    [-1, null],
    ['4 apples', null],
    ['', null],
    ['9999999999GiB', null],
  ]
  for (const [text, bytes] of cases) it(`${text} is ${bytes}`, () => assert.equal(parseByteSize(text), bytes))

  it('are written as they are read', () => {
    const bytes = fc.oneof(
      fc.integer({ min: 0, max: 2 ** 40 }),
      fc.integer({ min: 0, max: 1000 }).map(n => n * 1024 ** 2),
    )
    fc.assert(fc.property(bytes, value => assert.equal(parseByteSize(formatByteSize(value)), value)))
  })
})
