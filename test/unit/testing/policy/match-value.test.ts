import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { expectationProblem, matchValue } from '../../../../proxy/testing/policy/match-value.ts'

const fits = (expected: unknown, actual: unknown): boolean => matchValue(expected, actual).length === 0

describe('what a test expects of a value', () => {
  it('names keys, and says nothing of others', () => {
    assert.ok(fits({ a: 1 }, { a: 1, b: 2 }))
    assert.ok(!fits({ a: 1, b: 2 }, { a: 1 }))
    assert.ok(!fits({ a: 1 }, [1]))
    assert.ok(!fits({}, undefined))
  })

  it('has lists element by element', () => {
    assert.ok(fits([1, { a: 1 }], [1, { a: 1, b: 2 }]))
    assert.ok(!fits([1], [1, 2]))
    assert.ok(!fits([1, 2], [2, 1]))
    assert.ok(!fits([], {}))
  })

  it('takes scalars as they are', () => {
    assert.ok(fits(null, null))
    assert.ok(!fits('1', 1))
    assert.ok(!fits(false, undefined))
  })

  it('does not take what every object inherits for a key', () => {
    assert.ok(!fits({ toString: { $any: true } }, {}))
    assert.ok(fits({ constructor: { $absent: true } }, {}))
  })

  const operators: [name: string, expected: unknown, good: unknown, bad: unknown][] = [
    ['$absent', { a: { $absent: true } }, {}, { a: null }],
    ['$absent: false', { a: { $absent: false } }, { a: null }, {}],
    ['$any', { a: { $any: true } }, { a: null }, {}],
    ['$contains in text', { $contains: 'ell' }, 'hello', 'hullo'],
    ['$contains in a list', { $contains: { a: 1 } }, [0, { a: 1, b: 2 }], [{ a: 2 }]],
    ['$matches', { $matches: '^h.l+o$' }, 'hello', 'hell'],
    ['$matches of no text', { $matches: '1' }, '1', 1],
    ['$exactly', { $exactly: { a: [1] } }, { a: [1] }, { a: [1], b: 2 }],
    ['$not', { $not: { a: 1 } }, { a: 2 }, { a: 1, b: 1 }],
  ]
  for (const [name, expected, good, bad] of operators) {
    it(`has ${name}`, () => {
      assert.deepEqual(matchValue(expected, good), [])
      assert.equal(matchValue(expected, bad).length, 1)
    })
  }

  it('tells where and what', () => {
    assert.deepEqual(matchValue({ a: [{ b: 'x' }, 2] }, { a: [{ b: 'y' }, 3] }), [
      { path: ['a', 0, 'b'], expected: '"x"', actual: '"y"' },
      { path: ['a', 1], expected: '2', actual: '3' },
    ])
    assert.deepEqual(matchValue({ a: 1 }, {}), [{ path: ['a'], expected: '1', actual: 'nothing' }])
  })

  it('runs patterns in linear time', () => {
    assert.ok(!fits({ $matches: '^(a+)+$' }, `${'a'.repeat(50_000)}b`))
  })

  it('knows which expectations make no sense', () => {
    assert.match(
      expectationProblem({ a: [{ $mtches: 'x' }] }) ?? '',
      /unknown operator "\$mtches"; there are: \$absent/,
    )
    assert.match(expectationProblem({ $matches: '(?=x)' }) ?? '', /bad pattern/)
    assert.equal(expectationProblem({ a: { $matches: 'x' } }), null)
  })
})
