import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import fc from 'fast-check'
import { expandReferences } from '../../../proxy/base/env-refs.ts'

const env = { A: 'one', EMPTY: '', B_2: 'x${A}' }

describe('references to the environment', () => {
  const cases: [text: string, expanded: string][] = [
    ['${A}', 'one'],
    ['<${A}${A}>', '<oneone>'],
    ['${EMPTY}', ''],
    ['${NONE:-default}', 'default'],
    ['${NONE:-}', ''],
    ['${EMPTY:-default}', 'default'],
    ['${A:-default}', 'one'],
    ['${NONE:-${A}!}', 'one!'],
    ['${NONE:-${NEITHER:-${A}}}', 'one'],
    ['${NONE:-a:-b}', 'a:-b'],
    ['$$', '$'],
    ['$${A}', '${A}'],
    ['$$$${A}', '$${A}'],
    ['$A and $ and ^x$', '$A and $ and ^x$'],
    // What a variable holds is never expanded again.
    ['${B_2}', 'x${A}'],
  ]
  for (const [text, expanded] of cases) {
    it(`${text} is ${expanded}`, () => {
      assert.deepEqual(expandReferences(text, env).problems, [])
      assert.equal(expandReferences(text, env).text, expanded)
    })
  }

  for (const text of ['${NONE}', '${', '${A', '${}', '${1A}', '${A-x}', '${A:x}', '${ A }', '${NONE:-${NEITHER}}']) {
    it(`${text} is a problem`, () => assert.equal(expandReferences(text, env).problems.length, 1))
  }

  it('tells whether the text is one reference', () => {
    const whole = (text: string): boolean => expandReferences(text, env).whole
    assert.deepEqual(['${A}', '${NONE:-1}', ' ${A}', '${A}${A}', '$${A}', 'A'].map(whole), [
      true,
      true,
      false,
      false,
      false,
      false,
    ])
  })

  it('leaves text without "$" alone, and never throws', () => {
    fc.assert(
      fc.property(fc.string({ unit: fc.constantFrom('$', '{', '}', 'A', ':', '-', 'x') }), text => {
        const { text: expanded, problems } = expandReferences(text, env)
        if (!text.includes('$')) assert.equal(expanded, text)
        assert.ok(problems.every(problem => text.includes(problem.written)))
      }),
    )
  })
})
