import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import fc from 'fast-check'
import { LineSplitter, OVERSIZE_END_BYTES } from '../../../../proxy/fleet/bridge/line-splitter.ts'

interface Seen {
  readonly lines: string[]
  readonly oversize: { head: string; tail: string; length: number }[]
}

/** Feeds `bytes` cut at the given places. */
function split(bytes: Buffer, cuts: readonly number[], maxLineBytes: number): Seen {
  const seen: Seen = { lines: [], oversize: [] }
  const splitter = new LineSplitter(
    {
      onLine: line => seen.lines.push(line.toString('latin1')),
      onOversize: (head, tail, length) =>
        seen.oversize.push({ head: head.toString('latin1'), tail: tail.toString('latin1'), length }),
    },
    maxLineBytes,
  )
  const places = [...new Set(cuts.map(cut => cut % (bytes.length + 1)))].sort((a, b) => a - b)
  let from = 0
  for (const place of [...places, bytes.length]) {
    splitter.push(Buffer.from(bytes.subarray(from, place)))
    from = place
  }
  return seen
}

const piece = fc.oneof(
  fc.constantFrom('\n', '\r', '\r\n', '\u2028', '\u2029', '{"a":1}', '\u0085', '\v'),
  fc.string({ unit: 'binary', maxLength: 40 }),
)
const text = fc.array(piece, { maxLength: 30 }).map(parts => Buffer.from(parts.join('')))

describe('LineSplitter', () => {
  it('splits at byte 0x0A and nowhere else, wherever chunks are cut', () => {
    fc.assert(
      fc.property(text, fc.array(fc.nat(2_000), { maxLength: 20 }), (bytes, cuts) => {
        const expected = bytes.toString('latin1').split('\n').slice(0, -1)
        assert.deepEqual(split(bytes, cuts, 1_000_000).lines, expected)
      }),
    )
  })

  it('hands out what is too long by its ends, and goes on with the next line', () => {
    fc.assert(
      fc.property(
        fc.array(fc.integer({ min: 0, max: 3_000 }), { minLength: 1, maxLength: 6 }),
        fc.array(fc.nat(20_000), { maxLength: 20 }),
        (lengths, cuts) => {
          const lines = lengths.map((length, i) => String.fromCharCode(97 + i).repeat(length))
          const bytes = Buffer.from(lines.map(line => `${line}\n`).join(''))
          const seen = split(bytes, cuts, 1_000)
          assert.deepEqual(
            seen.lines,
            lines.filter(line => line.length <= 1_000),
          )
          const long = lines.filter(line => line.length > 1_000)
          assert.deepEqual(
            seen.oversize,
            long.map(line => ({
              head: line.slice(0, OVERSIZE_END_BYTES),
              tail: line.slice(-OVERSIZE_END_BYTES),
              length: line.length,
            })),
          )
        },
      ),
    )
  })

  it('keeps no more than one line', () => {
    const splitter = new LineSplitter({ onLine() {}, onOversize() {} }, 1_000)
    for (let i = 0; i < 100; i++) {
      splitter.push(Buffer.alloc(500, 0x61))
      assert.ok(splitter.heldBytes <= 1_000)
    }
  })
})
