import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import fc from 'fast-check'
import type { AnswerHead } from '../../../../proxy/upstream/http1/answer-head.ts'
import { AnswerReader } from '../../../../proxy/upstream/http1/answer-reader.ts'
import { answer, bytes, CHUNKED, MAX_HEAD_BYTES, read, readBoth, readText } from './answer-kit.ts'

/** Answers of every kind, some of them wrong, some cut off. */
const SAMPLES = [
  answer('Content-Length: 2'),
  `${answer('Content-Length: 2')}HTTP/1.1 500 No\r\n\r\n`,
  answer('Content-Length: 20'),
  answer(),
  `${CHUNKED}5\r\nhello\r\n0\r\n\r\n`,
  `${CHUNKED}5\r\nhello\r\n0\r\n\r\nbehind`,
  `${CHUNKED}5;name="value"\r\nhello\r\n00A;x\r\n0123456789\r\n0\r\nTrailer: one\r\nOther: two\r\n\r\nbehind`,
  `${CHUNKED}5\r\nhello\n0\r\n\r\n`,
  `${CHUNKED}5\r\nhello!\r\n0\r\n\r\n`,
  `${CHUNKED}5\r\nhello\r\n0\r\nTrailer one\r\n\r\n`,
  `${CHUNKED}5\r\nhello\r\n0\r\nA: ${'x'.repeat(MAX_HEAD_BYTES - 5)}\r\n\r\n`,
  `${CHUNKED}5\r\nhello\r\n0\r\nA: ${'x'.repeat(MAX_HEAD_BYTES - 4)}\r\n\r\n`,
  `${CHUNKED}5\r\nhello\r\n${'0'.repeat(14)}\r\n\r\n`,
  `${CHUNKED}5\r\nhello\r\nxyz\r\n\r\n`,
  `HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Hints\r\nLink: </a>\r\n\r\n${answer('Content-Length: 2')}`,
  'HTTP/1.1 204 No Content\r\n\r\nHTTP/1.1 200 OK\r\n\r\n',
  'HTTP/1.1 304 Not Modified\r\nContent-Length: 7\r\n\r\n',
  answer('Content-Length: 2', 'A: b\nC: d'),
  answer('Content-Length: 2', `A: ${'x'.repeat(MAX_HEAD_BYTES - 15 - 2 - 17 - 2 - 3)}`),
  answer('Content-Length: 2', `A: ${'x'.repeat(MAX_HEAD_BYTES - 15 - 2 - 17 - 2 - 2)}`),
  'GET / HTTP/1.1\r\n\r\n',
]

/** Where to cut a text of this length. */
function cutText(text: string, places: readonly number[]): Buffer[] {
  const all = bytes(text)
  const cuts = [...new Set(places.map(place => place % (all.length + 1)))].toSorted((a, b) => a - b)
  return [...cuts, all.length].map((cut, i) => all.subarray(cuts[i - 1] ?? 0, cut))
}

describe('an answer in pieces', () => {
  it('is the same for every cut in two', () => {
    for (const text of SAMPLES) {
      const whole = readText(text)
      const all = bytes(text)
      for (let cut = 0; cut <= all.length; cut++) {
        assert.deepEqual(read([all.subarray(0, cut), all.subarray(cut)]), whole, `${JSON.stringify(text)} at ${cut}`)
      }
    }
  })

  it('is the same in single bytes', () => {
    for (const text of SAMPLES) readBoth(text)
  })

  it('is the same for any cuts, and wherever its reader halts', () => {
    fc.assert(
      fc.property(
        fc.constantFrom(...SAMPLES),
        fc.array(fc.nat(500), { maxLength: 12 }),
        fc.array(fc.boolean(), { maxLength: 12 }),
        (text, cuts, halts) => {
          assert.deepEqual(
            read(cutText(text, cuts), callback => halts[callback] === true),
            readText(text),
          )
        },
      ),
      { numRuns: 1_000 },
    )
  })

  it('is the same when its bytes are overwritten as soon as they are read', () => {
    for (const text of SAMPLES) {
      const room = Buffer.alloc(1)
      const pieces = {
        *[Symbol.iterator]() {
          for (const byte of bytes(text)) {
            room[0] = byte
            yield room.subarray(0)
          }
        },
      }
      const { rest: _, ...outcome } = read(pieces as unknown as Buffer[])
      const { rest: __, ...whole } = readText(text)
      assert.deepEqual(outcome, whole)
    }
  })
})

describe('a body', () => {
  it('ends where its length says, and what is behind it stays unread', () => {
    const { head, ...outcome } = readBoth(`${answer('Content-Length: 2', 'X-A: b')}HTTP/1.1 500 No`)
    assert.deepEqual(outcome, { body: 'ok', ended: true, untilClose: false, rest: 'HTTP/1.1 500 No', failed: false })
    assert.deepEqual(head, {
      status: 200,
      fields: ['content-length', '2', 'x-a', 'b'],
      framing: 'length',
      length: 2,
      reusable: true,
      keepAliveMs: -1,
    })
  })

  it('without a length goes on until the connection ends', () => {
    const { head, body, ended, untilClose } = readBoth(answer('X-A: b'))
    assert.deepEqual([body, ended, untilClose, head?.reusable, head?.framing], ['ok', false, true, false, 'close'])
  })

  it('of length 0 ends with the head', () => {
    const { body, ended, rest, head } = readBoth(answer('Content-Length: 0'))
    assert.deepEqual([body, ended, rest, head?.fields], ['', true, 'ok', ['content-length', '0']])
  })

  for (const status of [204, 304]) {
    it(`is none with status ${status}, whatever the head says`, () => {
      for (const field of ['', 'Content-Length: 2\r\n', 'Transfer-Encoding: chunked\r\n']) {
        const { body, ended, rest, head } = readBoth(`HTTP/1.1 ${status} X\r\n${field}\r\nok`)
        assert.deepEqual([body, ended, rest, head?.framing, head?.reusable], ['', true, 'ok', 'none', true])
      }
    })
  }

  it('in chunks is joined, without extensions and trailers', () => {
    const text = `${CHUNKED}5;a=b;c="d \te";f=""\r\nhello\r\n1;g\r\n,\r\n0a\r\n0123456789\r\n000000\r\nX-T: late\r\nX-U:\r\n\r\nHTTP`
    const { head, body, ended, rest } = readBoth(text)
    assert.deepEqual([body, ended, rest], ['hello,0123456789', true, 'HTTP'])
    assert.deepEqual([head?.fields, head?.framing, head?.reusable], [[], 'chunked', true])
  })

  it('in chunks is the same for any chunks', () => {
    fc.assert(
      fc.property(
        fc.array(fc.string({ minLength: 1, maxLength: 40, unit: 'binary-ascii' })),
        fc.array(fc.nat(3_000)),
        (chunks, cuts) => {
          const lines = chunks.map((chunk, i) => {
            const size = chunk.length.toString(16)
            return `${i % 2 === 0 ? size.toUpperCase() : size.padStart(3, '0')}\r\n${chunk}\r\n`
          })
          const { body, ended, rest } = read(cutText(`${CHUNKED}${lines.join('')}0\r\n\r\n!`, cuts))
          assert.deepEqual([body, ended, rest], [chunks.join(''), true, '!'])
        },
      ),
      { numRuns: 300 },
    )
  })

  it('in chunks is refused where two readers could see two things', () => {
    for (const broken of [
      '\r\n',
      ';a\r\n',
      ' 5\r\nhello\r\n',
      '5 a\r\nhello\r\n',
      '5 \r\nhello\r\n',
      '5 ;a\r\nhello\r\n',
      '5;\r\nhello\r\n',
      '5; a\r\nhello\r\n',
      '5;a=\r\nhello\r\n',
      '5;a="b\r\nhello\r\n',
      '5;a=b"\r\nhello\r\n',
      '5;a="b\\"c"\r\nhello\r\n',
      '+5\r\nhello\r\n',
      '-1\r\n',
      '0x5\r\nhello\r\n',
      '5\nhello\r\n',
      '5\rhello\r\n\r\n',
      '5;\0\r\nhello\r\n',
      '5;a\rb\r\nhello\r\n',
      '5;a\nb\r\nhello\r\n',
      '1000000000000\r\n',
      `${'0'.repeat(13)}\r\n\r\n`,
      `5;${'x'.repeat(1_024)}\r\nhello\r\n`,
      '5\r\nhello\n',
      '5\r\nhello\r\r\n',
      '5\r\nhello0\r\n\r\n',
      '5\r\nhell\r\n0\r\n\r\n',
      '0\r\n X: folded\r\n\r\n',
      '0\r\nX : blank\r\n\r\n',
      '0\r\n: nameless\r\n\r\n',
      '0\r\nno colon\r\n\r\n',
      '0\r\nX: a\n\r\n',
      '0\r\nX: a\0\r\n\r\n',
      '0\n\n',
      '0\r\n\n',
    ]) {
      const { failed, ended } = readBoth(CHUNKED + broken)
      assert.deepEqual([failed, ended], [true, false], JSON.stringify(broken))
    }
  })

  it('in chunks may have a trailer as large as a head, and no larger', () => {
    const lines = (bytes: number): string => `A: ${'x'.repeat(95)}\r\nB: ${'x'.repeat(bytes - 100 - 5)}\r\n`
    for (const extra of [0, 1]) {
      const { failed, ended } = readBoth(`${CHUNKED}0\r\n${lines(MAX_HEAD_BYTES + extra)}\r\n`)
      assert.deepEqual([failed, ended], [extra === 1, extra === 0])
    }
    assert.ok(readBoth(`${CHUNKED}0\r\n${'x'.repeat(MAX_HEAD_BYTES + 3)}`).failed)
  })
})

describe('a reader set back', () => {
  it('reads the next answer as if it were the first', () => {
    const heads: AnswerHead[] = []
    const body: string[] = []
    const reader = new AnswerReader(
      { onAnswerHead: head => void heads.push(head), onAnswerData: chunk => void body.push(chunk.toString()) },
      MAX_HEAD_BYTES,
    )
    const three = bytes(`HTTP/1.1 100 Continue\r\n\r\n${CHUNKED}1\r\na\r\n0\r\nX: ${'x'.repeat(200)}\r\n\r\n`.repeat(3))
    let at = 0
    for (let n = 1; n <= 3; n++) {
      at += reader.read(three.subarray(at))
      assert.deepEqual([heads.length, reader.ended, at], [n, true, (three.length / 3) * n])
      assert.equal(reader.read(three.subarray(at)), 0)
      reader.reset()
    }
    assert.equal(body.join(''), 'aaa')
  })

  it('has forgotten what it was in the middle of', () => {
    for (const beginning of [
      'HTTP/1.1 200 O',
      answer(),
      answer('Content-Length: 9'),
      `${CHUNKED}5\r\nhe`,
      `${CHUNKED}5`,
    ]) {
      const heads: AnswerHead[] = []
      const reader = new AnswerReader(
        { onAnswerHead: head => void heads.push(head), onAnswerData() {} },
        MAX_HEAD_BYTES,
      )
      reader.read(bytes(beginning))
      heads.length = 0
      reader.reset()
      reader.read(bytes(answer('Content-Length: 2')))
      assert.deepEqual([heads.length, reader.ended, reader.endsWithConnection], [1, true, false])
    }
  })
})
