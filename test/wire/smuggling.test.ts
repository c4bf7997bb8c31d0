import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import { begin, send } from '../helpers/http-client.ts'
import { legacy, rpc } from '../helpers/mcp-messages.ts'
import { type Pair, startPair } from '../helpers/proxy.ts'
import { connectRaw, rawPost } from '../helpers/raw-client.ts'
import { bodyOf, chunkedPost, FIELDS, nextAnswer, post, watchHeld } from '../helpers/raw-mcp.ts'
import { deferred, type Scope, until } from '../helpers/scope.ts'
import type { RecordedRequest } from '../helpers/scripted-upstream.ts'

/**
 * Raw bytes against the proxy. Whatever comes, it is either refused (and the connection closed) or answered with exactly
 * the right number of right answers, and the server never sees a request that was not sent.
 */

/** The id of the request that hides in, or behind, another one. */
const HIDDEN = 666
const hidden = post(HIDDEN)

const HEAD = ['POST /mcp HTTP/1.1', 'Host: 127.0.0.1', ...FIELDS]

/** A request with these further lines and this body, and a hidden one behind it. */
function framed(lines: readonly string[], body: Uint8Array | string = bodyOf(1)): Buffer {
  return Buffer.concat([
    Buffer.from(`${[...HEAD, ...lines].join('\r\n')}\r\n\r\n`, 'latin1'),
    Buffer.from(body as string),
    hidden,
  ])
}

function chunked(body: string): Buffer {
  return framed(['Transfer-Encoding: chunked'], Buffer.from(body, 'latin1'))
}

const ONE = bodyOf(1)
const SIZE = ONE.length.toString(16)
const CHUNK = `${SIZE}\r\n${ONE}\r\n`
const LENGTH = `Content-Length: ${ONE.length}`

const REFUSED: Readonly<Record<string, Buffer | string>> = {
  'length and chunks': framed([LENGTH, 'Transfer-Encoding: chunked'], `${CHUNK}0\r\n\r\n`),
  'chunks and length': framed(['Transfer-Encoding: chunked', LENGTH], `${CHUNK}0\r\n\r\n`),
  'chunks and length zero': framed(['Transfer-Encoding: chunked', 'Content-Length: 0'], `${CHUNK}0\r\n\r\n`),
  'two equal lengths': framed([LENGTH, LENGTH]),
  'two lengths': framed([LENGTH, `Content-Length: ${ONE.length + hidden.length}`]),
  'two lengths, one of odd case': framed([LENGTH, 'content-LENGTH: 0']),
  'a list of equal lengths': framed([`Content-Length: ${ONE.length}, ${ONE.length}`]),
  'a signed length': framed([`Content-Length: +${ONE.length}`]),
  'a negative length': framed([`Content-Length: -${ONE.length}`]),
  'a hexadecimal length': framed([`Content-Length: 0x${ONE.length.toString(16)}`]),
  'a length with a point': framed([`Content-Length: ${ONE.length}.0`]),
  'a length in two parts': framed([`Content-Length: ${ONE.length} 0`]),
  'a length beyond 64 bits': framed([`Content-Length: 184467440737095516${ONE.length}`]),
  'an empty length': framed(['Content-Length:']),
  'an empty length before a real one': framed(['Content-Length:', LENGTH]),
  'a length whose name ends in a space': framed([`Content-Length : ${ONE.length}`]),
  'a length whose name ends in a tab': framed([`Content-Length\t: ${ONE.length}`]),
  'a length whose name ends in NUL': framed([`Content-Length\0: ${ONE.length}`]),
  'a length on a folded line': framed(['Content-Length:', ` ${ONE.length}`]),
  'chunks whose name ends in a space': framed(['Transfer-Encoding : chunked'], `${CHUNK}0\r\n\r\n`),
  'chunks on a folded line': framed(['Transfer-Encoding:', '\tchunked'], `${CHUNK}0\r\n\r\n`),
  'chunks twice': framed(['Transfer-Encoding: chunked, chunked'], `${CHUNK}0\r\n\r\n`),
  'chunks in two fields': framed(['Transfer-Encoding: chunked', 'Transfer-Encoding: chunked'], `${CHUNK}0\r\n\r\n`),
  'chunks before identity': framed(['Transfer-Encoding: chunked', 'Transfer-Encoding: identity'], `${CHUNK}0\r\n\r\n`),
  'chunks with a parameter': framed(['Transfer-Encoding: chunked;a=b'], `${CHUNK}0\r\n\r\n`),
  'chunks in quotes': framed(['Transfer-Encoding: "chunked"'], `${CHUNK}0\r\n\r\n`),
  'chunks behind a vertical tab': framed(['Transfer-Encoding: \x0bchunked'], `${CHUNK}0\r\n\r\n`),
  'chunks behind a no-break space': framed(['Transfer-Encoding: \xa0chunked'], `${CHUNK}0\r\n\r\n`),
  'chunks before a no-break space': framed(['Transfer-Encoding: chunked\xa0'], `${CHUNK}0\r\n\r\n`),
  'chunks behind another coding': framed(['Transfer-Encoding: gzip, chunked'], `${CHUNK}0\r\n\r\n`),
  'an empty coding': framed(['Transfer-Encoding:', LENGTH]),
  'identity and a length': framed(['Transfer-Encoding: identity', LENGTH]),
  'a coding nobody knows and a length': framed(['Transfer-Encoding: x', LENGTH]),
  'chunks over HTTP/1.0': `POST /mcp HTTP/1.0\r\nHost: 127.0.0.1\r\n${FIELDS.join('\r\n')}\r\nTransfer-Encoding: chunked\r\n\r\n${CHUNK}0\r\n\r\n`,
  'a chunk size beyond 64 bits': chunked(`1${'0'.repeat(15)}${SIZE}\r\n${ONE}\r\n0\r\n\r\n`),
  'a chunk size that wraps 64 bits': chunked(`1${SIZE.padStart(16, '0')}\r\n${ONE}\r\n0\r\n\r\n`),
  'a chunk size with a sign': chunked(`+${CHUNK}0\r\n\r\n`),
  'a chunk size with 0x': chunked(`0x${CHUNK}0\r\n\r\n`),
  'a chunk size with an underscore': chunked(`${SIZE}_0\r\n${ONE}\r\n0\r\n\r\n`),
  'a chunk size behind a space': chunked(` ${CHUNK}0\r\n\r\n`),
  'a chunk size before a space': chunked(`${SIZE} \r\n${ONE}\r\n0\r\n\r\n`),
  'a chunk size before a tab and an extension': chunked(`${SIZE}\t;a\r\n${ONE}\r\n0\r\n\r\n`),
  'no chunk size': chunked(`\r\n${ONE}\r\n0\r\n\r\n`),
  'a chunk size that ends with LF': chunked(`${SIZE}\n${ONE}\r\n0\r\n\r\n`),
  'a chunk size that ends with CR': chunked(`${SIZE}\r${ONE}\r\n0\r\n\r\n`),
  'a chunk extension with LF': chunked(`${SIZE};a=b\nc\r\n${ONE}\r\n0\r\n\r\n`),
  'a chunk extension with CR': chunked(`${SIZE};a=b\rc\r\n${ONE}\r\n0\r\n\r\n`),
  'a chunk extension with NUL': chunked(`${SIZE};a=\0\r\n${ONE}\r\n0\r\n\r\n`),
  'a chunk longer than it says': chunked(`${(ONE.length - 1).toString(16)}\r\n${ONE}\r\n0\r\n\r\n`),
  'a chunk shorter than it says': chunked(`${(ONE.length + 1).toString(16)}\r\n${ONE}\r\n0\r\n\r\n`),
  'a chunk that ends with LF': chunked(`${SIZE}\r\n${ONE}\n0\r\n\r\n`),
  'a chunk that ends with CR': chunked(`${SIZE}\r\n${ONE}\r0\r\n\r\n`),
  'a last chunk that ends with LF': chunked(`${CHUNK}0\n\n`),
  'a last chunk with half an end': chunked(`${CHUNK}0\r\n`),
  'a trailer with a space before its colon': chunked(`${CHUNK}0\r\nX-A : b\r\n\r\n`),
  'a trailer with LF': chunked(`${CHUNK}0\r\nX-A: b\n\r\n`),
  'a folded trailer': chunked(`${CHUNK}0\r\nX-A: b\r\n c\r\n\r\n`),
  'a length in a trailer': chunked(`${CHUNK}0\r\nContent-Length: 5\r\n\r\n`),
  'chunks in a trailer': chunked(`${CHUNK}0\r\nTransfer-Encoding: chunked\r\n\r\n`),
  'NUL in a value': framed(['X-A: a\0b', LENGTH]),
  'NUL in a name': framed(['X\0A: a', LENGTH]),
  'DEL in a value': framed(['X-A: a\x7fb', LENGTH]),
  'ESC in a value': framed(['X-A: \x1b[31m', LENGTH]),
  'LF in a value': framed([`X-A: a\n${LENGTH}`, LENGTH]),
  'CR in a value': framed([`X-A: a\r${LENGTH}`, LENGTH]),
  'CR CR LF after a value': framed(['X-A: a\r', LENGTH]),
  'a space in a name': framed(['X A: a', LENGTH]),
  'a name with a byte beyond ASCII': framed(['X-\xc3\xa9: a', LENGTH]),
  'a line without colon': framed(['X-A', LENGTH]),
  'a line without name': framed([': a', LENGTH]),
  'a folded line': framed(['X-A: a', ' b', LENGTH]),
  'a first line that begins with a space': `POST /mcp HTTP/1.1\r\n Host: 127.0.0.1\r\n${LENGTH}\r\n\r\n${ONE}`,
  'lines that end with LF': `${[...HEAD, LENGTH].join('\n')}\n\n${ONE}`,
  'a head that ends with LF': `${[...HEAD, LENGTH].join('\r\n')}\n\n${ONE}`,
  'no Host': `POST /mcp HTTP/1.1\r\n${[...FIELDS, LENGTH].join('\r\n')}\r\n\r\n${ONE}`,
  'two Hosts': framed(['Host: evil.example', LENGTH]),
  'a target with its own authority': rawPost('http://127.0.0.1/mcp', '127.0.0.1', FIELDS, ONE),
  'a target without slash': rawPost('mcp', '127.0.0.1', FIELDS, ONE),
  'a target with a space': rawPost('/mcp /mcp', '127.0.0.1', FIELDS, ONE),
  'a target with NUL': rawPost('/mcp\0', '127.0.0.1', FIELDS, ONE),
  'a target with a fragment': rawPost('/mcp#a', '127.0.0.1', FIELDS, ONE),
  'a tab before the target': `POST\t/mcp HTTP/1.1\r\n${[...HEAD.slice(1), LENGTH].join('\r\n')}\r\n\r\n${ONE}`,
  'a method in lower case': `post /mcp HTTP/1.1\r\n${[...HEAD.slice(1), LENGTH].join('\r\n')}\r\n\r\n${ONE}`,
  'a method nobody knows': `SMUGGLE /mcp HTTP/1.1\r\n${[...HEAD.slice(1), LENGTH].join('\r\n')}\r\n\r\n${ONE}`,
  'HTTP/0.9': `POST /mcp\r\n\r\n${ONE}`,
  'HTTP/1.9': `POST /mcp HTTP/1.9\r\n${[...HEAD.slice(1), LENGTH].join('\r\n')}\r\n\r\n${ONE}`,
  'HTTP/01.1': `POST /mcp HTTP/01.1\r\n${[...HEAD.slice(1), LENGTH].join('\r\n')}\r\n\r\n${ONE}`,
  'HTTP/2.0': `POST /mcp HTTP/2.0\r\n${[...HEAD.slice(1), LENGTH].join('\r\n')}\r\n\r\n${ONE}`,
  'an expectation nobody knows': framed([LENGTH, 'Expect: 200-ok']),
}

/** Answers each request with its own id. */
function echo(request: RecordedRequest, answer: { json(body: object): void }): void {
  answer.json({ jsonrpc: '2.0', id: request.json().id, result: {} })
}

function idsAt({ upstream }: Pair): number[] {
  return upstream.requests.map(request => request.json().id)
}

/** Sends bytes, half-closes nothing, and gives the answers until the connection closes. */
async function answersOf(scope: Scope, pair: Pair, bytes: Uint8Array | string): Promise<[number, unknown][]> {
  const client = await connectRaw(scope, pair.url)
  await client.send(typeof bytes === 'string' ? Buffer.from(bytes, 'latin1') : bytes)
  const answers: [number, unknown][] = []
  while (!client.isClosed || client.rest.length > 0) {
    if (client.rest.length === 0)
      await Promise.race([client.closed(), until(() => client.rest.length > 0, 'an answer')])
    if (client.rest.length > 0) answers.push(await nextAnswer(client))
  }
  return answers
}

describe('what two parsers could read in two ways is refused', () => {
  for (const [what, bytes] of Object.entries(REFUSED)) {
    test(what, async t => {
      const pair = await startPair(t, echo)
      const answers = await answersOf(t, pair, bytes)
      assert.deepEqual(
        answers.map(([status, id]) => [Math.floor(status / 100), id]),
        [[4, null]],
      )
      assert.deepEqual(idsAt(pair), [])
    })
  }

  test('a tunnel is not opened', async t => {
    const pair = await startPair(t, echo)
    const bytes = Buffer.concat([Buffer.from('CONNECT 127.0.0.1:80 HTTP/1.1\r\nHost: 127.0.0.1:80\r\n\r\n'), hidden])
    assert.deepEqual(await answersOf(t, pair, bytes), [])
    assert.deepEqual(idsAt(pair), [])
  })
})

const ACCEPTED: Readonly<Record<string, Buffer>> = {
  'chunks of one byte': chunkedPost(1, 1),
  'chunks with extensions': chunkedPost(1, 7, '', ';a;b=c;d="e"'),
  'chunks with trailers, which mean nothing': chunkedPost(1, 7, 'Mcp-Session-Id: x\r\nHost: evil.example\r\n'),
  'a chunk size with zeroes': post(1, ['Transfer-Encoding: chunked'], `000${CHUNK}000\r\n\r\n`),
  'a chunk size in capitals': post(
    1,
    ['TRANSFER-ENCODING:\t CHUNKED '],
    `${SIZE.toUpperCase()}\r\n${ONE}\r\n0\r\n\r\n`,
  ),
  'a length with zeroes': post(1, [`Content-Length: 000${ONE.length}`]),
  'a length in white space': post(1, [`Content-Length: \t ${ONE.length} \t`]),
  'empty lines before a request': Buffer.concat([Buffer.from('\r\n\r\n'), post(1)]),
  'bytes beyond ASCII in a value': post(1, ['X-A: gr\xc3\xbc\xc3\x9fe']),
  'two spaces before the version': Buffer.from(post(1).toString('latin1').replace(' HTTP/', '  HTTP/'), 'latin1'),
  'a query': rawPost('/mcp?a=%00&b=//', '127.0.0.1', FIELDS, ONE),
  'an expectation of 100': post(1, ['Expect: 100-continue']),
}

describe('odd but clear requests are answered, and the next one too', () => {
  for (const [what, bytes] of Object.entries(ACCEPTED)) {
    test(what, async t => {
      const pair = await startPair(t, echo)
      const client = await connectRaw(t, pair.url)
      await client.send(Buffer.concat([bytes, post(2)]))
      let first = await nextAnswer(client)
      if (first[0] === 100) first = await nextAnswer(client)
      assert.deepEqual(
        [first, await nextAnswer(client)],
        [
          [200, 1],
          [200, 2],
        ],
      )
      assert.deepEqual(idsAt(pair), [1, 2])
      assert.deepEqual(
        pair.upstream.requests.map(({ text }) => text),
        [ONE, bodyOf(2)],
      )
    })
  }

  test('HTTP/1.0 gets its answer and the end of the connection', async t => {
    const pair = await startPair(t, echo)
    const old = post(1).toString('latin1').replace('HTTP/1.1', 'HTTP/1.0')
    assert.deepEqual(await answersOf(t, pair, old), [[200, 1]])
    assert.deepEqual(idsAt(pair), [1])
  })
})

describe('pipelined requests', () => {
  for (const count of [2, 5, 20]) {
    test(`${count} in one segment are answered in their order, whatever order the server answers in`, async t => {
      const waiting: (() => void)[] = []
      const pair = await startPair(t, (request, answer) => {
        waiting.push(() => echo(request, answer))
        if (waiting.length === count) for (const go of waiting.toReversed()) go()
      })
      const held = watchHeld(t)
      const client = await connectRaw(t, pair.url)
      const ids = Array.from({ length: count }, (_, i) => i + 1)
      await client.send(Buffer.concat(ids.map(id => (id % 2 === 0 ? chunkedPost(id, 9) : post(id)))))
      for (const id of ids) assert.deepEqual(await nextAnswer(client), [200, id])
      assert.deepEqual(
        idsAt(pair).toSorted((a, b) => a - b),
        ids,
      )
      await until(() => held.inFlight === 0 && held.bytes === 0, 'the proxy to hold nothing')
    })
  }

  test('cut in two at every byte, they are the same requests', async t => {
    const pair = await startPair(t, echo)
    const held = watchHeld(t)
    const bytes = Buffer.concat([post(1), chunkedPost(2, 11, 'X-A: b\r\n', ';a=b'), post(3)])
    const client = await connectRaw(t, pair.url)
    for (let cut = 1; cut < bytes.length; cut++) {
      await client.send(bytes.subarray(0, cut))
      await new Promise(resolve => setImmediate(resolve))
      await client.send(bytes.subarray(cut))
      for (const id of [1, 2, 3]) assert.deepEqual(await nextAnswer(client), [200, id], `cut at ${cut}`)
    }
    assert.equal(pair.upstream.requests.length, 3 * (bytes.length - 1))
    assert.equal(held.bytes, 0)
  })

  test('byte by byte, they are the same requests', async t => {
    const pair = await startPair(t, echo)
    const client = await connectRaw(t, pair.url)
    await client.sendByByte(Buffer.concat([post(1), chunkedPost(2, 1), post(3)]))
    for (const id of [1, 2, 3]) assert.deepEqual(await nextAnswer(client), [200, id])
    assert.deepEqual(idsAt(pair), [1, 2, 3])
  })

  test('a client that leaves takes all of them with it', async t => {
    const arrived = deferred<void>()
    const pair = await startPair(t, (_, answer) => {
      answer.hang()
      if (pair.upstream.requests.length === 10) arrived.resolve()
    })
    const held = watchHeld(t)
    const client = await connectRaw(t, pair.url)
    await client.send(Buffer.concat(Array.from({ length: 10 }, (_, i) => post(i + 1))))
    await arrived.promise
    assert.equal(held.inFlight, 10)
    client.destroy()
    await until(() => held.inFlight === 0 && held.bytes === 0, 'the proxy to hold nothing')
    await until(() => pair.upstream.sockets.size === 0, 'the server to be let go')
  })

  test('a refused body ends the connection, and what is in it is no request', async t => {
    const pair = await startPair(t, echo, { limits: { maxBodyBytes: 200 } })
    const large = rawPost('/mcp', '127.0.0.1', FIELDS, Buffer.concat([Buffer.alloc(300, 0x20), hidden]))
    assert.deepEqual(await answersOf(t, pair, Buffer.concat([post(1), large, hidden])), [
      [200, 1],
      [413, null],
    ])
    assert.deepEqual(idsAt(pair), [1])
  })

  test('a fault of the message leaves the framing, and the connection, as they are', async t => {
    const pair = await startPair(t, echo)
    const client = await connectRaw(t, pair.url)
    await client.send(Buffer.concat([post(1, [], '{"jsonrpc":"2.0"'), post(2), post(3, [], ''), post(4)]))
    assert.deepEqual(await nextAnswer(client), [400, null])
    assert.deepEqual(await nextAnswer(client), [200, 2])
    assert.deepEqual(await nextAnswer(client), [400, null])
    assert.deepEqual(await nextAnswer(client), [200, 4])
    assert.deepEqual(idsAt(pair), [2, 4])
  })
})

describe('methods with bodies', () => {
  for (const method of ['GET', 'DELETE'] as const) {
    test(`the body of ${method} is no message, and no request`, async t => {
      const pair = await startPair(t, (request, answer) => {
        if (request.method === 'POST') echo(request, answer)
        else answer.status(405)
      })
      const client = await connectRaw(t, pair.url)
      await client.send(
        Buffer.concat([
          Buffer.from(
            rawPost('/mcp', '127.0.0.1', FIELDS, hidden).toString('latin1').replace('POST', method),
            'latin1',
          ),
          post(2),
        ]),
      )
      assert.deepEqual(await nextAnswer(client), [405, null])
      assert.deepEqual(await nextAnswer(client), [200, 2])
      assert.deepEqual(
        pair.upstream.requests.map(request => [request.method, request.text]),
        [
          [method, ''],
          ['POST', bodyOf(2)],
        ],
      )
    })
  }

  for (const method of ['PUT', 'PATCH', 'TRACE', 'PROPFIND', 'QUERY']) {
    test(`${method} is refused, and its body is no request`, async t => {
      const pair = await startPair(t, echo)
      const bytes = rawPost('/mcp', '127.0.0.1', FIELDS, hidden).toString('latin1').replace('POST', method)
      assert.deepEqual(await answersOf(t, pair, bytes), [[405, null]])
      assert.deepEqual(idsAt(pair), [])
    })
  }

  test('HEAD is refused without a body', async t => {
    const pair = await startPair(t, echo)
    const client = await connectRaw(t, pair.url)
    await client.send(post(1).toString('latin1').replace('POST', 'HEAD'))
    assert.equal((await client.readHead()).status, 405)
    await client.closed()
    assert.equal(client.rest.length, 0)
  })

  test('OPTIONS is answered, and its body is no request', async t => {
    const pair = await startPair(t, echo)
    const client = await connectRaw(t, pair.url)
    await client.send(
      Buffer.concat([
        Buffer.from(rawPost('/mcp', '127.0.0.1', [], hidden).toString('latin1').replace('POST', 'OPTIONS'), 'latin1'),
        post(2),
      ]),
    )
    assert.deepEqual(await nextAnswer(client), [204, null])
    assert.deepEqual(await nextAnswer(client), [200, 2])
    assert.deepEqual(idsAt(pair), [2])
  })
})

describe('clients that stop half-way', () => {
  test('100-continue is said at once, and the body may come late', async t => {
    const pair = await startPair(t, echo)
    const client = await connectRaw(t, pair.url)
    const bytes = post(1, ['Expect: 100-continue'])
    const cut = bytes.indexOf('\r\n\r\n') + 4
    await client.send(bytes.subarray(0, cut))
    assert.equal((await client.readHead()).status, 100)
    assert.equal(pair.upstream.requests.length, 0)
    for (const piece of [bytes.subarray(cut, cut + 1), bytes.subarray(cut + 1), post(2)]) await client.send(piece)
    assert.deepEqual(
      [await nextAnswer(client), await nextAnswer(client)],
      [
        [200, 1],
        [200, 2],
      ],
    )
  })

  test('2,000 uploads that break off leave nothing behind', async t => {
    const pair = await startPair(t, echo)
    const held = watchHeld(t)
    const bytes = post(1, [], bodyOf(1, { pad: 'x'.repeat(20_000) }))
    const before = process.memoryUsage().arrayBuffers
    for (let round = 0; round < 20; round++) {
      const clients = await Promise.all(Array.from({ length: 100 }, () => connectRaw(t, pair.url)))
      await Promise.all(clients.map((client, i) => client.send(bytes.subarray(0, 500 + i * 190))))
      await until(() => held.inFlight === 100, 'all uploads to have begun')
      for (const [i, client] of clients.entries()) i % 2 === 0 ? client.destroy() : client.reset()
      await until(() => held.inFlight === 0, 'the proxy to hold nothing')
      assert.equal(held.bytes, 0)
    }
    assert.deepEqual(idsAt(pair), [])
    const grown = process.memoryUsage().arrayBuffers - before
    assert.ok(grown < 50_000_000, `${grown} bytes more than before`)
    assert.equal((await send(t, pair.url, legacy(rpc(7, 'ping')))).status, 200)
  })

  test('a client that leaves behind its request ends it, whatever it sent in between', async t => {
    const seen = deferred<void>()
    const closed = deferred<string>()
    const pair = await startPair(t, async (_, answer) => {
      const stream = answer.sse()
      await stream.write(': open\n\n')
      seen.resolve()
      closed.resolve(await stream.closed)
    })
    const held = watchHeld(t)
    const client = await connectRaw(t, pair.url)
    await client.send(Buffer.concat([post(1), post(2).subarray(0, 100)]))
    await seen.promise
    client.reset()
    assert.equal(await closed.promise, 'cut')
    await until(() => held.inFlight === 0 && held.bytes === 0, 'the proxy to hold nothing')
  })

  test('a connection is used again after errors of the message, the session and the server', async t => {
    const pair = await startPair(t, (request, answer) => {
      if (request.json().id === 5) answer.destroy()
      else echo(request, answer)
    })
    const held = watchHeld(t)
    const client = await connectRaw(t, pair.url)
    const rounds: [Buffer, number][] = [
      [post(1, [], '[]'), 400],
      [post(2, [], '\xff'), 400],
      [post(3, ['Mcp-Method: other']), 400],
      [post(4, ['Mcp-Session-Id: made-up']), 404],
      [post(5), 502],
      [post(6), 200],
    ]
    for (const [bytes, status] of rounds) {
      await client.send(bytes)
      assert.equal((await nextAnswer(client))[0], status)
    }
    await until(() => held.inFlight === 0 && held.bytes === 0, 'the proxy to hold nothing')
  })

  test('a body that is announced and never comes holds nothing once its client is gone', async t => {
    const pair = await startPair(t, echo)
    const held = watchHeld(t)
    const call = begin(t, pair.url, {
      method: 'POST',
      headers: { 'content-type': 'application/json', 'content-length': '1000' },
    })
    await until(() => held.inFlight === 1, 'the request to arrive')
    call.abort()
    await until(() => held.inFlight === 0, 'the proxy to hold nothing')
    assert.equal(held.bytes, 0)
  })
})
