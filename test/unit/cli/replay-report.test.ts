import assert from 'node:assert/strict'
import { it } from 'node:test'
import { Findings } from '../../../proxy/cli/replay/findings.ts'
import { textReport } from '../../../proxy/cli/replay/report.ts'

it('the report of a replay says so where all of a message differs', () => {
  const findings = new Findings()
  const finding = { entry: 'shape', tool: 'gh.read', change: 'answer', code: '', count: 2, lines: [5, 11], paths: [''] }
  findings.changes.set('one', finding)
  const text = textReport(findings, {
    corpus: 'c.jsonl',
    values: 'plain',
    against: 'new.yaml',
    unexpected: [],
    unused: [],
  })
  assert.match(text, /^ {2}shape {2}gh\.read {2}answer edited differently {2}2x\n {4}lines 5, 11: all of it$/m)
})
