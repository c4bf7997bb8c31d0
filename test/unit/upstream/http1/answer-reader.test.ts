import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import fc from 'fast-check'
import type { AnswerHead } from '../../../../proxy/upstream/http1/answer-head.ts'
import { AnswerReader } from '../../../../proxy/upstream/http1/answer-reader.ts'

/** What came of some bytes. Of an error only that there is one: which of two comes first may depend on the pieces. */
interface Outcome {
  readonly head: AnswerHead | null
  readonly body: string
  readonly ended: boolean
  readonly untilClose: boolean
  /** What is behind the answer; '' while it has not ended. */
  readonly rest: string
  readonly failed: boolean
}

const MAX_HEAD_BYTES = 300

/** Reads pieces as a connection does, to the end of one answer. `halts` says at which callbacks the sink wants no more. */
function read(pieces: readonly Buffer[], halts: (callback: number) => boolean = () => false): Outcome {
  const heads: AnswerHead[] = []
  const body: Buffer[] = []
  let callbacks = 0
  const called = (): void => {
    if (halts(callbacks++)) reader.halted = true
  }
  const sink = {
    onAnswerHead: (head: AnswerHead): void => {
      heads.push(head)
      called()
    },
    onAnswerData: (chunk: Buffer): void => {
      assert.equal(heads.length, 1)
      assert.notEqual(chunk.length, 0)
      body.push(Buffer.from(chunk))
      called()
    },
  }
  const reader = new AnswerReader(sink, MAX_HEAD_BYTES)
  const rest: Buffer[] = []
  let failed = false
  try {
    for (const piece of pieces) rest.push(readPiece(reader, piece))
  } catch (error) {
    assert.match(String((error as { code?: string }).code), /^(HPE_|UND_ERR_HEADERS_OVERFLOW|undefined$)/)
    failed = true
  }
  assert.ok(heads.length <= 1)
  return {
    head: heads[0] ?? null,
    body: Buffer.concat(body).toString('latin1'),
    ended: reader.ended,
    untilClose: !failed && reader.endsWithConnection,
    rest: Buffer.concat(rest).toString('latin1'),
    failed,
  }
}

/** Reads one piece, again after each halt; gives what the answer does not need. */
function readPiece(reader: AnswerReader, piece: Buffer): Buffer {
  let rest = piece
  while (rest.length > 0 && !reader.ended) {
    const used = reader.read(rest)
    assert.ok(used > 0 && used <= rest.length)
    assert.ok(used === rest.length || reader.halted || reader.ended)
    rest = rest.subarray(used)
  }
  return rest
}

function bytes(text: string): Buffer {
  return Buffer.from(text, 'latin1')
}

function readText(text: string): Outcome {
  return read([bytes(text)])
}

function singly(text: string): Buffer[] {
  return Array.from(bytes(text), byte => Buffer.from([byte]))
}

/** Reads it whole, and in single bytes, which must be the same. */
function readBoth(text: string): Outcome {
  const whole = readText(text)
  assert.deepEqual(read(singly(text)), whole, text)
  return whole
}

function refused(text: string): void {
  const { failed, head } = readBoth(text)
  assert.ok(failed, JSON.stringify(text))
  assert.equal(head, null, JSON.stringify(text))
}

/** An answer of these lines, with a body of 2 bytes behind it. */
function answer(...lines: string[]): string {
  return `HTTP/1.1 200 OK\r\n${lines.map(line => `${line}\r\n`).join('')}\r\nok`
}

function headOf(text: string): AnswerHead {
  const { head } = readBoth(text)
  assert.ok(head !== null, JSON.stringify(text))
  return head
}

const CHUNKED = 'HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n'

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

describe('interim answers', () => {
  it('are passed over', () => {
    const interim = 'HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n'
    const { head, body, ended } = readBoth(interim + answer('Content-Length: 2'))
    assert.deepEqual([head?.status, head?.reusable, body, ended], [200, true, 'ok', true])
  })

  it('that end the connection are refused', () => {
    refused(`HTTP/1.1 103 Hints\r\nConnection: close\r\n\r\n${answer('Content-Length: 2')}`)
    refused(`HTTP/1.0 103 Hints\r\n\r\n${answer('Content-Length: 2')}`)
  })

  it('to another protocol are refused', () => {
    refused('HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n')
  })

  it('without end are refused', () => {
    const interim = 'HTTP/1.1 100 Continue\r\n\r\n'
    assert.equal(headOf(interim.repeat(32) + answer('Content-Length: 2')).status, 200)
    refused(interim.repeat(33) + answer('Content-Length: 2'))
  })
})

describe('a head', () => {
  it('is refused where it says twice, or wrongly, how its body ends', () => {
    for (const lines of [
      ['Content-Length: 2', 'Content-Length: 2'],
      ['Content-Length: 2', 'content-length: 3'],
      ['Content-Length: 2, 2'],
      ['Content-Length: +2'],
      ['Content-Length: -2'],
      ['Content-Length: 0x2'],
      ['Content-Length: 2.0'],
      ['Content-Length: 2 2'],
      ['Content-Length: two'],
      ['Content-Length:'],
      ['Content-Length: 1000000000000000'],
      [`Content-Length: ${'9'.repeat(40)}`],
      ['Content-Length: 2', 'Transfer-Encoding: chunked'],
      ['Transfer-Encoding: chunked', 'Content-Length: 2'],
      ['Transfer-Encoding: chunked', 'Transfer-Encoding: chunked'],
      ['Transfer-Encoding: gzip'],
      ['Transfer-Encoding: gzip, chunked'],
      ['Transfer-Encoding: chunked, identity'],
      ['Transfer-Encoding: identity'],
      ['Transfer-Encoding: chunked;a=b'],
      ['Transfer-Encoding:'],
      ['Transfer-Encoding: \x0bchunked'],
    ]) {
      refused(answer(...lines))
    }
  })

  it('takes any spelling of chunked, and blanks around values', () => {
    assert.equal(headOf(answer('TRANSFER-encoding: \t Chunked \t').replace(/ok$/, '')).framing, 'chunked')
    assert.deepEqual(headOf(answer('content-length:2', 'X-A:', 'X-B:\t b c \t')).fields, [
      'content-length',
      '2',
      'x-a',
      '',
      'x-b',
      'b c',
    ])
  })

  it('takes the largest length that is counted exactly', () => {
    assert.equal(headOf(answer('Content-Length: 999999999999999')).length, 999_999_999_999_999)
  })

  it('is refused where its lines are no lines or its fields no fields', () => {
    for (const line of [
      'A: b\nC: d',
      'A: b\rC: d',
      'A: b\r',
      'A: b\n',
      'A: b\0c',
      'A: b\x7f',
      'A: b\x0bc',
      'A: b\x1bc',
      'A\0: b',
      ' A: b',
      '\tA: b',
      'X: y\r\n folded',
      'X: y\r\n\tfolded: z',
      'A : b',
      'A\t: b',
      ': b',
      ':',
      'no colon',
      'A B: c',
      'A(B): c',
      'Ä: b',
    ]) {
      refused(answer('Content-Length: 2', line))
      refused(answer(line, 'Content-Length: 2'))
    }
  })

  it('is refused without a proper status line', () => {
    for (const line of [
      '',
      'HTTP/1.1',
      'HTTP/1.1 ',
      'HTTP/1.1 20 OK',
      'HTTP/1.1 2000 OK',
      'HTTP/1.1 099 OK',
      'HTTP/1.1 200OK',
      'HTTP/1.1  200 OK',
      'HTTP/1.1\t200 OK',
      'HTTP/1.1 200\tOK',
      'HTTP/1.2 200 OK',
      'HTTP/2 200 OK',
      'HTTP/2.0 200 OK',
      'http/1.1 200 OK',
      ' HTTP/1.1 200 OK',
      '\r\nHTTP/1.1 200 OK',
      'ICY 200 OK',
    ]) {
      refused(`${line}\r\nContent-Length: 2\r\n\r\nok`)
    }
  })

  it('needs neither a reason nor fields', () => {
    for (const line of ['HTTP/1.1 299', 'HTTP/1.1 299 ', 'HTTP/1.1 299 Any \xfc Reason']) {
      assert.deepEqual([headOf(`${line}\r\n\r\n`).status, headOf(`${line}\r\n\r\n`).fields], [299, []])
    }
  })

  it('says early that it is none', () => {
    for (const beginning of ['X', 'HTTP/2', 'HTTQ', '\r\n', '\n', 'HTTP/1.1 200 OK\n', 'HTTP/1.1 200 OK\r\nA: b\nC']) {
      assert.ok(readBoth(beginning).failed, JSON.stringify(beginning))
    }
    for (const beginning of ['H', 'HTTP/1.', 'HTTP/1.1 200 OK\r\nA: b\r\n\r']) {
      assert.ok(!readBoth(beginning).failed, JSON.stringify(beginning))
    }
  })

  it('of exactly the limit is taken, and one byte more refused, whatever its pieces', () => {
    const head = (size: number): string => {
      const start = 'HTTP/1.1 200 OK\r\nContent-Length: 2\r\nA: '
      return `${start}${'x'.repeat(size - start.length)}\r\n\r\nok`
    }
    for (const extra of [0, 1]) {
      const text = head(MAX_HEAD_BYTES + extra)
      const all = bytes(text)
      const ways = [[all], singly(text), ...all.keys().map(cut => [all.subarray(0, cut), all.subarray(cut)])]
      for (const pieces of ways) assert.equal(read(pieces).failed, extra === 1)
    }
  })

  it('without end is refused at the limit', () => {
    assert.ok(readBoth(`HTTP/1.1 200 OK\r\nA: ${'x'.repeat(MAX_HEAD_BYTES)}`).failed)
  })

  it('gives names in lower case, values as they are, each field for itself, in order', () => {
    assert.deepEqual(headOf(answer('Set-Cookie: a=B', 'X-E: no', 'SET-COOKIE: c', 'X-V: \xe4"')).fields, [
      'set-cookie',
      'a=B',
      'x-e',
      'no',
      'set-cookie',
      'c',
      'x-v',
      '\xe4"',
    ])
  })

  it('keeps fields of the connection to itself', () => {
    const own = ['Keep-Alive: timeout=5', 'Proxy-Authenticate: Basic', 'Proxy-Connection: close', 'TE: trailers']
    const text = answer('Content-Length: 2', ...own, 'Trailer: X', 'Upgrade: h2c', 'X-A: b', 'Proxy-Authorization: x')
    assert.deepEqual(headOf(text).fields, ['content-length', '2', 'x-a', 'b'])
  })

  it('drops the fields that Connection names, wherever they stand', () => {
    const head = headOf(
      answer('X-One: 1', 'Connection: X-One, keep-alive', 'X-Two: 2', 'Connection: ,x-THREE', 'X-Three: 3'),
    )
    assert.deepEqual(head.fields, ['x-two', '2'])
  })

  it('is framed by a Content-Length that Connection names', () => {
    const head = headOf(answer('Content-Length: 2', 'Connection: content-length'))
    assert.deepEqual([head.framing, head.length, head.fields], ['length', 2, []])
  })
})

describe('a connection after an answer', () => {
  const of = (version: string, ...lines: string[]): boolean =>
    headOf(answer('Content-Length: 2', ...lines).replace('HTTP/1.1', version)).reusable

  it('of HTTP/1.1 is reusable unless it says otherwise', () => {
    assert.equal(of('HTTP/1.1'), true)
    assert.equal(of('HTTP/1.1', 'Connection: keep-alive'), true)
    assert.equal(of('HTTP/1.1', 'Connection:'), true)
    assert.equal(of('HTTP/1.1', 'Connection: Upgrade', 'Upgrade: h2c'), true)
    for (const lines of [
      ['Connection: close'],
      ['Connection: Close'],
      ['Connection: keep-alive, close'],
      ['Connection: close, X-A'],
      ['Connection: keep-alive', 'Connection: close'],
      ['Connection: close', 'Connection: keep-alive'],
      ['Connection:', 'Connection: close'],
      ['connection: ,\tCLOSE ,'],
    ]) {
      assert.equal(of('HTTP/1.1', ...lines), false, lines.join())
    }
  })

  it('of HTTP/1.0 is reusable only if it says so', () => {
    assert.equal(of('HTTP/1.0'), false)
    assert.equal(of('HTTP/1.0', 'Connection: close'), false)
    assert.equal(of('HTTP/1.0', 'Connection: Keep-Alive'), true)
    assert.equal(of('HTTP/1.0', 'Connection: keep-alive, close'), false)
  })

  it('of HTTP/1.0 knows no chunks', () => {
    refused(CHUNKED.replace('1.1', '1.0'))
  })

  it('is kept for as long as the server says', () => {
    const hint = (value: string): number => headOf(answer('Content-Length: 2', `Keep-Alive: ${value}`)).keepAliveMs
    assert.equal(hint('timeout=5'), 5_000)
    assert.equal(hint('max=100, Timeout=7'), 7_000)
    assert.equal(hint('timeout=0'), 0)
    for (const none of ['', 'max=100', 'timeout', 'timeout=x', 'notimeout=5']) assert.equal(hint(none), -1, none)
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
