import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import fc from 'fast-check'
import { GlobList, globProblem } from '../../../proxy/api/index.ts'

const fits = (pattern: string, text: string): boolean => new GlobList([pattern]).fits(text)

describe('a glob', () => {
  const cases: [pattern: string, text: string, fits: boolean][] = [
    ['get_repo', 'get_repo', true],
    ['get_repo', 'get_repos', false],
    ['get_repo', 'Get_repo', false],
    ['*', '', true],
    ['*', 'a/b\nc', true],
    ['get_*', 'get_', true],
    ['get_*', 'get_a/b:c', true],
    ['get_*', 'get_\nx', true],
    ['get_*', 'xget_a', false],
    ['*_repo', 'get_repo', true],
    ['a*b*c', 'aXbYc', true],
    ['a*b*c', 'abc', true],
    ['a*b*c', 'acb', false],
    ['a*a', 'a', false],
    ['a*a', 'aa', true],
    ['*ab*ab*', 'ab', false],
    ['a**b', 'ab', true],
    ['?', 'a', true],
    ['?', '', false],
    ['?', 'ab', false],
    ['[a-c]x', 'bx', true],
    ['[a-c]x', 'dx', false],
    ['[!a-c]x', 'dx', true],
    ['[!a-c]x', 'ax', false],
    ['[]]', ']', true],
    ['[a-]', '-', true],
    ['[\\]]', ']', true],
    ['{get,set}_x', 'set_x', true],
    ['{get,set}_x', 'let_x', false],
    ['{a,b{c,d}}', 'bd', true],
    ['{a,b{c,d}}', 'b', false],
    ['x{,y}', 'x', true],
    ['x{a*,b}z', 'xaaz', true],
    ['\\*', '*', true],
    ['\\*', 'a', false],
    ['\\{a,b\\}', '{a,b}', true],
    ['file:///a.b', 'file:///aXb', false],
  ]
  for (const [pattern, text, expected] of cases) {
    it(`${pattern} ${expected ? 'fits' : 'does not fit'} ${JSON.stringify(text)}`, () => {
      assert.equal(fits(pattern, text), expected)
      assert.equal(globProblem(pattern), null)
    })
  }

  for (const pattern of [
    '',
    '!',
    '[a',
    'a[',
    '{a',
    'a}',
    '{a{b}',
    '[z-a]',
    'a\\',
    `a${'*'.repeat(2000)}`,
    '{a,b}'.repeat(9),
  ]) {
    it(`${JSON.stringify(pattern.slice(0, 20))} is refused`, () => assert.notEqual(globProblem(pattern), null))
  }

  it('agrees with a regular expression', () => {
    const letter = fc.constantFrom('a', 'b', '/', '\n')
    const unit = fc.constantFrom('a', 'b', '*', '?', '/')
    fc.assert(
      fc.property(
        fc.array(unit, { minLength: 1, maxLength: 8 }),
        fc.array(letter, { maxLength: 10 }),
        (units, letters) => {
          const pattern = units.join('')
          const expected = new RegExp(`^${pattern.replaceAll('*', '.*').replaceAll('?', '.')}$`, 's')
          assert.equal(fits(pattern, letters.join('')), expected.test(letters.join('')))
        },
      ),
      { numRuns: 2000 },
    )
  })

  it('does not stall on a hostile name', () => {
    // A backtracking matcher would need more steps than there are atoms.
    assert.equal(fits(`${'*a'.repeat(200)}b`, 'a'.repeat(20_000)), false)
  })
})

describe('a list of globs', () => {
  it('fits what one of them fits, and none with "!" does', () => {
    const list = new GlobList(['get_*', 'search', '!get_secret*'])
    assert.deepEqual(
      ['get_x', 'search', 'get_secret', 'set_x'].map(name => list.fits(name)),
      [true, true, false, false],
    )
  })

  it('of "!" only fits all the others', () => {
    const list = new GlobList(['!delete_*', '!drop'])
    assert.deepEqual(
      ['get', '', 'delete_x', 'drop'].map(name => list.fits(name)),
      [true, true, false, false],
    )
  })

  it('that is empty fits nothing', () => assert.equal(new GlobList([]).fits('a'), false))

  it('knows when it fits everything', () => {
    assert.equal(new GlobList(['a', '*']).any, true)
    assert.equal(new GlobList(['*', '!a']).any, false)
    assert.equal(new GlobList(['*', '!a']).fits('a'), false)
  })
})
