import { count } from '../failure.ts'
import type { Finding, Findings } from './findings.ts'

/** What is told besides the findings. */
export interface ReportFacts {
  readonly corpus: string
  /** How its values were kept. */
  readonly values: string
  /** With what the policy is compared. */
  readonly against: string
  readonly unexpected: readonly Finding[]
  readonly unused: readonly string[]
}

/** For people. */
export function textReport(findings: Findings, facts: ReportFacts): string {
  const { changes, guesses, exchanges, changed, skipped } = findings
  const lines = [
    `${facts.corpus}: ${count(exchanges, 'exchange')}, values ${facts.values}, against ${facts.against}`,
    '',
  ]
  for (const finding of sorted(changes.values()))
    lines.push(...findingLines(finding, facts.unexpected.includes(finding)))
  if (changes.size > 0) lines.push('')
  if (guesses.size > 0) {
    lines.push('Not certain, because these entries read values that the corpus does not have:')
    for (const finding of sorted(guesses.values())) lines.push(...findingLines(finding, false))
    lines.push('')
  }
  if (findings.uncertain > 0) {
    const readers = [...findings.readers].map(([entry, number]) => `${entry} (${number})`).join(', ')
    const text = `${count(findings.uncertain, 'exchange')} of ${exchanges} hold redacted values that decide: ${readers}`
    lines.push(`${text}. What these entries do there is not known; capture with --values encrypted to know.`)
  }
  for (const [why, number] of skipped) lines.push(`not compared: ${count(number, 'exchange')}: ${why}`)
  for (const rule of facts.unused) lines.push(`allowed, but did not happen: ${rule}`)
  const unexpected = facts.unexpected.reduce((sum, { count: number }) => sum + number, 0)
  const verdict = changed === 0 ? 'nothing would change' : `${changed} of ${count(exchanges, 'exchange')} would change`
  lines.push(changes.size > 0 && unexpected > 0 ? `${verdict}; ${count(unexpected, 'change')} not expected` : verdict)
  return `${lines.join('\n')}\n`
}

function sorted(findings: Iterable<Finding>): Finding[] {
  return [...findings].toSorted((a, b) => a.entry.localeCompare(b.entry) || b.count - a.count)
}

function findingLines(
  { entry, tool, change, code, count: number, lines, paths }: Finding,
  isUnexpected: boolean,
): string[] {
  const mark = isUnexpected ? '!' : ' '
  const what = change === 'request' || change === 'answer' ? `${change} edited differently` : change
  const more = number > lines.length ? ', …' : ''
  const head = `${mark} ${entry === '' ? '(no entry)' : entry}  ${tool}  ${what}${code === '' ? '' : ` (${code})`}  ${number}x`
  const examples = `    line${lines.length === 1 ? '' : 's'} ${lines.join(', ')}${more}`
  return [head, paths.length === 0 ? examples : `${examples}: ${paths.map(path => path || 'all of it').join(', ')}`]
}
