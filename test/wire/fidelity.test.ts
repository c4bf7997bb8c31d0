import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import { gunzipSync, gzipSync } from 'node:zlib'
import fc from 'fast-check'
import type { Hook, Json, JsonObject } from '#api'
import { send } from '../helpers/http-client.ts'
import { LEGACY_VERSION, MODERN_VERSION, POST_HEADERS } from '../helpers/mcp-messages.ts'
import { interceptor, startPair, VIEWS } from '../helpers/proxy.ts'
import type { Script } from '../helpers/scripted-upstream.ts'

const LEGACY = { ...POST_HEADERS, 'mcp-protocol-version': LEGACY_VERSION }

/** JSON values that do not survive `JSON.parse` and `JSON.stringify`, or that a careless proxy could trip over. */
const VALUES: Readonly<Record<string, string>> = {
  'integers above 2^53': '[9007199254740993,-9007199254740993,12345678901234567890,0]',
  'numbers with a tail': '[1.0,1e400,-1E+400,-0,-0.0,1E2,0.1000,1e-7,100000000000000000000000.5]',
  escapes: String.raw`["\u00e9","é","\u0041","\/","/","\b\f\n\r\t\"\\","\u00E9"]`,
  'surrogate escapes': String.raw`["\ud83d\ude00","😀","\uD83D\uDE00","\ud800","\udfff\ud800 lone"]`,
  'key order': '{"b":1,"a":2,"10":3,"9":4,"":5,"ab":6}',
  'white space': '{ "a" :\t[ 1 ,\r\n 2 ] ,\n\n"b":{ } , "c" : [ ] }',
  'line and paragraph separators': '"a\u2028b\u2029c\u0085d\ufeffe"',
  'keys of Object.prototype':
    '{"__proto__":{"polluted":true},"constructor":{"prototype":1},"toString":1,"hasOwnProperty":2}',
  'repeated keys of nobody': '{"a":1,"a":2,"A":3,"x":{"method":1,"method":2,"id":3,"id":4,"name":5,"name":6}}',
  'deep nesting': `${'['.repeat(60)}${']'.repeat(60)}`,
  'NUL and DEL': '"\\u0000\u007f"',
}

const IDS = ['9007199254740993', '"1"', '1', '0', '-7', '"9007199254740993"', '""', String.raw`"\u0061\"é"`, '1.0']

/** Whole requests with one hard value each; the `id` goes round. */
function requests(): string[] {
  const bodies = Object.values(VALUES).map((value, i) => {
    const id = IDS[i % IDS.length]
    return `{"jsonrpc":"2.0","id":${id},"method":"tools/call","params":{"name":"t","arguments":{"v":${value}}}}`
  })
  for (const id of IDS) bodies.push(`{"id":${id},"jsonrpc":"2.0","method":"ping"}`)
  bodies.push(
    ` \r\n\t{ "params" : { "arguments" : { } , "name" : "t" } , "method" : "tools/call" , "id" : 5 , "jsonrpc" : "2.0" } \r\n`,
    '{"jsonrpc":"2.0","id":5,"method":"vendor.example/unheard-of","params":{"x":1.0},"extra":{"id":9},"_vendor":[1e400]}',
    '{"jsonrpc":"2.0","id":5,"method":"tools/list","params":{"cursor":"","_meta":{"progressToken":9007199254740993}}}',
    String.raw`{"jsonrpc":"2.0","id":5,"m\u0065thod":"tools/c\u0061ll","params":{"n\u0061me":"\u0074"}}`,
  )
  return bodies
}

/** The exact text of a request's id. */
function idOf(body: string): string {
  return /"id"\s*:\s*("(?:\\.|[^"\\])*"|[^,\s}]+)/.exec(body)?.[1] ?? 'null'
}

for (const { view, interceptors } of VIEWS) {
  describe(`fidelity: ${view}`, () => {
    test('requests and JSON answers pass byte for byte', async t => {
      const values = Object.values(VALUES)
      const answers = new Map<string, string>()
      let turn = 0
      const script: Script = (request, answer) => {
        const value = values[turn++ % values.length]
        const text = `{ "jsonrpc":"2.0", "result":{"v":${value}, "structuredContent" :{"n":1.0}}\n,"id":${idOf(request.text)}}\n`
        answers.set(request.text, text)
        answer.json(text, { headers: { 'content-type': 'application/json; charset=utf-8' } })
      }
      const { upstream, url } = await startPair(t, script, { interceptors })
      for (const body of requests()) {
        const answer = await send(t, url, { headers: LEGACY, body })
        const got = await answer.text()
        assert.equal((await upstream.next()).text, body)
        assert.equal(got, answers.get(body))
        assert.equal(answer.status, 200)
        assert.equal(answer.headers['content-type'], 'application/json; charset=utf-8')
      }
    })

    test('errors of the server pass byte for byte with their status', async t => {
      const cases: [number, string][] = [
        [200, '{"jsonrpc":"2.0","id":7,"error":{"code":-32602,"message":"\\u00e9","data":{"n":1.0}}}'],
        [400, '{"jsonrpc":"2.0","id":7,"error":{"code":-32022,"message":"v","data":{"supported":["2025-11-25"]}}}'],
        [404, '{"jsonrpc":"2.0","id":7,"error":{"code":-32601,"message":"no"}}'],
        [500, '{"jsonrpc":"2.0","error":{"code":-32603,"message":"broken"},"id":null}'],
        [429, '{"error":{"code":-32000,"message":"slow"},"jsonrpc":"2.0"}'],
      ]
      let turn = 0
      const script: Script = (_, answer) => {
        const [status, text] = cases[turn++] as [number, string]
        answer.json(text, { status })
      }
      const { url } = await startPair(t, script, { interceptors })
      for (const [status, text] of cases) {
        const answer = await send(t, url, {
          headers: LEGACY,
          body: '{"jsonrpc":"2.0","id":7,"method":"tools/call","params":{"name":"x"}}',
        })
        assert.deepEqual([answer.status, await answer.text()], [status, text])
      }
    })

    test('notifications and client answers pass byte for byte; 202 stays empty', async t => {
      const { upstream, url } = await startPair(t, (_, answer) => answer.status(202), { interceptors })
      for (const body of [
        '{"jsonrpc":"2.0","method":"notifications/initialized"}',
        '{"jsonrpc":"2.0","method":"notifications/cancelled","params":{"requestId":9007199254740993,"reason":"\\u00e9"}}',
        '{"jsonrpc":"2.0","method":"notifications/progress","params":{"progressToken":"1","progress":1.0,"total":1e400}}',
        '{ "jsonrpc":"2.0","id":9007199254740993,"result":{"roots":[],"x":-0} }',
        '{"jsonrpc":"2.0","id":"1","error":{"code":-1,"message":"no"}}',
      ]) {
        const answer = await send(t, url, { headers: LEGACY, body })
        assert.deepEqual([answer.status, await answer.text()], [202, ''])
        assert.equal((await upstream.next()).text, body)
      }
    })

    test('event streams pass byte for byte', async t => {
      let stream = ''
      const { url } = await startPair(t, (_, answer) => answer.events([stream]), { interceptors })
      for (const [what, text] of Object.entries(STREAMS)) {
        stream = text
        const answer = await send(t, url, { headers: LEGACY, body: CALL })
        assert.equal(await answer.text(), text, what)
        assert.equal(answer.complete, true)
        assert.equal(answer.headers['content-type'], 'text/event-stream')
        assert.equal(answer.headers['cache-control'], 'no-cache')
      }
    })

    test('a stream cut at every position passes byte for byte', async t => {
      const bytes = Buffer.from(CUT_SAMPLE)
      let cut = 0
      const script: Script = (_, answer) => answer.events([bytes.subarray(0, cut), bytes.subarray(cut)])
      const { url } = await startPair(t, script, { interceptors })
      for (cut = 1; cut < bytes.length; cut++) {
        const answer = await send(t, url, { headers: LEGACY, body: CALL })
        assert.equal(await answer.text(), CUT_SAMPLE, `cut at ${cut}`)
      }
    })

    test('streams cut anywhere pass byte for byte', async t => {
      let pieces: Buffer[] = []
      const { url } = await startPair(t, (_, answer) => answer.events(pieces), { interceptors })
      const streams = Object.values(STREAMS)
      const cuts = fc.array(fc.double({ min: 0, max: 1, noNaN: true }), { maxLength: 6 })
      await fc.assert(
        fc.asyncProperty(fc.nat(streams.length - 1), cuts, async (which, where) => {
          const text = streams[which] as string
          pieces = cutAt(Buffer.from(text), where)
          const answer = await send(t, url, { headers: LEGACY, body: CALL })
          assert.equal(await answer.text(), text)
        }),
        { numRuns: 60 },
      )
    })

    test('a modern call passes byte for byte', async t => {
      const body = `{"jsonrpc":"2.0","id":1.0,"method":"tools/call","params":{"_meta":{ "io.modelcontextprotocol/protocolVersion":"${MODERN_VERSION}","io.modelcontextprotocol/clientCapabilities":{},"traceparent":"00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"},"arguments":{"n":1e400},"name":"gr\\u00fc\\u00dfe","inputResponses":{"a":{"action":"accept"}},"requestState":"=\\u002f="}}`
      const result = '{"jsonrpc":"2.0","id":1.0,"result":{"resultType":"input_required","requestState":"\\u0041/"}}'
      const { upstream, url } = await startPair(t, (_, answer) => answer.json(result), { interceptors })
      const headers = {
        ...POST_HEADERS,
        'mcp-protocol-version': MODERN_VERSION,
        'mcp-method': 'tools/call',
        'mcp-name': '=?base64?Z3LDvMOfZQ==?=',
      }
      const answer = await send(t, url, { headers, body })
      assert.equal(await answer.text(), result)
      const request = await upstream.next()
      assert.equal(request.text, body)
      assert.equal(request.header('mcp-name'), '=?base64?Z3LDvMOfZQ==?=')
    })
  })
}

const CALL = '{"jsonrpc":"2.0","id":7,"method":"tools/call","params":{"name":"t","_meta":{"progressToken":"p"}}}'
const FINAL = '{"jsonrpc":"2.0","id":7,"result":{"n":1.0,"s":"\\u00e9é😀"}}'
const PROGRESS = '{"jsonrpc":"2.0","method":"notifications/progress","params":{"progressToken":"p","progress":1.0}}'

const STREAMS: Readonly<Record<string, string>> = {
  plain: `data: ${FINAL}\n\n`,
  'named, with id and retry': `event: message\nid: a-1\nretry: 100\ndata: ${PROGRESS}\n\nevent: message\nid: a-2\ndata: ${FINAL}\n\n`,
  'a priming event': `id: a-0\nretry: 3000\ndata: \n\nid: a-1\ndata: ${FINAL}\n\n`,
  'a priming event without colon': `id: a-0\ndata\n\nid: a-1\ndata:${FINAL}\n\n`,
  CRLF: `id: 1\r\ndata: ${PROGRESS}\r\n\r\n: c\r\n\r\nid: 2\r\ndata: ${FINAL}\r\n\r\n`,
  CR: `id: 1\rdata: ${PROGRESS}\r\r: c\r\rdata: ${FINAL}\r\r`,
  'line ends of all kinds': `id: 1\rdata: ${PROGRESS}\r\n\n: c\n\r\ndata: ${FINAL}\n\r`,
  'a byte order mark': `\ufeffdata: ${PROGRESS}\n\ndata: ${FINAL}\n\n`,
  comments: `:\n\n: keep-alive\n\n:: \u2028 é\n:x\ndata: ${PROGRESS}\n: inside\n\n: before\ndata: ${FINAL}\n\n: after\n\n`,
  'several data lines': `data: {\ndata:   "jsonrpc": "2.0",\ndata: "id":\ndata:7,\ndata:  "result": { }\ndata: }\n\n`,
  'unknown fields': `data: ${PROGRESS}\nfoo: bar\nretry: x\nid\n\ndata: ${FINAL}\nid: 9\nx\n\n`,
  'other event types': `event: endpoint\ndata: ${PROGRESS}\n\nevent: message\ndata: ${FINAL}\n\n`,
  'blank lines': `\n\n\ndata: ${FINAL}\n\n\n\n`,
  'messages behind the answer': `data: ${FINAL}\n\ndata: ${PROGRESS}\n\n`,
  'hard values': Object.values(VALUES)
    .filter(value => !/[\r\n]/.test(value))
    .map(value => `data: {"jsonrpc":"2.0","method":"notifications/message","params":{"data":${value}}}\n\n`)
    .join('')
    .concat(`data: ${FINAL}\n\n`),
}

const CUT_SAMPLE = `\ufeff: é\r\nid: a\rretry: 10\ndata: {"jsonrpc":"2.0",\r\ndata: "method":"n/é😀"}\r\n\r\nid: b\n\ndata\n\ndata: {"id":7,"jsonrpc":"2.0","result":{}}\r\r`

function cutAt(bytes: Buffer, where: readonly number[]): Buffer[] {
  const at = [0, ...where.map(part => Math.floor(part * bytes.length)).sort((a, b) => a - b), bytes.length]
  return at.slice(1).map((end, i) => bytes.subarray(at[i], end))
}

describe('fidelity: compression', () => {
  const packed = gzipSync(FINAL)

  test('a compressed answer passes untouched when nobody looks', async t => {
    const script: Script = (_, answer) => answer.json(packed, { headers: { 'content-encoding': 'gzip' } })
    const { upstream, url } = await startPair(t, script)
    const answer = await send(t, url, { headers: { ...LEGACY, 'accept-encoding': 'gzip, br;q=0.5' }, body: CALL })
    assert.deepEqual(await answer.body(), packed)
    assert.equal(answer.headers['content-encoding'], 'gzip')
    assert.equal((await upstream.next()).header('accept-encoding'), 'gzip, br;q=0.5')
  })

  test('a compressed stream passes untouched when nobody looks', async t => {
    const stream = gzipSync(`data: ${FINAL}\n\n`)
    const script: Script = (_, answer) => answer.events([stream], { 'content-encoding': 'gzip' })
    const { url } = await startPair(t, script)
    const answer = await send(t, url, { headers: { ...LEGACY, 'accept-encoding': 'gzip' }, body: CALL })
    assert.equal(gunzipSync(await answer.body()).toString(), `data: ${FINAL}\n\n`)
  })

  test('whoever looks asks for plain bytes, and refuses others', async t => {
    const { interceptors } = VIEWS[1] as (typeof VIEWS)[number]
    for (const kind of ['json', 'events'] as const) {
      const script: Script = (_, answer) => {
        if (kind === 'json') answer.json(packed, { headers: { 'content-encoding': 'gzip' } })
        else return answer.events([gzipSync(`data: ${FINAL}\n\n`)], { 'content-encoding': 'gzip' })
      }
      const { upstream, url } = await startPair(t, script, { interceptors })
      const answer = await send(t, url, { headers: { ...LEGACY, 'accept-encoding': 'gzip' }, body: CALL })
      assert.equal((await upstream.next()).header('accept-encoding'), 'identity')
      assert.equal(answer.status, 502)
      const { id, error } = await answer.json()
      assert.deepEqual([id, error.code, error.data.code], [7, -31032, 'uninspectable'])
    }
  })
})

describe('fidelity: edits', () => {
  /** Sets one text and leaves everything else alone. */
  const editor = (): Hook<unknown> => message => {
    message.edit(json => {
      const { result } = json as { result?: JsonObject }
      if (result && 'old' in result) result['old'] = 'new ü'
    })
    return undefined
  }
  const interceptors = [interceptor('editor', { response: editor() })]
  const around = Object.values(VALUES)
    .map((value, i) => ` "k${i}" : ${value} `)
    .join(',')

  test('a JSON answer keeps the source text of all that was not edited', async t => {
    const text = `{ "jsonrpc" : "2.0","id":7.0 , "result" : {${around},"old" : "old" , "z":1.0} ,"x":1e400}\n`
    const script: Script = (_, answer) => answer.json(text, { headers: { etag: '"1"', 'x-kept': 'yes' } })
    const { url } = await startPair(t, script, { interceptors })
    const answer = await send(t, url, { headers: LEGACY, body: CALL.replace('"id":7', '"id":7.0') })
    const wanted = text.replace('"old" : "old"', '"old" : "new ü"')
    assert.equal(await answer.text(), wanted)
    assert.equal(answer.headers['content-length'], String(Buffer.byteLength(wanted)))
    assert.deepEqual([answer.headers['etag'], answer.headers['x-kept']], [undefined, 'yes'])
  })

  test('an event keeps its other lines and its other values', async t => {
    const flat = around.replaceAll(/[\r\n]/g, '')
    const final = `{"jsonrpc":"2.0","result":{${flat},"old":"old"},"id":7}`
    const before = `: hi\r\nid: 7\nretry: 10\nevent: message\ndata: ${PROGRESS}\n\n`
    const text = `${before}: c\nid: 8\ndata: ${final}\nretry: 20\nfoo\n\n: end\n\n`
    const { url } = await startPair(t, (_, answer) => answer.events([text]), { interceptors })
    const answer = await send(t, url, { headers: LEGACY, body: CALL })
    assert.equal(await answer.text(), text.replace('"old":"old"', '"old":"new ü"'))
  })

  test('an edited event of several data lines keeps its id and its line ends', async t => {
    const text = 'id: 8\r\ndata: {"jsonrpc":"2.0","id":7,\r\ndata:  "result":{"old":"old", "n":1.0}}\r\n\r\n'
    const { url } = await startPair(t, (_, answer) => answer.events([text]), { interceptors })
    const answer = await send(t, url, { headers: LEGACY, body: CALL })
    assert.equal(await answer.text(), text.replace('"old":"old"', '"old":"new ü"'))
  })

  test('a request keeps the source text of all that was not edited', async t => {
    const edit: Hook<unknown> = message => {
      message.edit(json => {
        const { arguments: args } = json['params'] as { arguments: { [key: string]: Json } }
        args['old'] = 'new ü'
        delete args['gone']
      })
      return undefined
    }
    const { upstream, url } = await startPair(t, {}, { interceptors: [interceptor('edit', { request: edit })] })
    const body = `{"id":9007199254740993,"method":"tools/call", "jsonrpc":"2.0","params":{"arguments":{"gone":1,${around},"old": "old"},"name":"t"},"x":1.0}`
    const answer = await send(t, url, { headers: LEGACY, body })
    const request = await upstream.next()
    assert.equal(request.text, body.replace('"gone":1,', '').replace('"old": "old"', '"old": "new ü"'))
    assert.equal(request.header('content-length'), String(request.body.length))
    await answer.body()
  })

  test('an edit that changes nothing leaves the bytes alone', async t => {
    const text = '{ "jsonrpc" : "2.0","id":7 , "result" : {"n" : 1.0, "old": "new ü"} }'
    const { url } = await startPair(t, (_, answer) => answer.json(text), { interceptors })
    const answer = await send(t, url, { headers: LEGACY, body: CALL })
    assert.equal(await answer.text(), text)
  })
})
