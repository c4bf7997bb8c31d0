import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import fc from 'fast-check'
import { type Json, parseExact } from '#api'
import { byteLength, cutText, headOf, tailOf } from '../../../interceptors/shape/cut-text.ts'
import { Cuts } from '../../../interceptors/shape/cuts.ts'
import { containerIn } from '../../../interceptors/shape/json.ts'
import { packPage, pagesOf, unpackPage } from '../../../interceptors/shape/pages.ts'
import { cutString, NO_LIMIT, reduce } from '../../../interceptors/shape/reduce.ts'

/** Well-formed text with code points of one to four bytes. */
const text = fc.string({ unit: 'binary', maxLength: 200 }).map(one => one.toWellFormed())
const json = fc.jsonValue({ maxDepth: 4 }) as fc.Arbitrary<Json>
const LIMITS = { items: 'head', maxItems: NO_LIMIT, maxStringBytes: NO_LIMIT, maxMembers: NO_LIMIT } as const

describe('cutting text', () => {
  it('keeps a head and a tail of whole code points, as long as they may be', () => {
    fc.assert(
      fc.property(text, fc.nat(300), (whole, max) => {
        const head = headOf(whole, max)
        const tail = tailOf(whole, max)
        assert.ok(whole.startsWith(head) && whole.endsWith(tail))
        for (const part of [head, tail]) {
          assert.ok(part.isWellFormed() && byteLength(part) <= max)
          assert.ok(part === whole || byteLength(part) > max - 4)
        }
      }),
    )
  })

  it('never gives more than it may', () => {
    fc.assert(
      fc.property(text, fc.nat(300), fc.constantFrom('head', 'tail', 'both'), (whole, max, keep) => {
        const cut = cutText(whole, max, keep)
        assert.ok(byteLength(cut) <= max && cut.isWellFormed())
        assert.equal(cut === whole, byteLength(whole) <= max)
      }),
    )
  })

  it('shortens strings, or leaves them', () => {
    fc.assert(
      fc.property(text, fc.integer({ min: 24, max: 300 }), (whole, max) => {
        const cut = cutString(whole, max)
        assert.ok(cut === whole || byteLength(cut) < byteLength(whole))
      }),
    )
  })
})

describe('cutting JSON', () => {
  it('comes to no more bytes than it may, whatever is in it, or to nothing', () => {
    fc.assert(
      fc.property(json, fc.nat(400), fc.boolean(), (value, max, mayLeaveOut) => {
        const cuts = new Cuts()
        const before = JSON.stringify(value)
        const cut = reduce(structuredClone(value), LIMITS, max, mayLeaveOut, cuts)
        if (cut === undefined) {
          assert.ok(byteLength(before) > max)
          return
        }
        const after = JSON.stringify(cut)
        assert.ok(byteLength(after) <= max, `${byteLength(after)} > ${max}: ${after}`)
        assert.equal(after === before, byteLength(before) <= max)
        assert.equal(cuts.any, after !== before)
      }),
    )
  })

  it('keeps every digit', () => {
    for (const source of ['[9007199254740993,1.0,1e400,-0,0.1]', '{"a":12345678901234567890.5}']) {
      assert.equal(JSON.stringify(parseExact(source)), source)
    }
  })

  it('takes no part in what is too deep, or no container', () => {
    assert.equal(containerIn('['.repeat(100_000) + ']'.repeat(100_000)), null)
    assert.equal(containerIn('['.repeat(200) + ']'.repeat(200)), null)
    for (const other of ['1', '"a"', '', 'null', '{]', '[1,]', 'a [1]', '[1] b']) assert.equal(containerIn(other), null)
    assert.deepEqual(containerIn(' \n[1]\n'), [1])
  })
})

describe('pages', () => {
  it('put together are the text again, and none is larger than it may be', () => {
    fc.assert(
      fc.property(text, fc.integer({ min: 4, max: 64 }), (whole, max) => {
        const pages = pagesOf(whole, max)
        assert.equal(pages.map(page => page.toString()).join(''), whole)
        assert.ok(pages.every(page => page.length > 0 && page.length <= max && page.toString().isWellFormed()))
      }),
    )
  })

  it('come out of the store as they went in', () => {
    const head = { owner: 'o', page: 1, pages: 2, mime: 'text/plain', expiresAt: 5 }
    assert.deepEqual(unpackPage(packPage(head, Buffer.from('a\nb'))), { head, text: 'a\nb' })
    assert.equal(unpackPage(Buffer.from('no page')), null)
    assert.equal(unpackPage(Buffer.from('no\npage')), null)
  })
})
