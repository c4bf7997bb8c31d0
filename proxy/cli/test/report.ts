import { relative } from 'node:path'
import { styleText } from 'node:util'
import type { Diagnostic } from '../../base/diagnostic.ts'
import type { SuiteResult, TestResult } from '../../testing/policy/suite.ts'
import { count } from '../failure.ts'

/** All suites of one run. */
export interface Run {
  readonly suites: readonly SuiteResult[]
}

export interface Totals {
  readonly tests: number
  readonly failed: number
  readonly rules: number
  readonly exercised: number
  /** Of 100; 100 where there is no rule. */
  readonly coverage: number
}

export function totalsOf({ suites }: Run): Totals {
  const results = suites.flatMap(suite => suite.results)
  const rules = suites.reduce((sum, { coverage }) => sum + coverage.total, 0)
  const exercised = suites.reduce((sum, { coverage }) => sum + coverage.exercised, 0)
  const coverage = rules === 0 ? 100 : Math.floor((exercised / rules) * 1000) / 10
  return { tests: results.length, failed: results.filter(one => !one.ok).length, rules, exercised, coverage }
}

/** `policies/a.yaml:12:5`, as seen from the working directory. */
export function placeText({ file, line, column }: Diagnostic): string {
  return `${pathText(file)}:${line}:${column}`
}

/** As seen from the working directory, if it lies below that. */
export function pathText(file: string): string {
  const path = relative('.', file)
  return path.startsWith('..') ? file : path
}

/** What went wrong with a test, line by line. */
export function differenceLines({ differences, remarks }: TestResult): string[] {
  const lines = differences.flatMap(({ place, expected, actual }) => [
    `${placeText(place)}: ${place.text}`,
    `  expected  ${expected}`,
    `  got       ${actual}`,
  ])
  return [...lines, ...remarks.map(remark => `what happened: ${remark}`)]
}

/** Which rules no test has put to use, line by line. */
export function coverageLines(run: Run): string[] {
  const { rules, exercised, coverage } = totalsOf(run)
  const missing = run.suites.flatMap(suite => suite.coverage.missing)
  const lines = [`coverage: ${exercised} of ${count(rules, 'rule')} exercised (${coverage} %)`]
  return [...lines, ...missing.map(place => `  never exercised: ${placeText(place)}: ${place.text}`)]
}

/** For people. */
export function specReport(run: Run): string {
  const lines = run.suites.flatMap(({ label, results }) => [
    styleText('bold', label),
    ...(results.length === 0 ? ['  no tests'] : results.flatMap(specLines)),
    '',
  ])
  const { tests, failed } = totalsOf(run)
  const summary = `${count(tests, 'test')}: ${tests - failed} passed, ${failed} failed`
  return `${[...lines, ...coverageLines(run), styleText(failed > 0 ? 'red' : 'green', summary)].join('\n')}\n`
}

function specLines(result: TestResult): string[] {
  if (result.ok) return [`  ${styleText('green', '✓')} ${result.name}`]
  const head = `  ${styleText('red', '✗')} ${result.name}  ${styleText('dim', placeText(result.place))}`
  return [head, ...differenceLines(result).map(line => `      ${line}`)]
}

/** Test Anything Protocol 14. */
export function tapReport(run: Run): string {
  const { tests } = totalsOf(run)
  const lines = ['TAP version 14', `1..${tests}`]
  let number = 0
  for (const { label, results } of run.suites) {
    for (const result of results) lines.push(...tapLines(result, ++number, label))
  }
  return `${[...lines, ...coverageLines(run).map(line => `# ${line}`)].join('\n')}\n`
}

function tapLines(result: TestResult, number: number, label: string): string[] {
  const name = `${label}: ${result.name}`.replace(/[\\#]/g, '\\$&').replaceAll('\n', ' ')
  if (result.ok) return [`ok ${number} - ${name}`]
  const detail = differenceLines(result).map(line => `    ${line}`)
  return [`not ok ${number} - ${name}`, '  ---', `  at: ${placeText(result.place)}`, '  detail: |', ...detail, '  ...']
}

/** JUnit XML, as CI servers read it. */
export function junitReport(run: Run): string {
  const { tests, failed } = totalsOf(run)
  const suites = run.suites.flatMap(({ label, results }) => [
    `  <testsuite name="${xml(label)}" tests="${results.length}" failures="${results.filter(one => !one.ok).length}" errors="0" skipped="0" time="${seconds(results)}">`,
    ...results.flatMap(result => junitCase(result, label)),
    '  </testsuite>',
  ])
  const output = `  <!-- ${coverageLines(run).join('\n       ').replaceAll('--', '- -')} -->`
  const root = `<testsuites name="sluice test" tests="${tests}" failures="${failed}" errors="0">`
  return `${['<?xml version="1.0" encoding="UTF-8"?>', root, ...suites, output, '</testsuites>'].join('\n')}\n`
}

function junitCase(result: TestResult, label: string): string[] {
  const { file, line } = result.place
  const head = `    <testcase name="${xml(result.name)}" classname="${xml(label)}" file="${xml(file)}" line="${line}" time="${seconds([result])}"`
  if (result.ok) return [`${head}/>`]
  const [first] = result.differences
  const message =
    first === undefined ? 'failed' : `${first.place.text}: expected ${first.expected}, got ${first.actual}`
  const text = differenceLines(result).join('\n')
  return [`${head}>`, `      <failure message="${xml(message)}">${xml(text)}</failure>`, '    </testcase>']
}

function seconds(results: readonly TestResult[]): string {
  return (results.reduce((sum, { durationMs }) => sum + durationMs, 0) / 1000).toFixed(3)
}

const ESCAPES: Readonly<Record<string, string>> = {
  '&': '&amp;',
  '<': '&lt;',
  '>': '&gt;',
  '"': '&quot;',
  '\n': '&#10;',
}

/** Control characters are not allowed in XML at all, however they are written. */
function xml(text: string): string {
  return text.replace(/[\p{Cc}\ufffe\uffff&<>"]/gu, one => ESCAPES[one] ?? '\ufffd')
}
