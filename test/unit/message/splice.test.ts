import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import type { Json, JsonObject } from '../../../proxy/api/index.ts'
import { splice } from '../../../proxy/message/splice.ts'

// biome-ignore lint/suspicious/noExplicitAny: an edit is as free as a user's
type Loose = any

function edit(source: string, change: (json: Loose) => void): string {
  const after = JSON.parse(source) as Json
  change(after)
  return splice(Buffer.from(source), JSON.parse(source) as Json, after).toString()
}

test('gives back the source itself when nothing changed', () => {
  const source = Buffer.from(' { "a" : 9007199254740993, "a":1e400 , "b":[ 1.0 ,"\\u00e9"] } ')
  const value = (): Json => JSON.parse(source.toString()) as Json
  assert.equal(splice(source, value(), value()), source)
})

test('changes one value and nothing else', () => {
  const source = '{ "big": 9007199254740993,\n  "one" : 1.0, "inf":1e400,"esc":"\\u00e9\\/", "x": {"y":[1.0, 2 ,3.0]} }'
  assert.equal(
    edit(source, json => {
      json.x.y[1] = 'two'
    }),
    source.replace(' 2 ', ' "two" '),
  )
  assert.equal(
    edit(source, json => {
      json.one = 2
    }),
    source.replace('1.0,', '2,'),
  )
})

test('removes members with their comma, first, middle, last and all', () => {
  const source = '{ "a": 1.0, "b": 2.0 ,"c": 3.0 }'
  const without = (...keys: string[]): string =>
    edit(source, json => {
      for (const key of keys) delete json[key]
    })
  assert.equal(without('a'), '{ "b": 2.0 ,"c": 3.0 }')
  assert.equal(without('b'), '{ "a": 1.0,"c": 3.0 }')
  assert.equal(without('c'), '{ "a": 1.0, "b": 2.0 }')
  assert.equal(without('a', 'b'), '{"c": 3.0 }')
  assert.equal(without('a', 'b', 'c'), '{}')
})

test('adds members in the style of their neighbours', () => {
  const add = (json: Loose): void => {
    json.z = { n: 1 }
  }
  assert.equal(edit('{}', add), '{"z":{"n":1}}')
  assert.equal(edit('{ }', add), '{"z":{"n":1}}')
  assert.equal(edit('{"a":1.0}', add), '{"a":1.0,"z":{"n":1}}')
  assert.equal(edit('{\n  "a": 1.0\n}', add), '{\n  "a": 1.0,\n  "z": {"n":1}\n}')
  assert.equal(
    edit('{\n  "a": 1.0\n}', json => {
      delete json.a
      json.b = 2
    }),
    '{\n  "b": 2\n}',
  )
})

test('a member under a new key keeps the text of its value', () => {
  assert.equal(
    edit('{"old":{"n":9007199254740993},"x":1.0}', json => {
      json.new = json.old
      delete json.old
    }),
    '{"x":1.0,"new":{"n":9007199254740993}}',
  )
})

test('elements keep their text when others come, go and move', () => {
  const source = '[ {"name":"a","n":1.0}, {"name":"b","n":2.0}, {"name":"c","n":3.0} ,{"name":"d","n":4.0} ]'
  const changed = (change: (list: Loose[]) => void): string => edit(source, change)
  assert.equal(
    changed(list => list.splice(1, 1)),
    '[ {"name":"a","n":1.0}, {"name":"c","n":3.0} ,{"name":"d","n":4.0} ]',
  )
  assert.equal(
    changed(list => list.unshift(7)),
    '[7, {"name":"a","n":1.0}, {"name":"b","n":2.0}, {"name":"c","n":3.0} ,{"name":"d","n":4.0} ]',
  )
  assert.equal(
    changed(list => list.reverse()),
    '[{"name":"d","n":4.0} , {"name":"c","n":3.0} , {"name":"b","n":2.0}, {"name":"a","n":1.0} ]',
  )
  assert.equal(
    changed(list => {
      list.shift()
      list[2].x = true
    }),
    '[ {"name":"b","n":2.0}, {"name":"c","n":3.0} ,{"name":"d","n":4.0,"x":true} ]',
  )
  assert.equal(
    changed(list => {
      list.splice(1, 1)
      list[1].x = true
    }),
    '[ {"name":"a","n":1.0}, {"name":"c","n":3.0,"x":true} ,{"name":"d","n":4.0} ]',
  )
  assert.equal(
    changed(list => {
      list.length = 0
    }),
    '[]',
  )
})

test('a key that comes twice keeps both copies until it changes', () => {
  const source = '{"x":{"a":"secret","a":"seen","b":1.0}}'
  assert.equal(
    edit(source, json => {
      json.x.b = 2
    }),
    '{"x":{"a":"secret","a":"seen","b":2}}',
  )
  assert.equal(
    edit(source, json => {
      json.x.a = '***'
    }),
    '{"x":{"a":"***","b":1.0}}',
  )
  assert.equal(
    edit(source, json => {
      delete json.x.a
    }),
    '{"x":{"b":1.0}}',
  )
})

test('__proto__ is a key like any other', () => {
  const source = '{"__proto__":{"a":1.0},"b":1.0}'
  assert.equal(
    edit(source, json => {
      json.b = 2
    }),
    '{"__proto__":{"a":1.0},"b":2}',
  )
  assert.equal(
    edit(source, json => {
      json.__proto__.a = 2
    }),
    '{"__proto__":{"a":2},"b":1.0}',
  )
  assert.equal(
    edit(source, json => {
      delete json.__proto__
    }),
    '{"b":1.0}',
  )
  assert.equal(
    edit('{"b":1.0}', json => {
      Object.defineProperty(json, '__proto__', { value: 5, enumerable: true })
    }),
    '{"b":1.0,"__proto__":5}',
  )
})

test('follows the rules of JSON.stringify', () => {
  assert.equal(
    edit('{"a":1.0,"b":[1.0,2.0],"c":1.0}', json => {
      json.a = undefined
      json.b[0] = undefined
      json.c = new Date(0)
      json.d = (): void => {}
      json.e = Number.NaN
    }),
    '{"b":[null,2.0],"c":"1970-01-01T00:00:00.000Z","e":null}',
  )
  const rawJson = (JSON as unknown as { rawJSON(text: string): unknown }).rawJSON
  assert.equal(
    edit('{"a":{"b":1.0},"c":1.0}', json => {
      json.a = rawJson('12345678901234567890')
    }),
    '{"a":12345678901234567890,"c":1.0}',
  )
  assert.throws(
    () =>
      edit('{"a":1}', json => {
        json.a = json
      }),
    TypeError,
  )
})

test('null and a number too large for a double are not taken for each other', () => {
  assert.equal(
    edit('[1e400,null,1]', json => {
      json.reverse()
    }),
    '[1,null,1e400]',
  )
})

/** Random JSON text in random style, with numbers that a double cannot hold. */
const number = fc.constantFrom('0', '-0', '1.0', '9007199254740993', '1e400', '-1E-2', '12345678901234567890', '3')
const space = fc.constantFrom('', '', '', ' ', '\n  ', '\t')
const { text: jsonText } = fc.letrec<{ text: string; array: string; object: string }>(tie => ({
  text: fc.oneof(
    { maxDepth: 4, withCrossShrink: true },
    fc.oneof(number, fc.constantFrom('true', 'null', '"\\u00e9\\n"', '"a"', '"日"', '""')),
    tie('array'),
    tie('object'),
  ),
  array: fc
    .array(fc.tuple(space, tie('text'), space), { maxLength: 5 })
    .map(all => `[${all.map(one => one.join('')).join(',')}]`),
  object: fc
    .array(
      fc.tuple(
        space,
        fc.constantFrom('"a"', '"b"', '"\\u0063"', '"__proto__"', '"name"', '"7"'),
        space,
        space,
        tie('text'),
        space,
      ),
      {
        maxLength: 5,
      },
    )
    .map(all => `{${all.map(([s1, key, s2, s3, value, s4]) => `${s1}${key}${s2}:${s3}${value}${s4}`).join(',')}}`),
}))

/** The text says the same as the value, whatever the order of keys; 0 and -0 are the same, Infinity and null are not. */
function assertSame(text: string, value: Json): void {
  assert.deepEqual(canonical(JSON.parse(text)), canonical(value))
}

function canonical(value: unknown): unknown {
  return JSON.parse(
    JSON.stringify(value, (_key, inner) =>
      typeof inner === 'number' && !Number.isFinite(inner) ? `huge ${inner}` : inner,
    ),
  )
}

test('property: no change gives the source, any other value gives that value', () => {
  fc.assert(
    fc.property(jsonText, fc.jsonValue({ maxDepth: 3 }), (text, value) => {
      const source = Buffer.from(text)
      const before = JSON.parse(text) as Json
      assert.equal(splice(source, before, JSON.parse(text) as Json), source)
      const after = JSON.parse(JSON.stringify(value)) as Json
      assertSame(splice(source, before, after).toString(), after)
    }),
    { numRuns: 800 },
  )
})

interface Change {
  pick: number[]
  what: number
}

/** Changes something somewhere; as an interceptor might, and stranger. */
function mutate(root: Json, { pick, what }: Change): void {
  if (typeof root !== 'object' || root === null) return
  let node: Json = root
  for (const step of pick) {
    const inner: Json[] = Object.values(node as object).filter(
      value => typeof value === 'object' && value !== null,
    ) as Json[]
    if (inner.length === 0) break
    node = inner[step % inner.length] as Json
  }
  if (Array.isArray(node)) mutateArray(node, what)
  else if (typeof node === 'object' && node !== null) mutateObject(node, what)
}

function mutateArray(list: Json[], what: number): void {
  const at = list.length === 0 ? 0 : what % list.length
  const changes = [
    () => list.splice(at, 1),
    () => list.splice(at, 0, 'new'),
    () => list.push({ n: 1 }),
    () => list.reverse(),
    () => list.sort(),
    () => list.push(...list.slice(0, 2)),
    () => {
      list[at] = 'changed'
    },
  ]
  ;(changes[what % changes.length] as () => void)()
}

function mutateObject(object: JsonObject, what: number): void {
  const keys = Object.keys(object)
  const key = keys[what % Math.max(1, keys.length)] ?? 'a'
  if (what % 3 === 0) delete object[key]
  else
    Object.defineProperty(object, what % 3 === 1 ? key : 'added', {
      value: what,
      enumerable: true,
      writable: true,
      configurable: true,
    })
}

const change = fc.record({ pick: fc.array(fc.nat(5), { maxLength: 3 }), what: fc.nat(1000) })

test('property: after any edits the text says what the object says', () => {
  fc.assert(
    fc.property(jsonText, fc.array(change, { maxLength: 4 }), (text, changes) => {
      const after = JSON.parse(text) as Json
      for (const one of changes) mutate(after, one)
      const spliced = splice(Buffer.from(text), JSON.parse(text) as Json, after).toString()
      assertSame(spliced, after)
    }),
    { numRuns: 3000 },
  )
})

test('property: untouched members keep their source text', () => {
  fc.assert(
    fc.property(jsonText, jsonText, jsonText, fc.jsonValue(), (left, middle, right, value) => {
      const source = `{"l": ${left} ,"m":${middle},\n"r" :${right}}`
      const spliced = edit(source, json => {
        json.m = value
      })
      assert.ok(spliced.startsWith(`{"l": ${left} ,"m":`))
      assert.ok(spliced.endsWith(`,\n"r" :${right}}`))
      const removed = edit(source, json => {
        delete json.m
      })
      assert.equal(removed, `{"l": ${left} ,\n"r" :${right}}`)
    }),
    { numRuns: 500 },
  )
})

test('a long list that loses every other element is spliced in linear time', () => {
  const items = Array.from({ length: 20_000 }, (_, n) => `{"name":"t${n}","v":${n}.0}`)
  const spliced = edit(`[${items.join(',')}]`, list => {
    for (let i = list.length - 1; i >= 0; i -= 2) list.splice(i, 1)
  })
  assert.equal(spliced, `[${items.filter((_, n) => n % 2 === 0).join(',')}]`)
})
