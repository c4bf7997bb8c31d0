import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import fc from 'fast-check'
import { findMember, member } from '../../../../proxy/fleet/bridge/member.ts'
import { oversizeId } from '../../../../proxy/fleet/bridge/oversize.ts'
import { asLine, endLine, patched } from '../../../../proxy/fleet/bridge/patch.ts'

describe('patched', () => {
  it('replaces two ranges, in any order, and nothing else', () => {
    const word = fc.string({ unit: 'grapheme', maxLength: 12 })
    const range = fc.string({ unit: 'grapheme', minLength: 1, maxLength: 12 })
    fc.assert(
      fc.property(word, range, word, range, word, word, fc.boolean(), (a, x, b, y, c, to, swap) => {
        const source = Buffer.from(a + x + b + y + c)
        const first = [Buffer.byteLength(a), Buffer.byteLength(a + x)] as const
        const second = [Buffer.byteLength(a + x + b), Buffer.byteLength(a + x + b + y)] as const
        const [one, two] = swap ? [second, first] : [first, second]
        const [oneText, twoText] = swap ? ['2', to] : [to, '2']
        const out = patched(source, one[0], one[1], oneText, two[0], two[1], twoText, 0)
        assert.equal(out.toString(), `${a}${to}${b}2${c}`)
      }),
    )
  })

  it('leaves room at the end, and replaces nothing where there is nothing', () => {
    assert.equal(endLine(patched(Buffer.from('{"a":1}'), -1, -1, '', -1, -1, '', 1)).toString(), '{"a":1}\n')
  })
})

describe('asLine', () => {
  it('makes any JSON one line that means the same', () => {
    fc.assert(
      fc.property(fc.json(), fc.constantFrom('  ', '\t', '\r\n'), (json, space) => {
        const pretty = JSON.stringify(JSON.parse(json), null, '  ').replaceAll('\n', space === '\r\n' ? space : '\n')
        const line = asLine(Buffer.from(pretty)).toString()
        assert.equal(line.indexOf('\n'), line.length - 1)
        assert.ok(!line.includes('\r'))
        assert.deepEqual(JSON.parse(line), JSON.parse(json))
      }),
    )
  })
})

describe('findMember', () => {
  it('finds what JSON.parse finds', () => {
    fc.assert(
      fc.property(fc.dictionary(fc.string({ maxLength: 4 }), fc.jsonValue(), { maxKeys: 6 }), made => {
        const object = JSON.parse(JSON.stringify(made)) as Record<string, unknown>
        const bytes = Buffer.from(`  ${JSON.stringify(object, null, 1)}`)
        for (const key of [...Object.keys(object), 'not there']) {
          const own = Object.hasOwn(object, key)
          assert.equal(findMember(bytes, 2, key), own, key)
          if (own) assert.deepEqual(JSON.parse(bytes.toString('utf8', member.start, member.end)), object[key])
        }
      }),
    )
  })

  it('reads keys that are spelled with escapes, and takes the last of several', () => {
    const bytes = Buffer.from('{"progress\\u0054oken":1,"x":{"progressToken":5},"progressToken":2}')
    assert.ok(findMember(bytes, 0, 'progressToken'))
    assert.equal(bytes.toString('utf8', member.start, member.end), '2')
    const escaped = Buffer.from('{"progress\\u0054oken":"\\u0031"}')
    assert.ok(findMember(escaped, 0, 'progressToken'))
    assert.equal(escaped.toString('utf8', member.start, member.end), '"\\u0031"')
  })

  it('notices keys that another parser might take for it', () => {
    const twins: [json: string, isTwin: boolean][] = [
      ['{"progressToken":1}', false],
      ['{"progressToken":1,"progressTokens":2,"token":3}', false],
      ['{"progressToken":1,"progressToken":2}', true],
      ['{"progressToken":1,"progresstoken":2}', true],
      ['{"PROGRESSTOKEN":1}', true],
      ['{"progress\\u0074oken":1}', true],
      ['{"progress\\u0054oken":1}', false],
      ['{"progress\\u0054oken":1,"progressToken":2}', true],
    ]
    for (const [json, isTwin] of twins) {
      findMember(Buffer.from(json), 0, 'progressToken')
      assert.equal(member.isTwin, isTwin, json)
    }
  })

  it('finds nothing in what is no object', () => {
    for (const text of ['[]', '1', '""', '{}']) assert.equal(findMember(Buffer.from(text), 0, 'a'), false)
    assert.equal(findMember(Buffer.from('{"a":1}'), -1, 'a'), false)
  })
})

describe('oversizeId', () => {
  const cases: [head: string, tail: string, kind: string, id: string][] = [
    ['{"jsonrpc":"2.0","id":7,"result":{"x":"aaa', 'aaa"}}', 'response', '7'],
    ['{"result":{"x":"aaa', 'aaa"},"jsonrpc":"2.0","id":7}', 'response', '7'],
    ['{"result":{"x":"aaa', 'aaa"},"id":7,"jsonrpc":"2.0"}', 'response', '7'],
    ['{ "id" : "a\\"b", "jsonrpc":"2.0","result":{"x":"aaa', 'aaa"}}', 'response', '"a\\"b"'],
    ['{"result":{"list":[{"id":1},{"id":2},"aaa', 'aaa",{"id":3}]}}', 'unknown', ''],
    ['{"result":{"x":"aaa', 'aaa","id":7}}', 'unknown', ''],
    ['{"result":{"x":"aaa', 'aaa\\",\\"id\\":7}"}}', 'unknown', ''],
    ['{"jsonrpc":"2.0","id":3,"method":"sampling/createMessage","params":{"x":"aaa', 'aaa"}}', 'request', '3'],
    ['{"method":"sampling/createMessage","params":{"x":"aaa', 'aaa"},"jsonrpc":"2.0","id":3}', 'request', '3'],
    ['{"jsonrpc":"2.0","method":"notifications/message","params":{"x":"aaa', 'aaa"}}', 'notification', ''],
  ]
  for (const [head, tail, kind, idText] of cases) {
    it(`${head.slice(0, 40)}…${tail} is a ${kind} ${idText}`, () => {
      assert.deepEqual(oversizeId(Buffer.from(head), Buffer.from(tail)), { kind, idText })
    })
  }
})
