import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { parse } from 'csv-parse/sync'
import fc from 'fast-check'
import type { JsonObject } from '#api'
import { probe } from '#testing'
import csv from '../../interceptors/csv/csv.ts'
import { readCsv } from '../../interceptors/csv/read-csv.ts'
import { columnsOf, MAX_CELLS, writeCsv } from '../../interceptors/csv/write-csv.ts'
import { type Counted, channels } from '../../proxy/observe/channels.ts'

const CALL = { method: 'tools/call', params: { name: 'query', arguments: {} } }
const ROWS = [
  { id: 1, name: 'a "quoted", name', user: { login: 'x' } },
  { id: -2.5, name: '=1+1', tags: ['a', 'b'], ok: true, none: null },
]

const text = (...texts: string[]): JsonObject[] => texts.map(one => ({ type: 'text', text: one }))

/** What becomes of a result. */
async function converted(options: JsonObject, result: JsonObject): Promise<JsonObject> {
  const p = await probe(csv, { options })
  return (await p.response({ result }, CALL)).message.json['result'] as JsonObject
}

describe('csv out of JSON', () => {
  it('writes structuredContent as text, and takes the copy and the structure away', async () => {
    const before = {
      content: text('prose', JSON.stringify(ROWS), '{"part":1}', 'more'),
      structuredContent: { result: ROWS },
    }
    const table =
      'id,name,user,tags,ok,none\r\n' +
      '1,"a ""quoted"", name","{""login"":""x""}",,,\r\n' +
      `-2.5,'=1+1,,"[""a"",""b""]",true,\r\n`
    assert.deepEqual(await converted({}, before), { content: text('prose', table, 'more') })
    const kept = await converted({ structured: 'keep' }, before)
    assert.deepEqual(kept, { content: text('prose', table, 'more'), structuredContent: { result: ROWS } })
  })

  it('chooses columns, their order, their names and paths into them', async () => {
    const columns = ['user.login', { path: 'id', header: 'Number' }, 'none.of.it', 'a.b']
    const rows = [{ id: 1, user: { login: 'x' }, 'a.b': 5, a: { b: 6 } }]
    assert.deepEqual(await converted({ columns }, { structuredContent: { rows } }), {
      content: text('user.login,Number,none.of.it,a.b\r\nx,1,,5\r\n'),
    })
    assert.deepEqual(
      await converted({ columns: ['__proto__', 'constructor', 'toString'] }, { structuredContent: { rows } }),
      {
        content: text('__proto__,constructor,toString\r\n,,\r\n'),
      },
    )
  })

  it('has delimiters, line ends, and a header as one likes', async () => {
    const rows = [{ a: 'x;y', b: ',' }]
    const options = { delimiter: ';', line_end: 'lf', header: false }
    assert.deepEqual(await converted(options, { structuredContent: { rows } }), { content: text('"x;y";,\n') })
    assert.deepEqual(await converted({ delimiter: '\t' }, { content: text('[{"a":"x\\ty"}]') }), {
      content: text('a\r\n"x\ty"\r\n'),
    })
  })

  it('keeps what stands beside the table', async () => {
    const value = { total: 2, page: { next: 'n', rows: [{ a: 1 }] } }
    const rows = 'page.rows'
    assert.deepEqual(await converted({ rows }, { content: text(JSON.stringify(value)) }), {
      content: text('{"total":2,"page":{"next":"n"}}', 'a\r\n1\r\n'),
    })
    assert.deepEqual(await converted({ rows, rest: 'drop' }, { structuredContent: value }), {
      content: text('a\r\n1\r\n'),
    })
  })

  it('leaves rows out and says how many', async () => {
    const rows = Array.from({ length: 500 }, (_, n) => ({ n }))
    const p = await probe(csv, { options: { max_rows: 2 } })
    const { message, notes } = await p.response({ result: { structuredContent: { rows } } }, CALL)
    const note = '(the first 2 of 500 rows; 498 were left out)'
    assert.deepEqual(message.json['result'], { content: text('n\r\n0\r\n1\r\n', note) })
    assert.deepEqual(notes, { csv_rows: 2, csv_rows_cut: 498 })
  })

  it('guards formulas in text and names, and nothing else', async () => {
    const starts = ['=', '+', '-', '@', '\t', '\r', '\n', '\uff1d', '\uff0b', '\uff0d', '\uff20']
    const rows = starts.map(start => ({ '=x': `${start}1`, n: -5, plain: 'a=b', neg: '-5' }))
    const { content } = await converted({}, { structuredContent: { rows } })
    const [{ text: table }] = content as [{ text: string }]
    const lines = parse(table) as string[][]
    assert.deepEqual(lines, [["'=x", 'n', 'plain', 'neg'], ...starts.map(start => [`'${start}1`, '-5', 'a=b', "'-5"])])
    const bare = await converted({ guard_formulas: false }, { content: text('[{"a":"=1"}]') })
    assert.deepEqual(bare, { content: text('a\r\n=1\r\n') })
  })

  it('keeps the digits of numbers', async () => {
    const p = await probe(csv)
    const answer =
      '{"jsonrpc":"2.0","id":1,"result":{"structuredContent":{"rows":[{"a":9007199254740993,"b":1.0,"c":1e400}]},"x":1.0}}'
    const { message } = await p.response(answer, CALL)
    const expected =
      '{"jsonrpc":"2.0","id":1,"result":{"x":1.0,"content":[{"type":"text","text":"a,b,c\\r\\n9007199254740993,1.0,1e400\\r\\n"}]}}'
    assert.deepEqual(message.text, expected)
  })

  it('leaves what is no table as it is', async () => {
    const p = await probe(csv)
    const results = [
      { structuredContent: { a: [{ x: 1 }], b: [{ x: 1 }] } },
      { structuredContent: { rows: [] } },
      { structuredContent: { rows: [{ a: 1 }, 2] } },
      { structuredContent: { rows: [{}, {}] } },
      { structuredContent: { rows: [[1], [2]] } },
      { structuredContent: { rows: [Object.fromEntries(Array.from({ length: 101 }, (_, n) => [n, n]))] } },
      { isError: true, structuredContent: { rows: ROWS } },
      { content: text('prose', '[1,2]', '{"a":1}') },
      {},
    ]
    for (const result of results)
      assert.equal((await p.response({ result }, CALL)).edited, false, JSON.stringify(result))
    assert.equal((await p.response({ error: { code: 1, message: 'x' } }, CALL)).edited, false)
    const strict = await probe(csv, { options: { missing: 'fail' } })
    await assert.rejects(strict.response({ result: {} }, CALL), /nothing to convert to csv/)
    const lost = await probe(csv, { options: { rows: 'no.such' } })
    assert.equal((await lost.response({ result: { structuredContent: { rows: ROWS } } }, CALL)).edited, false)
  })

  it('takes outputSchema from the tools it is for, unless the structure stays', async () => {
    const tools = ['query', 'other'].map(name => ({ name, outputSchema: { type: 'object' } }))
    const match = { method: 'tools/call', name: 'query' }
    const list = async (options: JsonObject): Promise<unknown> => {
      const p = await probe(csv, { options, match })
      return (await p.response({ result: { tools } }, { method: 'tools/list' })).message.json['result']
    }
    assert.deepEqual(await list({}), { tools: [{ name: 'query' }, tools[1]] })
    assert.deepEqual(await list({ structured: 'keep' }), { tools })
    assert.deepEqual(await list({ to: 'json' }), { tools })
  })

  it('counts the tokens that are saved', async t => {
    const counted: Counted[] = []
    const onCount = (one: unknown): void => void counted.push(one as Counted)
    channels.counted.subscribe(onCount)
    t.after(() => channels.counted.unsubscribe(onCount))
    const rows = Array.from({ length: 100 }, (_, n) => ({ number: n, title: 'x' }))
    const before = JSON.stringify(rows)
    const { content } = await converted({}, { content: text(before) })
    const after = (content as [{ text: string }])[0].text
    const saved = Math.ceil(before.length / 4) - Math.ceil(after.length / 4)
    assert.ok(saved > before.length / 8)
    assert.deepEqual(
      counted.map(({ name, by, values }) => [name, by, values]),
      [['sluice_result_tokens_saved_total', saved, ['query']]],
    )
  })

  it('has bounds', () => {
    const rows = Array.from({ length: 20_000 }, () => ({}))
    const columns = Array.from({ length: 51 }, (_, n) => ({ path: String(n), header: String(n) }))
    const options = { delimiter: ',', lineEnd: '\n', header: true, guardFormulas: true }
    assert.throws(() => writeCsv(rows, columns, options), new RegExp(`more than ${MAX_CELLS} cells`))
  })
})

describe('JSON out of csv', () => {
  it('makes objects of lines, and values where it is told to', async () => {
    const table = '\ufeffid,name,id,__proto__\r\n1,"a ""b""\n,c",true,x\r\n0012,,-1.5,\r\n'
    const rows =
      '[{"id":"1","name":"a \\"b\\"\\n,c","id_2":"true","__proto__":"x"},{"id":"0012","name":"","id_2":"-1.5","__proto__":""}]'
    assert.deepEqual(await converted({ to: 'json' }, { content: text(table, 'prose') }), {
      content: text(rows, 'prose'),
    })
    const { content } = await converted(
      { to: 'json', numbers: true, header: false },
      { content: text('1,true\n01,9007199254740993') },
    )
    assert.deepEqual(content, text('[[1,true],["01","9007199254740993"]]'))
  })

  it('leaves rows out and says how many', async () => {
    const before = { content: [{ type: 'text', text: 'a;b\n1;2\n3;4\n5;6\n', _meta: { x: 1 } }] }
    const after = [
      { type: 'text', text: '[{"a":"1","b":"2"}]', _meta: { x: 1 } },
      ...text('(the first 1 of 3 rows; 2 were left out)'),
    ]
    assert.deepEqual(await converted({ to: 'json', delimiter: ';', max_rows: 1 }, before), { content: after })
  })

  it('leaves what is no table as it is', async () => {
    const p = await probe(csv, { options: { to: 'json' } })
    const wide = Array.from({ length: 1001 }, () => 'a').join()
    for (const one of [
      '',
      'prose',
      'one\ntwo',
      'a,b',
      'a,b\n1',
      'a,b\n1,"2',
      'a,b\n1,2"3"',
      'a,b\n"1"x,2',
      '[1,2]',
      `${wide}\n${wide}`,
    ]) {
      assert.equal((await p.response({ result: { content: text(one) } }, CALL)).edited, false, one.slice(0, 20))
    }
  })
})

describe('tables, against another reader', () => {
  const cell = fc.oneof(
    fc.string({
      unit: fc.constantFrom('a', '"', ',', ';', '\t', '\r', '\n', ' ', "'", '=', 'é', '😀', '\u2028'),
      maxLength: 6,
    }),
    fc.string({ maxLength: 8 }),
  )
  const tables = fc.integer({ min: 1, max: 5 }).chain(width => {
    return fc.array(fc.array(cell, { minLength: width, maxLength: width }), { minLength: 1, maxLength: 8 })
  })

  for (const [delimiter, lineEnd] of [
    [',', '\r\n'],
    [';', '\n'],
    ['\t', '\r\n'],
  ] as const) {
    it(`come back as they were: ${JSON.stringify(delimiter + lineEnd)}`, () => {
      fc.assert(
        fc.property(tables, lines => {
          const rows = lines.map(cells => Object.fromEntries(cells.map((value, i) => [`c${i}`, value])))
          const columns = columnsOf(rows, 100) ?? []
          const written = writeCsv(rows, columns, { delimiter, lineEnd, header: false, guardFormulas: false })
          assert.deepEqual(parse(written, { delimiter, record_delimiter: lineEnd }), lines)
          assert.deepEqual(readCsv(written, delimiter), lines)
        }),
        { numRuns: 300 },
      )
    })
  }

  it('are read as csv-parse reads them, or not at all', () => {
    const texts = fc.string({ unit: fc.constantFrom('a', '"', ',', '\r\n', '\n', ' '), maxLength: 12 })
    fc.assert(
      fc.property(texts, one => {
        const ours = readCsv(one, ',')
        if (ours !== null) {
          const options = { record_delimiter: ['\r\n', '\n'], skip_empty_lines: true }
          assert.deepEqual(ours, parse(one, options))
        }
      }),
      { numRuns: 2000 },
    )
  })
})
