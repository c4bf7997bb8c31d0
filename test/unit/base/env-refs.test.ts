import assert from 'node:assert/strict'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, describe, it } from 'node:test'
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

  describe('NAME_FILE', () => {
    const dir = mkdtempSync(join(tmpdir(), 'env-refs-'))
    after(() => rmSync(dir, { recursive: true }))
    const file = join(dir, 'value')
    writeFileSync(file, 'from a file\n\n')
    const cases: [what: string, env: NodeJS.ProcessEnv, text: string, expanded: string][] = [
      ['stands for a NAME that is missing', { X_FILE: file }, '<${X}>', '<from a file\n>'],
      ['stands for a NAME that is empty', { X: '', X_FILE: file }, '${X}', 'from a file\n'],
      ['goes before a default', { X_FILE: file }, '${X:-default}', 'from a file\n'],
      ['counts for nothing where there is a NAME', { X: 'own', X_FILE: '/nowhere' }, '${X}', 'own'],
      ['counts for nothing where it is empty', { X_FILE: '' }, '${X:-default}', 'default'],
    ]
    for (const [what, given, text, expanded] of cases) {
      it(what, () => {
        const { text: got, problems, files } = expandReferences(text, given)
        assert.deepEqual([got, problems], [expanded, []])
        assert.deepEqual(files, expanded.includes('file') ? [file] : [])
      })
    }

    for (const [path, why] of [
      [join(dir, 'none'), 'no such file'],
      [dir, 'not a regular file'],
      ['/dev/zero', 'not a regular file'],
    ] as const) {
      it(`that names ${why === 'no such file' ? 'nothing' : 'no file'} is a problem: ${path}`, () => {
        const { problems } = expandReferences('${X:-default}', { X_FILE: path })
        assert.deepEqual(
          problems.map(problem => problem.text),
          [`X_FILE names ${path}: ${why}`],
        )
      })
    }
  })

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
