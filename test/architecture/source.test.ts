import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { type FileFacts, readSamples } from './source.ts'

describe('the reader of source files', () => {
  it('tells erased imports from those that stay', () => {
    const facts = read(`
      import type { A } from './a.ts'
      import { type B } from './b.ts'
      import c, { type C } from './c.ts'
      import 'd'
      export { e } from './e.ts'
      export type { F } from './f.ts'
      type G = import('./g.ts').G
      const h = () => import('./h.ts')
      export { h }
      const text = "import x from './not.ts'" // import y from './nor.ts'
    `)
    assert.deepEqual(
      facts.mentions.map(mention => `${mention.specifier} ${mention.typeOnly ? 'type' : 'value'} ${mention.line}`),
      [
        './a.ts type 2',
        './b.ts value 3',
        './c.ts value 4',
        'd value 5',
        './e.ts value 6',
        './f.ts type 7',
        './g.ts type 8',
        './h.ts value 9',
      ],
    )
  })

  it('measures functions past strings, templates, regular expressions and comments', () => {
    const facts = read(
      [
        '/** Doc comment', //
        ' * that does not count. */',
        'function first(text: string): string {',
        "  const brace = '}' + `${`}${text}`}` // }",
        '  return brace.replace(/[}/]/g, "{")',
        '}',
        'const second = (x: number) => x',
        'class Third {',
        '  #x = 1',
        '  constructor() {',
        '    this.#x = 2',
        '  }',
        '  get x() { return this.#x }',
        '  async fourth() {',
        '    await 0',
        '  }',
        '}',
        'declare function fifth(): void',
        'const sixth = async () => 1',
        'second(((y) => {',
        '  return y',
        '})(1))',
        'describe("seventh", function () {',
        '  first("")',
        '})',
      ].join('\n'),
    )
    assert.deepEqual(
      facts.functions.map(one => `${one.name}:${one.line} ${one.lines}`),
      [
        'first:3 4',
        'Third.constructor:10 3',
        'Third.x:13 1',
        'Third.fourth:14 3',
        '(anonymous):20 3',
        '(anonymous):23 3',
      ],
    )
    assert.deepEqual(
      facts.asyncs.map(one => one.name),
      ['Third.fourth', 'sixth'],
    )
    assert.equal(facts.lines, 25)
  })

  it('tells chapters of tests from functions', () => {
    const facts = read(`
      describe('a', () => {
        it('b', () => { check() })
      })
      function chapter() { for (const x of [1]) it('c', () => {}) }
      function check() { const it = 1 }
    `)
    const chapters = facts.functions.filter(one => one.declaresTests)
    assert.deepEqual(
      chapters.map(one => `${one.name} ${one.line}`),
      ['(anonymous) 2', 'chapter 5'],
    )
  })

  it('counts overloads once and nested functions each', () => {
    const facts = read(`
      function over(x: string): void
      function over(x: number): void
      function over(x: unknown): void {
        const inner = () => {
          over(1)
        }
        inner()
      }
    `)
    assert.deepEqual(
      facts.functions.map(one => `${one.name} ${one.lines}`),
      ['over 6', 'inner 3'],
    )
  })

  it('knows a barrel', () => {
    assert.equal(read(`export { a } from './a.ts'\nexport type { B } from './b.ts'`).barrel, true)
    assert.equal(read(`export const own = 1\nexport * from './a.ts'`).barrel, true)
    assert.equal(read(`export const own = 1\nexport { a } from './a.ts'`).barrel, false)
    assert.equal(read(`const own = 1\nexport { own }`).barrel, false)
    assert.equal(read('').barrel, false)
  })
})

function read(text: string): FileFacts {
  const facts = readSamples({ 'sample.ts': text })[0]
  assert.ok(facts)
  return facts
}
