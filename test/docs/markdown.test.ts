import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { fencesOf, fileLinks, tableRows, uncode } from './markdown.ts'

describe('the reader of documents', () => {
  it('finds fences with language, marker and line', () => {
    const text = 'a\n```yaml policy\nversion: 1\n\n```\n```\nplain\n```\n'
    assert.deepEqual(fencesOf(text, 'a.md'), [
      { document: 'a.md', line: 3, language: 'yaml', marker: 'policy', text: 'version: 1\n\n' },
      { document: 'a.md', line: 7, language: '', marker: '', text: 'plain\n' },
    ])
    assert.throws(() => fencesOf('```ts\n', 'a.md'), /a\.md: a fence is not closed/)
  })

  it('finds the rows of the tables that are meant', () => {
    const text = '| key | x |\n|---|---|\n| `a` | 1 |\n\n| other |\n|---|\n| b |\n| key | x |\n|:--|--:|\n| `c` | 2 |\n'
    assert.deepEqual(tableRows(text, ['key', 'x']), [
      ['`a`', '1'],
      ['`c`', '2'],
    ])
    assert.deepEqual([uncode('`a`'), uncode('a'), uncode('`a`, `b`')], ['a', 'a', '`a`, `b`'])
  })

  it('finds links to files', () => {
    const text = '[a](b.md) [c](https://x.y/z.md) [d](#e) ![f](g/h.png) [i](j.md#k)'
    assert.deepEqual(fileLinks(text), ['b.md', 'g/h.png', 'j.md'])
  })
})
