import { RE2JS } from 're2js'

/** Where a value is not what was expected. */
export interface Mismatch {
  /** Keys from the expectation's root. */
  readonly path: readonly (string | number)[]
  readonly expected: string
  readonly actual: string
}

type Path = Mismatch['path']

/** What may stand in place of a value. */
const OPERATORS = ['$absent', '$any', '$contains', '$matches', '$exactly', '$not'] as const
type Operator = (typeof OPERATORS)[number]

/**
 * Compares a value with what a test expects. A mapping expects the keys it names and says nothing of others; a list
 * expects as many elements, each in its place. In place of a value may stand `{ $absent: true }`, `{ $any: true }`,
 * `{ $contains: text }`, `{ $matches: RE2 pattern }`, `{ $exactly: value }` and `{ $not: value }`.
 */
export function matchValue(expected: unknown, actual: unknown, path: Path = []): Mismatch[] {
  const operator = operatorOf(expected)
  if (operator !== null) return matchOperator(operator, (expected as Record<string, unknown>)[operator], actual, path)
  if (Array.isArray(expected)) return matchList(expected, actual, path)
  if (isMapping(expected)) return matchMapping(expected, actual, path)
  return expected === actual ? [] : [{ path, expected: show(expected), actual: show(actual) }]
}

/** What is wrong with the operators of an expectation; `null` = nothing. */
export function expectationProblem(expected: unknown): string | null {
  if (typeof expected !== 'object' || expected === null) return null
  const unknown = Object.keys(expected).find(key => key.startsWith('$') && !OPERATORS.includes(key as Operator))
  if (unknown !== undefined) return `unknown operator "${unknown}"; there are: ${OPERATORS.join(', ')}`
  const pattern = (expected as Record<string, unknown>)['$matches']
  if (pattern !== undefined && compile(pattern) === null) return `bad pattern ${show(pattern)}: expected RE2 syntax`
  return (
    Object.values(expected)
      .map(expectationProblem)
      .find(problem => problem !== null) ?? null
  )
}

/** A value as one short line. */
export function show(value: unknown): string {
  if (value === undefined) return 'nothing'
  const text = JSON.stringify(value) ?? String(value)
  return text.length > 300 ? `${text.slice(0, 297)}…` : text
}

function operatorOf(expected: unknown): Operator | null {
  if (!isMapping(expected)) return null
  const keys = Object.keys(expected)
  return keys.length === 1 ? (OPERATORS.find(operator => operator === keys[0]) ?? null) : null
}

function matchOperator(operator: Operator, operand: unknown, actual: unknown, path: Path): Mismatch[] {
  const fail = (expected: string): Mismatch[] => [{ path, expected, actual: show(actual) }]
  switch (operator) {
    case '$absent':
      return (actual === undefined) === (operand !== false) ? [] : fail(operand === false ? 'anything' : 'nothing')
    case '$any':
      return actual === undefined ? fail('anything') : []
    case '$contains':
      return contains(operand, actual) ? [] : fail(`something that contains ${show(operand)}`)
    case '$matches':
      return typeof actual === 'string' && compile(operand)?.matcher(actual).find() === true
        ? []
        : fail(`text that matches ${show(operand)}`)
    case '$exactly':
      return same(operand, actual) ? [] : fail(`exactly ${show(operand)}`)
    case '$not':
      return matchValue(operand, actual).length > 0 ? [] : fail(`anything but ${show(operand)}`)
  }
}

function contains(part: unknown, whole: unknown): boolean {
  if (typeof whole === 'string') return typeof part === 'string' && whole.includes(part)
  return Array.isArray(whole) && whole.some(element => matchValue(part, element).length === 0)
}

function matchList(expected: readonly unknown[], actual: unknown, path: Path): Mismatch[] {
  if (!Array.isArray(actual)) return [{ path, expected: show(expected), actual: show(actual) }]
  if (actual.length !== expected.length) {
    const text = `a list of ${expected.length}: ${show(expected)}`
    return [{ path, expected: text, actual: `a list of ${actual.length}: ${show(actual)}` }]
  }
  return expected.flatMap((element, i) => matchValue(element, actual[i], [...path, i]))
}

function matchMapping(expected: Record<string, unknown>, actual: unknown, path: Path): Mismatch[] {
  if (!isMapping(actual)) return [{ path, expected: show(expected), actual: show(actual) }]
  return Object.entries(expected).flatMap(([key, value]) => {
    const there = Object.hasOwn(actual, key) ? actual[key] : undefined
    return matchValue(value, there, [...path, key])
  })
}

function same(a: unknown, b: unknown): boolean {
  if (Array.isArray(a) && Array.isArray(b)) return a.length === b.length && a.every((one, i) => same(one, b[i]))
  if (!isMapping(a) || !isMapping(b)) return a === b
  const keys = Object.keys(a)
  return keys.length === Object.keys(b).length && keys.every(key => Object.hasOwn(b, key) && same(a[key], b[key]))
}

function compile(pattern: unknown): RE2JS | null {
  try {
    return typeof pattern === 'string' ? RE2JS.compile(pattern) : null
  } catch {
    return null
  }
}

function isMapping(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
}
