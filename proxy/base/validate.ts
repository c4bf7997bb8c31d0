import type { z } from 'zod'
import { allowedKeys } from './allowed-keys.ts'
import { type Diagnostic, inOrder } from './diagnostic.ts'
import { suggest, suggestion } from './suggest.ts'
import type { Path, YamlSource } from './yaml-source.ts'

type Issue = z.core.$ZodIssue

/** Stands for "the schema gave no text of its own". */
const NO_TEXT = '\u0000'

export interface Validated<O> {
  /** What the schema made of the source; `null` when there are errors. */
  readonly value: O | null
  readonly diagnostics: readonly Diagnostic[]
}

/**
 * Checks a source by a schema; every problem becomes a diagnostic at its line and column. Texts of a schema that begin
 * with `expected` get `, got …` added.
 */
export function validate<O>(source: YamlSource, schema: z.ZodType<O>): Validated<O> {
  const result = parse(source, schema)
  if (result.success) return { value: result.data, diagnostics: [] }
  const diagnostics = result.error.issues.flatMap(issue => diagnose(issue, source, schema))
  return { value: null, diagnostics: inOrder(diagnostics) }
}

/** A secret that happens to look like a number (`${TOKEN}`, unquoted) is text wherever text is expected. */
function parse<O>(source: YamlSource, schema: z.ZodType<O>): z.ZodSafeParseResult<O> {
  const first = schema.safeParse(source.value, { error: () => NO_TEXT })
  if (first.success) return first
  const texts = new Map<Path, string>()
  for (const path of first.error.issues.flatMap(issue => textPaths(issue, []))) {
    const text = source.retypedText(path)
    if (text !== null) texts.set(path, text)
  }
  if (texts.size === 0) return first
  const value = structuredClone(source.value)
  for (const [path, text] of texts) assign(value, path, text)
  return schema.safeParse(value, { error: () => NO_TEXT })
}

/** Where text was expected: one of what a union would take, too. */
function textPaths(issue: Issue, base: Path): Path[] {
  const path = [...base, ...(issue.path as Path)]
  if (issue.code === 'invalid_union') return issue.errors.flat().flatMap(inner => textPaths(inner, path))
  return issue.code === 'invalid_type' && issue.expected === 'string' ? [path] : []
}

function assign(root: unknown, path: Path, text: string): void {
  let holder = root as Record<string | number, unknown>
  for (const key of path.slice(0, -1)) holder = holder[key] as Record<string | number, unknown>
  const last = path.at(-1)
  if (last !== undefined) holder[last] = text
}

function diagnose(issue: Issue, source: YamlSource, schema: z.ZodType): Diagnostic[] {
  const path = issue.path as Path
  if (issue.code === 'unrecognized_keys') return unknownKeys(issue, source, schema)
  if (issue.code === 'invalid_union' && issue.message === NO_TEXT && issue.errors.length > 0) {
    return diagnoseUnion(issue, source, schema)
  }
  if (issue.code === 'invalid_key') return [badKey(issue, source)]
  if (path.length > 0 && source.get(path) === undefined && issue.code !== 'custom') {
    return [source.diagnostic(path.slice(0, -1), `missing key "${String(path.at(-1))}"`, { at: 'key' })]
  }
  return [source.diagnostic(path, issueText(issue, source))]
}

function unknownKeys(issue: z.core.$ZodIssueUnrecognizedKeys, source: YamlSource, schema: z.ZodType): Diagnostic[] {
  const path = issue.path as Path
  const allowed = allowedKeys(schema, path)
  return issue.keys.map(key => {
    const text = `unknown key "${key}"${suggestion(key, allowed)}`
    return source.diagnostic(path, text, { at: 'key', place: [...path, key] })
  })
}

function badKey(issue: z.core.$ZodIssueInvalidKey, source: YamlSource): Diagnostic {
  const path = issue.path as Path
  const own = issue.issues[0]?.message
  const text = own === undefined || own === NO_TEXT ? 'bad key' : own
  const said = `${text}, got ${JSON.stringify(String(path.at(-1)))}`
  return source.diagnostic(path.slice(0, -1), said, { at: 'key', place: path })
}

/** Tells what is wrong with the alternative that fits best; where none does, what the alternatives are. */
function diagnoseUnion(issue: z.core.$ZodIssueInvalidUnion, source: YamlSource, schema: z.ZodType): Diagnostic[] {
  const path = issue.path as Path
  if (source.get(path) === undefined && path.length > 0) {
    return [source.diagnostic(path.slice(0, -1), `missing key "${String(path.at(-1))}"`, { at: 'key' })]
  }
  const near = issue.errors.filter(issues => !issues.some(isOtherType)).sort((a, b) => a.length - b.length)[0]
  if (near !== undefined) return near.flatMap(inner => diagnose(below(inner, path), source, schema))
  const text = `expected ${expectation(issue)}, got ${source.describe(path)}`
  return [source.diagnostic(path, text)]
}

/** Whether the value is of another kind altogether than the alternative wants. */
function isOtherType(issue: Issue): boolean {
  if (issue.code === 'invalid_union') return issue.path.length === 0 && issue.errors.every(one => one.some(isOtherType))
  return issue.path.length === 0 && (issue.code === 'invalid_type' || issue.code === 'invalid_value')
}

function below(issue: Issue, path: Path): Issue {
  return { ...issue, path: [...path, ...issue.path] } as Issue
}

function issueText(issue: Issue, source: YamlSource): string {
  const got = `, got ${source.describe(issue.path as Path)}`
  if (issue.message !== NO_TEXT && issue.message !== '') {
    return issue.message.startsWith('expected') ? issue.message + got : issue.message
  }
  const value = source.get(issue.path as Path)
  const guess = issue.code === 'invalid_value' && typeof value === 'string' ? near(value, issue.values) : ''
  return `expected ${expectation(issue)}${got}${guess}`
}

function near(value: string, allowed: readonly unknown[]): string {
  const found = suggest(
    value,
    allowed.filter(one => typeof one === 'string'),
  )
  return found === null ? '' : `, did you mean "${found}"?`
}

const TYPES: Readonly<Record<string, string>> = {
  string: 'text',
  number: 'a number',
  int: 'a whole number',
  boolean: 'true or false',
  array: 'a list',
  object: 'a mapping',
  record: 'a mapping',
  null: 'nothing',
}

/** What an issue's schema wants, to stand behind "expected". */
function expectation(issue: Issue): string {
  if (issue.message.startsWith('expected ')) return issue.message.slice('expected '.length)
  switch (issue.code) {
    case 'invalid_union':
      return [...new Set(issue.errors.map(alternative))].join(' or ')
    case 'invalid_type':
      return TYPES[issue.expected] ?? issue.expected
    case 'invalid_value':
      return issue.values.length === 1 ? String(issue.values[0]) : `one of ${issue.values.map(String).join(', ')}`
    case 'too_small':
      return bound('at least', issue.minimum, issue.origin, issue.inclusive)
    case 'too_big':
      return bound('at most', issue.maximum, issue.origin, issue.inclusive)
    case 'not_multiple_of':
      return `a multiple of ${issue.divisor}`
    case 'invalid_format':
      return issue.pattern === undefined ? `a valid ${issue.format}` : `text that matches ${issue.pattern}`
    default:
      return 'another value'
  }
}

function alternative(issues: readonly Issue[]): string {
  const first = issues.find(isOtherType) ?? issues[0]
  return first === undefined ? 'another value' : expectation(first)
}

const COUNTED: Readonly<Record<string, string>> = {
  string: ' characters',
  array: ' entries',
  set: ' entries',
  map: ' entries',
}

function bound(word: string, limit: number | bigint, origin: string, inclusive: boolean | undefined): string {
  const strict = inclusive === false ? (word === 'at least' ? 'more than' : 'less than') : word
  const noun = COUNTED[origin] ?? ''
  return `${strict} ${limit}${Number(limit) === 1 ? noun.replace(/ies$/, 'y').replace(/s$/, '') : noun}`
}
