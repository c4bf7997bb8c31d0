import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { answer, bytes, CHUNKED, headOf, MAX_HEAD_BYTES, read, readBoth, refused, singly } from './answer-kit.ts'

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
