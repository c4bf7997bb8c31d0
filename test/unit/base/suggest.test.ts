import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { editDistance, suggest, suggestion } from '../../../proxy/base/suggest.ts'

describe('did you mean', () => {
  const words = ['listen', 'limits', 'servers', 'on_failure', 'log_level']
  const cases: [word: string, near: string | null][] = [
    ['lsiten', 'listen'],
    ['Listen', 'listen'],
    ['limit', 'limits'],
    ['server', 'servers'],
    ['on_fail', 'on_failure'],
    ['loglevel', 'log_level'],
    ['banana', null],
    ['x', null],
    ['', null],
  ]
  for (const [word, near] of cases) it(`${word}: ${near}`, () => assert.equal(suggest(word, words), near))

  it('lists what there is when nothing is near', () => {
    assert.equal(suggestion('banana', ['b', 'a']), '; allowed: a, b')
    assert.equal(suggestion('banana', []), '')
    assert.equal(suggestion('lsiten', words), ', did you mean "listen"?')
  })

  it('counts edits', () => {
    assert.equal(editDistance('abc', 'abc'), 0)
    assert.equal(editDistance('abc', 'acb'), 1)
    assert.equal(editDistance('', 'abc'), 3)
    assert.equal(editDistance('kitten', 'sitting'), 3)
  })
})
